package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/traffic"
)

var (
	shop = deploy.Target{Type: deploy.TargetLambda, Function: "shop", Alias: "live"}

	_ traffic.Client = (*lambda.Client)(nil)
)

// in runs a test under a clock that jumps over every wait.
func in(t *testing.T, f *fake, test func(t *testing.T, l *traffic.Lambda)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, traffic.NewLambda(f, "bucket")) })
}

// want checks an error's kind, field and words.
func want(t *testing.T, err error, field string, words ...string) {
	t.Helper()
	if deploy.KindOf(err) != deploy.DeployFailed || deploy.FieldOf(err) != field {
		t.Errorf("kind %q, field %q, want DeployFailed, %q: %v", deploy.KindOf(err), deploy.FieldOf(err), field, err)
	}
	for _, word := range words {
		if err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %v", word, err)
		}
	}
}

// numbered is version n of the fake's function.
func numbered(n string) deploy.FunctionVersion {
	return deploy.FunctionVersion{TargetFunction: functionARN, TargetVersion: n}
}

func TestServing(t *testing.T) {
	f := newFake()
	f.versions = append(f.versions, digest("two"))
	f.said = "slipway deadbeef deploy-1"
	l := traffic.NewLambda(f, "bucket")
	got, err := l.Serving(t.Context(), shop)
	one := deploy.FunctionVersion{TargetFunction: functionARN, TargetVersion: "1", TargetCodeSHA256: digest("zero")}
	if !got.Alone(one) || got.FunctionVersion != one || got.Description != f.said || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if f.count["GetAlias"] != 1 || f.count["GetFunctionConfiguration"] != 1 || len(f.calls) != 2 {
		t.Errorf("it takes the calls %v", f.calls)
	}

	f.weights = map[string]float64{"2": 0.9}
	got, err = l.Serving(t.Context(), shop)
	if got.Alone(one) || !got.Includes(one) || !got.Includes(numbered("2")) || got.Includes(numbered("3")) || err != nil {
		t.Errorf("under a canary: got %v, %v", got, err)
	}
	if want := "version 1 of shop with 90 % to version 2"; got.String() != want {
		t.Errorf("got %q, want %q", got, want)
	}

	f.version, f.weights = "$LATEST", nil
	if got, err = l.Serving(t.Context(), shop); got.TargetVersion != "$LATEST" || err != nil {
		t.Errorf("on $LATEST: got %v, %v", got, err)
	}
	f.noAlias = true
	_, err = l.Serving(t.Context(), shop)
	want(t, err, "target.alias", `no alias "live"`, "slipway app apply")
	f.missing = true
	_, err = l.Serving(t.Context(), shop)
	want(t, err, "target.function", `no Lambda function "shop"`, "slipway app apply")
	var cause *types.ResourceNotFoundException
	if !errors.As(err, &cause) {
		t.Error("AWS's own error is lost")
	}
	f.fault = func(string, int, bool) error { return errLost }
	_, err = l.Serving(t.Context(), shop)
	want(t, err, "", "read alias live of function shop")
}

// The alias moves between the two reads of Serving: the code is that of the version that the first one saw. If that version was deleted
// meanwhile, both are repeated, a few times.
func TestServingMoves(t *testing.T) {
	for name, c := range map[string]struct {
		moves, deletes int
		version        string
		words          string
	}{
		"moved":          {moves: 1, version: "1"},
		"moved, deleted": {moves: 1, deletes: 2, version: "2"},
		"always deleted": {deletes: 1000, words: "points to a version that doesn't exist"},
	} {
		f := newFake()
		f.versions = append(f.versions, digest("two"))
		f.fault = func(op string, n int, after bool) error {
			if after && op == "GetAlias" && n <= c.moves {
				f.version = "2"
			}
			if !after && op == "GetFunctionConfiguration" && n <= c.deletes {
				return &types.ResourceNotFoundException{}
			}
			return nil
		}
		in(t, f, func(t *testing.T, l *traffic.Lambda) {
			got, err := l.Serving(t.Context(), shop)
			if c.words != "" {
				want(t, err, "", c.words)
				return
			}
			code := map[string]string{"1": digest("zero"), "2": digest("two")}[c.version]
			if err != nil || got.TargetVersion != c.version || got.TargetCodeSHA256 != code {
				t.Errorf("%s: version %s with the code %s, %v; want version %s", name, got.TargetVersion, got.TargetCodeSHA256, err, c.version)
			}
		})
	}
}

