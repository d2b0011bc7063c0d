package deploy

import "strings"

// ConfigFile is the file in a commit's root that says how it is deployed.
const ConfigFile = "slipway.yaml"

// IsMisnamedConfig reports whether a file in a commit's root was meant to be its slipway.yaml: slipway.yml, .slipway.yaml, Slipway.yaml.
func IsMisnamedConfig(name string) bool {
	plain := strings.TrimPrefix(strings.ToLower(name), ".")
	return name != ConfigFile && (plain == ConfigFile || plain == "slipway.yml")
}

// NoConfig says that a commit has no slipway.yaml, and what it has instead; misnamed is "" where there is nothing.
func NoConfig(misnamed string) string {
	if misnamed == "" {
		return "the commit has no " + ConfigFile + "; all defaults"
	}
	return "found " + misnamed + "; Slipway reads " + ConfigFile + ": all defaults"
}
