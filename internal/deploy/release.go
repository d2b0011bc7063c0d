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
	}
	return true, ""
}
