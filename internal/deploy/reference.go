package deploy

import (
	"slices"
	"strings"
)

// The folders of secrets, in Secrets Manager and, behind a slash, in Parameter Store. Scripts get those of the first alone, and Slipway
// itself logs in with those of the second.
const (
	ScriptSecrets = "slipway/"
	OwnSecrets    = "slipway-own/"
)

// SharedSecrets is the part of the scripts' folder that all apps may name. No app may be called so. What Slipway logs in with has no such
// part: an app's settings also choose the server that gets it.
const SharedSecrets = "shared"

// The marks of a value that refers to a secret.
const (
	parameterMark = "ssm:"
	secretMark    = "secretsmanager:"
)

var secretPattern = lazily(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)

// Reference names a secret.
type Reference struct {
	Parameter bool   // of Parameter Store, whose names begin with a slash; else of Secrets Manager
	Name      string // as the store has it
}

// ParseReference reads a value of an app that may refer to a secret below a folder: ssm:NAME or secretsmanager:NAME. NAME is below the
// folder and the app's name. It may be a full name instead, which begins with the folder and goes on with the app's name or, of
// scripts' secrets, with shared. So no app can name another app's secrets. isReference is false for any other value. The error is Invalid.
func ParseReference(folder, app, value string) (r Reference, isReference bool, err error) {
	name, isSecret := strings.CutPrefix(value, secretMark)
	if !isSecret {
		if name, r.Parameter = strings.CutPrefix(value, parameterMark); !r.Parameter {
			return Reference{}, false, nil
		}
		name = strings.TrimPrefix(name, "/")
	}

	below, isFull := strings.CutPrefix(name, folder)
	owner, _, hasName := strings.Cut(below, "/")
	switch {
	case !secretPattern(name) || slices.Contains(strings.Split(name, "/"), ".."):
		return r, true, Errorf(Invalid, "", "%q is no name of a secret; want letters, digits, . _ - and / between", Cut(name, 80))
	case !isFull:
		r.Name = folder + app + "/" + name
	case !hasName || owner != app && (owner != SharedSecrets || folder != ScriptSecrets):
		want := "NAME, which is " + folder + app + "/NAME"
		if folder == ScriptSecrets {
			want += ", or " + folder + SharedSecrets + "/NAME"
		}
		return r, true, Errorf(Invalid, "", "%q is not a secret of app %s; want %s", Cut(name, 80), app, want)
	default:
		r.Name = name
	}
	if r.Parameter {
		r.Name = "/" + r.Name
	}
	return r, true, nil
}

// checkReference returns the error of a field's value that refers to a secret which is not the app's.
func (a *App) checkReference(field, folder, value string) error {
	if _, _, err := ParseReference(folder, a.Name, value); err != nil {
		return FieldErrorf(field, "%w", err)
	}
	return nil
}

// validateReferences checks each reference to a secret.
func (a *App) validateReferences() error {
	variables := map[string]map[string]string{"build_variables": a.Variables}
	for name, s := range a.Environments {
		variables["environments."+name+".environment_variables"] = s.Variables
	}
	for field, vars := range variables {
		for name, value := range vars {
			if err := a.checkReference(field+"."+name, ScriptSecrets, value); err != nil {
				return err
			}
		}
	}

	own := map[string]string{"source.token": a.Source.Token, "source.ssh_key": a.Source.SSHKey}
	if n := a.Notifications; n != nil && n.GitHub != nil {
		own["notifications.github.token"] = n.GitHub.Token
	}
	if n := a.Notifications; n != nil && n.Slack != nil {
		own["notifications.slack.webhook"] = n.Slack.Webhook
	}
	for field, value := range own {
		if err := a.checkReference(field, OwnSecrets, value); err != nil {
			return err
		}
	}
	return nil
}
