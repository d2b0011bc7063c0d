package retry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/retry"
)

// service answers GetItem by answer, which is given the attempt's number from 1.
func service(t *testing.T, answer func(n int64, w http.ResponseWriter)) (*dynamodb.Client, *atomic.Int64) {
	t.Helper()
	var attempts atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(attempts.Add(1), w) }))
	t.Cleanup(server.Close)
	cfg := aws.Config{
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		BaseEndpoint: &server.URL,
	}
	retry.Use(&cfg)
	return dynamodb.NewFromConfig(cfg), &attempts
}

func get(ctx context.Context, client *dynamodb.Client) error {
	_, err := client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String("t"),
		Key:       map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "k"}},
	})
	return err
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"__type":"com.amazonaws.dynamodb.v20120810#` + code + `","message":"no"}`))
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func breakOff(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "100")
	_, _ = w.Write([]byte(`{"Item":`))
	hangUp(w)
}

// TestErrorsThatPass: far more failures than the SDK's three attempts, of each kind, end well.
func TestErrorsThatPass(t *testing.T) {
	for name, fail := range map[string]func(http.ResponseWriter){
		"a server's error":            func(w http.ResponseWriter) { refuse(w, 500, "InternalServerError") },
		"a gateway's error":           func(w http.ResponseWriter) { w.WriteHeader(503) },
		"a throttle":                  func(w http.ResponseWriter) { refuse(w, 400, "ProvisionedThroughputExceededException") },
		"a throttle of the API":       func(w http.ResponseWriter) { refuse(w, 400, "ThrottlingException") },
		"a connection without answer": hangUp,
		"an answer that breaks off":   breakOff,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, attempts := service(t, func(n int64, w http.ResponseWriter) {
				if n <= 6 {
					fail(w)
					return
				}
				w.Header().Set("Content-Type", "application/x-amz-json-1.0")
				_, _ = w.Write([]byte(`{}`))
			})
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			if err := get(ctx, client); err != nil || attempts.Load() != 7 {
				t.Errorf("%v after %d attempts, want none after 7", err, attempts.Load())
			}
		})
	}
}

// TestErrorsThatStay are not retried.
func TestErrorsThatStay(t *testing.T) {
	for _, code := range []string{"ConditionalCheckFailedException", "AccessDeniedException", "ValidationException", "ResourceNotFoundException"} {
		client, attempts := service(t, func(_ int64, w http.ResponseWriter) { refuse(w, 400, code) })
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		if err := get(ctx, client); err == nil || !strings.Contains(err.Error(), code) || attempts.Load() != 1 {
			t.Errorf("%s: %v after %d attempts", code, err, attempts.Load())
		}
		stop()
	}
}

// TestTimeIsUp: the retries end while the caller has time left, with the service's own error.
func TestTimeIsUp(t *testing.T) {
	client, attempts := service(t, func(_ int64, w http.ResponseWriter) { refuse(w, 500, "InternalServerError") })
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	err := get(ctx, client)
	var internal *types.InternalServerError
	if !errors.As(err, &internal) || !strings.Contains(err.Error(), "no time is left") {
		t.Errorf("the error is %v", err)
	}
	if ctx.Err() != nil {
		t.Error("nothing is left of the caller's time")
	}
	if n := attempts.Load(); n < 4 || n > 40 {
		t.Errorf("%d attempts in a second and a half", n)
	}
}

// TestCancelled: a caller who goes away is not waited for.
func TestCancelled(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	client, _ := service(t, func(n int64, w http.ResponseWriter) {
		if n == 3 {
			stop()
		}
		refuse(w, 500, "InternalServerError")
	})
	begin := time.Now()
	if err := get(ctx, client); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestPauses: they grow with each retry, longer ones after throttles, to at most 5 s, and never end the caller's time. A fake clock waits.
func TestPauses(t *testing.T) {
	for _, each := range []struct {
		status int
		code   string
		mean   time.Duration // of the first pause
	}{{500, "InternalServerError", 25 * time.Millisecond}, {400, "ThrottlingException", 125 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			const runs = 400
			sums := make([]time.Duration, 12)
			for range runs {
				cfg := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
				cfg.HTTPClient = roundTrip(func(w http.ResponseWriter) { refuse(w, each.status, each.code) })
				retry.Use(&cfg)
				pauses := pausesOf(t, cfg, len(sums))
				for i, p := range pauses {
					sums[i] += p
					if p > 5*time.Second {
						t.Errorf("a pause of %s", p)
					}
				}
			}
			for i, sum := range sums {
				want := min(each.mean<<i, 2500*time.Millisecond)
				if got := sum / runs; got < want*7/10 || got > want*13/10 {
					t.Errorf("%s: pause %d takes %s on average, want about %s", each.code, i, got, want)
				}
			}
		})
	}
}

// roundTrip is an HTTP client without a network, which a fake clock would wait for.
type roundTrip func(http.ResponseWriter)

func (f roundTrip) Do(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f(w)
	return w.Result(), nil
}

// pausesOf makes a call that always fails, and returns its first pauses.
func pausesOf(t *testing.T, cfg aws.Config, n int) []time.Duration {
	t.Helper()
	inner := cfg.HTTPClient
	var times []time.Time
	ctx, stop := context.WithTimeout(t.Context(), time.Hour)
	defer stop()
	cfg.HTTPClient = do(func(r *http.Request) (*http.Response, error) {
		if times = append(times, time.Now()); len(times) > n {
			stop()
		}
		return inner.Do(r)
	})
	_ = get(ctx, dynamodb.NewFromConfig(cfg))
	pauses := make([]time.Duration, n)
	for i := range pauses {
		pauses[i] = times[i+1].Sub(times[i])
	}
	return pauses
}

type do func(*http.Request) (*http.Response, error)

func (f do) Do(r *http.Request) (*http.Response, error) { return f(r) }
