package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/retry"
)

// maxPause bounds the pause before a download is started anew whose body broke off; the SDK retries only up to the headers.
const maxPause = 2 * time.Second

// uploaded begins the keys of the bundles that people upload.
const uploaded = "sources/"

// S3 keeps bundles and artifacts in one bucket.
type S3 struct {
	client *s3.Client
	bucket string
	prefix string // of bundles
}

// NewS3 makes an S3 of a bucket that exists. Its role needs s3:ListBucket besides GetObject and PutObject: without it, S3 answers
// 403 for an object that isn't there.
func NewS3(client *s3.Client, bucket string) *S3 {
	return &S3{client: client, bucket: bucket, prefix: uploaded}
}

// Fetched is s for the bundles that Slipway's own functions make, where uploads are not allowed.
func (s *S3) Fetched() *S3 {
	return &S3{client: s.client, bucket: s.bucket, prefix: deploy.FetchedPrefix}
}

// BundleKey is the key under which people upload the bundle of an app's commit.
func BundleKey(app, commit string) string { return bundleKey(uploaded, app, commit) }

func bundleKey(prefix, app, commit string) string { return prefix + app + "/" + commit + ".tar.gz" }

// Stat finds the bundle of a commit. Its SHA256 is what the uploader said of it (metadata "sha256"), "" where that is missing. The
// error is NotFound, naming app and commit, TooLarge over MaxCompressed bytes, or Invalid.
func (s *S3) Stat(ctx context.Context, app, commit string) (*deploy.Bundle, error) {
	if err := checkCommit(app, commit); err != nil {
		return nil, err
	}
	key := bundleKey(s.prefix, app, commit)
	head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	if missing(err) {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "commit_sha",
			Err: fmt.Errorf("app %q has no source bundle of commit %s; upload it first, as slipway deploy does: %w", app, commit, err)}
	}
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "source: look for "+key, "%w", err)
	}
	if n := aws.ToInt64(head.ContentLength); n > MaxCompressed {
		return nil, deploy.Errorf(deploy.TooLarge, "source: "+key, "the bundle holds %d bytes; want at most %d", n, int64(MaxCompressed))
	}
	sha := head.Metadata["sha256"]
	if sha != "" && !deploy.ValidSHA256(sha) {
		return nil, deploy.Errorf(deploy.Invalid, "source: "+key, "its metadata sha256 is %q; want 64 small hex digits", deploy.Cut(sha, 80))
	}
	return &deploy.Bundle{Key: key, SHA256: sha}, nil
}

// PutBundle stores a commit's bundle, all of f, unless one is there already: then that one stays, and is the answer. The error is
// TooLarge over MaxCompressed bytes, else as Stat's.
func (s *S3) PutBundle(ctx context.Context, app, commit string, f *os.File) (*deploy.Bundle, error) {
	if err := checkCommit(app, commit); err != nil {
		return nil, err
	}
	key := bundleKey(s.prefix, app, commit)
	sum := sha256.New()
	_, err := f.Seek(0, io.SeekStart)
	n := int64(0)
	if err == nil {
		n, err = io.Copy(sum, f)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "source: store "+key, "%w", err)
	}
	if n > MaxCompressed {
		return nil, deploy.Errorf(deploy.TooLarge, "source: "+key, "the bundle holds %d bytes; want at most %d", n, int64(MaxCompressed))
	}
	sha := hex.EncodeToString(sum.Sum(nil))
	_, err = s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: f, ContentLength: &n, IfNoneMatch: aws.String("*"), ContentType: aws.String("application/gzip"),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumSHA256: aws.String(checksum(sha)), Metadata: map[string]string{"sha256": sha},
	}, AtOnce)
	if Exists(err) {
		return s.Stat(ctx, app, commit)
	}
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "source: store "+key, "%w", err)
	}
	return &deploy.Bundle{Key: key, SHA256: sha}, nil
}

