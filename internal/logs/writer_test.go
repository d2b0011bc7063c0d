package logs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/slipway-cd/slipway/internal/logs"
)

type event struct {
	Timestamp int64
	Message   string
}

// service is CloudWatch Logs' wire form in memory, for its faults and its bounds. synctest can't wait for real sockets.
type service struct {
	mu      sync.Mutex
	made    int
	batches [][]event
	delay   time.Duration
	fault   func(call int, operation string) (status int, body string) // status 0: none
	calls   int
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "Logs_20140328.")
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	call := s.calls
	if s.delay > 0 {
		s.mu.Unlock()
		select {
		case <-time.After(s.delay):
		case <-r.Context().Done():
		}
		s.mu.Lock()
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
	}
	status, body := 0, ""
	if s.fault != nil {
		status, body = s.fault(call, operation)
	}
	if status < 0 {
		return nil, errors.New(body)
	}
	if status == 0 {
		status, body = s.answer(operation, raw)
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (s *service) answer(operation string, raw []byte) (int, string) {
	if operation == "CreateLogStream" {
		if s.made++; s.made > 1 {
			return 400, `{"__type":"ResourceAlreadyExistsException"}`
		}
		return 200, `{}`
	}
	if s.made == 0 {
		return 400, `{"__type":"ResourceNotFoundException","message":"The specified log stream does not exist."}`
	}
	var in struct{ LogEvents []event }
	if err := json.Unmarshal(raw, &in); err != nil {
		return 400, err.Error()
	}
	size := 0
	for i, e := range in.LogEvents {
		size += len(e.Message) + 26
		if e.Message == "" || i > 0 && e.Timestamp < in.LogEvents[i-1].Timestamp {
			return 400, `{"__type":"InvalidParameterException","message":"empty or out of order"}`
		}
	}
	if n := len(in.LogEvents); n == 0 || n > 10_000 || size > 1<<20 || in.LogEvents[n-1].Timestamp-in.LogEvents[0].Timestamp > 24*3600_000 {
		return 400, fmt.Sprintf(`{"__type":"InvalidParameterException","message":"%d events, %d bytes"}`, n, size)
	}
	s.batches = append(s.batches, in.LogEvents)
	return 200, `{}`
}

func (s *service) log() *logs.Log {
	return logs.New(cloudwatchlogs.New(cloudwatchlogs.Options{Region: "us-east-1", HTTPClient: s,
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider("a", "b", ""))}), "group")
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *service) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, batch := range s.batches {
		for _, e := range batch {
			lines = append(lines, e.Message)
		}
	}
	return lines
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// In a synctest bubble, a goroutine that outlives the test fails it.
func TestWriterFlushesEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		w := s.log().Writer(t.Context(), "stream", time.Now)
		_, _ = io.WriteString(w, "one\ntwo\nthr")
		time.Sleep(999 * time.Millisecond)
		equal(t, s.lines())
		time.Sleep(2 * time.Millisecond)
		equal(t, s.lines(), "one", "two")
		_, _ = io.WriteString(w, "ee\n\n\xff\r\n")
		time.Sleep(10 * time.Second)
		equal(t, s.lines(), "one", "two", "three", " ", "\uFFFD")
		if n := s.count(); n != 4 {
			t.Errorf("%d calls, want 4 (the first finds no stream): an idle writer makes none", n)
		}
		_, _ = io.WriteString(w, "end")
		if err := errors.Join(w.Close(), w.Close()); err != nil {
			t.Error(err)
		}
		equal(t, s.lines(), "one", "two", "three", " ", "\uFFFD", "end")
		if _, err := io.WriteString(w, "late\n"); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
	})
}

func TestWriterUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		if err := s.log().Writer(t.Context(), "stream", time.Now).Close(); err != nil || s.count() != 0 {
			t.Errorf("%v, %d calls, want none", err, s.count())
		}
	})
}

func TestWriterTwiceOnAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		for _, line := range []string{"first", "second"} {
			w := s.log().Writer(t.Context(), "stream", time.Now)
			_, _ = io.WriteString(w, line)
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}
		equal(t, s.lines(), "first", "second")
	})
}

func TestWriterKeepsTheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		clock := time.Now()
		w := s.log().Writer(t.Context(), "stream", func() time.Time { return clock })
		for range 10_001 {
			_, _ = io.WriteString(w, "x\n")
		}
		synctest.Wait()
		clock = clock.Add(-time.Hour) // must not show
		for range 15 {                // so that the last of them share a batch with the next, but for the time between
			_, _ = io.WriteString(w, strings.Repeat("y", 100_000)+"\n")
		}
		clock = clock.Add(48 * time.Hour)
		_, _ = io.WriteString(w, strings.Repeat("é", 300_000)+"\nlast\n")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		lines := s.lines()
		if len(lines) != 10_001+15+2 {
			t.Fatalf("%d lines", len(lines))
		}
		if long := lines[len(lines)-2]; len(long) > logs.MaxText || len(long) < logs.MaxText-8 || !utf8.ValidString(long) || !strings.HasSuffix(long, "…") {
			t.Errorf("the long line has %d bytes and ends in %q", len(long), long[len(long)-8:])
		}
	})
}

func TestWriterFlushesAFullBatchAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		w := s.log().Writer(t.Context(), "stream", time.Now)
		defer w.Close()
		for range 12 {
			_, _ = io.WriteString(w, strings.Repeat("y", 100_000)+"\n")
		}
		synctest.Wait()
		if len(s.lines()) < 10 {
			t.Errorf("%d lines sent before the second is over", len(s.lines()))
		}
	})
}

func TestWriterNeverBlocksOnASlowService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{delay: 3 * time.Second}
		w := s.log().Writer(t.Context(), "stream", time.Now)
		start := time.Now()
		line := strings.Repeat("z", 99_999) + "\n"
		for range 400 { // 40 MB
			_, _ = io.WriteString(w, line)
		}
		_, _ = io.WriteString(w, "short, but behind what was dropped\n")
		if took := time.Since(start); took != 0 {
			t.Errorf("writing took %v", took)
		}
		time.Sleep(time.Minute)
		_, _ = io.WriteString(w, "after\n")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		kept, dropped, gaps := gaps(t, s.lines())
		if kept < 40 || kept+dropped != 402 || gaps < 1 {
			t.Errorf("%d kept, %d dropped in %d gaps", kept, dropped, gaps)
		}
		if lines := s.lines(); strings.Join(lines[len(lines)-2:], "|") != "short, but behind what was dropped|after" {
			t.Errorf("ends in %.20q", lines[len(lines)-2:])
		}
	})
}

// gaps counts the lines that arrived, those that are said to be missing, and the places where.
func gaps(t *testing.T, lines []string) (kept, dropped, gaps int) {
	t.Helper()
	for i, line := range lines {
		if !strings.HasPrefix(line, "[slipway: ") {
			kept++
			continue
		}
		n := 0
		if _, err := fmt.Sscanf(line, "[slipway: %d lines dropped here", &n); err != nil || n == 0 || i == 0 || i == len(lines)-1 {
			t.Errorf("line %d of %d: %q", i, len(lines), line)
		}
		dropped, gaps = dropped+n, gaps+1
	}
	return kept, dropped, gaps
}

