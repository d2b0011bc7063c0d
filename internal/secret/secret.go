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

// The marks of a value that is looked up.
const (
	ssmMark     = "ssm:"
	secretsMark = "secretsmanager:"
)

// The only parts of the account's parameters and secrets that are read. What a commit's scripts may be given, its own code can read
// all of in a build, whose role it can take on; so what Slipway itself logs in with lies apart, where no role of a script reaches.
const (
	scripts = "slipway/"
	own     = "slipway-own/"
)

var namePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`) })

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

// Resolve replaces each value ssm:NAME by the parameter /slipway/NAME of Parameter Store, decrypted, and secretsmanager:NAME by
// the secret slipway/NAME of Secrets Manager (its string, current version). NAME may carry that prefix itself; it can't leave it.
// Beside the variables it gives the values to mask: all that were looked up, and those of variables whose names look secret; of a
// JSON object also the members whose names do.
//
// The error names the variable and what it refers to, never a value: Invalid, NotFound, or Internal with AWS's cause.
func (s *Store) Resolve(ctx context.Context, variables map[string]string) (resolved map[string]string, masked []string, err error) {
	resolved = make(map[string]string, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		value, found, err := s.lookUp(ctx, scripts, variables[name])
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

// Value looks up what Slipway itself uses: ssm:NAME is the parameter /slipway-own/NAME, secretsmanager:NAME the secret
// slipway-own/NAME; anything else is Invalid. The error is as Resolve's, but for the variable.
func (s *Store) Value(ctx context.Context, reference string) (string, error) {
	value, secret, err := s.lookUp(ctx, own, reference)
	if err == nil && !secret {
		err = deploy.Errorf(deploy.Invalid, "", "not a reference; want %sNAME or %sNAME", secretsMark, ssmMark)
	}
	if err != nil {
		return "", err
	}
	return value, nil
}

func (s *Store) lookUp(ctx context.Context, under, value string) (found string, secret bool, err error) {
	if name, ok := strings.CutPrefix(value, ssmMark); ok {
		found, err = s.parameter(ctx, under, name)
		return found, true, err
	}
	if name, ok := strings.CutPrefix(value, secretsMark); ok {
		found, err = s.secret(ctx, under, name)
		return found, true, err
	}
	return value, false, nil
}

func (s *Store) parameter(ctx context.Context, under, name string) (string, error) {
	name, err := beneath(under, strings.TrimPrefix(name, "/"))
	if err != nil {
		return "", err
	}
	name = "/" + name
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

func (s *Store) secret(ctx context.Context, under, name string) (string, error) {
	name, err := beneath(under, name)
	if err != nil {
		return "", err
	}
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

// beneath puts a name under a prefix.
func beneath(under, name string) (string, error) {
	full := under + strings.TrimPrefix(name, under)
	if !namePattern().MatchString(full) || slices.Contains(strings.Split(full, "/"), "..") {
		return "", deploy.Errorf(deploy.Invalid, "", "%q names nothing under %s; want letters, digits, . _ - and / between", deploy.Cut(name, 80), under)
	}
	return full, nil
}

func blame(variable string, err error) error {
	return &deploy.Error{Kind: deploy.KindOf(err), Field: "environment_variables." + variable, Err: fmt.Errorf("look up: %w", err)}
}
