// Command healthcheck is the function behind the machine's state HealthCheck.
package main

import (
	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/health"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

func main() {
	e := boot.Load()
	e.Start("healthcheck", &pipeline.HealthCheck{Desk: e.Desk(e.Store()), Probe: health.NewHTTP().Check})
}
