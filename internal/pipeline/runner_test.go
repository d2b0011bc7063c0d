package pipeline_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	yaml "github.com/slipway-cd/slipway/internal/config"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/source"
)

// prepare is the stage in this process, over the real table and bucket.
func prepare() *pipeline.Prepare {
	sources := source.NewS3(world.s3, world.out.Bucket)
	return &pipeline.Prepare{
		Desk: pipeline.Desk{Records: world.store, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, Create: world.store.Create,
		App: world.store.App, Heads: world.store, Sources: sources, Jobs: sources, Built: world.store, Parse: yaml.Parse,
		Scan: func(r io.Reader, name string) ([]byte, bool, []string, error) {
			return source.Scan(r, source.Limits{}, name)
		},
		Find: func(r io.Reader, match func(string) bool) (string, error) {
			return source.Find(r, source.Limits{}, match)
		},
	}
}

// The environment's word on the runner goes before the stack's, and a build goes where there is something to run.
func TestRunner(t *testing.T) {
	nothing := "scripts: {test: '', build: ''}"
	for name, c := range map[string]struct {
		setting, stack deploy.Runner
		text           string
		force          bool
		want           deploy.Runner
	}{
		"unset, by the stack":     {"", deploy.RunnerCodeBuild, "", false, deploy.RunnerCodeBuild},
		"unset, by the functions": {"", deploy.RunnerFunction, "", false, deploy.RunnerFunction},
		"function":                {deploy.RunnerFunction, deploy.RunnerCodeBuild, "", false, deploy.RunnerFunction},
		"codebuild":               {deploy.RunnerCodeBuild, deploy.RunnerFunction, "", false, deploy.RunnerCodeBuild},
		"nothing to run":          {deploy.RunnerCodeBuild, deploy.RunnerFunction, nothing, false, deploy.RunnerFunction},
		"by force":                {deploy.RunnerCodeBuild, deploy.RunnerFunction, "", true, deploy.RunnerCodeBuild},
		"by force, only tests":    {deploy.RunnerCodeBuild, deploy.RunnerFunction, "scripts: {build: ''}", true, deploy.RunnerFunction},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			s := a.Environments["production"]
			s.Runner = c.setting
			a.Environments["production"] = s
			a.apply()
			p := prepare()
			p.Runner = c.stack
			input, _ := json.Marshal(pipeline.Input{App: a.name, Environment: "production", CommitSHA: a.commit("one", c.text), Force: c.force})
			id := deploy.NewID(time.Now(), []byte(randomText()))
			st, err := p.Run(t.Context(), pipeline.Call{State: input, Execution: "arn:aws:states:us-east-1:000000000000:execution:slipway:" + id, StartTime: time.Now()})
			if err != nil || st.Runner != c.want {
				t.Fatalf("state %+v, %v, want %s", st, err, c.want)
			}
			job, err := source.NewS3(world.s3, world.out.Bucket).Job(t.Context(), id)
			if c.want == deploy.RunnerCodeBuild && (err != nil || job.Config == nil || job.Source == nil || job.Source.SHA256 == "" || job.Settings == nil) {
				t.Errorf("the build finds %+v, %v", job, err)
			}
			if c.want == deploy.RunnerFunction && deploy.KindOf(err) != deploy.NotFound {
				t.Errorf("there is a job for nobody: %+v, %v", job, err)
			}
		})
	}
}

// cancelling is a bucket at whose first job somebody cancels the deployment.
type cancelling struct {
	*source.S3
	a *app
}

func (c cancelling) PutJob(ctx context.Context, d *deploy.Deployment) error {
	if err := c.S3.PutJob(ctx, d); err != nil {
		return err
	}
	return c.a.cancel(d.ID)
}

// Whoever cancels while Prepare is at work can't tell a build of it, so Prepare lets none begin.
func TestCancelledBeforeItGoesToCodeBuild(t *testing.T) {
	a := newBuildApp(t)
	p := prepare()
	p.Jobs = cancelling{source.NewS3(world.s3, world.out.Bucket), a}
	d := deploy.New(deploy.NewID(time.Now(), []byte(randomText())), deploy.Deploy, a.name, "production", time.Now())
	d.CommitSHA = a.commit("one", config())
	if err := world.store.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	call := pipeline.Call{State: []byte(`{"deployment":"` + d.ID + `"}`), Execution: "arn:aws:states:us-east-1:000000000000:execution:slipway:" + d.ID, StartTime: time.Now()}
	if st, err := p.Run(t.Context(), call); deploy.KindOf(err) != deploy.Cancelled {
		t.Errorf("went on with %+v, %v", st, err)
	}
	byHand := pipeline.Input{App: a.name, Environment: "production", CommitSHA: d.CommitSHA}
	call.State, _ = json.Marshal(byHand)
	call.Execution = "arn:aws:states:us-east-1:000000000000:execution:slipway:" + deploy.NewID(time.Now(), []byte(randomText()))
	if st, err := p.Run(t.Context(), call); deploy.KindOf(err) != deploy.Cancelled {
		t.Errorf("by hand: went on with %+v, %v", st, err)
	}
}
