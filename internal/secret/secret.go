// Package secret looks up the values that variables only name, and says which values logs must not show.
package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	parameter "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// secretName finds the variables whose plain values are masked, too.
var secretName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_?KEY|CREDENTIAL`)
})

// Store looks up the values that an app's variables only name.
type Store struct {
	parameters *ssm.Client
	secrets    *secretsmanager.Client
}

// New makes a Store. For Resolve its role needs ssm:GetParameter on parameter/slipway/* and secretsmanager:GetSecretValue on
// secret:slipway/*, for Value the same on slipway-own/*, and kms:Decrypt where they have a key of their own.
func New(parameters *ssm.Client, secrets *secretsmanager.Client) *Store {
	return &Store{parameters: parameters, secrets: secrets}
}

// Resolve replaces each value of an app's variables that refers to a secret by that secret: ssm:NAME by the parameter
// /slipway/APP/NAME of Parameter Store, decrypted, and secretsmanager:NAME by the secret slipway/APP/NAME of Secrets Manager (its
// string, current version); [deploy.ParseReference] has the other forms. Beside the variables it returns the values to mask: all that
// were looked up, and those of variables whose names look secret; of a JSON object also the members whose names do.
//
// The error names the variable and what it refers to, never a value: Invalid, NotFound, or Internal with AWS's cause.
func (s *Store) Resolve(ctx context.Context, app string, variables map[string]string) (resolved map[string]string, masked []string, err error) {
	resolved = make(map[string]string, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		value, found, err := s.lookUp(ctx, deploy.ScriptSecrets, app, variables[name])
		if err != nil {
			return nil, nil, blame(name, err)
		}
		if strings.ContainsRune(value, 0) {
			return nil, nil, blame(name, deploy.Errorf(deploy.Invalid, "", "the value has a zero byte, which no environment can hold"))
		}
		if found || secretName().MatchString(name) && value != "" {
			masked = append(append(masked, value), members(value)...)
		}
		resolved[name] = value
	}
	return resolved, masked, nil
}

// members gives the texts in a JSON object whose names look secret: a script takes its password out of it, and may print that.
func members(value string) (texts []string) {
	var object map[string]any
	if json.Unmarshal([]byte(value), &object) != nil {
		return nil
	}
	for name, member := range object {
		if text, ok := member.(string); ok && text != "" && secretName().MatchString(name) {
			texts = append(texts, text)
		}
	}
	return texts
}

// Value looks up what Slipway itself logs in with for an app: ssm:NAME is the parameter /slipway-own/APP/NAME, secretsmanager:NAME the
// secret slipway-own/APP/NAME; anything else is Invalid. The error is as Resolve's, but for the variable.
func (s *Store) Value(ctx context.Context, app, reference string) (string, error) {
	value, isReference, err := s.lookUp(ctx, deploy.OwnSecrets, app, reference)
	if err == nil && !isReference {
		err = deploy.Errorf(deploy.Invalid, "", "not a reference; want secretsmanager:NAME or ssm:NAME")
	}
	if err != nil {
		return "", err
	}
	return value, nil
}

// Own looks up a secret of Slipway's own that is no app's, by its full name in Secrets Manager. The error is as Value's.
func (s *Store) Own(ctx context.Context, name string) (string, error) { return s.secret(ctx, name) }

func (s *Store) lookUp(ctx context.Context, folder, app, value string) (found string, isReference bool, err error) {
	r, isReference, err := deploy.ParseReference(folder, app, value)
	switch {
	case err != nil || !isReference:
		return value, isReference, err
	case r.Parameter:
		found, err = s.parameter(ctx, r.Name)
	default:
		found, err = s.secret(ctx, r.Name)
	}
	return found, true, err
}

func (s *Store) parameter(ctx context.Context, name string) (string, error) {
	out, err := s.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if gone := (*parameter.ParameterNotFound)(nil); errors.As(err, &gone) {
		return "", deploy.Errorf(deploy.NotFound, "", "there is no parameter %s: %w", name, err)
	}
	if err != nil {
		return "", deploy.Errorf(deploy.Internal, "", "parameter %s: %w", name, err)
	}
	if out.Parameter == nil {
		return "", deploy.Errorf(deploy.Internal, "", "parameter %s: the answer holds none", name)
	}
	return aws.ToString(out.Parameter.Value), nil
}

func (s *Store) secret(ctx context.Context, name string) (string, error) {
	out, err := s.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	gone, deleted := (*secrettypes.ResourceNotFoundException)(nil), (*secrettypes.InvalidRequestException)(nil) // the latter for a while
	if errors.As(err, &gone) || errors.As(err, &deleted) {
		return "", deploy.Errorf(deploy.NotFound, "", "there is no secret %s: %w", name, err)
	}
	if err != nil {
		return "", deploy.Errorf(deploy.Internal, "", "secret %s: %w", name, err)
	}
	if out.SecretString == nil {
		return "", deploy.Errorf(deploy.Invalid, "", "secret %s is binary; want a string", name)
	}
	return *out.SecretString, nil
}

func blame(variable string, err error) error {
	return &deploy.Error{Kind: deploy.KindOf(err), Field: "environment_variables." + variable, Err: fmt.Errorf("look up: %w", err)}
}
