package pipeline

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// hints says what a commit's author most likely didn't mean. None of it stops a deployment.
func hints(d *deploy.Deployment) (hints []string) {
	if deploysNothing(d) {
		hints = append(hints, "nothing deploys it: a script target is changed by scripts.deploy in slipway.yaml, and there is none")
	}
	if names := missed(d); len(names) > 0 {
		hints = append(hints, fmt.Sprintf("test and build don't get %s, which is of the environment; build_variables in app.yaml are for them",
			strings.Join(names, ", ")))
	}
	if expands(buildScripts(d), environmentVariable) {
		hints = append(hints, fmt.Sprintf("test and build don't get %s: a release is built once for all environments", environmentVariable))
	}
	return hints
}

// environmentVariable is Slipway's own variable that builds don't get. No build_variables can set it.
const environmentVariable = "SLIPWAY_ENVIRONMENT"

func buildScripts(d *deploy.Deployment) string {
	return d.Config.Scripts.Test + "\n" + d.Config.Scripts.Build
}

// deploysNothing reports whether no script and no hook of a script target's deployment runs on the way up.
func deploysNothing(d *deploy.Deployment) bool {
	s, h := d.Config.Scripts, d.Config.Hooks
	return d.Settings.Target.Type == deploy.TargetScript &&
		s.PreDeploy == "" && s.Deploy == "" && s.PostDeploy == "" && len(h.PreDeploy) == 0 && len(h.PostDeploy) == 0
}

// missed lists the variables that the test or the build script names and doesn't get, since they are the environment's.
func missed(d *deploy.Deployment) (names []string) {
	text := buildScripts(d)
	here := maps.Clone(d.Settings.Variables)
	if here == nil {
		here = map[string]string{}
	}
	maps.Copy(here, d.Config.Variables)
	for _, name := range slices.Sorted(maps.Keys(here)) {
		_, commits := d.Config.VariablesOfBuild()[name]
		_, owners := d.Variables[name]
		if !commits && !owners && expands(text, name) {
			names = append(names, name)
		}
	}
	return names
}

// expands reports whether a script names the variable's value.
func expands(script, variable string) bool {
	return strings.Contains(script, "$") && regexp.MustCompile(`\$\{?`+variable+`\b`).MatchString(script)
}
