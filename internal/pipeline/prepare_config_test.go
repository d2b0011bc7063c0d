package pipeline

import (
	"testing"

	"github.com/slipway-cd/slipway/internal/config"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// The file is named once, whether an error is about the whole of it or about a field.
func TestConfigErrorNamesTheFileOnce(t *testing.T) {
	for text, want := range map[string]string{
		"- a":           "slipway.yaml: line 1, column 1: a list; want keys, each with a value",
		"artifacts: {}": "slipway.yaml: artifacts: line 1, column 12: ",
	} {
		_, err := config.Parse([]byte(text), "production")
		if err = configError(err); deploy.KindOf(err) != deploy.Invalid || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}