// A version is found whole, or not at all: not by its number alone.
func TestFind(t *testing.T) {
	f := newFake()
	l := traffic.NewLambda(f, "bucket")
	whole := deploy.FunctionVersion{TargetFunction: functionARN, TargetVersion: "1", TargetCodeSHA256: digest("zero")}
	for _, known := range []deploy.FunctionVersion{whole, {TargetVersion: "1"}, {TargetVersion: "1", TargetFunction: "shop"}} {
		if got, err := l.Find(t.Context(), shop, known); err != nil || got != whole {
			t.Errorf("%+v: got %+v, %v", known, got, err)
		}
	}
	gone, other, code := whole, whole, whole
	gone.TargetVersion, other.TargetFunction, code.TargetCodeSHA256 = "7", functionARN+"2", digest("else")
	for words, v := range map[string]deploy.FunctionVersion{"it is gone": gone, "the release is version 1 of shop2": other, "its code has SHA-256": code} {
		_, err := l.Find(t.Context(), shop, v)
		if deploy.KindOf(err) != deploy.NotFound || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: %v, want NotFound with %q", v, err, words)
		}
		if err := l.SetWeight(t.Context(), shop, v, v, 100, always); deploy.KindOf(err) != deploy.NotFound || f.writes() != 0 {
			t.Errorf("the alias was set to %+v: %v", v, err)
		}
	}
}

func TestSetWeight(t *testing.T) {
	for _, row := range []struct {
		from, to string
		percent  int
		version  string
		weights  map[string]float64
	}{
		{"1", "2", 100, "2", nil},
		{"", "2", 100, "2", nil},
		{"1", "2", 10, "1", map[string]float64{"2": 0.1}},
		{"2", "1", 99, "2", map[string]float64{"1": 0.99}},
		{"2", "1", 0, "2", nil},
		{"2", "2", 50, "2", nil},
	} {
		f := newFake()
		f.versions = append(f.versions, "x")
		f.weights = map[string]float64{"2": 0.5} // left by somebody
		in(t, f, func(t *testing.T, l *traffic.Lambda) {
			for range 2 { // the second finds it done, and shuts out whoever read the alias before
				if err := l.SetWeight(t.Context(), shop, numbered(row.from), numbered(row.to), row.percent, always); err != nil {
					t.Error(err)
				}
			}
		})
		if f.version != row.version || !maps.Equal(f.weights, row.weights) || f.count["UpdateAlias"] != 2 || f.revision != 3 {
			t.Errorf("%+v: version %s, weights %v, %d updates, revision %d", row, f.version, f.weights, f.count["UpdateAlias"], f.revision)
		}
	}
}

// always says that the weight may be set.
func always(context.Context, deploy.Serving) error { return nil }

// Whoever may not set the weight any more doesn't: neither where that was so before the alias was read, nor where somebody else set it,
// to what it was, after we had asked.
func TestSetWeightStill(t *testing.T) {
	for _, asked := range []int{1, 2} {
		f := newFake()
		f.versions = append(f.versions, "x")
		in(t, f, func(t *testing.T, l *traffic.Lambda) {
			late, n := errors.New("late"), 0
			err := l.SetWeight(t.Context(), shop, numbered("1"), numbered("2"), 100, func(ctx context.Context, found deploy.Serving) error {
				if !found.Alone(numbered("1")) {
					t.Errorf("it was told of %s", found)
				}
				if n++; n == asked {
					return late
				}
				return l.SetWeight(ctx, shop, numbered(""), numbered("1"), 100, always)
			})
			if !errors.Is(err, late) || n != asked {
				t.Errorf("asked %d times, %v; want %d times and its own error", n, err, asked)
			}
		})
		if f.version != "1" || f.revision != asked {
			t.Errorf("asked %d times: version %s, revision %d", asked, f.version, f.revision)
		}
	}
}

// A write after which the alias has the revision that it had is none: it shuts nobody out.
func TestSetWeightSameRevision(t *testing.T) {
	f := newFake()
	f.fault = func(op string, _ int, after bool) error {
		if op == "UpdateAlias" && after {
			f.revision--
		}
		return nil
	}
	in(t, f, func(t *testing.T, l *traffic.Lambda) {
		want(t, l.SetWeight(t.Context(), shop, numbered(""), numbered("1"), 100, always), "", "it is at version 1 of shop after 5 attempts")
	})
}

func TestSetWeightNonsense(t *testing.T) {
	f := newFake()
	l := traffic.NewLambda(f, "bucket")
	for _, percent := range []int{-1, 101} {
		if err := l.SetWeight(t.Context(), shop, numbered("1"), numbered("1"), percent, always); deploy.KindOf(err) != deploy.Invalid {
			t.Errorf("%d %%: %v", percent, err)
		}
	}
	for _, err := range []error{l.SetWeight(t.Context(), shop, numbered(""), numbered("1"), 50, always), l.SetWeight(t.Context(), shop, numbered("1"), numbered(""), 100, always)} {
		if deploy.KindOf(err) != deploy.Invalid {
			t.Error(err)
		}
	}
	if len(f.calls) > 0 {
		t.Errorf("called %v", f.calls)
	}
}

