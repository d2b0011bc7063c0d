package rig

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Execution is one that has succeeded.
type Execution struct {
	ID     string
	Took   time.Duration
	States []State
}

// State is one state's part of an execution.
type State struct {
	Name string
	Took time.Duration // from its entry to the next state's, or to the execution's end
}

// Deploy runs one deployment of a new commit with that slipway.yaml, recorded first and then started, as the API does.
func (r *Rig) Deploy(ctx context.Context, config string) (*Execution, error) {
	d := deploy.New(newID(), deploy.Deploy, App, Environment, time.Now())
	settings, err := r.app.Environment(Environment)
	if err != nil {
		return nil, err
	}
	d.Settings = settings
	if d.CommitSHA, d.Source, err = r.Commit(ctx, config); err != nil {
		return nil, err
	}
	if err := r.Store.Create(ctx, d); err != nil {
		return nil, err
	}
	return r.run(ctx, r.Out.StateMachineARN, d.ID, map[string]string{"deployment": d.ID})
}

func newID() string { return deploy.NewID(time.Now(), []byte(rand.Text())) }

// Run runs one execution of a machine to its end. One that does not succeed is an error.
func (r *Rig) Run(ctx context.Context, machine string, input any) (*Execution, error) {
	return r.run(ctx, machine, newID(), input)
}

func (r *Rig) run(ctx context.Context, machine, id string, input any) (*Execution, error) {
	text, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	started, err := r.sfn.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &machine, Name: &id, Input: aws.String(string(text))})
	if err != nil {
		return nil, err
	}
	out, err := wait(ctx, r.sfn, *started.ExecutionArn)
	if err != nil {
		return nil, err
	}
	e := &Execution{ID: id, Took: out.StopDate.Sub(*out.StartDate)}
	e.States, err = states(ctx, r.sfn, *started.ExecutionArn)
	return e, err
}

// wait asks seldom: each question takes the one emulator's time from what is measured.
func wait(ctx context.Context, client *sfn.Client, arn string) (*sfn.DescribeExecutionOutput, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
		out, err := client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
		switch {
		case err != nil:
			return nil, err
		case out.Status == types.ExecutionStatusSucceeded:
			return out, nil
		case out.Status != types.ExecutionStatusRunning:
			return nil, fmt.Errorf("%s: %s: %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
		}
	}
}

func states(ctx context.Context, client *sfn.Client, arn string) ([]State, error) {
	var found []State
	var entered time.Time
	close := func(at time.Time) {
		if len(found) > 0 {
			found[len(found)-1].Took = at.Sub(entered)
		}
	}
	pages := sfn.NewGetExecutionHistoryPaginator(client, &sfn.GetExecutionHistoryInput{ExecutionArn: &arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			switch {
			case e.StateEnteredEventDetails != nil:
				close(*e.Timestamp)
				found, entered = append(found, State{Name: *e.StateEnteredEventDetails.Name}), *e.Timestamp
			case e.Type == types.HistoryEventTypeExecutionSucceeded:
				close(*e.Timestamp)
			}
		}
	}
	return found, nil
}
