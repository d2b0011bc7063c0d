package deploy_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

const (
	topic  = "arn:aws:sns:eu-west-1:123456789012:told"
	secret = "secretsmanager:github"
)

func notified(repository string, n *deploy.Notifications) *deploy.App {
	a := sourced(deploy.Source{Repository: repository})
	a.Notifications = n
	return a
}

func TestNotifications(t *testing.T) {
	all := &deploy.Notifications{SNS: &deploy.SNSChannel{Topic: topic}, GitHub: &deploy.GitHubChannel{Token: secret}, Slack: &deploy.SlackChannel{Webhook: "ssm:/slipway/slack"}}
	if err := notified("octo/shop", all).Validate(); err != nil || all.GitHub.Repository != "octo/shop" {
		t.Errorf("%v, %+v", err, all.GitHub)
	}
	own := &deploy.GitHubChannel{Repository: "octo/other.go", Token: secret}
	if err := notified("shop", &deploy.Notifications{GitHub: own}).Validate(); err != nil || own.Repository != "octo/other.go" {
		t.Errorf("%v, %+v", err, own)
	}
	if err := notified("", &deploy.Notifications{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestNotificationsRefused(t *testing.T) {
	github := func(repository, token string) *deploy.Notifications {
		return &deploy.Notifications{GitHub: &deploy.GitHubChannel{Repository: repository, Token: token}}
	}
	for _, row := range []struct {
		field string
		n     *deploy.Notifications
	}{
		{"sns.topic", &deploy.Notifications{SNS: &deploy.SNSChannel{}}},
		{"sns.topic", &deploy.Notifications{SNS: &deploy.SNSChannel{Topic: "told"}}},
		{"sns.topic", &deploy.Notifications{SNS: &deploy.SNSChannel{Topic: topic + ".fifo"}}},
		{"sns.topic", &deploy.Notifications{SNS: &deploy.SNSChannel{Topic: strings.Replace(topic, "sns", "sqs", 1)}}},
		{"github.repository", github("", secret)},
		{"github.repository", github("shop", secret)},
		{"github.repository", github("octo/shop/../..", secret)},
		{"github.repository", github("octo/..", secret)},
		{"github.repository", github("octo/.", secret)},
		{"github.repository", github("octo/shop?x", secret)},
		{"github.token", github("octo/shop", "")},
		{"github.token", github("octo/shop", "ghp_hush")},
		{"slack.webhook", &deploy.Notifications{Slack: &deploy.SlackChannel{}}},
		{"slack.webhook", &deploy.Notifications{Slack: &deploy.SlackChannel{Webhook: "https://hooks.slack.com/services/hush"}}},
	} {
		err := notified("shop", row.n).Validate()
		if deploy.FieldOf(err) != "notifications."+row.field || deploy.KindOf(err) != deploy.Invalid || !strings.Contains(err.Error(), "want ") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", row.field, err)
		}
	}
}

// TestHooksDontTellOfStatuses: a commit can't make its own event look like Slipway's.
func TestHooksDontTellOfStatuses(t *testing.T) {
	c := deploy.DefaultConfig()
	c.Hooks.PreDeploy = []deploy.Hook{{Event: "Deployment Status Changed"}}
	if err := c.Validate(); deploy.FieldOf(err) != "hooks.pre_deploy[0].event" {
		t.Errorf("%v", err)
	}
}
