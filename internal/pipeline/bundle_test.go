package pipeline_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// TestWriteOnce: an uploader can't replace a bundle or an artifact, nor put one where Slipway's own functions do.
func TestWriteOnce(t *testing.T) {
	localtest.Needs(t, localtest.Roles)
	a := newApp(t)
	cfg, err := localtest.As(t.Context(), world.cloud, a.name+"-uploader", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:PutObject",
		"Resource": ["arn:aws:s3:::`+world.out.Bucket+`/sources/`+a.name+`/*", "arn:aws:s3:::`+world.out.Bucket+`/artifacts/`+a.name+`/*"]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	uploader := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	put := func(key, text string, condition *string) string {
		_, err := uploader.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &world.out.Bucket, Key: &key, Body: strings.NewReader(text), IfNoneMatch: condition})
		var refused smithy.APIError
		if errors.As(err, &refused) {
			return refused.ErrorCode()
		}
		if err != nil {
			t.Error(err)
		}
		return "written"
	}

	for _, key := range []string{"sources/" + a.name + "/commit.tar.gz", "artifacts/" + a.name + "/commit/app.zip"} {
		for _, each := range []struct {
			text      string
			condition *string
			want      string
		}{
			{"first", nil, "AccessDenied"},
			{"first", aws.String("*"), "written"},
			{"second", aws.String("*"), "PreconditionFailed"},
			{"second", nil, "AccessDenied"},
			{"second", aws.String(`"etag"`), "AccessDenied"}, // which S3 itself answers with NotImplemented
		} {
			if got := put(key, each.text, each.condition); got != each.want {
				t.Errorf("%s, %s, If-None-Match %q: %s, want %s", key, each.text, aws.ToString(each.condition), got, each.want)
			}
		}
		if text := object(t, key); string(text) != "first" {
			t.Errorf("%s holds %q", key, text)
		}
	}
	for _, key := range []string{"fetched/" + a.name + "/commit.tar.gz", "sources/other/commit.tar.gz", "jobs/x/result.json"} {
		if got := put(key, "x", aws.String("*")); got != "AccessDenied" {
			t.Errorf("%s: %s", key, got)
		}
	}
}

// TestReplacedBundle: what was tested is what is promoted. A bundle that the bucket's owner replaced after that is refused, and a rebuild
// tests and builds it.
func TestReplacedBundle(t *testing.T) {
	a := newApp(t)
	a.Environments["staging"] = a.Environments["production"]
	a.apply()
	sha := a.commit("one", config(`test=echo tested >> "$SERVE/tests"`))
	staging := a.start(map[string]any{"commit_sha": sha, "environment": "staging"}).wants(deploy.Success)
	key := "sources/" + a.name + "/" + sha + ".tar.gz"
	first := sha256.Sum256(object(t, key))
	if staging.Release == nil || staging.Release.SourceSHA256 != hex.EncodeToString(first[:]) {
		t.Fatalf("the release is %+v; want source_sha256 %x", staging.Release, first)
	}

	other := a.commit("two", config(`test=echo tested >> "$SERVE/tests"`))
	moved := object(t, "sources/"+a.name+"/"+other+".tar.gz")
	if _, err := world.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &world.out.Bucket, Key: &key, Body: bytes.NewReader(moved)}); err != nil {
		t.Fatal(err)
	}
	d := a.start(map[string]any{"commit_sha": sha}).wants(deploy.Failed)
	if d.ErrorKind != deploy.Conflict || !strings.Contains(d.Error, "its release by "+staging.ID+" was tested and built of "+staging.Release.SourceSHA256) {
		t.Errorf("%s: %s", d.ErrorKind, d.Error)
	}
	d = a.start(map[string]any{"commit_sha": sha, "rebuild": true}).wants(deploy.Success)
	if d.Release.BuiltBy != d.ID || d.Release.SourceSHA256 == staging.Release.SourceSHA256 {
		t.Errorf("the release is %+v", d.Release)
	}
	a.serves("two")
}
