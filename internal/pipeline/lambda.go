package pipeline

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// reserve is what a handler keeps of its function's time to word an error and return it.
const reserve = 500 * time.Millisecond

// Handler wraps a stage for Lambda. Lambda would name an error by its outermost Go type; Step Functions' Catch and Retry
// know it by its Kind.
func Handler(name string, stage Stage, log *slog.Logger) func(context.Context, json.RawMessage) (*State, error) {
	return func(ctx context.Context, event json.RawMessage) (st *State, err error) {
		if deadline, ok := ctx.Deadline(); ok {
			var stop context.CancelFunc
			ctx, stop = context.WithDeadline(ctx, deadline.Add(-reserve))
			defer stop()
		}
		defer func() {
			if p := recover(); p != nil {
				log.Error("panic", "stage", name, "panic", p, "stack", string(debug.Stack()))
				st, err = nil, named(deploy.Errorf(deploy.Internal, name, "panic: %v", p))
			}
		}()
		var call Call
		if err := json.Unmarshal(event, &call); err != nil {
			return nil, named(deploy.Errorf(deploy.Invalid, name, "the call is not what the machine sends: %w", err))
		}
		begin := time.Now()
		st, err = stage.Run(ctx, call)
		if err != nil {
			log.Warn("stage ended with an error", "stage", name, "kind", deploy.KindOf(err), "error", err, "duration_ms", time.Since(begin).Milliseconds())
			return nil, named(err)
		}
		log.Info("stage ended", "stage", name, "deployment", st.Deployment, "verdict", st.Verdict, "status", st.Status, "duration_ms", time.Since(begin).Milliseconds())
		return st, nil
	}
}

func named(err error) error {
	return messages.InvokeResponse_Error{Type: string(deploy.KindOf(err)), Message: deploy.Cut(err.Error(), deploy.MaxErrorText)}
}
