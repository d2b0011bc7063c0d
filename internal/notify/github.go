package notify

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Bounds on setting a status.
const (
	rounds   = 5   // of looking and setting
	pageSize = 100 // GitHub's most
	maxPages = 10
)

// commitStatus is GitHub's (docs.github.com, REST API endpoints for commit statuses).
type commitStatus struct {
	State       string `json:"state"`
	Context     string `json:"context"`
	Description string `json:"description"` // 140 characters at most; its end is the deployment's id
}

// statusOf is what GitHub shall say of a deployment.
func statusOf(d *deploy.Deployment) commitStatus {
	state, text := "pending", string(d.Status)
	switch d.Status {
	case deploy.Success:
		state, text = "success", "went live in "+d.Environment
	case deploy.Failed:
		state, text = "failure", "failed"
		if d.Dirty {
			text = "failed, and the environment needs a repair"
		}
	case deploy.RolledBack:
		state, text = "failure", "rolled back"
	case deploy.Aborted:
		state = "error"
	}
	return commitStatus{State: state, Context: "slipway/" + d.App + "/" + d.Environment, Description: text + " - " + d.ID}
}

var lastWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(` - (\S+)$`) })

// deploymentOf reads the id out of a status of ours; "" where there is none.
func deploymentOf(s commitStatus) string {
	if m := lastWord().FindStringSubmatch(s.Description); m != nil && deploy.ValidID(m[1]) {
		return m[1]
	}
	return ""
}

// status makes GitHub say of the commit what its newest deployment is by now. GitHub shows whichever status was set last, so that an
// event's own word, late or told twice, could hide a newer one. Therefore no event's word is set: what is set is what the record
// says, and what GitHub says is looked at before and, until it is that, after each setting. Whoever sets last looks last.
func (n *Notifier) status(ctx context.Context, g *deploy.GitHubChannel, c *deploy.Change) error {
	repo, err := n.repository(ctx, g, c)
	if repo == nil {
		return err
	}
	for range rounds {
		said, newest, err := repo.said(ctx, "slipway/"+c.App+"/"+c.Environment, c.Deployment)
		if err != nil {
			return err
		}
		d, err := n.spokenOf(ctx, newest, c)
		if err != nil {
			return err
		}
		want := statusOf(d)
		if said == want {
			return nil
		}
		if err := repo.set(ctx, want); err != nil {
			return err
		}
	}
	return fmt.Errorf("GitHub: somebody else sets %s too", c.CommitSHA)
}

// spokenOf finds the newest deployment of which GitHub speaks; the change's own where that is none of the same commit in the same
// place, since whoever may write to the repository may set any status.
func (n *Notifier) spokenOf(ctx context.Context, newest string, c *deploy.Change) (*deploy.Deployment, error) {
	d, err := n.Store.Deployment(ctx, newest)
	strange := deploy.KindOf(err) == deploy.NotFound || err == nil && (d.App != c.App || d.Environment != c.Environment || d.CommitSHA != c.CommitSHA)
	if strange && newest != c.Deployment {
		return n.Store.Deployment(ctx, c.Deployment)
	}
	return d, err
}

// repository is one on GitHub, with a commit that is spoken of.
type repository struct {
	notifier            *Notifier
	name, token, commit string
}

// repository logs in to the channel's repository; nil without an error where the change names no commit yet.
func (n *Notifier) repository(ctx context.Context, g *deploy.GitHubChannel, c *deploy.Change) (*repository, error) {
	if !deploy.ValidCommit(c.CommitSHA) {
		return nil, nil // before Prepare has found what a rollback restores
	}
	if !secure(n.GitHub, true) {
		return nil, refusef("SLIPWAY_GITHUB_URL is %q; want https://", n.GitHub)
	}
	token, err := n.secret(ctx, c.App, g.Token)
	if err != nil {
		return nil, err
	}
	return &repository{notifier: n, name: g.Repository, token: strings.TrimSpace(token), commit: c.CommitSHA}, nil
}

func (r *repository) request(method, path string, body any, what string) request {
	return request{method: method, url: strings.TrimSuffix(r.notifier.GitHub, "/") + "/repos/" + r.name + path, body: body, what: "GitHub, " + what,
		header: map[string]string{"Authorization": "Bearer " + r.token, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}}
}

// pages reads a list whole, as far as maxPages go.
func pages[T any](ctx context.Context, r *repository, path string, query url.Values, what string) (all []T, err error) {
	query.Set("per_page", strconv.Itoa(pageSize))
	for page := 1; page <= maxPages; page++ {
		var some []T
		query.Set("page", strconv.Itoa(page))
		if err := r.notifier.send(ctx, r.request(http.MethodGet, path+"?"+query.Encode(), nil, what), &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < pageSize {
			break
		}
	}
	return all, nil
}

// said gives what GitHub says of the commit in a context, and the newest deployment of which it ever did, or the given one.
func (r *repository) said(ctx context.Context, name, deployment string) (last commitStatus, newest string, err error) {
	all, err := pages[commitStatus](ctx, r, "/commits/"+r.commit+"/statuses", url.Values{}, "read the commit's statuses") // the newest first
	newest = deployment
	for _, s := range all {
		if s.Context != name {
			continue
		}
		if last.Context == "" {
			last = s
		}
		newest = max(newest, deploymentOf(s))
	}
	return last, newest, err
}

func (r *repository) set(ctx context.Context, s commitStatus) error {
	return r.notifier.send(ctx, r.request(http.MethodPost, "/statuses/"+r.commit, s, "set the commit's status"), nil)
}
