package deploy

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"unicode"
)

// App is a program that Slipway deploys, with the settings that a commit may not decide.
type App struct {
	Name          string              `json:"name"`
	Source        Source              `json:"source"`
	Variables     map[string]string   `json:"build_variables,omitempty"` // for tests and builds, which are of no environment
	Environments  map[string]Settings `json:"environments"`
	Notifications *Notifications      `json:"notifications,omitempty"` // who hears of its deployments; nil: nobody
	Version       int64               `json:"version"`                 // grows with every write
}

// Settings are what an app's owner decides for one environment.
type Settings struct {
	Target          Target            `json:"target"`
	URL             string            `json:"url"`                      // what the health check's path is appended to
	Branches        []string          `json:"branches"`                 // that may deploy here, as path.Match patterns; empty: any
	DeployOnPush    []string          `json:"deploy_on_push,omitempty"` // branches whose pushes deploy by themselves, as Branches; empty: none
	RollbackEnabled *bool             `json:"rollback_enabled,omitempty"`
	Runner          Runner            `json:"runner,omitempty"`         // of test and build; "": the stack's default
	HashVersion     string            `json:"hash_version,omitempty"`   // of flags that begin to split users: v2 or v3; "": v2
	HookFunctions   []string          `json:"hook_functions,omitempty"` // Lambda functions that a commit's hooks may call here; empty: none
	Variables       map[string]string `json:"environment_variables"`    // ssm:NAME and secretsmanager:NAME are looked up late
}

// Target is what a deployment changes.
type Target struct {
	Type     string `json:"type"`               // TargetLambda or TargetScript
	Function string `json:"function,omitempty"` // Lambda function's name
	Alias    string `json:"alias,omitempty"`    // that takes the traffic; default "live"
	Artifact string `json:"artifact,omitempty"` // the .zip among the artifacts; default the only one
}

// Same reports whether two targets are one place: a version of one function means nothing at another.
func (t Target) Same(other Target) bool {
	return t.Type == other.Type && t.Function == other.Function && t.Alias == other.Alias
}

// String names the target for people.
func (t Target) String() string {
	if t.Type == TargetLambda {
		return "alias " + t.Alias + " of function " + t.Function
	}
	return "a " + t.Type + " target"
}

// The kinds of target.
const (
	TargetLambda = "lambda"
	TargetScript = "script"
)

// Runner is what runs a deployment's test and build.
type Runner string

const (
	RunnerFunction  Runner = "function"  // the Lambda functions of the stages: quick to start, no compiler
	RunnerCodeBuild Runner = "codebuild" // one CodeBuild build for both
)

// Valid tells whether r is a runner.
func (r Runner) Valid() bool { return r == RunnerFunction || r == RunnerCodeBuild }

// Bounds on what an app may hold.
const (
	MaxEnvironments  = 20
	MaxVariables     = 100
	MaxVariable      = 4096     // bytes of a value
	MaxHookFunctions = 50       // that an environment's hooks may call
	MaxSettings      = 64 << 10 // bytes of an environment's settings, as JSON: each deployment's record holds them
)

// Patterns are compiled when they are first asked for: a function's start has no time for them.
var (
	namePattern     = lazily(`^[a-z][a-z0-9-]{0,38}[a-z0-9]$`)
	functionPattern = lazily(`^[A-Za-z0-9-_]{1,64}$`)
	aliasPattern    = lazily(`^[A-Za-z0-9-_]{1,128}$`)
	sourcePattern   = lazily(`^([A-Za-z0-9-]{1,39}/)?[A-Za-z0-9._-]{1,100}$`)
	numberPattern   = lazily(`^[0-9]+$`)
	variablePattern = lazily(`^[A-Za-z_][A-Za-z0-9_]*$`)
	flagPattern     = lazily(FlagPattern)
)

// lazily compiles a pattern once, and gives its match.
func lazily(pattern string) func(string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	return func(text string) bool { return compiled().MatchString(text) }
}

// NameRule is what ValidName wants, in words.
const NameRule = "2 to 40 characters: small letters, digits and hyphens, a letter first, no hyphen last"

// ValidName tells whether name may name an app or an environment.
func ValidName(name string) bool { return namePattern(name) }

// MaxBranch is the most bytes of a branch's name that git and file systems agree on.
const MaxBranch = 255

// CheckBranch is the error about the field branch where name can't be one that is kept and shown.
func CheckBranch(name string) error {
	if len(name) > MaxBranch || strings.ContainsFunc(name, unicode.IsControl) {
		return FieldErrorf("branch", "%d bytes; want at most %d, and no control characters", len(name), MaxBranch)
	}
	return nil
}

