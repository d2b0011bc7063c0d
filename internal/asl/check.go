package asl

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// MaxPlain is how many states a plain deployment may enter, on either runner: each one is paid for, and takes its time.
const MaxPlain = 10

// Plain and PlainBuild are what the choices read in a deployment that goes well: on functions alone, and with a build.
var (
	Plain      = map[string]string{"$.action": "deploy", "$.runner": "function", "$.verdict": "done", "$.status": "success"}
	PlainBuild = map[string]string{"$.action": "deploy", "$.runner": "codebuild", "$.verdict": "done", "$.status": "success"}
)

// Transient are the errors that a function's task is retried after: Lambda's own, never one that a handler returned. Source: Step
// Functions' documentation, "Handle transient Lambda service exceptions".
var Transient = []string{
	"Lambda.ClientExecutionTimeoutException", "Lambda.ServiceException", "Lambda.AWSLambdaException",
	"Lambda.SdkClientException", "Lambda.TooManyRequestsException",
}

// TransientBuild are the same for a build: errors of CodeBuild's API before there is a build, never a build that failed, which is
// States.TaskFailed. The names are Step Functions' service prefix and the API's error.
var TransientBuild = []string{
	"CodeBuild.CodeBuildException", "CodeBuild.SdkClientException", "CodeBuild.AccountLimitExceededException",
}

// known are AWS's other error names that a Retry or Catch can see. States.Runtime and States.DataLimitExceeded are left out:
// nothing catches them. Source: Step Functions' documentation, "Handling errors in workflows".
var known = []string{
	all, "States.TaskFailed", "States.Timeout", "States.Permissions", "States.ResultPathMatchFailure",
	"States.ParameterPathFailure", "States.IntrinsicFailure", "Lambda.Unknown", "Lambda.ResourceNotFoundException", "Sandbox.Timedout",
}

const all = "States.ALL"

// absent are features that the local cloud lacks, or has wrong, and that have another way. A machine with them would pass
// its tests without doing on AWS what they saw.
var absent = map[string]string{
	"HeartbeatSeconds":     "it is ignored",
	"HeartbeatSecondsPath": "it is ignored",
	"TimeoutSecondsPath":   "only a literal TimeoutSeconds counts",
	"Assign":               "there are no variables",
	"QueryLanguage":        "the machine is JSONPath throughout",
}

var (
	functionArn = regexp.MustCompile(`^\$\{([A-Za-z]+)FunctionArn\}$`)
	resources   = []string{"arn:aws:states:::lambda:invoke", "arn:aws:states:::lambda:invoke.waitForTaskToken", startBuild}
)

const startBuild = "arn:aws:states:::codebuild:startBuild.sync"

// Check holds a machine to the project's rules: those that a validator of the language misses. Functions are the names of the
// folders in functions/. It gives one line for each fault.
func Check(m *Machine, functions []string) []string {
	faults := slices.Concat(m.checkPaths(), m.checkPlain(), checkAbsent("", m.tree))
	if m.Comment == "" {
		faults = append(faults, "the machine has no Comment")
	}
	for _, name := range m.order {
		s := m.States[name]
		found := slices.Concat(s.checkForm(), s.checkTask(functions), s.checkRetry(), s.checkCatch())
		for _, fault := range found {
			faults = append(faults, name+": "+fault)
		}
	}
	return faults
}

// checkPaths finds ways to nowhere, states that nothing leads to, and states that lead to no end.
func (m *Machine) checkPaths() (faults []string) {
	if m.States[m.StartAt] == nil {
		return []string{fmt.Sprintf("StartAt: no state %q", m.StartAt)}
	}
	back := map[string][]string{}
	for _, name := range m.order {
		for _, e := range m.Edges(name) {
			if m.States[e.To] == nil {
				faults = append(faults, fmt.Sprintf("%s: leads to %q, which is no state", name, e.To))
				continue
			}
			back[e.To] = append(back[e.To], name)
		}
	}
	forth := func(name string) (next []string) {
		for _, e := range m.Edges(name) {
			next = append(next, e.To)
		}
		return next
	}
	var ends []string
	for _, name := range m.order {
		if m.States[name].Ends() {
			ends = append(ends, name)
		}
	}
	reached := m.spread([]string{m.StartAt}, forth)
	ending := m.spread(ends, func(name string) []string { return back[name] })
	for _, name := range m.order {
		if !reached[name] {
			faults = append(faults, name+": nothing leads here")
		}
		if !ending[name] {
			faults = append(faults, name+": no end is reached from here")
		}
	}
	return faults
}

// spread marks the states that can be reached from some of them.
func (m *Machine) spread(from []string, next func(string) []string) map[string]bool {
	seen := map[string]bool{}
	for len(from) > 0 {
		name := from[0]
		from = from[1:]
		if m.States[name] != nil && !seen[name] {
			seen[name] = true
			from = append(from, next(name)...)
		}
	}
	return seen
}

