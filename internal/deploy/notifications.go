package deploy

// Notifications says who hears of an app's deployments, each channel by itself. Secrets are only named: secretsmanager:NAME or ssm:NAME.
type Notifications struct {
	SNS    *SNSChannel    `json:"sns,omitempty"`
	GitHub *GitHubChannel `json:"github,omitempty"`
	Slack  *SlackChannel  `json:"slack,omitempty"`
}

// SNSChannel publishes each event to a topic.
type SNSChannel struct {
	Topic string `json:"topic"` // ARN, of a standard topic
}

// GitHubChannel sets a status on the commit, and keeps a deployment of it.
type GitHubChannel struct {
	Repository string `json:"repository,omitempty"` // owner/name; default the source's
	Token      string `json:"token"`                // may write commit statuses and deployments
}

// SlackChannel posts a line to a channel.
type SlackChannel struct {
	Webhook string `json:"webhook"` // an incoming webhook's URL, which is a secret
}

var (
	topicPattern  = lazily(`^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)
	gitHubPattern = lazily(`^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$`)
)

func (a *App) validateNotifications() error {
	n := a.Notifications
	if n == nil {
		return nil
	}
	if n.SNS != nil && !topicPattern(n.SNS.Topic) {
		return FieldErrorf("notifications.sns.topic", "%q is not the ARN of a standard SNS topic; want arn:aws:sns:REGION:ACCOUNT:NAME", Cut(n.SNS.Topic, 120))
	}
	if n.Slack != nil && !referencePattern(n.Slack.Webhook) {
		return notReference("notifications.slack.webhook")
	}
	if n.GitHub != nil {
		return n.GitHub.validate(a.Source.Repository)
	}
	return nil
}

func (g *GitHubChannel) validate(source string) error {
	if g.Repository == "" && gitHubPattern(source) {
		g.Repository = source
	}
	if name := g.Repository; !gitHubPattern(name) || name[len(name)-2:] == "/." || len(name) > 2 && name[len(name)-3:] == "/.." {
		return FieldErrorf("notifications.github.repository", "%q is no repository of GitHub's; want owner/name, here or in source.repository", Cut(name, 80))
	}
	if !referencePattern(g.Token) {
		return notReference("notifications.github.token")
	}
	return nil
}
