// Package git wires what fetches commits. It is apart from boot so that the functions that fetch none don't carry git.
package git

import (
	"archive/tar"
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/remote"
	"github.com/slipway-cd/slipway/internal/secret"
	"github.com/slipway-cd/slipway/internal/source"
)

// Fetch wires the stage that fetches a commit within limits, whose zero value is what remote says.
func Fetch(e *boot.Env, limits remote.Limits) *pipeline.Fetch {
	s := e.Store()
	r := &remote.Fetcher{Limits: limits, Local: e.Local(), Region: e.AWS.Region, Credentials: e.AWS.Credentials}
	return &pipeline.Fetch{
		Desk: e.Desk(s), App: s.App, Bundles: source.NewS3(s3.NewFromConfig(e.AWS), e.Get("SLIPWAY_BUCKET")).Fetched(),
		Secret: secret.New(ssm.NewFromConfig(e.AWS), secretsmanager.NewFromConfig(e.AWS)).Value,
		Packer: func(w io.Writer) pipeline.Packer { return source.NewPacker(w, source.Limits{}) },
		Remote: func(ctx context.Context, w pipeline.Wanted, add func(*tar.Header, io.Reader) error) error {
			return r.Fetch(ctx, remote.Request(w), add)
		},
	}
}
