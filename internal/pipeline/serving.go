package pipeline

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// latest is the version of a function that every code update changes. It is no release, and can't be gone back to.
const latest = "$LATEST"

// noRelease describes a version that none of the environment's deployments put live.
const noRelease = ", which is no release of this environment"

// maxBack is how many releases recognize looks back.
const maxBack = 20

// liveNow returns what serves before a deployment's first change: the head's word, corrected by the target's where somebody moved it
// without Slipway. The note says so for the timeline.
func liveNow(ctx context.Context, records Records, h *deploy.Head, targets Targets, d *deploy.Deployment) (_ *deploy.Live, note string, _ error) {
	known := h.Live
	if known == nil {
		known = &deploy.Live{}
	}
	t := d.Settings.Target
	if t.Type != deploy.TargetLambda {
		return liveScript(known)
	}
	serving, err := targets.Serving(ctx, t)
	if err != nil {
		return nil, "", err
	}
	if d.Action == deploy.Deploy {
		if err := published(t, serving); err != nil {
			return nil, "", err
		}
	}

	known, err = whole(ctx, records, known)
	if err != nil {
		return nil, "", err
	}
	switch {
	case serving.Alone(known.FunctionVersion):
		return served(known, serving), "", nil
	case d.Repairs != "" && known.Deployment != "" && deploy.SameFunction(known.TargetFunction, t.Function):
		return known, "", nil // what left the environment dirty left the target anywhere
	}
	found, what, err := recognize(ctx, records, h, serving)
	if err != nil {
		return nil, "", err
	}
	if h.Live == nil {
		return found, firstNote(t, serving, what), nil
	}
	return found, foundNote(t, known, what), nil
}

// liveScript returns what serves on a script target. What served when the environment had another kind of target isn't there.
func liveScript(known *deploy.Live) (*deploy.Live, string, error) {
	if known.TargetVersion == "" {
		return known, "", nil
	}
	return &deploy.Live{}, fmt.Sprintf("the environment has a script target by now; its last release was %s, which is no release to go back to from here", known.Name()), nil
}

// published is the error of an alias that points to no published version.
func published(t deploy.Target, s deploy.Serving) error {
	if s.TargetVersion != latest {
		return nil
	}
	return &deploy.Error{Kind: deploy.DeployFailed, Field: "target.alias", Err: fmt.Errorf(
		"alias %s of function %s is on $LATEST, which every code update changes at once; point it to a published version: "+
			"aws lambda publish-version --function-name %[2]s, then aws lambda update-alias --function-name %[2]s --name %[1]s --function-version N", t.Alias, t.Function)}
}

// firstNote says what serves before an environment's first release; nothing where it is one version from before Slipway.
func firstNote(t deploy.Target, s deploy.Serving, what string) string {
	if len(s.Others) == 0 && strings.HasSuffix(what, noRelease) {
		return ""
	}
	return fmt.Sprintf("alias %s serves %s", t.Alias, what)
}

// foundNote says that the target is not where Slipway left it.
func foundNote(t deploy.Target, known *deploy.Live, what string) string {
	switch {
	case known.TargetVersion == "" && known.Deployment != "":
		return fmt.Sprintf("the environment had a script target before; alias %s serves %s", t.Alias, what)
	case !deploy.SameFunction(known.TargetFunction, t.Function):
		return fmt.Sprintf("the environment's function was %s before; alias %s of %s serves %s", deploy.FunctionName(known.TargetFunction), t.Alias, t.Function, what)
	}
	return fmt.Sprintf("alias %s serves %s; Slipway left it at version %s: somebody else moved it", t.Alias, what, known.TargetVersion)
}