func (m *Machine) checkPlain() []string {
	for _, input := range []map[string]string{Plain, PlainBuild} {
		path, err := m.Walk(input)
		switch {
		case err != nil:
			return []string{"a plain deployment: " + err.Error()}
		case len(path) > MaxPlain:
			return []string{fmt.Sprintf("a plain deployment enters %d states, want at most %d: %s", len(path), MaxPlain, strings.Join(path, " "))}
		}
	}
	return nil
}

// checkAbsent looks through the whole definition, but for what is handed to functions.
func checkAbsent(path string, value any) (faults []string) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if why, ok := absent[key]; ok {
				faults = append(faults, fmt.Sprintf("%s%s: not in the local cloud: %s", path, key, why))
			}
			if key == "TimeoutSeconds" && path == "" {
				faults = append(faults, "TimeoutSeconds: not in the local cloud: the machine's own time-out is ignored")
			}
			if key != "Parameters" && key != "ResultSelector" && key != "Result" {
				faults = append(faults, checkAbsent(path+key+".", v[key])...)
			}
		}
	case []any:
		for i, each := range v {
			faults = append(faults, checkAbsent(fmt.Sprintf("%s%d.", path, i), each)...)
		}
	}
	return faults
}

func (s *State) checkForm() (faults []string) {
	if s.Comment == "" {
		faults = append(faults, "no Comment")
	}
	if s.Type == "Choice" && s.Default == "" {
		faults = append(faults, "a Choice without a Default")
	}
	return faults
}

func (s *State) checkTask(functions []string) (faults []string) {
	if s.Type != "Task" {
		return nil
	}
	if !slices.Contains(resources, s.Resource) {
		faults = append(faults, fmt.Sprintf("Resource %q; want one of %s", s.Resource, strings.Join(resources, ", ")))
	}
	if seconds, ok := s.TimeoutSeconds.(float64); !ok || seconds < 1 || seconds != float64(int(seconds)) {
		faults = append(faults, "no literal TimeoutSeconds")
	}
	if s.Resource == startBuild {
		return faults
	}
	match := functionArn.FindStringSubmatch(s.Parameters.FunctionName)
	if match == nil {
		faults = append(faults, fmt.Sprintf("FunctionName %q; want ${NameFunctionArn}", s.Parameters.FunctionName))
	} else if folder := strings.ToLower(match[1]); !slices.Contains(functions, folder) {
		faults = append(faults, fmt.Sprintf("there is no functions/%s for %s", folder, s.Parameters.FunctionName))
	}
	return faults
}

func (s *State) checkRetry() (faults []string) {
	var names []string
	for _, r := range s.Retry {
		names = append(names, r.ErrorEquals...)
		if r.BackoffRate != nil && *r.BackoffRate < 1 {
			faults = append(faults, fmt.Sprintf("a BackoffRate of %v, under 1", *r.BackoffRate))
		}
		if r.MaxAttempts != nil && *r.MaxAttempts < 1 {
			faults = append(faults, "a Retry without attempts")
		}
		if r.IntervalSeconds != nil && *r.IntervalSeconds < 1 {
			faults = append(faults, "a Retry without a pause")
		}
		if r.JitterStrategy != "FULL" || r.MaxDelaySeconds == nil {
			faults = append(faults, "a Retry without jitter or MaxDelaySeconds; many executions would come back together")
		}
	}
	transient, whose := Transient, "Lambda"
	if s.Resource == startBuild {
		transient, whose = TransientBuild, "CodeBuild"
	}
	for _, name := range names {
		if !slices.Contains(transient, name) {
			faults = append(faults, "retries "+name+", which is not a transient error of "+whose+"'s own")
		}
	}
	for _, name := range transient {
		if s.Type == "Task" && !slices.Contains(names, name) {
			faults = append(faults, "doesn't retry "+name)
		}
	}
	return faults
}

func (s *State) checkCatch() (faults []string) {
	for i, c := range s.Catch {
		if c.ResultPath == "" {
			faults = append(faults, "a Catch without a ResultPath loses the state's input")
		}
		for _, name := range c.ErrorEquals {
			if !slices.Contains(deploy.Kinds, deploy.Kind(name)) && !slices.Contains(known, name) && !slices.Contains(Transient, name) {
				faults = append(faults, fmt.Sprintf("catches %q, which is neither a Kind nor an error of AWS's that can be caught", name))
			}
			if name == all && (i != len(s.Catch)-1 || len(c.ErrorEquals) > 1) {
				faults = append(faults, "States.ALL is not alone and last")
			}
		}
	}
	if s.Type != "Task" {
		return faults
	}
	var loose []string
	for _, kind := range deploy.Kinds {
		if !s.catches(string(kind)) {
			loose = append(loose, string(kind))
		}
	}
	if len(loose) > 0 {
		faults = append(faults, "nobody catches "+strings.Join(loose, ", "))
	}
	if !s.catches(all) {
		faults = append(faults, "nobody catches States.ALL")
	}
	return faults
}

func (s *State) catches(name string) bool {
	return slices.ContainsFunc(s.Catch, func(c Catcher) bool {
		return slices.Contains(c.ErrorEquals, name) || slices.Contains(c.ErrorEquals, all)
	})
}
