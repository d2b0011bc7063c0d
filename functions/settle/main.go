// Command settle is the function behind the machine's state Settle.
package main

import (
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/boot/shop"
	"github.com/slipway-cd/slipway/internal/machine"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

func main() {
	e := boot.Load()
	s := e.Store()
	e.Start("settle", &pipeline.Settle{
		Workshop: shop.Workshop(e, s), Hooks: shop.Hooks(e), Heads: s, Targets: shop.Targets(e),
		Tokens: machine.NewTokens(sfn.NewFromConfig(e.AWS)), Measure: boot.Measure(os.Stdout, time.Now),
	})
}
