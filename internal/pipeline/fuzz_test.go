package pipeline_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// FuzzInput: whatever starts an execution is refused as Invalid, or is a request that holds all that it needs and reads
// the same when it is written out again.
func FuzzInput(f *testing.F) {
	for _, seed := range []string{
		`{"app":"shop","environment":"production","commit_sha":"0123456789012345678901234567890123456789"}`,
		`{"action":"rollback","app":"shop","environment":"production"}`, `{"deployment":"deploy-20260101-000000000-aaaaaaaa"}`,
		`"hello"`, `[]`, `null`, `{"app":7}`, `{"app":"shop","environment":"production","commit_sha":"0123456789012345678901234567890123456789","branch":"a\u0000"}`, `{"a":1}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in, err := pipeline.ParseInput(raw)
		if err != nil {
			if deploy.KindOf(err) != deploy.Invalid || err.Error() == "" {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if in.Deployment == "" && (!deploy.ValidName(in.App) || !deploy.ValidName(in.Environment) || in.Action == deploy.Deploy && !deploy.ValidCommit(in.CommitSHA) || deploy.CheckBranch(in.Branch) != nil) {
			t.Errorf("%q gives %+v", raw, in)
		}
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := pipeline.ParseInput(text); err != nil || *again != *in {
			t.Errorf("%q gives %+v, and %s gives %+v, %v", raw, in, text, again, err)
		}
	})
}

// TestInputSaysOneThing: a field that is there twice or in other letters is refused by Prepare too, if Step Functions passes it on.
func TestInputSaysOneThing(t *testing.T) {
	for text, says := range map[string]string{
		`{"app":"shop","app":"shed","environment":"production"}`:                                                                  "app: is there twice",
		`{"app":"shop","environment":"production","action":"rollback","action":"deploy"}`:                                         "action: is there twice",
		`{"App":"shop","environment":"production"}`:                                                                               "App: unknown; want app",
		`{"app":"shop","environment":"production","Force_Deployment":true}`:                                                       "Force_Deployment: unknown; want force_deployment",
		`{"deployment":"deploy-20260101-000000000-aaaaaaaa","deployment":"deploy-20260101-000000000-bbbbbbbb"}`:                   "deployment: is there twice",
		`{"app":"shop","environment":"production","commit_sha":"0123456789012345678901234567890123456789"} {"action":"rollback"}`: "the input is not JSON",
	} {
		if in, err := pipeline.ParseInput([]byte(text)); deploy.KindOf(err) != deploy.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %+v, %v; want %q", text, in, err, says)
		}
	}
}

// looked counts what Sweep asks of the records, all of which are of others.
type looked struct {
	pipeline.Records
	ids  []string
	open int
}

func (l *looked) Deployment(_ context.Context, id string) (*deploy.Deployment, error) {
	l.ids = append(l.ids, id)
	return nil, deploy.Errorf(deploy.NotFound, "deployment", "there is none")
}

func (l *looked) Open(context.Context) ([]string, error) {
	l.open++
	return nil, nil
}

// FuzzSwept: what is no event is Invalid and looks at nothing, one about an execution looks at one deployment, the same each time,
// and any other at all that are open.
func FuzzSwept(f *testing.F) {
	const arn = "arn:aws:states:us-east-1:000000000000:execution:slipway:"
	for _, seed := range []string{
		string(tick), `{"detail-type":"Step Functions Execution Status Change","detail":{"executionArn":"` + arn + `deploy-20260101-000000000-aaaaaaaa","startDate":1767225600000,"status":"ABORTED"}}`,
		`{"detail-type":"Step Functions Execution Status Change","detail":{"executionArn":"` + arn + `deploy-20260101-000000000-aaaaaaaa.recovery-1"}}`,
		`{"detail-type":"Step Functions Execution Status Change","detail":{"executionArn":"` + arn + `by-hand","startDate":1767225600000}}`,
		`{"detail-type":"Step Functions Execution Status Change"}`, `{"detail-type":"Step Functions Execution Status Change","detail":{"startDate":"soon"}}`,
		`{"detail-type":7}`, `null`, `[]`, `"x"`, `{`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var l looked
		s := pipeline.Sweep{Desk: pipeline.Desk{Records: &l, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, Open: l.Open}
		err := s.Run(t.Context(), raw)
		_ = s.Run(t.Context(), raw)
		var is struct {
			Kind string `json:"detail-type"`
		}
		_ = json.Unmarshal(raw, &is)
		switch {
		case err != nil:
			if deploy.KindOf(err) != deploy.Invalid || len(l.ids)+l.open > 0 {
				t.Errorf("%q: %v; looked at %q and %d times at all", raw, err, l.ids, l.open)
			}
		case !json.Valid(raw):
			t.Errorf("%q is taken for an event", raw)
		case is.Kind == "Step Functions Execution Status Change":
			if len(l.ids) != 2 || l.ids[0] != l.ids[1] || l.open > 0 {
				t.Errorf("%q: looked at %q and %d times at all; want one, twice", raw, l.ids, l.open)
			}
		case len(l.ids) > 0 || l.open != 2:
			t.Errorf("%q: looked at %q and %d times at all; want all, twice", raw, l.ids, l.open)
		}
	})
}
