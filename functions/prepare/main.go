// Command prepare is the function behind the machine's state Prepare.
package main

import (
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/config"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/source"
)

func main() {
	e := boot.Load()
	s, sources := e.Store(), source.NewS3(s3.NewFromConfig(e.AWS), e.Get("SLIPWAY_BUCKET"))
	e.Start("prepare", &pipeline.Prepare{
		Desk: e.Desk(s), Create: s.Create, App: s.App, Heads: s, Parse: config.Parse,
		Scan: func(r io.Reader, name string) ([]byte, bool, []string, error) {
			return source.Scan(r, source.Limits{}, name)
		},
		Find: func(r io.Reader, match func(string) bool) (string, error) {
			return source.Find(r, source.Limits{}, match)
		},
		Sources: sources, Fetched: sources.Fetched(), Jobs: sources, Built: s, Runner: deploy.Runner(e.Get("SLIPWAY_RUNNER")),
	})
}
