// Command fetch is the function behind the machine's state Fetch.
package main

import (
	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/boot/git"
	"github.com/slipway-cd/slipway/internal/remote"
)

func main() {
	e := boot.Load()
	e.Start("fetch", git.Fetch(e, remote.Limits{}))
}
