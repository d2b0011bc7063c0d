package source_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/source"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// cloudBucket starts a private cloud with a bucket in it.
func cloudBucket(t *testing.T) (*s3.Client, *source.S3) {
	t.Helper()
	cloud, err := localtest.Start(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Stop() })
	client := s3.NewFromConfig(cloud.Config())
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("sources")}); err != nil {
		t.Fatal(err)
	}
	return client, source.NewS3(client, "sources")
}

func put(t *testing.T, client *s3.Client, key string, content []byte, metadata map[string]string) {
	t.Helper()
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("sources"), Key: &key,
		Body: bytes.NewReader(content), Metadata: metadata}); err != nil {
		t.Fatal(err)
	}
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func TestBundlesOnTheCloud(t *testing.T) {
	client, s := cloudBucket(t)
	_, err := s.Stat(t.Context(), "shop", commit)
	if deploy.KindOf(err) != deploy.NotFound || !strings.Contains(err.Error(), `"shop"`) || !strings.Contains(err.Error(), commit) {
		t.Errorf("no bundle: got %v", err)
	}
	content := bundle(t, reg("slipway.yaml", "a"))
	put(t, client, source.BundleKey("shop", commit), content, map[string]string{"sha256": digest(content)})
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
	if _, ok, err := source.Scan(f, source.Limits{}, "slipway.yaml"); !ok || err != nil {
		t.Errorf("what was fetched: %v, %v", ok, err)
	}

	put(t, client, b.Key, []byte("replaced"), nil)
	if _, err := s.Fetch(t.Context(), b, f); deploy.KindOf(err) != deploy.Invalid || !strings.Contains(err.Error(), b.SHA256) {
		t.Errorf("replaced bundle: got %v", err)
	}
	if b, err := s.Stat(t.Context(), "shop", commit); err != nil || b.SHA256 != "" {
		t.Errorf("without metadata: got %+v, %v", b, err)
	}
	put(t, client, b.Key, nil, map[string]string{"sha256": "nonsense"})
	if _, err := s.Stat(t.Context(), "shop", commit); deploy.KindOf(err) != deploy.Invalid {
		t.Errorf("nonsense for a digest: got %v", err)
	}
	if _, err := s.Fetch(t.Context(), &deploy.Bundle{Key: "sources/none"}, f); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("fetch of nothing: got %v", err)
	}
}

func TestArtifactsOnTheCloud(t *testing.T) {
	client, s := cloudBucket(t)
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

	put(t, client, a.Key, []byte("zip bad"), nil)
	if err := s.CheckArtifact(t.Context(), a); deploy.KindOf(err) != deploy.BuildFailed || !strings.Contains(err.Error(), "build/app.zip") {
		t.Errorf("replaced: got %v", err)
	}
	if err := s.FetchArtifact(t.Context(), a, to); deploy.KindOf(err) != deploy.BuildFailed || !strings.Contains(err.Error(), sha) {
		t.Errorf("replaced: got %v", err)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("a wrong artifact stays on the disk")
	}
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("sources"), Key: &a.Key}); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"check": s.CheckArtifact(t.Context(), a), "fetch": s.FetchArtifact(t.Context(), a, to)} {
		if deploy.KindOf(err) != deploy.NotFound {
			t.Errorf("%s of a deleted one: got %v", what, err)
		}
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