// recognize finds which release of the environment a version is, and describes it. It looks at what is live and was before, at the
// deployment that the version's description names, and at what those went back to. A version that is none of them has no deployment;
// from there the way leads back to the last release that Slipway put live.
func recognize(ctx context.Context, records Records, h *deploy.Head, s deploy.Serving) (_ *deploy.Live, what string, _ error) {
	for _, known := range []*deploy.Live{h.Live, h.Previous} {
		if known == nil || known.TargetVersion != s.TargetVersion {
			continue
		}
		known, err := whole(ctx, records, known)
		if err != nil {
			return nil, "", err
		}
		if known.Deployment != "" && known.Is(s.FunctionVersion) {
			return served(known, s), releaseText(s, known, ""), nil
		}
	}

	d, err := publisher(ctx, records, s)
	switch {
	case err != nil:
		return nil, "", err
	case d == nil:
	case d.App == h.App && d.Environment == h.Environment:
		return served(d.Live(), s), releaseText(s, d.Live(), ""), nil
	default: // the alias is another environment's too
		return served(unknown(h), s), releaseText(s, d.Live(), fmt.Sprintf(" to %s of %s", d.Environment, d.App)), nil
	}

	if h.Live != nil {
		for id, n := h.Live.Fallback, 0; id != "" && n < maxBack; n++ {
			d, err := records.Deployment(ctx, id)
			if deploy.KindOf(err) == deploy.NotFound {
				break
			} else if err != nil {
				return nil, "", err
			}
			if d.Live().Is(s.FunctionVersion) {
				return served(d.Live(), s), releaseText(s, d.Live(), ""), nil
			}
			id = d.Fallback
		}
	}
	return served(unknown(h), s), s.String() + noRelease, nil
}

// unknown is what serves where it is no release of the environment.
func unknown(h *deploy.Head) *deploy.Live {
	switch {
	case h.Live == nil:
		return &deploy.Live{}
	case h.Live.Deployment == "":
		return &deploy.Live{Fallback: h.Live.Fallback}
	}
	return &deploy.Live{Fallback: h.Live.Deployment}
}

// publisher returns the deployment that the version's description names, if it published the version; else nil.
func publisher(ctx context.Context, records Records, s deploy.Serving) (*deploy.Deployment, error) {
	id := s.Description[strings.LastIndexByte(s.Description, ' ')+1:]
	if !deploy.ValidID(id) {
		return nil, nil //nolint:nilnil // it is none of Slipway's
	}
	d, err := records.Deployment(ctx, id)
	if deploy.KindOf(err) == deploy.NotFound || err == nil && !d.Live().Is(s.FunctionVersion) {
		return nil, nil //nolint:nilnil // as above
	}
	return d, err
}

// describe is the description of a version that a deployment publishes; publisher reads it.
func describe(d *deploy.Deployment, commit string) string {
	return "slipway " + deploy.ShortCommit(commit) + " " + d.ID
}

// whole returns l with its version's function and code, which the heads of before lack: the deployment's record has them.
func whole(ctx context.Context, records Records, l *deploy.Live) (*deploy.Live, error) {
	if l.TargetVersion == "" || l.Deployment == "" || l.TargetFunction != "" && l.TargetCodeSHA256 != "" {
		return l, nil
	}
	d, err := records.Deployment(ctx, l.Deployment)
	if deploy.KindOf(err) == deploy.NotFound {
		return l, nil
	} else if err != nil {
		return nil, err
	}
	full := *l
	full.FunctionVersion = d.Live().FunctionVersion
	return &full, nil
}

// served returns the release as the target serves it.
func served(l *deploy.Live, s deploy.Serving) *deploy.Live {
	found := *l
	found.FunctionVersion, found.OtherVersions = s.FunctionVersion, s.OtherVersions()
	return &found
}

// liveText describes what serves.
func liveText(l *deploy.Live) string {
	text := l.Name()
	if l.OtherVersions != "" {
		text += " with " + l.OtherVersions
	}
	if l.Deployment == "" {
		return text + noRelease
	}
	return fmt.Sprintf("%s, the release %s of %s", text, deploy.ShortCommit(l.CommitSHA), l.Deployment)
}

func releaseText(s deploy.Serving, l *deploy.Live, whose string) string {
	return fmt.Sprintf("%s, the release %s of %s%s", s, deploy.ShortCommit(l.CommitSHA), l.Deployment, whose)
}
