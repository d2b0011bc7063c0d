package logs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/logs"
)

func TestLogOnTheCloud(t *testing.T) {
	cloud, err := localtest.Start(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Stop() })
	client := cloudwatchlogs.NewFromConfig(cloud.Config())
	group := localtest.Name("/slipway/logs-test")
	l := logs.New(client, group)
	if _, _, err := l.Read(t.Context(), "none", "", 10); deploy.KindOf(err) != deploy.Internal {
		t.Errorf("no group: got %v", err)
	}
	_, err = client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group})
	if made := (*types.ResourceAlreadyExistsException)(nil); err != nil && !errors.As(err, &made) { // the SDK asks again where an answer is lost
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = client.DeleteLogGroup(context.WithoutCancel(t.Context()), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &group})
	})
	if lines, next, err := l.Read(t.Context(), "deploy-1", "", 10); err != nil || len(lines) != 0 || next != "" {
		t.Errorf("no stream: got %v, %q, %v", lines, next, err)
	}
	write := func(from, to int) {
		w := l.Writer(t.Context(), "deploy-1", time.Now)
		for i := from; i < to; i++ {
			fmt.Fprintf(w, "line %d\n", i)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 25)
	cursor, at := "", 0
	follow := func(end int) {
		t.Helper()
		for range 10 {
			lines, next, err := l.Read(t.Context(), "deploy-1", cursor, 10)
			if err != nil || len(lines) > 10 {
				t.Fatalf("got %d lines, %v", len(lines), err)
			}
			for _, line := range lines {
				if want := fmt.Sprintf("line %d", at); line.Text != want || time.Since(line.Time).Abs() > time.Minute {
					t.Errorf("got %v, want %s", line, want)
				}
				at++
			}
			if next == cursor {
				break
			}
			cursor = next
		}
		if at != end {
			t.Errorf("%d lines read, want %d", at, end)
		}
	}
	follow(25)
	write(25, 30) // a follower goes on where it was
	follow(30)
	for _, bad := range []string{"f/nonsense", "f/99999/s", "nonsense"} {
		if _, _, err := l.Read(t.Context(), "deploy-1", bad, 10); deploy.KindOf(err) != deploy.Invalid || deploy.FieldOf(err) != "cursor" {
			t.Errorf("cursor %q: got %v", bad, err)
		}
	}
}
