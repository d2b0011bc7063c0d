package notify

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// The channels, as the rules on the bus name them.
const (
	SNS         = "sns"
	GitHub      = "github" // commit statuses
	Deployments = "github-deployments"
	Slack       = "slack"
)

// Channels lists them all.
var Channels = []string{SNS, GitHub, Deployments, Slack}

// RefusedMetric counts what a channel's other side refuses for good.
const RefusedMetric = "NotificationsRefused"

// Notifier is the function notify: it hears the deployments table's stream, and for each change and channel the bus.
type Notifier struct {
	Bus     Bus
	Store   Store
	Secrets Secrets
	Topics  Topics
	HTTP    *http.Client // as Client makes it
	GitHub  string       // base URL of GitHub's API
	Local   bool         // whether a Slack webhook may be on this machine
	Log     *slog.Logger
	Metric  func(name string, value int)
}

// Store has the apps with their channels, and the deployments and environments as they are by now.
type Store interface {
	App(ctx context.Context, name string) (*deploy.App, error)
	Deployment(ctx context.Context, id string) (*deploy.Deployment, error)
	Head(ctx context.Context, app, environment string) (*deploy.Head, error)
}

// Secrets looks up what a reference names.
type Secrets interface {
	Value(ctx context.Context, app, reference string) (string, error)
}

// Topics publishes to SNS.
type Topics interface {
	Publish(ctx context.Context, topic string, c *deploy.Change) error
}

// Call is what the function is called with: records by the stream, a channel and an event by the rule on the bus.
type Call struct {
	Records []Record `json:"Records"`
	Channel string   `json:"channel"`
	Event   Event    `json:"event"`
}

// Event is one on the bus.
type Event struct {
	Detail deploy.Change `json:"detail"`
}

// Answer is for whoever calls the function by hand.
type Answer struct {
	Refused string `json:"refused,omitempty"` // why the channel's other side doesn't take it
}

// Handle answers a call. Its error makes the stream, or Lambda for the bus, try again. What a channel's other side refuses for good
// is no error: it is logged and counted, since another try would be refused too.
func (n *Notifier) Handle(ctx context.Context, c Call) (Answer, error) {
	if c.Channel == "" {
		return Answer{}, tell(ctx, n.Bus, c.Records)
	}
	change := &c.Event.Detail
	err := n.pass(ctx, c.Channel, change)
	attrs := []any{"channel", c.Channel, "app", change.App, "deployment", change.Deployment, "status", change.Status}
	var r *refusal
	if errors.As(err, &r) {
		n.Log.ErrorContext(ctx, "a notification was refused for good", append(attrs, "error", err.Error())...)
		n.Metric(RefusedMetric, 1)
		return Answer{Refused: err.Error()}, nil
	}
	if err != nil {
		n.Log.WarnContext(ctx, "a notification failed, and is tried again", append(attrs, "error", err.Error())...)
		return Answer{}, deploy.Errorf(deploy.Internal, c.Channel, "%s of %s: %w", change.Status, change.Deployment, err)
	}
	return Answer{}, nil
}

// pass tells one channel of a change, where the app has that channel.
func (n *Notifier) pass(ctx context.Context, channel string, c *deploy.Change) error {
	if c.Version != deploy.ChangeVersion || !deploy.ValidID(c.Deployment) {
		return refusef("the event is not of version %d, or names no deployment", deploy.ChangeVersion)
	}
	app, err := n.Store.App(ctx, c.App)
	if deploy.KindOf(err) == deploy.NotFound {
		return refusef("%w", err)
	}
	if err != nil {
		return err
	}
	to := app.Notifications
	switch {
	case to == nil:
		return nil
	case channel == SNS && to.SNS != nil:
		return n.Topics.Publish(ctx, to.SNS.Topic, c)
	case channel == GitHub && to.GitHub != nil:
		return n.status(ctx, to.GitHub, c)
	case channel == Deployments && to.GitHub != nil:
		return n.deployment(ctx, to.GitHub, c)
	case channel == Slack && to.Slack != nil:
		return n.post(ctx, to.Slack, c)
	}
	return nil
}

// secret looks up a reference. What is not there, or no reference, stays so until somebody changes it.
func (n *Notifier) secret(ctx context.Context, app, reference string) (string, error) {
	value, err := n.Secrets.Value(ctx, app, reference)
	if kind := deploy.KindOf(err); kind == deploy.NotFound || kind == deploy.Invalid {
		return "", refusef("%s: %w", reference, err)
	}
	return value, err
}

// patience is how long one request may take.
const patience = 8 * time.Second

// Client makes the HTTP client: it follows no redirect, which would take a token or a secret URL's message elsewhere.
func Client() *http.Client {
	return &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
