// Command test is the function behind the machine's state Test.
package main

import (
	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/boot/shop"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

func main() {
	e := boot.Load()
	e.Start("test", &pipeline.Test{Workshop: shop.Workshop(e, e.Store())})
}