func TestSetWeightVersionGone(t *testing.T) {
	f := newFake()
	in(t, f, func(t *testing.T, l *traffic.Lambda) {
		for version, err := range map[string]error{
			"7": l.SetWeight(t.Context(), shop, numbered("1"), numbered("7"), 100, always), "8": l.SetWeight(t.Context(), shop, numbered("8"), numbered("1"), 50, always),
		} {
			if deploy.KindOf(err) != deploy.NotFound || !strings.Contains(err.Error(), "version "+version+" of function shop: it is gone") {
				t.Error(err)
			}
		}
	})
	if f.writes() != 0 {
		t.Error("something was written")
	}
}

// Each call of SetWeight fails once, carried out and not: the weight is set all the same, or nothing is claimed.
func TestSetWeightFaults(t *testing.T) {
	for _, fault := range []error{errLost, &types.TooManyRequestsException{}, &types.ServiceException{}, &types.ResourceConflictException{}} {
		for _, after := range []bool{false, true} {
			f := newFake()
			f.versions = append(f.versions, "x")
			f.fault = failing("UpdateAlias", 1, after, fault)
			in(t, f, func(t *testing.T, l *traffic.Lambda) {
				if err := l.SetWeight(t.Context(), shop, numbered("1"), numbered("2"), 100, always); err != nil {
					t.Errorf("%v, after %v: %v", fault, after, err)
				}
			})
			if wanted := map[bool]int{false: 2, true: 1}[after]; f.version != "2" || f.count["UpdateAlias"] != wanted {
				t.Errorf("%v, after %v: version %s, %d updates", fault, after, f.version, f.count["UpdateAlias"])
			}
		}
	}
}

// Somebody else writes between our read and our write, once: ours wins in the end. Always: we give up and say so.
func TestSetWeightOvertaken(t *testing.T) {
	for times, fails := range map[int]bool{1: false, 1000: true} {
		f := newFake()
		f.versions = append(f.versions, "x")
		f.fault = func(op string, n int, after bool) error {
			if op == "UpdateAlias" && !after && n <= times {
				f.revision++
				f.weights = map[string]float64{"2": 0.3}
			}
			return nil
		}
		in(t, f, func(t *testing.T, l *traffic.Lambda) {
			err := l.SetWeight(t.Context(), shop, numbered("1"), numbered("2"), 100, always)
			if (err != nil) != fails {
				t.Errorf("overtaken %d times: %v", times, err)
			}
			var stale *types.PreconditionFailedException
			if fails && (!errors.As(err, &stale) || !strings.Contains(err.Error(), "it is at version 1 of shop with 30 % to version 2 after 5 attempts")) {
				t.Error(err)
			}
		})
	}
}

// A write that is answered well and still isn't there is not believed.
func TestSetWeightReadsBack(t *testing.T) {
	f := newFake()
	f.versions = append(f.versions, "x")
	f.fault = func(op string, _ int, after bool) error {
		if op == "UpdateAlias" && after {
			f.version = "1"
		}
		return nil
	}
	in(t, f, func(t *testing.T, l *traffic.Lambda) {
		want(t, l.SetWeight(t.Context(), shop, numbered("1"), numbered("2"), 100, always), "", "it is at version 1 of shop after 5 attempts")
	})
}

func TestSetWeightHopeless(t *testing.T) {
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no", Fault: smithy.FaultClient}
	f := newFake()
	f.versions = append(f.versions, "x")
	f.fault = failing("UpdateAlias", 1, false, denied)
	in(t, f, func(t *testing.T, l *traffic.Lambda) {
		err := l.SetWeight(t.Context(), shop, numbered("1"), numbered("2"), 100, always)
		want(t, err, "", "set alias live of function shop to version 2", "AccessDeniedException")
	})
	if f.count["UpdateAlias"] != 1 {
		t.Errorf("%d updates", f.count["UpdateAlias"])
	}
}

func TestSetWeightCancelled(t *testing.T) {
	f := newFake()
	f.versions = append(f.versions, "x")
	f.fault = func(op string, _ int, _ bool) error {
		if op == "UpdateAlias" {
			return errLost
		}
		return nil
	}
	in(t, f, func(t *testing.T, l *traffic.Lambda) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := l.SetWeight(ctx, shop, numbered("1"), numbered("2"), 100, always); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// failing fails one call of an operation.
func failing(op string, n int, after bool, err error) func(string, int, bool) error {
	return func(gotOp string, gotN int, gotAfter bool) error {
		if gotOp == op && gotN == n && gotAfter == after {
			return fmt.Errorf("operation error Lambda: %s: %w", op, err)
		}
		return nil
	}
}
