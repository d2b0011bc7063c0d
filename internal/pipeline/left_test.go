package pipeline_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/script"
)

// TestNothingIsLeftForTheNext: a script finds nothing in the folder for temporary files that an earlier one left there, also in folders without permissions.
func TestNothingIsLeftForTheNext(t *testing.T) {
	leave := `! ls -A "$TMPDIR" | grep . && ! ls -A "$TMPDIR/../.." | grep -v "^slipway-" && echo yes > "$SERVE/%[1]s"
		mkdir -p "$TMPDIR/../../kept" "$TMPDIR/shut" && echo x > "$TMPDIR/../../kept/f" && chmod 000 "$TMPDIR/../../kept" "$TMPDIR/shut"`
	s := newScene(t, deploy.Scripts{Test: fmt.Sprintf(leave, "test"), PreDeploy: fmt.Sprintf(leave, "pre"), Deploy: `! ls -A "$TMPDIR" | grep . && echo yes > "$SERVE/deploy"`})
	temp := t.TempDir()
	t.Cleanup(func() { _ = script.Empty(temp) })
	_, shop := s.function()
	shop.Temp = temp
	if err := <-s.run(&pipeline.Test{Workshop: shop}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(temp, "kept")); err != nil {
		t.Fatal("the test's script left nothing")
	}
	if err := <-s.run(&pipeline.Deploy{Workshop: shop, Heads: &seat{oneRecord: s.oneRecord}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"test", "pre", "deploy"} {
		if s.read(name) != "yes" {
			t.Errorf("%s found what was left", name)
		}
	}
}

// TestQuit: a function whose script left what can't be ended ends itself.
func TestQuit(t *testing.T) {
	s := newScene(t, deploy.Scripts{})
	for _, c := range []struct {
		err  error
		want int
	}{{&script.AliveError{Group: 7}, 1}, {&script.ExitError{Code: 1}, 0}, {errors.New("x"), 0}} {
		quits := 0
		_, shop := s.function()
		shop.Quit = func() { quits++ }
		if err := shop.ScriptFailed(t.Context(), c.err); !errors.Is(err, c.err) || quits != c.want {
			t.Errorf("%v: %v, quit %d times, want %d", c.err, err, quits, c.want)
		}
	}
}
