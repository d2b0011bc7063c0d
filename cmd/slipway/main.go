// Command slipway is the command-line client: it deploys commits, shows what becomes of them, and takes them back.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(newProgram(time.Second).run(ctx, os.Args[1:]))
}

// newProgram makes the program of this process. poll is how long it lets pass between two looks at a deployment.
func newProgram(poll time.Duration) *program {
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	executable, _ := os.Executable() // "" finds no local environment beside it, no more
	return &program{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, dir: dir, executable: executable,
		terminal: isTerminal(os.Stdout), errTerminal: isTerminal(os.Stderr), now: time.Now, poll: poll,
	}
}
