package engines_test

import (
	"encoding/json"
	"testing"

	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/logger"
	"github.com/open-feature/flagd/core/pkg/store"
	"github.com/open-feature/flagd/core/pkg/sync"
	"go.uber.org/zap"
)

// flagdCore is flagd's own evaluator, by the typed calls that its providers make.
func flagdCore(t *testing.T, _ string, documents []exported) []result {
	var results []result
	for _, d := range documents {
		results = append(results, askFlagd(t, d))
	}
	return results
}

func askFlagd(t *testing.T, d exported) result {
	log := logger.NewLogger(zap.NewNop(), false)
	flags, err := store.NewStore(log, []string{"engines"})
	if err != nil {
		t.Fatal(err)
	}
	core := evaluator.NewJSON(log, flags)
	if err := core.SetState(sync.DataSync{FlagData: d.Document, Source: "engines"}); err != nil {
		return result{Refused: err.Error()}
	}

	var r result
	for _, q := range d.Asks {
		r.Answers = append(r.Answers, askOne(t, core, q))
	}
	return r
}

func askOne(t *testing.T, core *evaluator.JSON, q question) answer {
	var value any
	var variant, reason string
	var err error
	switch q.Type {
	case "boolean":
		value, variant, reason, _, err = core.ResolveBooleanValue(t.Context(), "", q.Key, q.Context)
	case "integer":
		value, variant, reason, _, err = core.ResolveIntValue(t.Context(), "", q.Key, q.Context)
	case "float":
		value, variant, reason, _, err = core.ResolveFloatValue(t.Context(), "", q.Key, q.Context)
	default:
		t.Fatalf("no call for %q", q.Type)
	}
	if err != nil && reason != "DISABLED" {
		return answer{Error: err.Error()}
	}

	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return answer{Value: text, Variant: variant, Reason: reason}
}
