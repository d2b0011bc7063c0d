package secret_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/secret"
)

func TestSecretsOnTheCloud(t *testing.T) {
	cloud, err := localtest.Start(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Stop() })
	parameters, secrets := ssm.NewFromConfig(cloud.Config()), secretsmanager.NewFromConfig(cloud.Config())
	app := localtest.Name("secret-test")
	parameter, held := "/slipway/"+app+"/db", "slipway/"+app+"/api"
	made := []string{held}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, _ = parameters.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &parameter})
		for _, name := range made {
			_, _ = secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: aws.Bool(true)})
		}
	})
	if _, err := parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &parameter,
		Value: aws.String("from ssm"), Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &held,
		SecretString: aws.String("from secrets manager")}); err != nil {
		t.Fatal(err)
	}
	s := secret.New(parameters, secrets)
	got, masked, err := s.Resolve(t.Context(), app, map[string]string{"DB": "ssm:db", "API": "secretsmanager:slipway/" + app + "/api", "PLAIN": "x"})
	if err != nil || got["DB"] != "from ssm" || got["API"] != "from secrets manager" || got["PLAIN"] != "x" || len(masked) != 2 {
		t.Errorf("got %v, %v, %v", got, masked, err)
	}
	for name, value := range map[string]string{"slipway-own/" + app + "/x": "of slipway's own", "slipway/" + app + "/x": "of scripts"} {
		if _, err := secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}); err != nil {
			t.Fatal(err)
		}
		made = append(made, name)
	}
	for _, reference := range []string{"secretsmanager:x", "secretsmanager:slipway-own/" + app + "/x"} {
		if got, err := s.Value(t.Context(), app, reference); err != nil || got != "of slipway's own" {
			t.Errorf("%s: %q, %v", reference, got, err)
		}
		got, _, err := s.Resolve(t.Context(), app, map[string]string{"X": reference})
		if got["X"] == "of slipway's own" || reference == "secretsmanager:x" && err != nil {
			t.Errorf("a variable that names %s has %v, %v", reference, got, err)
		}
	}
	for _, value := range []string{"ssm:" + parameter + "-none", "secretsmanager:" + held + "-none"} {
		_, _, err := s.Resolve(t.Context(), app, map[string]string{"X": value})
		if deploy.KindOf(err) != deploy.NotFound || deploy.FieldOf(err) != "environment_variables.X" {
			t.Errorf("%s: got %v", value, err)
		}
	}
}
