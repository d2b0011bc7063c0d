// Local runs Slipway on this machine: make's commands up, down and demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-cd/slipway/internal/local"
)

const usage = `usage: local up [FUNCTION,...] | down | demo | emulator | tools | checkov | sam | uv | localstack   (in the repository's root; make does it for you)`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	p := &program{root: ".", out: os.Stdout, paint: wantsColour(os.Stdout, os.Getenv("NO_COLOR")), now: time.Now}
	if err := p.run(ctx, os.Args[1:]); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted; nothing is left running")
		}
		fmt.Fprintln(os.Stderr, p.red("✗"), err)
		os.Exit(1)
	}
}

// program is what the commands share.
type program struct {
	root  string
	out   io.Writer
	paint bool
	now   func() time.Time
}

func (p *program) run(ctx context.Context, args []string) error {
	if len(args) != 1 && !(len(args) == 2 && args[0] == "up") {
		return errors.New(usage)
	}
	root, err := filepath.Abs(p.root)
	if err != nil {
		return err
	}
	p.root = root
	if _, err := os.Stat(filepath.Join(root, "statemachine.asl.json")); err != nil {
		return fmt.Errorf("%s isn't Slipway's repository: %w", root, err)
	}
	switch args[0] {
	case "up":
		return p.up(ctx, args[1:])
	case "down":
		return p.down()
	case "demo":
		return p.demo(ctx)
	case "tools":
		_, err := local.Install(ctx, root, p.say)
		return err
	case "emulator":
		return local.InstallEmulator(ctx, root, p.say)
	case "localstack":
		return local.LocalStackLacks()
	case "checkov", "sam", "uv": // prints where its command is, for make
		command, err := local.InstallTool(ctx, root, args[0], p.warn)
		if err == nil {
			p.say("%s", command)
		}
		return err
	}
	return errors.New(usage)
}

func (p *program) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

// warn says what isn't the command's answer.
func (p *program) warn(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// state is the folder of the cloud that up leaves running.
func (p *program) state() string { return filepath.Join(p.root, ".slipway") }

// up starts the cloud. Targets names functions that Slipway may deploy, with commas between them.
func (p *program) up(ctx context.Context, targets []string) (err error) {
	begin := p.now()
	names := strings.FieldsFunc(strings.Join(targets, ","), func(r rune) bool { return r == ',' })
	cloud, err := local.Start(ctx, local.Options{Root: p.root, State: p.state(), Port: local.DefaultPort, Say: p.say, Targets: names})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && !cloud.Kept {
			err = errors.Join(err, cloud.Stop())
		}
	}()
	if cloud.Kept {
		p.say("A local cloud already runs at %s; it stays, and gets what changed.", cloud.Endpoint())
	} else {
		p.say("A local cloud runs at %s. Its log is %s.", cloud.Endpoint(), p.relative(cloud.Log))
	}
	out, err := cloud.Deploy(ctx)
	if err != nil {
		return err
	}
	file, err := cloud.WriteEnv(out)
	if err != nil {
		return err
	}
	app := filepath.Join(p.state(), "shop.yaml")
	if err := writeApp(ctx, app, out.ShopURL); err != nil {
		return err
	}
	p.say("Slipway is up (%s).\n", seconds(p.now().Sub(begin)))
	p.say("%s", upNext(p.root, app, file))
	return nil
}

// upNext says what to do with a cloud that is up. The first command leaves the repository, so all later paths are absolute.
func upNext(root, app, env string) string {
	source, down := ". "+env, "make -C "+root+" down"
	width := max(len(source), len(down))
	return fmt.Sprintf(nextCommands, root, app, width, source, down)
}

const nextCommands = `What to try next
  cp -R examples/shop /tmp/shop && cd /tmp/shop && git init -qb main && git add . && git commit -qm "The shop opens"
  %[1]s/bin/slipway app apply -f %[2]s
  %[1]s/bin/slipway deploy --app shop --env production --wait
  %-[3]*[4]s  so that any AWS client uses this cloud: aws, sam, an SDK
  %-[3]*[5]s  stops it`

func (p *program) down() error {
	was, err := local.Stop(p.state())
	if err != nil {
		return err
	}
	if was {
		p.say("The local cloud is down.")
	} else {
		p.say("No local cloud runs.")
	}
	return nil
}

func (p *program) relative(path string) string {
	if short, err := filepath.Rel(p.root, path); err == nil {
		return short
	}
	return path
}
