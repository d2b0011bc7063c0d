package notify

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// slackHosts are those that incoming webhooks are at: a secret that was put there for something else is sent to nobody.
var slackHosts = map[string]bool{"hooks.slack.com": true, "hooks.slack-gov.com": true}

// post tells Slack. Messages only add to one another, so that a late one says when it was true.
func (n *Notifier) post(ctx context.Context, s *deploy.SlackChannel, c *deploy.Change) error {
	hook, err := n.secret(ctx, c.App, s.Webhook)
	if err != nil {
		return err
	}
	hook = strings.TrimSpace(hook)
	if !secure(hook, n.Local) || !n.slack(hook) {
		return refusef("%s holds no incoming webhook's URL; want https://hooks.slack.com/services/…", s.Webhook)
	}
	return n.send(ctx, request{method: http.MethodPost, url: hook, body: map[string]string{"text": message(c)}, what: "Slack"}, nil)
}

func (n *Notifier) slack(hook string) bool {
	u, err := url.Parse(hook)
	return err == nil && (slackHosts[u.Host] || n.Local && u.Hostname() == "127.0.0.1")
}

// escape makes plain text of what Slack would read as a link or a mention (api.slack.com, Formatting text).
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func message(c *deploy.Change) string {
	text := fmt.Sprintf("%s in %s: %s %s of %s", c.App, c.Environment, c.Action, c.Status, deploy.ShortCommit(c.CommitSHA))
	if c.Branch != "" {
		text += " (" + c.Branch + ")"
	}
	if c.Dirty {
		text += ". The environment stays locked and needs a repair"
	}
	if c.Error != "" {
		text += ". " + deploy.Cut(strings.Join(strings.Fields(c.Error), " "), 500) // no line of it may look like another message
	}
	return escape.Replace(fmt.Sprintf("%s\n%s, %s", text, c.Deployment, c.Time.Format("2006-01-02 15:04:05 MST")))
}
