// Command sweep is the second door: the function that ends deployments whose execution is gone.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/machine"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

func main() {
	e := boot.Load()
	s := e.Store()
	// Many deaths at once, as after a failure of the whole region, must not eat up what Step Functions answers to others. What this call
	// doesn't get done, the next one a minute later does.
	calm := e.AWS.Copy()
	calm.Retryer, calm.RetryMode = nil, aws.RetryModeAdaptive // among a client's own options it comes too late
	sweep := pipeline.Sweep{Desk: e.Desk(s), Heads: s, Open: s.Open, Executions: machine.NewExecutions(sfn.NewFromConfig(calm), e.Get("SLIPWAY_STATE_MACHINE_ARN"))}
	e.StartEvents("sweep", sweep.Run)
}
