// Command admit is the function behind the machine's state Admit.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/machine"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

func main() {
	e := boot.Load()
	s := e.Store()
	e.Start("admit", &pipeline.Admit{Desk: e.Desk(s), Heads: s, Tokens: machine.NewTokens(sfn.NewFromConfig(e.AWS))})
}
