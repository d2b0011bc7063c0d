// Command build is the function behind the machine's state Build.
package main

import (
	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/boot/shop"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

func main() {
	e := boot.Load()
	s := e.Store()
	e.Start("build", &pipeline.Build{Workshop: shop.Workshop(e, s), Releases: s})
}