// ValidRepository tells whether name may name a repository, on GitHub as owner/name or in CodeCommit.
func ValidRepository(name string) bool { return sourcePattern(name) }

// Validate checks the app whole and fills in defaults. Its error names the field.
func (a *App) Validate() error {
	if !ValidName(a.Name) {
		return FieldErrorf("name", "%q is not a name; want %s", a.Name, NameRule)
	}
	if a.Name == SharedSecrets {
		return FieldErrorf("name", "%q is where the secrets of all apps are; want another name", a.Name)
	}
	if err := a.Source.validate(); err != nil {
		return err
	}
	if err := ValidateVariables("build_variables", a.Variables); err != nil {
		return err
	}
	if len(a.Environments) == 0 || len(a.Environments) > MaxEnvironments {
		return FieldErrorf("environments", "%d of them; want 1 to %d", len(a.Environments), MaxEnvironments)
	}
	for _, name := range a.EnvironmentNames() {
		if !ValidName(name) {
			return FieldErrorf("environments", "%q is not a name; want %s", name, NameRule)
		}
		s := a.Environments[name]
		if err := s.validate("environments." + name); err != nil {
			return err
		}
		if n := sizeOf(s) + sizeOf(a.Variables); n > MaxSettings {
			return FieldErrorf("environments."+name, "takes %d bytes with build_variables; want at most %d", n, MaxSettings)
		}
		a.Environments[name] = s
	}
	if err := a.validateTargets(); err != nil {
		return err
	}
	if err := a.validateNotifications(); err != nil {
		return err
	}
	return a.validateReferences()
}

// validateTargets checks that no two environments have one alias: a deployment of the one would change what the other serves.
func (a *App) validateTargets() error {
	names := a.EnvironmentNames()
	for i, name := range names {
		for _, other := range names[:i] {
			if t := a.Environments[name].Target; t.SameAlias(a.Environments[other].Target) {
				return FieldErrorf("environments."+name+".target", "function %s, alias %s is the target of environment %s too; want a function or an alias of its own",
					t.Function, t.Alias, other)
			}
		}
	}
	return nil
}

// CheckTargets returns which environment of the app has an alias that is another app's target.
func (a *App) CheckTargets(other *App) error {
	if other.Name == a.Name {
		return nil
	}
	for _, name := range a.EnvironmentNames() {
		t := a.Environments[name].Target
		for _, theirs := range other.EnvironmentNames() {
			if t.SameAlias(other.Environments[theirs].Target) {
				return &Error{Kind: Conflict, Field: "environments." + name + ".target", Err: fmt.Errorf(
					"function %s, alias %s is the target of environment %s of app %s; want a function or an alias of its own", t.Function, t.Alias, theirs, other.Name)}
			}
		}
	}
	return nil
}

// SameAlias reports whether both targets are one alias of one function. Script targets have nothing to compare.
func (t Target) SameAlias(o Target) bool {
	return t.Type == TargetLambda && o.Type == TargetLambda && t.Function == o.Function && t.Alias == o.Alias
}

