package source_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/source"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

var client *s3.Client // of the cloud that all tests share

func TestMain(m *testing.M) {
	localtest.Main(m, "../..", func(_ context.Context, c *local.Cloud) (func(), error) {
		client = s3.NewFromConfig(c.Config())
		return nil, nil
	})
}

// bucket is a test's own.
type bucket string

func cloudBucket(t *testing.T) (bucket, *source.S3) {
	t.Helper()
	name := localtest.Name("source-test")
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	b := bucket(name)
	t.Cleanup(func() { b.delete(context.WithoutCancel(t.Context())) })
	return b, source.NewS3(client, name)
}

func (b bucket) put(t *testing.T, key string, content []byte, metadata map[string]string) {
	t.Helper()
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(string(b)), Key: &key,
		Body: bytes.NewReader(content), Metadata: metadata}); err != nil {
		t.Fatal(err)
	}
}

// delete leaves nothing behind in a cloud that is another's.
func (b bucket) delete(ctx context.Context) {
	name := aws.String(string(b))
	out, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: name})
	if err != nil {
		return
	}
	for _, o := range out.Contents {
		_, _ = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: o.Key})
	}
	_, _ = client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name})
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func TestBundlesOnTheCloud(t *testing.T) {
	objects, s := cloudBucket(t)
	_, err := s.Stat(t.Context(), "shop", commit)
	if deploy.KindOf(err) != deploy.NotFound || !strings.Contains(err.Error(), `"shop"`) || !strings.Contains(err.Error(), commit) {
		t.Errorf("no bundle: got %v", err)
	}
	content := bundle(t, reg("slipway.yaml", "a"))
	objects.put(t, source.BundleKey("shop", commit), content, map[string]string{"sha256": digest(content)})
	b, err := s.Stat(t.Context(), "shop", commit)
	if want := (deploy.Bundle{Key: "sources/shop/" + commit + ".tar.gz", SHA256: digest(content)}); err != nil || *b != want {
		t.Fatalf("got %+v, %v, want %+v", b, err, want)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, _ = f.WriteString(strings.Repeat("older and longer", 1000))
	if sha, err := s.Fetch(t.Context(), b, f); err != nil || sha != digest(content) {
		t.Errorf("got %s, %v", sha, err)
	}
	if _, ok, _, err := source.Scan(f, source.Limits{}, "slipway.yaml"); !ok || err != nil {
		t.Errorf("what was fetched: %v, %v", ok, err)
	}

	objects.put(t, b.Key, []byte("replaced"), nil)
	if _, err := s.Fetch(t.Context(), b, f); deploy.KindOf(err) != deploy.Invalid || !strings.Contains(err.Error(), b.SHA256) {
		t.Errorf("replaced bundle: got %v", err)
	}
	if b, err := s.Stat(t.Context(), "shop", commit); err != nil || b.SHA256 != "" {
		t.Errorf("without metadata: got %+v, %v", b, err)
	}
	objects.put(t, b.Key, nil, map[string]string{"sha256": "nonsense"})
	if _, err := s.Stat(t.Context(), "shop", commit); deploy.KindOf(err) != deploy.Invalid {
		t.Errorf("nonsense for a digest: got %v", err)
	}
	if _, err := s.Fetch(t.Context(), &deploy.Bundle{Key: "sources/none"}, f); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("fetch of nothing: got %v", err)
	}
}

func TestArtifactsOnTheCloud(t *testing.T) {
	objects, s := cloudBucket(t)
	work := t.TempDir()
	file := filepath.Join(work, "build", "app.zip")
	write := func(content string) {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("zip one")
	a, err := s.PutArtifact(t.Context(), "shop", commit, "build/app.zip", file)
	sha := digest([]byte("zip one"))
	if want := (deploy.Artifact{Path: "build/app.zip", Key: "artifacts/shop/" + commit + "/" + sha + "/build/app.zip", SHA256: sha, Bytes: 7}); err != nil || a != want {
		t.Fatalf("got %+v, %v, want %+v", a, err, want)
	}
	if again, err := s.PutArtifact(t.Context(), "shop", commit, "build/app.zip", file); err != nil || again != a {
		t.Errorf("twice: %+v, %v", again, err)
	}
	write("zip two, of another build of the same commit")
	if other, err := s.PutArtifact(t.Context(), "shop", commit, "build/app.zip", file); err != nil || other.Key == a.Key {
		t.Errorf("another build: %+v, %v", other, err)
	}
	to := filepath.Join(t.TempDir(), "app.zip")
	if err := s.FetchArtifact(t.Context(), a, to); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(to); string(got) != "zip one" {
		t.Errorf("fetched %q", got)
	}
	if err := s.CheckArtifact(t.Context(), a); err != nil {
		t.Error(err)
	}

	objects.put(t, a.Key, []byte("zip bad"), nil)
	if err := s.CheckArtifact(t.Context(), a); deploy.KindOf(err) != deploy.BuildFailed || !strings.Contains(err.Error(), "build/app.zip") {
		t.Errorf("replaced: got %v", err)
	}
	if err := s.FetchArtifact(t.Context(), a, to); deploy.KindOf(err) != deploy.BuildFailed || !strings.Contains(err.Error(), sha) {
		t.Errorf("replaced: got %v", err)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("a wrong artifact stays on the disk")
	}
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(string(objects)), Key: &a.Key}); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"check": s.CheckArtifact(t.Context(), a), "fetch": s.FetchArtifact(t.Context(), a, to)} {
		if deploy.KindOf(err) != deploy.NotFound {
			t.Errorf("%s of a deleted one: got %v", what, err)
		}
	}
}

