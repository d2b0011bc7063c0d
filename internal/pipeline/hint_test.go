package pipeline

import (
	"slices"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// A variable of the environment may become one of build_variables; Slipway's own can't.
func TestHintsOfVariables(t *testing.T) {
	const (
		ofEnvironment = "test and build don't get API_URL, which is of the environment; build_variables in app.yaml are for them"
		own           = "test and build don't get SLIPWAY_ENVIRONMENT: a release is built once for all environments"
	)
	for script, want := range map[string][]string{
		"echo $API_URL":                        {ofEnvironment},
		"echo ${SLIPWAY_ENVIRONMENT}":          {own},
		"echo $SLIPWAY_ENVIRONMENT ${API_URL}": {ofEnvironment, own},
		"echo SLIPWAY_ENVIRONMENT API_URL":     nil,
	} {
		d := &deploy.Deployment{Environment: "production", Settings: &deploy.Settings{Target: deploy.Target{Type: deploy.TargetLambda},
			Variables: map[string]string{"API_URL": "https://api.example.com"}}, Config: &deploy.Config{Scripts: deploy.Scripts{Build: script}}}
		if got := hints(d); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}
