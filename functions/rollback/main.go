// Command rollback is the function behind the machine's state Rollback.
package main

import (
	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/boot/shop"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

func main() {
	e := boot.Load()
	s := e.Store()
	e.Start("rollback", &pipeline.Rollback{Workshop: shop.Workshop(e, s), Hooks: shop.Hooks(e), Heads: s, Targets: shop.Targets(e), Flags: e.Flags()})
}
