package pipeline

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Hooks runs what a commit asks to be told.
type Hooks struct {
	Functions interface {
		Invoke(ctx context.Context, function string, payload []byte) error
	}
	Events interface {
		Put(ctx context.Context, detailType string, detail []byte) error
	}
}

// call is what a hook is given: a function as its event, an event as its detail.
type call struct {
	Hook        string        `json:"hook"`
	Deployment  string        `json:"deployment"`
	App         string        `json:"app"`
	Environment string        `json:"environment"`
	Action      deploy.Action `json:"action"`
	CommitSHA   string        `json:"commit_sha"`
	Branch      string        `json:"branch"`
	Error       string        `json:"error"`
}

// run runs the hooks of a point, once for a deployment, in their order. One that fails is on the timeline and stops
// nothing; only a record that can't be written is an error.
func (h *Hooks) run(ctx context.Context, b *bench, point string) error {
	return h.runWithin(ctx, b, point, 0)
}

// runWithin is run for hooks that may take limit together, and their output and the record margin more; 0 is no limit but the
// function's. Each that has no time left gets a second.
func (h *Hooks) runWithin(ctx context.Context, b *bench, point string, limit time.Duration) error {
	if b.d.SkipsScripts() || b.d.Config == nil || len(b.d.Config.Hooks.At(point)) == 0 || slices.Contains(b.d.HooksRun, point) {
		return nil
	}
	hooks := b.d.Config.Hooks.At(point)
	err := b.shop.update(ctx, b.st, b.d, func(d *deploy.Deployment) error {
		if err := b.st.claim(d, b.stage); err != nil {
			return err
		}
		d.HooksRun = append(d.HooksRun, point)
		return nil
	})
	if err != nil {
		return err
	}
	bounded, stop := ctx, func() {}
	if limit > 0 {
		bounded, stop = context.WithTimeout(ctx, limit+margin)
	}
	defer stop()
	for _, hook := range hooks {
		result := "done"
		if err := h.one(bounded, b, point, hook); err != nil {
			if k := deploy.KindOf(err); k == deploy.Cancelled || k == deploy.Fenced {
				return err
			}
			result = "failed, which stops nothing: " + err.Error()
		}
		if err := b.shop.note(ctx, b.st, b.d, "hook %s, %s: %s", point, hook, result); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hooks) one(ctx context.Context, b *bench, point string, hook deploy.Hook) error {
	if hook.Script != "" {
		return b.run(ctx, deploy.DeployFailed, point+" hook", hook.Script)
	}
	d := b.d
	payload, err := json.Marshal(call{point, d.ID, d.App, d.Environment, d.Action, d.CommitSHA, d.Branch, d.Error})
	if err != nil {
		return deploy.Errorf(deploy.Internal, "hook", "%w", err)
	}
	ctx, stop := context.WithTimeout(ctx, b.limit(ctx)) // as a script's
	defer stop()
	if hook.Function != "" {
		// Prepare has checked what a commit names, but a record may be older than the check.
		if err := d.Settings.CheckHookFunction(d.Environment, "function", hook.Function); err != nil {
			return err
		}
		if err := b.shop.mayStart(ctx, b.st, b.d, b.stage); err != nil {
			return err
		}
		return h.Functions.Invoke(ctx, hook.Function, payload)
	}
	return h.Events.Put(ctx, hook.Event, payload)
}
