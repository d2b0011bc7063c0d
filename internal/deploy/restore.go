package deploy

import "fmt"

// CheckRestore returns why d's release can't be put back on target t: it was never healthy, or it is one for another kind of target.
func (d *Deployment) CheckRestore(t Target) error {
	switch {
	case d.Status != Success && d.Status != RolledBack:
		return restoreErrorf("%s is %s; want a deployment whose release was healthy: one that ended in success", d.ID, d.Status)
	case d.Release == nil:
		return restoreErrorf("%s has no release to restore", d.ID)
	case !d.WentLive():
		return restoreErrorf("%s was rolled back before it was healthy", d.ID)
	}
	return d.checkTarget(t)
}

func (d *Deployment) checkTarget(t Target) error {
	if d.Settings == nil || d.Settings.Target.Type == "" || d.Settings.Target.Type == t.Type {
		return nil
	}
	return restoreErrorf("%s went to a %s target; %s has a %s target by now, where its release can't be put", d.ID, d.Settings.Target.Type, d.Environment, t.Type)
}

// CheckChange returns why a rollback to d would change nothing while live serves on target t: it is the same release, and on a Lambda
// target the same version of the function, as far as both are known.
func (d *Deployment) CheckChange(live *Deployment, t Target) error {
	switch {
	case live == nil:
		return nil
	case live.ID == d.ID:
		return restoreErrorf("%s is live already", d.ID)
	case !d.Release.Same(live.Release) || !SameFunction(live.Live().TargetFunction, t.Function):
		return nil
	case d.hasOtherVersion(live): // the function's configuration was changed in between
		return nil
	}
	return restoreErrorf("the release %s of %s is live already, by %s: going back to it would change nothing", ShortCommit(d.CommitSHA), d.ID, live.ID)
}

// hasOtherVersion reports whether d and o put different versions of one function live; false where either is unknown.
func (d *Deployment) hasOtherVersion(o *Deployment) bool {
	v, w := d.Live(), o.Live()
	return v.TargetVersion != "" && w.TargetVersion != "" && v.TargetVersion != w.TargetVersion && SameFunction(v.TargetFunction, w.TargetFunction)
}

func restoreErrorf(format string, args ...any) error {
	return &Error{Kind: Conflict, Field: "to", Err: fmt.Errorf(format, args...)}
}

// Before finds what a rollback of d restores: the deployment of the release before d's. Conflict where there is none, or where it
// was for another kind of target than t.
func (d *Deployment) Before(t Target, read func(id string) (*Deployment, error)) (*Deployment, error) {
	id, err := ReleaseBefore(d.Release, d.Fallback, read)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, Errorf(Conflict, "", "there is no earlier release to go back to from %s: %s", d.ID, d.whyNoneBefore())
	}
	to, err := read(id)
	if err != nil {
		return nil, err
	}
	return to, to.checkTarget(t)
}

// whyNoneBefore says what served before d where that was no release.
func (d *Deployment) whyNoneBefore() string {
	if d.Previous != nil && d.Previous.Deployment == "" && d.Previous.TargetVersion != "" {
		return fmt.Sprintf("before it served %s, which Slipway did not put there", d.Previous.Name())
	}
	return "it was the first in its environment, or everything before it was undone or was never healthy"
}

// ReleaseBefore walks from a deployment back over those that each would restore, and returns the first whose release is another one
// than r and was healthy. It is "" where there is none.
func ReleaseBefore(r *Release, from string, read func(id string) (*Deployment, error)) (string, error) {
	for range maxSameRelease {
		if from == "" {
			return "", nil
		}
		d, err := read(from)
		if err != nil {
			return "", err
		}
		if !r.Same(d.Release) && d.WentLive() {
			return from, nil
		}
		from = d.Fallback
	}
	return "", nil
}

// maxSameRelease is how many deployments of one release in a row ReleaseBefore passes.
const maxSameRelease = 100
