package boot_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// TestMetric reads the line as CloudWatch does: the embedded metric format's _aws names the metric, the value stands
// beside it (docs.aws.amazon.com, CloudWatch Embedded Metric Format Specification).
func TestMetric(t *testing.T) {
	var out bytes.Buffer
	now := time.UnixMilli(1_790_000_000_123)
	boot.Metric(&out, func() time.Time { return now })("Dirty", 1)
	var line struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
		Dirty *int
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%s: %v", out.Bytes(), err)
	}
	if line.AWS.Timestamp != now.UnixMilli() || line.Dirty == nil || *line.Dirty != 1 || len(line.AWS.CloudWatchMetrics) != 1 {
		t.Fatalf("%s", out.Bytes())
	}
	m := line.AWS.CloudWatchMetrics[0]
	if m.Namespace != "Slipway" || len(m.Dimensions) != 1 || len(m.Dimensions[0]) != 0 || m.Metrics[0].Name != "Dirty" || m.Metrics[0].Unit != "Count" {
		t.Errorf("%s", out.Bytes())
	}
}

// TestMeasure: what a measure is told apart by is a dimension, what it is about is not, or each deployment would be a metric.
func TestMeasure(t *testing.T) {
	var out bytes.Buffer
	boot.Measure(&out, time.Now)(pipeline.Measure{Name: pipeline.StageMetric, Unit: "Seconds", Value: 1.5, By: pipeline.ByStage, Is: "test",
		About: map[string]string{"app": "shop", "deployment": "d"}})
	var line struct {
		AWS                    struct{ CloudWatchMetrics []map[string]any } `json:"_aws"`
		Stage, App, Deployment string
		StageSeconds           float64
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Stage != "test" || line.StageSeconds != 1.5 || line.App != "shop" || line.Deployment != "d" {
		t.Errorf("%s: %v", out.Bytes(), err)
	}
	got, _ := json.Marshal(line.AWS.CloudWatchMetrics)
	if want := `[{"Dimensions":[["Stage"]],"Metrics":[{"Name":"StageSeconds","Unit":"Seconds"}],"Namespace":"Slipway"}]`; string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestLoad(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_SESSION_TOKEN", "token")
	cfg := boot.Load().AWS
	c, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil || c.AccessKeyID != "id" || c.SecretAccessKey != "secret" || c.SessionToken != "token" {
		t.Errorf("credentials of %s, %v", c.AccessKeyID, err)
	}
	if cfg.Region != "eu-west-1" || *cfg.BaseEndpoint != "http://127.0.0.1:4566" {
		t.Errorf("region %s, endpoint %s", cfg.Region, *cfg.BaseEndpoint)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if _, err := boot.Load().AWS.Credentials.Retrieve(t.Context()); err == nil {
		t.Error("credentials without a secret")
	}
	t.Setenv("AWS_ENDPOINT_URL", "")
	if boot.Load().AWS.BaseEndpoint != nil {
		t.Error("an endpoint of nobody's")
	}
}
