package logs_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestOutputMakesNoMetrics: what the service is given is no JSON object with _aws in it, however that is spelt, and what is read
// back is what was printed.
func TestOutputMakesNoMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metric := `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"Slipway","Dimensions":[[]],"Metrics":[{"Name":"Dirty"}]}]},"Dirty":1}`
		printed := []string{
			metric, " \t" + metric, "\ufeff" + metric, "\u00a0" + metric, strings.Replace(metric, "_aws", `\u005f\u0061ws`, 1), "\u200b" + metric, "\u200b",
			`{"level":"info"}`, `["_aws"]`, `see _aws: {}`, "{",
		}
		s := &service{}
		w := s.log().Writer(t.Context(), "stream", time.Now)
		if _, err := w.Write([]byte(strings.Join(printed, "\n"))); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for i, kept := range s.lines() {
			var object map[string]any
			if json.Unmarshal([]byte(strings.TrimLeft(kept, " \t\ufeff\u00a0")), &object) == nil && object["_aws"] != nil {
				t.Errorf("CloudWatch makes metrics of %q", kept)
			}
			if i > 6 && kept != printed[i] {
				t.Errorf("%q is kept as %q", printed[i], kept)
			}
		}
		if len(s.lines()) != len(printed) {
			t.Errorf("%d lines, want %d", len(s.lines()), len(printed))
		}
		events, err := json.Marshal(map[string]any{"events": s.batches[0], "nextForwardToken": "f/1/s"})
		if err != nil {
			t.Fatal(err)
		}
		lines, _, err := answers(strings.ReplaceAll(strings.ReplaceAll(string(events), `"Timestamp"`, `"timestamp"`), `"Message"`, `"message"`)).log().
			Read(t.Context(), "stream", "", 0)
		if err != nil || len(lines) != len(printed) {
			t.Fatal(len(lines), err)
		}
		for i, line := range lines {
			if line.Text != printed[i] {
				t.Errorf("%q is read as %q", printed[i], line.Text)
			}
		}
	})
}
