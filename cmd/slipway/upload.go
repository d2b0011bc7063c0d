package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/slipway-cd/slipway/internal/config"
	"github.com/slipway-cd/slipway/internal/source"
)

// uploadTimeout bounds the bundle's way to S3.
const uploadTimeout = 10 * time.Minute

// upload bundles a commit, puts it where the app's bundles are, and returns the bundle's SHA-256 in hex. A bundle of the commit that is
// there already stays; the API compares it.
func (p *program) upload(ctx context.Context, at *place, to destination, ref string) (digest string, err error) {
	f, err := os.CreateTemp("", "slipway-*.tar.gz")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	sum := sha256.New()
	commit, err := source.Pack(ctx, p.dir, ref, io.MultiWriter(f, sum))
	if err != nil {
		return "", err
	}
	if err := p.check(f); err != nil {
		return "", err
	}
	if to.source.Bucket == "" {
		return "", fmt.Errorf("the API doesn't say where bundles of %s go", to.app)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	key := source.BundleKey(to.app, commit.SHA)
	digest = hex.EncodeToString(sum.Sum(nil))
	_, err = s3.NewFromConfig(at.aws, pathStyle).PutObject(ctx, &s3.PutObjectInput{
		Bucket: &to.source.Bucket, Key: &key, Body: f, IfNoneMatch: aws.String("*"), ContentType: aws.String("application/gzip"),
		Metadata: map[string]string{"sha256": digest},
	}, source.AtOnce)
	if source.Exists(err) {
		return digest, nil
	}
	var refused smithy.APIError
	if errors.As(err, &refused) && refused.ErrorCode() == "AccessDenied" {
		return "", fmt.Errorf("upload the commit to s3://%s/%s: want s3:PutObject there (%s: %s)", to.source.Bucket, key, refused.ErrorCode(),
			refused.ErrorMessage())
	}
	if err != nil {
		return "", fmt.Errorf("upload the commit: %w", err)
	}
	return digest, nil
}

// check looks at a bundle as Slipway will, so that what it would refuse isn't uploaded, and says what the bundle lacks.
func (p *program) check(f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, _, lacks, err := source.Scan(f, source.Limits{}, config.File)
	for _, lack := range lacks {
		fmt.Fprintf(p.err, "note: %s\n", lack)
	}
	return err
}

// pathStyle keeps the bucket out of the host's name where the endpoint isn't AWS's own.
func pathStyle(o *s3.Options) { o.UsePathStyle = o.BaseEndpoint != nil }