// EnvironmentNames lists the app's environments in order.
func (a *App) EnvironmentNames() []string {
	names := make([]string, 0, len(a.Environments))
	for name := range a.Environments {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Environment finds one environment's settings; the error is NotFound and names those there are.
func (a *App) Environment(name string) (*Settings, error) {
	s, ok := a.Environments[name]
	if !ok {
		return nil, &Error{Kind: NotFound, Field: "environment", Err: fmt.Errorf("app %q has no environment %q; it has %s",
			a.Name, name, strings.Join(a.EnvironmentNames(), ", "))}
	}
	return &s, nil
}

func (s *Settings) validate(field string) error {
	if err := s.Target.validate(field + ".target"); err != nil {
		return err
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return FieldErrorf(field+".url", "%q is not a base URL; want http:// or https://, a host, and no query", s.URL)
	}
	if err := validatePatterns(field+".branches", s.Branches); err != nil {
		return err
	}
	if err := validatePatterns(field+".deploy_on_push", s.DeployOnPush); err != nil {
		return err
	}
	if s.Runner != "" && !s.Runner.Valid() {
		return FieldErrorf(field+".runner", "%q is unknown; want %s or %s", s.Runner, RunnerFunction, RunnerCodeBuild)
	}
	if s.HashVersion != "" && s.HashVersion != "v2" && s.HashVersion != "v3" {
		return FieldErrorf(field+".hash_version", "%q is unknown; want v2 (in-process flag clients in Go and JavaScript) or v3 (Python and Rust)", s.HashVersion)
	}
	if err := s.validateHookFunctions(field + ".hook_functions"); err != nil {
		return err
	}
	return ValidateVariables(field+".environment_variables", s.Variables)
}

func (s *Settings) validateHookFunctions(field string) error {
	if len(s.HookFunctions) > MaxHookFunctions {
		return FieldErrorf(field, "%d of them; want at most %d", len(s.HookFunctions), MaxHookFunctions)
	}
	for i, name := range s.HookFunctions {
		if !functionPattern(name) {
			return FieldErrorf(fmt.Sprintf("%s[%d]", field, i), "%q is not a Lambda function's name; want 1 to 64 letters, digits, - or _", name)
		}
	}
	return nil
}

func (t *Target) validate(field string) error {
	switch t.Type {
	case TargetScript:
		if t.Function != "" || t.Alias != "" || t.Artifact != "" {
			return FieldErrorf(field, "a script target has no function, alias or artifact; its scripts do the work")
		}
		return nil
	case TargetLambda:
		if t.Alias == "" {
			t.Alias = "live"
		}
		if !functionPattern(t.Function) {
			return FieldErrorf(field+".function", "%q is not a Lambda function's name; want 1 to 64 letters, digits, - or _", t.Function)
		}
		if !aliasPattern(t.Alias) || numberPattern(t.Alias) {
			return FieldErrorf(field+".alias", "%q is not an alias; want letters, digits, - or _, and not only digits", t.Alias)
		}
		return nil
	}
	return FieldErrorf(field+".type", "%q is unknown; want %s or %s", t.Type, TargetLambda, TargetScript)
}

func validatePatterns(field string, patterns []string) error {
	for i, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return FieldErrorf(fmt.Sprintf("%s[%d]", field, i), "%q is not a pattern; want a branch, or one with *, as in release/*", pattern)
		}
	}
	return nil
}

func matches(patterns []string, branch string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { ok, _ := path.Match(pattern, branch); return ok })
}

// AllowsBranch tells whether commits of branch may be deployed here.
func (s *Settings) AllowsBranch(branch string) bool {
	return len(s.Branches) == 0 || matches(s.Branches, branch)
}

// DeploysOnPush tells whether a push to branch is deployed here by itself.
func (s *Settings) DeploysOnPush(branch string) bool {
	return matches(s.DeployOnPush, branch) && s.AllowsBranch(branch)
}

// CheckHookFunction returns the error about a hook's function that the environment's settings don't allow: a function may act for another
// app, and which ones a commit calls is not for the commit to say.
func (s *Settings) CheckHookFunction(environment, field, function string) error {
	want := "none is allowed there"
	switch {
	case s == nil: // a record without settings allows nothing
	case slices.Contains(s.HookFunctions, function):
		return nil
	case len(s.HookFunctions) > 0:
		want = "want one of " + strings.Join(s.HookFunctions, ", ")
	}
	return FieldErrorf(field, "%q may not be called by deployments to %s; %s. Who may change the app adds it to environments.%s.hook_functions in app.yaml",
		function, environment, want, environment)
}

// CheckHooks returns the error about the first hook whose function the environment's settings don't allow.
func (s *Settings) CheckHooks(environment string, h Hooks) error {
	for _, point := range HookPoints {
		for i, hook := range h.At(point) {
			if hook.Function == "" {
				continue
			}
			if err := s.CheckHookFunction(environment, fmt.Sprintf("hooks.%s[%d].function", point, i), hook.Function); err != nil {
				return err
			}
		}
	}
	return nil
}

// ValidateVariables checks names, sizes and count of environment variables. Names that begin with SLIPWAY_ are ours.
func ValidateVariables(field string, variables map[string]string) error {
	if len(variables) > MaxVariables {
		return FieldErrorf(field, "%d of them; want at most %d", len(variables), MaxVariables)
	}
	for name, value := range variables {
		switch {
		case !variablePattern(name):
			return FieldErrorf(field, "%q is not a variable's name; want letters, digits and _, no digit first", name)
		case strings.HasPrefix(name, "SLIPWAY_"):
			return FieldErrorf(field+"."+name, "names that begin with SLIPWAY_ are set by Slipway")
		case len(value) > MaxVariable || strings.ContainsRune(value, 0):
			return FieldErrorf(field+"."+name, "%d bytes; want at most %d, and no zero byte", len(value), MaxVariable)
		}
	}
	return nil
}
