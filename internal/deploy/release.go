package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// VariablesDigest identifies build variables as app.yaml has them, references to secrets included and their values not: it is the
// SHA-256 of their JSON in hex, "" where there are none.
func VariablesDigest(variables map[string]string) string {
	if len(variables) == 0 {
		return ""
	}

	text, _ := json.Marshal(variables) // names in order; strings have nothing that could fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Takes reports whether the deployment may take a release of its commit instead of building one. Where it may not, why says so.
// A release that the deployment built itself, before it was run again, is always taken.
func (d *Deployment) Takes(r *Release) (ok bool, why string) {
	switch {
	case r == nil:
		return false, ""
	case r.BuiltBy == d.ID:
		return true, ""
	case d.Rebuild:
		return false, "a rebuild was asked for"
	case r.BuildVariables != VariablesDigest(d.Variables):
		return false, "build_variables were others"
	case !d.sourceOf(r) && d.Source.Fetched():
		return false, "its source was another bundle"
	}
	return true, ""
}

// CheckSource refuses a deployment whose uploaded bundle is not the one that its commit's release was tested and built of. A rebuild
// is let through: it tests and builds the deployment's own bundle. The error is Conflict.
func (d *Deployment) CheckSource(r *Release) error {
	if r == nil || d.Rebuild || d.sourceOf(r) || d.Source.Fetched() {
		return nil
	}
	return Errorf(Conflict, "source", "the bundle of commit %s has SHA-256 %s, and its release by %s was tested and built of %s; "+
		"deploy with rebuild (--rebuild) to test and build this bundle", d.CommitSHA, d.Source.SHA256, r.BuiltBy, r.SourceSHA256)
}

// sourceOf reports whether a release was built of the deployment's bundle, or one of the two is not known.
func (d *Deployment) sourceOf(r *Release) bool {
	return d.Source == nil || d.Source.SHA256 == "" || r.SourceSHA256 == "" || d.Source.SHA256 == r.SourceSHA256
}
