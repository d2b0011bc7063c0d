// Command shift is the function behind the machine's state Shift.
package main

import (
	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/boot/shop"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

func main() {
	e := boot.Load()
	e.Start("shift", &pipeline.Shift{Workshop: shop.Workshop(e, e.Store()), Hooks: shop.Hooks(e), Targets: shop.Targets(e)})
}