// TestWriterKeepsTheEnd: however loud and however slow, the first lines and the last ones arrive, in their order, and what is missing
// between them is counted. The last ones arrive where the writer is closed right behind them, as when a script is ended.
func TestWriterKeepsTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		delay, before time.Duration // of a call; between the flood and the end
		lines, size   int
		complete      bool
	}{
		"a quick service":                   {time.Millisecond, 0, 20_000, 40, true},
		"a flood":                           {time.Millisecond, 0, 400_000, 40, false},
		"a flood to a slow service":         {time.Second, 0, 400_000, 40, false},
		"a slower one":                      {2 * time.Second, 0, 400_000, 40, false},
		"one that takes most of the time":   {3500 * time.Millisecond, 0, 400_000, 40, false},
		"the end comes while a call is out": {3 * time.Second, 500 * time.Millisecond, 400_000, 40, false},
		"the end comes later":               {3 * time.Second, 10 * time.Second, 400_000, 40, false},
		"long lines":                        {time.Second, 0, 400, 60_000, false},
		"few lines, slowly":                 {3500 * time.Millisecond, 0, 3, 40, true},
		"more than the last words, slowly":  {3 * time.Second, 1100 * time.Millisecond, 8_000, 40, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{delay: c.delay}
				w := s.log().Writer(t.Context(), "stream", time.Now)
				_, _ = io.WriteString(w, "--- test\n")
				time.Sleep(15 * time.Second) // until there is a stream
				for i := range c.lines {
					fmt.Fprintf(w, "%08d%s\n", i, strings.Repeat("x", c.size-8))
				}
				time.Sleep(c.before)
				_, _ = io.WriteString(w, "fatal: this is why\nexit 3")

				start := time.Now()
				err := w.Close()
				if took := time.Since(start); err != nil || took > closeTime {
					t.Errorf("Close: %v after %v", err, took)
				}

				lines := s.lines()
				if len(lines) < 2 {
					t.Fatalf("%q arrived", lines)
				}
				kept, dropped, _ := gaps(t, lines)
				if kept+dropped != c.lines+3 || c.complete && dropped > 0 {
					t.Errorf("%d kept and %d dropped of %d", kept, dropped, c.lines+3)
				}
				if end := strings.Join(lines[len(lines)-2:], "|"); end != "fatal: this is why|exit 3" {
					t.Errorf("ends in %q", end)
				}
				if lines[0] != "--- test" {
					t.Errorf("begins with %.20q", lines[0])
				}
				if rest := slices.DeleteFunc(lines[1:len(lines)-2], func(l string) bool { return l[0] == '[' }); !slices.IsSorted(rest) {
					t.Error("not in their order")
				}
			})
		})
	}
}

// closeTime is how long a script's end may wait for its last lines.
const closeTime = 5 * time.Second

func TestWriterGoesOnAfterFaults(t *testing.T) {
	for name, fault := range map[string]func(int, string) (int, string){
		"throttled":  func(call int, _ string) (int, string) { return upTo(call, 7, 400, `{"__type":"ThrottlingException"}`) },
		"its fault":  func(call int, _ string) (int, string) { return upTo(call, 7, 500, `{}`) },
		"no network": func(call int, _ string) (int, string) { return upTo(call, 7, -1, "connection refused") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{fault: fault}
				w := s.log().Writer(t.Context(), "stream", time.Now)
				_, _ = io.WriteString(w, "one\n")
				time.Sleep(time.Minute)
				_, _ = io.WriteString(w, "two\n")
				if err := w.Close(); err != nil {
					t.Error(err)
				}
				equal(t, s.lines(), "one", "two")
			})
		})
	}
}

func upTo(call, last, status int, body string) (int, string) {
	if call <= last {
		return status, body
	}
	return 0, ""
}

func TestWriterTellsWhatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{fault: func(call int, operation string) (int, string) {
			return 400, `{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}`
		}}
		w := s.log().Writer(t.Context(), "stream", time.Now)
		_, _ = io.WriteString(w, "one\ntwo\n")
		time.Sleep(time.Minute)
		if n := s.count(); n != 2 {
			t.Errorf("%d calls for what the service refuses", n)
		}
		_, _ = io.WriteString(w, "three\n")
		err := w.Close()
		if gone := (*types.ResourceNotFoundException)(nil); !errors.As(err, &gone) || !strings.Contains(err.Error(), "3 lines lost") {
			t.Errorf("got %v", err)
		}
		if again := w.Close(); again == nil || again.Error() != err.Error() {
			t.Errorf("Close again: %v", again)
		}
	})
}

func TestWriterCloseIsBounded(t *testing.T) {
	for name, s := range map[string]*service{
		"hanging": {delay: time.Hour},
		"down":    {fault: func(int, string) (int, string) { return 503, `{}` }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := s.log().Writer(t.Context(), "stream", time.Now)
				for range 30_000 {
					_, _ = io.WriteString(w, "x\n")
				}
				start := time.Now()
				err := w.Close()
				if took := time.Since(start); err == nil || took > 6*time.Second {
					t.Errorf("Close: %v after %v", err, took)
				}
				if !strings.Contains(err.Error(), "30000 lines lost") {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestWriterOutlivesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		ctx, cancel := context.WithCancel(t.Context())
		w := s.log().Writer(ctx, "stream", time.Now)
		cancel()
		_, _ = io.WriteString(w, "the last words of a cancelled script\n")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		equal(t, s.lines(), "the last words of a cancelled script")
	})
}
