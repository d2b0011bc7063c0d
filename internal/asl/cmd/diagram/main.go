// Command diagram writes the state machine's picture and table into Markdown files.
//
//	go run ./internal/asl/cmd/diagram README.md docs/pipeline.md
package main

import (
	"fmt"
	"os"

	"github.com/slipway-cd/slipway/internal/asl"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "diagram:", err)
		os.Exit(1)
	}
}

func run(files []string) error {
	data, err := os.ReadFile("statemachine.asl.json")
	if err != nil {
		return err
	}
	machine, err := asl.Parse(data)
	if err != nil {
		return err
	}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if doc, err = asl.Render(doc, machine); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(file, doc, 0o644); err != nil {
			return err
		}
	}
	return nil
}
