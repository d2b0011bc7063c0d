package remote

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// maxRefs bounds what a server says of its branches and tags, in bytes.
const maxRefs = 32 << 20

// readRefs reads the list of branches and tags that a server begins with.
func readRefs(r io.Reader) (*packp.AdvRefs, error) {
	bounded := &io.LimitedReader{R: r, N: maxRefs}
	refs := packp.NewAdvRefs()
	err := refs.Decode(bounded)
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs):
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "source.url", Err: errors.New("the repository is empty; push a commit first")}
	case err != nil && bounded.N <= 0:
		return nil, deploy.Errorf(deploy.TooLarge, "fetch", "the list of branches and tags is over %d bytes", int64(maxRefs))
	}
	return refs, err
}

// writeRequest asks for a pack. Nothing is there already, so there is nothing to negotiate.
func writeRequest(w io.Writer, req *packp.UploadPackRequest) error {
	if err := req.UploadRequest.Encode(w); err != nil {
		return err
	}
	return pktline.NewEncoder(w).EncodeString("done\n")
}

// refused is what a server says instead of a pack.
type refused struct{ text string }

func (r refused) Error() string { return "the server refuses: " + deploy.Cut(r.text, 300) }

// unknown tells whether it doesn't have the commit, or doesn't show it. So say git's own upload-pack, and GitHub and others after it.
func (r refused) unknown() bool { return strings.Contains(r.text, "not our ref") }

func asRefused(err error, to *refused) bool { return errors.As(err, to) }

// exchange sends a request, closes in, and reads the server's answer up to where the pack begins. If there is an answer, an error of
// in does not count: a server may close its side as soon as it has refused, or as soon as it has sent the pack.
func exchange(in io.WriteCloser, out io.Reader, req *packp.UploadPackRequest) (io.Reader, error) {
	sent := errors.Join(writeRequest(in, req), in.Close())
	pack, err := readResponse(out, req)
	if said := (refused{}); err != nil && sent != nil && !asRefused(err, &said) {
		err = sent
	}
	return pack, err
}

// readResponse reads a server's answer up to where the pack begins.
func readResponse(r io.Reader, req *packp.UploadPackRequest) (io.Reader, error) {
	in := bufio.NewReader(r)
	head, err := in.Peek(8)
	if err != nil {
		return nil, fmt.Errorf("the server's answer ends early: %w", err)
	}
	if string(head[4:]) == "ERR " {
		line := pktline.NewScanner(in)
		line.Scan()
		return nil, refused{strings.TrimSpace(string(line.Bytes()[4:]))}
	}
	response := packp.NewUploadPackResponse(req)
	if err := response.Decode(io.NopCloser(in)); err != nil {
		return nil, fmt.Errorf("the server's answer makes no sense: %w", err)
	}
	return response, nil
}
