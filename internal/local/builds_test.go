package local_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// builder is a local cloud with a project in it whose builds write into a folder.
type builder struct {
	t     *testing.T
	cloud *local.Cloud
	dir   string
}

// call calls CodeBuild's API, for which the program has no client.
func (b *builder) call(operation string, in, out any) {
	b.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.cloud.Endpoint(), bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("X-Amz-Target", "CodeBuild_20161006."+operation)
	status, text, err := localtest.Send(b.cloud, request, body, "codebuild")
	if err != nil {
		b.t.Fatal(err)
	}
	if status != http.StatusOK {
		b.t.Fatalf("%s: %d %s", operation, status, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		b.t.Fatal(err)
	}
}

type object = map[string]any

func newBuilder(t *testing.T) *builder {
	t.Helper()
	b := &builder{t: t, cloud: start(t, local.Options{}), dir: t.TempDir()}
	client := s3.NewFromConfig(b.cloud.Config(), func(o *s3.Options) { o.UsePathStyle = true })
	var source bytes.Buffer
	archive := zip.NewWriter(&source)
	entry, err := archive.Create("tool")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(entry, "#!/bin/sh\necho $1 $WORD $TASK >> $DIR/said\n")
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("code")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("code"), Key: aws.String("tool.zip"), Body: bytes.NewReader(source.Bytes())}); err != nil {
		t.Fatal(err)
	}
	return b
}

// project makes one whose phase BUILD is the command.
func (b *builder) project(name string, minutes int, command string) {
	b.t.Helper()
	spec, _ := json.Marshal(object{"version": 0.2, "phases": object{
		"install": object{"commands": []string{"chmod +x tool"}}, "pre_build": object{"commands": []string{"./tool first"}},
		"build": object{"commands": []string{command, "./tool last"}}}})
	role, err := localtest.Role(b.t.Context(), b.cloud, "builds-"+name, localtest.Trust("codebuild"), "")
	if err != nil {
		b.t.Fatal(err)
	}
	var out any
	b.call("CreateProject", object{"name": name, "timeoutInMinutes": minutes, "serviceRole": role,
		"source":      object{"type": "S3", "location": "code/tool.zip", "buildspec": string(spec)},
		"environment": object{"environmentVariables": []object{{"name": "DIR", "value": b.dir}, {"name": "WORD", "value": "theirs"}}}}, &out)
}

func (b *builder) start(project, token string) string {
	b.t.Helper()
	var out struct{ Build struct{ ID string } }
	b.call("StartBuild", object{"projectName": project, "idempotencyToken": token,
		"environmentVariablesOverride": []object{{"name": "WORD", "value": "ours"}, {"name": "TASK", "value": project}}}, &out)
	return out.Build.ID
}

// ended waits for the build's end and says how it came, phase by phase.
func (b *builder) ended(id string) (status, phases string) {
	b.t.Helper()
	eventually(b.t, id+" ends", func() bool {
		var out struct {
			Builds []struct {
				BuildStatus string
				Phases      []struct{ PhaseType, PhaseStatus string }
			}
		}
		b.call("BatchGetBuilds", object{"ids": []string{id}}, &out)
		status, phases = out.Builds[0].BuildStatus, ""
		for _, p := range out.Builds[0].Phases {
			phases += p.PhaseType + ":" + p.PhaseStatus + " "
		}
		return status != "IN_PROGRESS"
	})
	return status, strings.TrimSpace(phases)
}

func (b *builder) said() string {
	text, _ := os.ReadFile(filepath.Join(b.dir, "said"))
	return strings.TrimSpace(string(text))
}

// MiniStack's own builds succeed at once and run nothing; ours run, and end as CodeBuild's do.
func TestBuilds(t *testing.T) {
	b := newBuilder(t)
	const begun = "INSTALL:SUCCEEDED PRE_BUILD:SUCCEEDED "
	b.project("good", 5, "./tool then")
	b.project("bad", 5, "exit 3")
	b.project("late", 0, "sleep 300")
	b.project("long", 5, `echo $$ > "$DIR/pid"; sleep 300 & wait`)
	b.project("leaving", 5, `mkdir own && cd own && (trap "" TERM; sleep 300) > /dev/null 2>&1 & echo $! > "$DIR/left"`)
	id := b.start("good", "once")
	if status, phases := b.ended(id); status != "SUCCEEDED" || phases != begun+"BUILD:SUCCEEDED BUILD:SUCCEEDED" {
		t.Errorf("good: %s, %s", status, phases)
	}
	if got := b.start("good", "once"); got != id {
		t.Errorf("the same token started %s and %s", id, got)
	}
	if got, want := b.said(), "first ours good\nthen ours good\nlast ours good"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if status, phases := b.ended(b.start("bad", "")); status != "FAILED" || phases != begun+"BUILD:FAILED" {
		t.Errorf("bad: %s, %s", status, phases)
	}
	if status, _ := b.ended(b.start("late", "")); status != "TIMED_OUT" {
		t.Errorf("late: %s", status)
	}
	if status, _ := b.ended(b.start("leaving", "")); status != "SUCCEEDED" {
		t.Errorf("leaving: %s", status)
	}
	text, _ := os.ReadFile(filepath.Join(b.dir, "left"))
	left, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" { // elsewhere there is no /proc to find it by
		eventually(t, "what a build left has ended with it", func() bool { return !running(left) })
	}
	id = b.start("long", "")
	var pid int
	eventually(t, "the build runs", func() bool {
		text, _ := os.ReadFile(filepath.Join(b.dir, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	})
	var out any
	b.call("StopBuild", object{"id": id}, &out)
	if status, phases := b.ended(id); status != "STOPPED" || phases != begun+"BUILD:STOPPED" {
		t.Errorf("stopped: %s, %s", status, phases)
	}
	eventually(t, "a stopped build's process has ended", func() bool { return !running(pid) })
}
