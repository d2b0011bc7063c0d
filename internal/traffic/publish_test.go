package traffic_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/slipway-cd/slipway/internal/traffic"
)

func TestPublish(t *testing.T) {
	f := newFake()
	a, b := f.put("a.zip", "A"), f.put("b.zip", "B")
	f.pending = 3
	in(t, f, func(t *testing.T, l *traffic.Lambda) {
		for _, row := range []struct {
			version string
			writes  int // so far
		}{{"2", 2}, {"2", 3}} {
			got, err := l.Publish(t.Context(), shop, a, strings.Repeat("é", 300))
			if got.TargetVersion != row.version || got.TargetCodeSHA256 != a.CodeSHA256() || got.TargetFunction != functionARN || err != nil || f.writes() != row.writes {
				t.Errorf("got %+v, %v after %d writes, want %q after %d", got, err, f.writes(), row.version, row.writes)
			}
		}
		if got, err := l.Publish(t.Context(), shop, b, ""); got.TargetVersion != "3" || err != nil {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	if f.version != "1" || f.count["UpdateAlias"] != 0 {
		t.Error("traffic moved")
	}
	if f.pending >= 0 {
		t.Error("a pending version was given out")
	}
}

// Each call fails once, carried out and not: one version comes out all the same.
func TestPublishFaults(t *testing.T) {
	for _, op := range []string{"UpdateFunctionCode", "PublishVersion"} {
		for _, fault := range []error{errLost, &types.ResourceConflictException{}, &types.TooManyRequestsException{}, &types.ServiceException{}} {
			for _, after := range []bool{false, true} {
				f := newFake()
				a := f.put("a.zip", "A")
				f.fault = failing(op, 1, after, fault)
				in(t, f, func(t *testing.T, l *traffic.Lambda) {
					if got, err := l.Publish(t.Context(), shop, a, "d"); got.TargetVersion != "2" || err != nil || len(f.versions) != 2 {
						t.Errorf("%s, %v, after %v: got %+v, %v, versions %v", op, fault, after, got, err, f.versions)
					}
				})
			}
		}
	}
}

// Another environment updates the shared function while we do.
func TestPublishShared(t *testing.T) {
	f := newFake()
	a := f.put("a.zip", "A")
	f.busy = 5
	f.fault = func(op string, n int, after bool) error {
		if op == "PublishVersion" && n == 1 && !after {
			f.code = digest("theirs")
		}
		return nil
	}
	in(t, f, func(t *testing.T, l *traffic.Lambda) {
		got, err := l.Publish(t.Context(), shop, a, "")
		if got.TargetVersion != "2" || err != nil || f.versions[1] != digest("A") || f.count["UpdateFunctionCode"] != 2 {
			t.Errorf("got %+v, %v, %v", got, err, f.calls)
		}
	})
}

func TestPublishRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		spoil func(f *fake)
		field string
		words []string
	}{
		"no function": {func(f *fake) { f.missing = true }, "target.function", []string{`no Lambda function "shop"`}},
		"no object":   {func(f *fake) { delete(f.objects, "a.zip") }, "", []string{"publish a.zip as function shop", "no such key"}},
		"other bytes": {func(f *fake) { f.objects["a.zip"] = "tampered" }, "", []string{"not the one that was built", "s3://bucket/a.zip"}},
		"bad update":  {func(f *fake) { f.failed = true }, "", []string{"after 5 updates", "last update Failed out of sorts"}},
		"bad version": {func(f *fake) { f.broken = true }, "", []string{"version 2 can't run: no subnet"}},
		"always busy": {func(f *fake) { f.busy = 1 << 30 }, "", []string{"still being updated after 3m0s"}},
		"always theirs": {func(f *fake) {
			f.fault = func(op string, _ int, _ bool) error {
				if op == "PublishVersion" {
					f.code = digest("theirs")
				}
				return nil
			}
		}, "", []string{"CodeSHA256 is different"}},
	} {
		f := newFake()
		a := f.put("a.zip", "A")
		row.spoil(f)
		in(t, f, func(t *testing.T, l *traffic.Lambda) {
			start := time.Now()
			_, err := l.Publish(t.Context(), shop, a, "")
			if err == nil || time.Since(start) > 4*time.Minute {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
			want(t, err, row.field, row.words...)
		})
		if f.version != "1" || name == "other bytes" && (len(f.versions) != 1 || f.count["UpdateFunctionCode"] != 1) {
			t.Errorf("%s: version %s, versions %v", name, f.version, f.versions)
		}
	}
}

func TestPublishCancelled(t *testing.T) {
	f := newFake()
	a := f.put("a.zip", "A")
	f.busy = 1 << 30
	in(t, f, func(t *testing.T, l *traffic.Lambda) {
		stopped := errors.New("stopped")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, stopped)
		defer cancel()
		if _, err := l.Publish(ctx, shop, a, ""); !errors.Is(err, stopped) {
			t.Error(err)
		}
	})
}

func TestPublishDigest(t *testing.T) {
	f := newFake()
	a := f.put("a.zip", "A")
	for _, digest := range []string{"", "xyz", "abcd", a.SHA256 + "00"} {
		a.SHA256 = digest
		if _, err := traffic.NewLambda(f, "bucket").Publish(t.Context(), shop, a, ""); err == nil || len(f.calls) > 0 {
			t.Errorf("%q: %v, %v", digest, err, f.calls)
		}
	}
}
