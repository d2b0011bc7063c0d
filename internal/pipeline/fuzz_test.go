package pipeline_test

import (
	"encoding/json"
	"testing"

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