// Fetch downloads a bundle into w from its start, checks it against b.SHA256 where that is known, and leaves w at its start again.
// It gives the digest in hex. The error is NotFound, TooLarge over MaxCompressed bytes, or Invalid where the digest differs.
func (s *S3) Fetch(ctx context.Context, b *deploy.Bundle, w *os.File) (sha string, err error) {
	sha, err = s.download(ctx, b.Key, w, MaxCompressed)
	if err != nil {
		return "", err
	}
	if b.SHA256 != "" && sha != b.SHA256 {
		return "", deploy.Errorf(deploy.Invalid, "source: "+b.Key, "the uploaded bundle has SHA-256 %s, this deployment wants %s; the bundle of a commit can't be "+
			"replaced: make a new commit (git commit --amend)", sha, b.SHA256)
	}
	if _, err := w.Seek(0, io.SeekStart); err != nil {
		return "", deploy.Errorf(deploy.Internal, "source: fetch "+b.Key, "%w", err)
	}
	return sha, nil
}

func (s *S3) download(ctx context.Context, key string, w *os.File, limit int64) (string, error) {
	end := retry.End(ctx)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, maxPause) {
		sha, broken, err := s.downloadOnce(ctx, key, w, limit)
		if broken == nil {
			return sha, err
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return "", deploy.Errorf(deploy.Internal, "source: fetch "+key, "%w", broken)
		}

		select {
		case <-ctx.Done():
		case <-time.After(rand.N(pause)):
		}
	}
}

// downloadOnce tells a body that broke off, which may go better when it is done again, from all other errors.
func (s *S3) downloadOnce(ctx context.Context, key string, w *os.File, limit int64) (sha string, broken, err error) {
	got, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key}, quietChecksum)
	if missing(err) {
		return "", nil, deploy.Errorf(deploy.NotFound, "source: fetch "+key, "there is no such object: %w", err)
	}
	if err == nil {
		defer got.Body.Close()
		err = rewind(w)
	}
	if err != nil {
		return "", nil, deploy.Errorf(deploy.Internal, "source: fetch "+key, "%w", err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(got.Body, limit+1))
	if err != nil {
		return "", err, nil
	}
	if n > limit {
		return "", nil, deploy.Errorf(deploy.TooLarge, "source: fetch "+key, "it holds over %d bytes", limit)
	}
	return hex.EncodeToString(h.Sum(nil)), nil, nil
}

func rewind(w *os.File) error {
	if err := w.Truncate(0); err != nil {
		return err
	}
	_, err := w.Seek(0, io.SeekStart)
	return err
}

// AtOnce has a conditional write tried again while another one of the same key is under way, as S3 asks for (PutObject, If-None-Match).
func AtOnce(o *s3.Options) {
	o.Retryer = awsretry.AddWithErrorCodes(o.Retryer, "ConditionalRequestConflict")
}

// quietChecksum keeps the SDK from a warning on each object that was stored without a checksum; digests are compared here anyway.
func quietChecksum(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true }

// Exists reports whether err is S3's refusal of a conditional write because there is an object under the key.
func Exists(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "PreconditionFailed"
}

// missing tells S3's ways to say that an object isn't there: HeadObject has no body to say NoSuchKey in.
func missing(err error) bool {
	if key := (*types.NoSuchKey)(nil); errors.As(err, &key) {
		return true
	}
	var api smithy.APIError
	return errors.As(err, &api) && (api.ErrorCode() == "NotFound" || api.ErrorCode() == "NoSuchKey")
}

// checkCommit keeps what becomes part of a key from being anything else.
func checkCommit(app, commit string) error {
	if !deploy.ValidName(app) {
		return deploy.FieldErrorf("app", "%q is not a name; want %s", deploy.Cut(app, 80), deploy.NameRule)
	}
	if !deploy.ValidCommit(commit) {
		return deploy.FieldErrorf("commit_sha", "%q is not a full commit id; want 40 small hex digits", deploy.Cut(commit, 80))
	}
	return nil
}
