package deploy

import (
	"fmt"
	"strings"
	"unicode"
)

// Repair is what a caller asks for to end a dirty environment, and who asked. It is kept on the record of the deployment
// that does it.
type Repair struct {
	Of          string `json:"of,omitempty"`           // the dirty deployment; "" for a rollback that skips scripts elsewhere
	By          string `json:"by,omitempty"`           // the caller's ARN; "" for an execution that was started by hand
	Why         string `json:"why"`                    // the caller's reason
	SkipScripts bool   `json:"skip_scripts,omitempty"` // run no script and no hook of the commit that is undone
	Declared    bool   `json:"declared,omitempty"`     // the caller has repaired it by hand: change nothing, record what serves
}

// MaxWhy is the most bytes of a reason.
const MaxWhy = 500

// CheckWhy checks a reason, which is kept and shown in one line.
func CheckWhy(why string) error {
	switch {
	case strings.TrimSpace(why) == "":
		return FieldErrorf("why", "is missing; want the reason for the repair, which is kept on the record")
	case len(why) > MaxWhy || strings.ContainsFunc(why, unicode.IsControl):
		return FieldErrorf("why", "%d bytes; want at most %d in one line, without control characters", len(why), MaxWhy)
	}
	return nil
}

// RepairCommands are the commands that end the dirty environment which a deployment left, for people to read.
func RepairCommands(id string) string {
	return fmt.Sprintf("slipway repair %s --why REASON (if that fails, with --skip-scripts, --to DEPLOYMENT or --declare-repaired); "+
		"or slipway deploy --repairs %[1]s --why REASON", id)
}

// RollbackToRefused returns the error of a rollback that names a release while its environment is dirty since another deployment. Only
// a repair may name one there: that is a permission of its own.
func RollbackToRefused(environment, dirty, to string) error {
	return &Error{Kind: Conflict, Field: "to", Err: fmt.Errorf("%[1]s is dirty since %[2]s, and only a repair may name the release to restore; want "+
		"slipway repair %[2]s --to %[3]s --why REASON (POST …/deployments/%[2]s/repair/to), or no to, which runs the same way back again",
		environment, dirty, to)}
}

// SkipsScripts reports whether the way back runs no script and no hook of the commit that it undoes.
func (d *Deployment) SkipsScripts() bool {
	return d.Repairing != nil && (d.Repairing.SkipScripts || d.Repairing.Declared)
}

// Declared reports whether a caller says that the environment was repaired by hand.
func (d *Deployment) Declared() bool { return d.Repairing != nil && d.Repairing.Declared }

// Aim returns what the way back of a deployment restores: for a deploy what was live before its first change, for a
// rollback the release that it was asked for. It is never nil.
func (d *Deployment) Aim() *Live {
	if d.Action == Rollback {
		aim := d.Live()
		aim.Deployment = d.RollbackTo
		return aim
	}
	if d.Previous == nil {
		return &Live{}
	}
	return d.Previous
}

// CheckRepair returns why the way back that left d's environment dirty can't be run again on target t: it restored something that
// only the target of then has.
func (d *Deployment) CheckRepair(t Target) error {
	if d.Settings == nil || d.Settings.Target.Same(t) || d.Settings.Target.Type == t.Type && d.Aim().Deployment != "" {
		return nil
	}
	return Errorf(Conflict, "", "%s became dirty as %s and is %s by now: the same way back leads nowhere; want --to DEPLOYMENT or "+
		"--declare-repaired, or slipway deploy --repairs %s", d.Environment, d.Settings.Target, t, d.ID)
}

// String describes the repair: how it is done, if not in the plain way, by whom, and why.
func (r *Repair) String() string {
	text := ""
	switch {
	case r.Declared:
		text = "declared repaired by hand, "
	case r.SkipScripts:
		text = "without scripts, "
	}
	if r.By != "" {
		text += "by " + r.By
	} else {
		text += "by an unnamed caller"
	}
	return text + ": " + r.Why
}
