package deploy_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

func TestParseReference(t *testing.T) {
	for value, want := range map[string]deploy.Reference{
		"secretsmanager:npm":                       {Name: "slipway/shop/npm"},
		"secretsmanager:db/main.password":          {Name: "slipway/shop/db/main.password"},
		"secretsmanager:slipway/shop/npm":          {Name: "slipway/shop/npm"},
		"secretsmanager:slipway/shared/npm":        {Name: "slipway/shared/npm"},
		"secretsmanager:books/npm":                 {Name: "slipway/shop/books/npm"}, // below the app's own name, whatever it looks like
		"secretsmanager:slipway-own/books/git":     {Name: "slipway/shop/slipway-own/books/git"},
		"ssm:npm":                                  {Parameter: true, Name: "/slipway/shop/npm"},
		"ssm:/npm":                                 {Parameter: true, Name: "/slipway/shop/npm"},
		"ssm:/slipway/shop/npm":                    {Parameter: true, Name: "/slipway/shop/npm"},
		"ssm:slipway/shared/a/b":                   {Parameter: true, Name: "/slipway/shared/a/b"},
		"secretsmanager:slipway/shared/../shop/x":  {},
		"secretsmanager:slipway/books/npm":         {},
		"secretsmanager:slipway/shop":              {},
		"secretsmanager:slipway/shared":            {},
		"secretsmanager:slipway/shopping/npm":      {},
		"ssm:/slipway/books/npm":                   {},
		"ssm:../slipway/books/npm":                 {},
		"ssm://slipway/books/npm":                  {},
		"secretsmanager:":                          {},
		"secretsmanager:/npm":                      {},
		"secretsmanager:slipway/shop/a b":          {},
		"secretsmanager:arn:aws:secretsmanager::x": {},
	} {
		got, isReference, err := deploy.ParseReference(deploy.ScriptSecrets, "shop", value)
		if refused := want == (deploy.Reference{}); !isReference || refused != (deploy.KindOf(err) == deploy.Invalid) || !refused && (err != nil || got != want) {
			t.Errorf("%s: %+v, %v, %v; want %+v", value, got, isReference, err, want)
		}
	}
	for _, value := range []string{"", "plain", "SSM:x", "https://x/ssm:y"} {
		if got, isReference, err := deploy.ParseReference(deploy.ScriptSecrets, "shop", value); isReference || err != nil {
			t.Errorf("%q: %+v, %v, %v", value, got, isReference, err)
		}
	}
}

// TestSecretsOfOtherApps: an app's settings cannot name what belongs to another app or to Slipway as a whole, wherever they name secrets.
func TestSecretsOfOtherApps(t *testing.T) {
	const theirs, webhook = "secretsmanager:slipway/books/db", "secretsmanager:slipway-own/github-webhook"
	for field, change := range map[string]func(a *deploy.App){
		"build_variables.KEY": func(a *deploy.App) { a.Variables = map[string]string{"KEY": theirs} },
		"environments.staging.environment_variables.KEY": func(a *deploy.App) {
			s := a.Environments["staging"]
			s.Variables = map[string]string{"KEY": "ssm:/slipway/books/db"}
			a.Environments["staging"] = s
		},
		"source.token": func(a *deploy.App) { a.Source.Token = "secretsmanager:slipway-own/shared/git" },
		"source.ssh_key": func(a *deploy.App) {
			a.Source = deploy.Source{Type: deploy.SourceGit, URL: "ssh://git@git.example.com/shop", HostKeys: []string{hostKey}, SSHKey: "secretsmanager:slipway-own/books/key"}
		},
		"notifications.github.token": func(a *deploy.App) {
			a.Notifications = &deploy.Notifications{GitHub: &deploy.GitHubChannel{Repository: "octo/shop", Token: webhook}}
		},
		"notifications.slack.webhook": func(a *deploy.App) {
			a.Notifications = &deploy.Notifications{Slack: &deploy.SlackChannel{Webhook: "ssm:/slipway-own/books/slack"}}
		},
		"name": func(a *deploy.App) { a.Name = "shared" },
	} {
		a := &deploy.App{Name: "shop", Source: deploy.Source{Type: deploy.SourceGit, URL: "https://git.example.com/shop"},
			Environments: map[string]deploy.Settings{"staging": {URL: "https://shop.example.com", Target: deploy.Target{Type: deploy.TargetScript}}}}
		if err := a.Validate(); err != nil {
			t.Fatal(err)
		}
		change(a)
		err := a.Validate()
		if deploy.KindOf(err) != deploy.Invalid || deploy.FieldOf(err) != field {
			t.Errorf("%s: %v", field, err)
		}
		if field != "name" && !strings.Contains(err.Error(), "is not a secret of app shop; want NAME") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
