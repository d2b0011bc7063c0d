package pipeline

import (
	"context"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Job is a deployment's record inside of the build that runs its stages: what Prepare left for the build, and after each
// change what Build shall find. It stands in for the table, which a build may not touch, so that Test and Build are the same
// there as in their functions.
type Job struct {
	Folder Folder
	known  *deploy.Deployment
}

// Folder is where a deployment's record lies while a build works on it.
type Folder interface {
	Job(ctx context.Context, id string) (*deploy.Deployment, error)    // as Prepare left it
	Result(ctx context.Context, id string) (*deploy.Deployment, error) // as the build left it
	PutResult(ctx context.Context, d *deploy.Deployment) error
	Stopped(ctx context.Context, id string) (bool, error) // somebody cancelled it
}

// Open reads the record for a stage: for the first one as Prepare left it, for the next as the one before did.
func (j *Job) Open(ctx context.Context, id, stage string) (err error) {
	if stage == "test" {
		j.known, err = j.Folder.Job(ctx, id)
	} else {
		j.known, err = j.Folder.Result(ctx, id)
	}
	return err
}

// Deployment implements Records: what is known, and whether it is cancelled by now.
func (j *Job) Deployment(ctx context.Context, id string) (*deploy.Deployment, error) {
	if id != j.known.ID {
		return nil, deploy.Errorf(deploy.NotFound, "", "this build is for %s, not for %s", j.known.ID, id)
	}
	if stopped, err := j.Folder.Stopped(ctx, id); err != nil {
		return nil, err
	} else if now := j.known.StartTime; stopped && j.known.CancelTime == nil {
		j.known.CancelTime = &now // when exactly is on the real record
	}
	d := *j.known
	return &d, nil
}

// Update implements Records. Nobody else writes, so that nothing can be overtaken.
func (j *Job) Update(ctx context.Context, d *deploy.Deployment, change func(*deploy.Deployment) error) error {
	fresh, err := j.Deployment(ctx, d.ID)
	if err != nil {
		return err
	}
	fresh.Stages = append([]deploy.Stage{}, fresh.Stages...) // a change that is refused leaves no trace
	if err := change(fresh); err != nil {
		return err
	}
	if err := j.Folder.PutResult(ctx, fresh); err != nil {
		return err
	}
	known := *fresh
	j.known, *d = &known, *fresh
	return nil
}

// Release implements Releases: what Prepare found built of the commit and fit to be taken, nil for nothing.
func (j *Job) Release(context.Context, string, string) (*deploy.Release, error) {
	return j.known.Release, nil
}

// PutRelease implements Releases. The stage's end brings it into the result, and Build has the last word.
func (j *Job) PutRelease(_ context.Context, r *deploy.Release, _ bool) (*deploy.Release, error) {
	return r, nil
}
