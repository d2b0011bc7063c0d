// Package boot wires what the functions have in common: the environment, clients made once, and the stage's wrapper.
package boot

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/retry"
	"github.com/slipway-cd/slipway/internal/store"
)

// Env is a function's environment.
type Env struct {
	AWS aws.Config
	Log *slog.Logger
}

// Load reads the environment as Lambda sets it. The SDK's own loader looks in files, profiles and the instance's metadata
// too, none of which a function has, and doubles the time of a cold start (docs/adr/0006-cold-starts.md).
func Load() *Env {
	cfg := aws.Config{
		Region: os.Getenv("AWS_REGION"), Credentials: aws.CredentialsProviderFunc(credentials),
		HTTPClient:                 awshttp.NewBuildableClient().WithTransportOptions(answerInTime), // one for all services
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
	if endpoint := os.Getenv("AWS_ENDPOINT_URL"); endpoint != "" {
		cfg.BaseEndpoint = &endpoint
	}
	retry.Use(&cfg)
	return &Env{AWS: cfg, Log: slog.New(slog.NewJSONHandler(os.Stderr, nil))}
}

// answerTimeout is how long one attempt of a call waits for the beginning of an answer, before the next.
const answerTimeout = 30 * time.Second

func answerInTime(t *http.Transport) { t.ResponseHeaderTimeout = answerTimeout }

// Patient makes a client wait for an answer as long as its caller does: for calls that do their work before they answer.
func Patient() aws.HTTPClient { return awshttp.NewBuildableClient() }

// Endpoint is where a service is, by its name in the SDK's variables: the local cloud has not all of them. Nil is the service's own.
func (e *Env) Endpoint(service string) *string {
	if endpoint := os.Getenv("AWS_ENDPOINT_URL_" + service); endpoint != "" {
		return &endpoint
	}
	return e.AWS.BaseEndpoint
}

// Local tells whether AWS itself is on this machine, where nothing on it is to be kept from anybody.
func (e *Env) Local() bool {
	u, err := url.Parse(aws.ToString(e.AWS.BaseEndpoint))
	return err == nil && u.Hostname() == "127.0.0.1"
}

// credentials are the function's role's. Lambda starts another process before they run out.
func credentials(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken: os.Getenv("AWS_SESSION_TOKEN"), Source: "the function's environment",
	}
	if !c.HasKeys() {
		return c, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set")
	}
	return c, nil
}

// Get reads one variable that has to be there.
func (e *Env) Get(name string) string {
	value := os.Getenv(name)
	if value == "" {
		e.Log.Error("the function lacks a variable; its stack sets it", "variable", name)
		os.Exit(1)
	}
	return value
}

// Store is the deployments table.
func (e *Env) Store() *store.Store {
	return store.New(dynamodb.NewFromConfig(e.AWS), e.Get("SLIPWAY_DEPLOYMENTS_TABLE"))
}

// Flags is the flags table.
func (e *Env) Flags() *store.Flags {
	return store.NewFlags(dynamodb.NewFromConfig(e.AWS), e.Get("SLIPWAY_FLAGS_TABLE"))
}

// Desk is what every stage works with.
func (e *Env) Desk(s *store.Store) pipeline.Desk {
	return pipeline.Desk{Records: s, Now: time.Now, Log: e.Log}
}

// Start serves a stage.
func (e *Env) Start(name string, stage pipeline.Stage) {
	lambda.Start(pipeline.Handler(name, stage, e.Log))
}

// StartEvents serves events. Whoever sent one does not read the answer, so an error is logged; Lambda counts it too, and calls again.
func (e *Env) StartEvents(name string, handle func(context.Context, json.RawMessage) error) {
	lambda.Start(func(ctx context.Context, event json.RawMessage) error {
		err := handle(ctx, event)
		if err != nil {
			e.Log.Error("event not handled", "function", name, "error", err)
		}
		return err
	})
}

// Metric writes a count in CloudWatch's embedded metric format, which makes a metric of a line on standard output.
func Metric(w io.Writer, now func() time.Time) func(name string, value int) {
	write := Measure(w, now)
	return func(name string, value int) {
		write(pipeline.Measure{Name: name, Unit: "Count", Value: float64(value)})
	}
}

// Measure is Metric for measures of any unit, with what they are told apart by. What they are about stands in the line
// and makes no metric of its own, whatever its values are.
func Measure(w io.Writer, now func() time.Time) func(pipeline.Measure) {
	log := slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: bare}))
	return func(m pipeline.Measure) {
		dimensions, attrs := []string{}, []any{}
		if m.By != "" {
			dimensions, attrs = append(dimensions, m.By), append(attrs, m.By, m.Is)
		}
		for _, name := range slices.Sorted(maps.Keys(m.About)) {
			attrs = append(attrs, name, m.About[name])
		}
		log.Info("", append(attrs, m.Name, m.Value, "_aws", map[string]any{
			"Timestamp": now().UnixMilli(),
			"CloudWatchMetrics": []any{map[string]any{
				"Namespace": "Slipway", "Dimensions": []any{dimensions}, "Metrics": []any{map[string]string{"Name": m.Name, "Unit": m.Unit}},
			}},
		})...)
	}
}

// bare drops what slog adds to a line.
func bare(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}
