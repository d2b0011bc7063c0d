package deploy

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// FunctionVersion is a published version of a Lambda function. A number alone says nothing: it belongs to one function, and a
// function that is deleted and created again may give it to other code. All fields are empty for a script target. Older
// records hold the number alone.
type FunctionVersion struct {
	TargetFunction   string `json:"target_function,omitempty"`    // ARN without a version or an alias
	TargetVersion    string `json:"target_version,omitempty"`     // number
	TargetCodeSHA256 string `json:"target_code_sha256,omitempty"` // of the code, in base64 as Lambda's CodeSha256
}

// Is reports whether v and w are the same version, as far as both are known.
func (v FunctionVersion) Is(w FunctionVersion) bool {
	return v.TargetVersion != "" && v.TargetVersion == w.TargetVersion && SameFunction(v.TargetFunction, w.TargetFunction) &&
		sameOrUnknown(v.TargetCodeSHA256, w.TargetCodeSHA256)
}

// Name names the version and its function.
func (v FunctionVersion) Name() string {
	if v.TargetFunction == "" {
		return "version " + v.TargetVersion
	}
	return "version " + v.TargetVersion + " of " + FunctionName(v.TargetFunction)
}

// SameFunction reports whether a and b, each an ARN, a name or unknown (""), can be the same function.
func SameFunction(a, b string) bool {
	if isARN(a) && isARN(b) {
		return a == b
	}
	return sameOrUnknown(FunctionName(a), FunctionName(b))
}

// FunctionName returns the name in a function's ARN; a name stays as it is.
func FunctionName(function string) string {
	if isARN(function) {
		return function[strings.LastIndexByte(function, ':')+1:]
	}
	return function
}

func isARN(function string) bool { return strings.Contains(function, ":") }

func sameOrUnknown(a, b string) bool { return a == "" || b == "" || a == b }

// Serving is what an alias says: the version that takes all traffic, or what others leave.
type Serving struct {
	FunctionVersion
	Others      map[string]float64 // other versions' numbers, with the share of traffic that each takes, 0 to 1
	Description string             // of the version, from whoever published it
}

// Alone reports whether v takes all traffic.
func (s Serving) Alone(v FunctionVersion) bool { return len(s.Others) == 0 && s.Is(v) }

// Includes reports whether v takes any traffic.
func (s Serving) Includes(v FunctionVersion) bool {
	return s.Is(v) || s.Others[v.TargetVersion] > 0 && SameFunction(s.TargetFunction, v.TargetFunction)
}

// Same reports whether s and w send each version the same share of traffic.
func (s Serving) Same(w Serving) bool {
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-4 }
	return s.Is(w.FunctionVersion) && maps.EqualFunc(s.Others, w.Others, near)
}

// String names the versions and their shares of traffic.
func (s Serving) String() string {
	text := s.Name()
	if others := s.OtherVersions(); others != "" {
		text += " with " + others
	}
	return text
}

// OtherVersions lists the other versions with their shares, in the order of their numbers; "" where there are none.
func (s Serving) OtherVersions() string {
	var parts []string
	for _, version := range slices.Sorted(maps.Keys(s.Others)) {
		parts = append(parts, fmt.Sprintf("%.0f %% to version %s", 100*s.Others[version], version))
	}
	return strings.Join(parts, ", ")
}

// CodeSHA256 returns the artifact's digest as Lambda writes it: in base64. It is "" for a digest that is none.
func (a Artifact) CodeSHA256() string {
	raw, err := hex.DecodeString(a.SHA256)
	if err != nil || len(raw) != 32 {
		return ""
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// Same reports whether r and o are the same release: the same commit with the same artifacts.
func (r *Release) Same(o *Release) bool {
	if r == nil || o == nil || r.CommitSHA != o.CommitSHA || r.CommitSHA == "" {
		return false
	}
	return maps.Equal(r.digests(), o.digests())
}

func (r *Release) digests() map[string]string {
	digests := map[string]string{}
	for _, a := range r.Artifacts {
		digests[a.Path] = a.SHA256
	}
	return digests
}
