// Command build is the function behind the machine's state Build.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/boot/shop"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/source"
)

func main() {
	e := boot.Load()
	s := e.Store()
	e.Start("build", &pipeline.Build{
		Workshop: shop.Workshop(e, s), Releases: s, Results: source.NewS3(s3.NewFromConfig(e.AWS), e.Get("SLIPWAY_BUCKET")),
	})
}
