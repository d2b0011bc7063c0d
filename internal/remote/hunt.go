package remote

import (
	"context"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// hunt is the way to one commit of a repository whose branches and tags are known.
type hunt struct {
	server server
	refs   *packp.AdvRefs
	commit plumbing.Hash
	branch string
	limits Limits
}

// verify fails unless the commit is the branch's tip or not far below it. A server may be slow to send much, so it is asked for
// commits alone where it can do that.
func (h *hunt) verify(ctx context.Context) error {
	tip, err := h.tip()
	if err != nil || tip == h.commit {
		return err
	}
	depth, req := deepWhole, h.request(tip)
	if h.refs.Capabilities.Supports(capability.Filter) {
		depth, req.Filter = deepCommits, packp.FilterTreeDepth(0)
		_ = req.Capabilities.Set(capability.Filter)
	}
	objects, err := h.get(ctx, req, depth)
	if err != nil {
		return err
	}
	if !below(objects, tip, h.commit) {
		return deploy.FieldErrorf("branch", "commit %s isn't among the newest %d generations of %q; want one of that branch", h.commit, depth, deploy.Cut(h.branch, 255))
	}
	return nil
}

// objects fetches what the commit holds: by its id, or where the server gives out only tips, by way of the branch.
func (h *hunt) objects(ctx context.Context) (storer.EncodedObjectStorer, error) {
	if h.byID() {
		return h.get(ctx, h.request(h.commit), 1)
	}
	if h.branch == "" {
		return nil, h.unknown("is no branch's tip, this server gives out nothing else by its id, and no branch was named to look in")
	}
	tip, err := h.tip()
	if err != nil {
		return nil, err
	}
	objects, err := h.get(ctx, h.request(tip), deepWhole)
	if err != nil {
		return nil, err
	}
	if _, err := object.GetCommit(objects, h.commit); err != nil {
		return nil, h.unknown("isn't among the newest %d generations of %q, and this server gives out only tips by their id", deepWhole, deploy.Cut(h.branch, 255))
	}
	return objects, nil
}

// byID tells whether the server would give out the commit, should it have it.
func (h *hunt) byID() bool {
	c := h.refs.Capabilities
	if c.Supports(capability.AllowReachableSHA1InWant) || c.Supports(capability.AllowTipSHA1InWant) {
		return true
	}
	for _, tip := range h.refs.References {
		if tip == h.commit {
			return true
		}
	}
	return false
}

func (h *hunt) tip() (plumbing.Hash, error) {
	tip, ok := h.refs.References["refs/heads/"+h.branch]
	if !ok {
		return tip, &deploy.Error{Kind: deploy.NotFound, Field: "branch",
			Err: deploy.Errorf(deploy.NotFound, "", "the repository has no branch %q; push it first", deploy.Cut(h.branch, 255))}
	}
	return tip, nil
}

func (h *hunt) unknown(format string, args ...any) error {
	return &deploy.Error{Kind: deploy.NotFound, Field: "commit_sha",
		Err: deploy.Errorf(deploy.NotFound, "commit "+h.commit.String(), format, args...)}
}

func (h *hunt) request(want plumbing.Hash) *packp.UploadPackRequest {
	req := packp.NewUploadPackRequest()
	req.Wants = []plumbing.Hash{want}
	_ = req.Capabilities.Set(capability.OFSDelta)
	_ = req.Capabilities.Set(capability.Agent, "slipway")
	return req
}

// get fetches what was asked for, so many generations of it.
func (h *hunt) get(ctx context.Context, req *packp.UploadPackRequest, depth int) (storer.EncodedObjectStorer, error) {
	if !h.refs.Capabilities.Supports(capability.Shallow) {
		return nil, deploy.FieldErrorf("source.url", "the server can't give out one commit without all before it")
	}
	_ = req.Capabilities.Set(capability.Shallow)
	req.Depth = packp.DepthCommits(depth)
	pack, err := h.server.pack(ctx, req)
	if said := (refused{}); asRefused(err, &said) && said.unknown() {
		return nil, h.unknown("isn't in the repository; push it first")
	}
	if err != nil {
		return nil, err
	}
	defer pack.Close()
	return inflate(pack, h.limits)
}

// below tells whether commit is tip or one of those before it, as far as they were fetched.
func below(objects storer.EncodedObjectStorer, tip, commit plumbing.Hash) bool {
	seen := map[plumbing.Hash]bool{}
	for next := []plumbing.Hash{tip}; len(next) > 0; next = next[1:] {
		if seen[next[0]] {
			continue
		}
		seen[next[0]] = true
		c, err := object.GetCommit(objects, next[0])
		if err != nil {
			continue // beyond what was fetched
		}
		if c.Hash == commit {
			return true
		}
		next = append(next, c.ParentHashes...)
	}
	return false
}