// TestArtifactsKeepTheirMode: what a build made executable is so again, whatever lay in its place, and what a link there led to
// stays as it was.
func TestArtifactsKeepTheirMode(t *testing.T) {
	_, s := cloudBucket(t)
	for name, c := range map[string]struct {
		built, before, want fs.FileMode // before 0: nothing was there
	}{
		"a tool":                   {0o755, 0, 0o755},
		"data":                     {0o644, 0, 0o644},
		"a tool of its owner's":    {0o700, 0, 0o755},
		"data of its owner's":      {0o600, 0, 0o644},
		"a tool over data":         {0o755, 0o644, 0o755},
		"data over a tool":         {0o644, 0o755, 0o644},
		"a tool over a read-only":  {0o755, 0o444, 0o755},
		"a tool of no one's to be": {0o744, 0o400, 0o755},
	} {
		t.Run(name, func(t *testing.T) {
			built, to := filepath.Join(t.TempDir(), "tool"), filepath.Join(t.TempDir(), "tool")
			write(t, built, "#!/bin/sh\n", c.built)
			if c.before != 0 {
				write(t, to, "older and longer than what comes", c.before)
			}

			a, err := s.PutArtifact(t.Context(), "shop", commit, "tool", built)
			if err == nil {
				err = s.FetchArtifact(t.Context(), a, to)
			}
			if err != nil {
				t.Fatal(err)
			}

			info, err := os.Stat(to)
			if err != nil || info.Mode() != c.want || info.Size() != 10 {
				t.Errorf("%v of %d bytes, %v; want %v", info.Mode(), info.Size(), err, c.want)
			}
		})
	}
}

// TestArtifactInPlaceOfALink: the link goes, not what it led to.
func TestArtifactInPlaceOfALink(t *testing.T) {
	_, s := cloudBucket(t)
	dir := t.TempDir()
	built, link, other := filepath.Join(dir, "built"), filepath.Join(dir, "link"), filepath.Join(dir, "other")
	write(t, built, "new", 0o644)
	write(t, other, "mine", 0o644)
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}

	a, err := s.PutArtifact(t.Context(), "shop", commit, "link", built)
	if err == nil {
		err = s.FetchArtifact(t.Context(), a, link)
	}
	if err != nil {
		t.Fatal(err)
	}

	got, _ := os.ReadFile(link)
	kept, _ := os.ReadFile(other)
	if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() || string(got) != "new" || string(kept) != "mine" {
		t.Errorf("%v holds %q, what it led to %q, %v", info.Mode(), got, kept, err)
	}
}

func write(t *testing.T, file, text string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(file, []byte(text), mode), os.Chmod(file, mode)); err != nil {
		t.Fatal(err)
	}
}

// TestPutBundle: the first one stays, whoever comes later with what.
func TestPutBundle(t *testing.T) {
	_, s := cloudBucket(t)
	put := func(content string) (*deploy.Bundle, error) {
		f, err := os.Create(filepath.Join(t.TempDir(), "bundle"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(content); err != nil {
			t.Fatal(err)
		}
		return s.PutBundle(t.Context(), "shop", commit, f)
	}
	want := deploy.Bundle{Key: source.BundleKey("shop", commit), SHA256: digest([]byte("one"))}
	for _, content := range []string{"one", "one", "two"} {
		if b, err := put(content); err != nil || *b != want {
			t.Errorf("%s: %+v, %v; want %+v", content, b, err, want)
		}
	}
	if b, err := s.Stat(t.Context(), "shop", commit); err != nil || *b != want {
		t.Errorf("%+v, %v", b, err)
	}
}
