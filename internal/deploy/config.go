package deploy

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"unicode"
)

// Config is a commit's slipway.yaml, merged for one environment. Parsing it from YAML is internal/config's work.
type Config struct {
	Artifacts          []string          `json:"artifacts"`
	Scripts            Scripts           `json:"scripts"`
	Variables          map[string]string `json:"environment_variables"`
	HealthCheckPath    string            `json:"health_check_path"`
	HealthCheckTimeout int               `json:"health_check_timeout"` // seconds
	HealthyCount       int               `json:"health_check_successes"`
	HealthyStatuses    []StatusRange     `json:"health_check_status,omitempty"` // none: 200 alone
	RollbackEnabled    bool              `json:"rollback_enabled"`
	Hooks              Hooks             `json:"hooks"`
	Flags              []string          `json:"flags,omitempty"` // that the release introduces, by their keys

	// BuildVariables are Variables without what the file says for one environment; nil: the same.
	BuildVariables map[string]string `json:"build_variables,omitzero"`
}

// Scripts are shell commands, run by sh -e in the commit's workspace. An empty one is not run.
type Scripts struct {
	Test       string `json:"test,omitempty"`
	Build      string `json:"build,omitempty"`
	PreDeploy  string `json:"pre_deploy,omitempty"`
	Deploy     string `json:"deploy,omitempty"`
	PostDeploy string `json:"post_deploy,omitempty"`
	Rollback   string `json:"rollback,omitempty"`
}

// Hooks run at five points; one that fails is on the timeline and stops nothing.
type Hooks struct {
	PreDeploy    []Hook `json:"pre_deploy,omitempty"`
	PostDeploy   []Hook `json:"post_deploy,omitempty"`
	PreRollback  []Hook `json:"pre_rollback,omitempty"`
	PostRollback []Hook `json:"post_rollback,omitempty"`
	OnFailure    []Hook `json:"on_failure,omitempty"`
}

// What Slipway's own events are called, on the same bus as those of hooks.
const (
	EventPushed = "Commit Pushed"             // somebody tells of a commit
	EventStatus = "Deployment Status Changed" // Slipway tells of a deployment
)

// Hook is exactly one of a script, a Lambda function's name, or an event's detail-type on Slipway's bus.
type Hook struct {
	Script   string `json:"script,omitempty"`
	Function string `json:"function,omitempty"`
	Event    string `json:"event,omitempty"`
}

// DefaultConfig is what holds where slipway.yaml is silent.
func DefaultConfig() Config {
	return Config{
		Scripts:            Scripts{Test: "make test", Build: "make build"},
		HealthCheckPath:    "/health",
		HealthCheckTimeout: 60,
		HealthyCount:       1,
		RollbackEnabled:    true,
	}
}

// VariablesOfBuild are those that tests and builds get.
func (c *Config) VariablesOfBuild() map[string]string {
	if c.BuildVariables != nil {
		return c.BuildVariables
	}
	return c.Variables
}

// Health is the config's word on when the release is well.
func (c *Config) Health() Health {
	return Health{Path: c.HealthCheckPath, TimeoutSeconds: c.HealthCheckTimeout, Successes: c.HealthyCount, Statuses: c.HealthyStatuses}
}

// DefaultRollback is the rollback script of a script target that names none, if its Makefile has such a rule.
const DefaultRollback = "make rollback"

// Bounds on a config.
const (
	MaxHealthCheckTimeout = 900 // seconds
	MaxHealthyCount       = 100
	MaxArtifacts          = 20
	MaxScript             = 16 << 10 // bytes
	MaxHooks              = 10       // at each point
	MaxReleaseFlags       = 50
	MaxPath               = 512      // bytes of an artifact's, and of a health check's
	MaxConfig             = 96 << 10 // bytes in all, as JSON: each deployment's record holds one
)

// Validate checks the values; its error names the field as slipway.yaml spells it.
func (c *Config) Validate() error {
	if len(c.Artifacts) > MaxArtifacts {
		return FieldErrorf("artifacts", "%d of them; want at most %d", len(c.Artifacts), MaxArtifacts)
	}
	for i, a := range c.Artifacts {
		if a == "" || len(a) > MaxPath || path.IsAbs(a) || path.Clean(a) != a || a == "." || a == ".." || strings.HasPrefix(a, "../") || strings.Contains(a, "\\") || strings.ContainsFunc(a, unicode.IsControl) {
			return FieldErrorf(fmt.Sprintf("artifacts[%d]", i), "%q is not a path inside the workspace; want one like build/app.zip, of %d bytes at most", Cut(a, 80), MaxPath)
		}
	}
	for name, text := range c.Scripts.byName() {
		if len(text) > MaxScript || strings.ContainsRune(text, 0) {
			return FieldErrorf("scripts."+name, "%d bytes; want at most %d, and no zero byte", len(text), MaxScript)
		}
	}
	if err := ValidateVariables("environment_variables", c.Variables); err != nil {
		return err
	}
	if !strings.HasPrefix(c.HealthCheckPath, "/") || len(c.HealthCheckPath) > MaxPath || strings.ContainsAny(c.HealthCheckPath, " \t\r\n#\x00") {
		return FieldErrorf("health_check_path", "%q is not a path; want one that begins with /, of %d bytes at most", Cut(c.HealthCheckPath, 80), MaxPath)
	}
	if c.HealthCheckTimeout < 1 || c.HealthCheckTimeout > MaxHealthCheckTimeout {
		return FieldErrorf("health_check_timeout", "%d; want 1 to %d seconds", c.HealthCheckTimeout, MaxHealthCheckTimeout)
	}
	if c.HealthyCount < 1 || c.HealthyCount > MaxHealthyCount {
		return FieldErrorf("health_check_successes", "%d; want 1 to %d", c.HealthyCount, MaxHealthyCount)
	}
	if err := validateStatuses(c.HealthyStatuses); err != nil {
		return err
	}
	if err := c.validateFlags(); err != nil {
		return err
	}
	if err := c.Hooks.validate(); err != nil {
		return err
	}
	if n := sizeOf(c); n > MaxConfig {
		return Errorf(Invalid, "", "what one environment has of it takes %d bytes; want at most %d: put long scripts into files of the commit", n, MaxConfig)
	}
	return nil
}

// sizeOf gives the bytes of v as JSON, in which text is never shorter than in the table.
func sizeOf(v any) int {
	text, _ := json.Marshal(v) // settings have nothing that could fail
	return len(text)
}

// FlagRule is what a flag's key has to be, in words.
const FlagRule = "1 to 128 letters, digits, dots, hyphens and _, and not . or .."

// FlagPattern is FlagRule as a regular expression.
const FlagPattern = `^([a-zA-Z0-9._-]{3,128}|[a-zA-Z0-9_-][a-zA-Z0-9._-]?|\.[a-zA-Z0-9_-])$`

func (c *Config) validateFlags() error {
	if len(c.Flags) > MaxReleaseFlags {
		return FieldErrorf("flags", "%d of them; want at most %d", len(c.Flags), MaxReleaseFlags)
	}
	for i, key := range c.Flags {
		if !flagPattern(key) {
			return FieldErrorf(fmt.Sprintf("flags[%d]", i), "%q is not a flag's key; want %s", key, FlagRule)
		}
	}
	return nil
}

func (s Scripts) byName() map[string]string {
	return map[string]string{"test": s.Test, "build": s.Build, "pre_deploy": s.PreDeploy, "deploy": s.Deploy,
		"post_deploy": s.PostDeploy, "rollback": s.Rollback}
}

// At gives the hooks of a point, named as in slipway.yaml.
func (h Hooks) At(point string) []Hook {
	switch point {
	case "pre_deploy":
		return h.PreDeploy
	case "post_deploy":
		return h.PostDeploy
	case "pre_rollback":
		return h.PreRollback
	case "post_rollback":
		return h.PostRollback
	case "on_failure":
		return h.OnFailure
	}
	return nil
}

// HookPoints lists the five, in the order in which a deployment can meet them.
var HookPoints = []string{"pre_deploy", "post_deploy", "pre_rollback", "post_rollback", "on_failure"}

func (h Hooks) validate() error {
	for _, point := range HookPoints {
		hooks := h.At(point)
		if len(hooks) > MaxHooks {
			return FieldErrorf("hooks."+point, "%d of them; want at most %d", len(hooks), MaxHooks)
		}
		for i, hook := range hooks {
			if err := hook.validate(fmt.Sprintf("hooks.%s[%d]", point, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h Hook) validate(field string) error {
	set := 0
	for _, text := range []string{h.Script, h.Function, h.Event} {
		if text != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return FieldErrorf(field, "%d of script, function and event are given; want exactly one", set)
	case h.Function != "" && !functionPattern(h.Function):
		return FieldErrorf(field+".function", "%q is not a Lambda function's name; want 1 to 64 letters, digits, - or _", h.Function)
	case h.Event == EventPushed || h.Event == EventStatus:
		return FieldErrorf(field+".event", "%q is the name of an event of Slipway's own, which a commit may not send; want another", h.Event)
	case len(h.Event) > 128:
		return FieldErrorf(field+".event", "%d bytes; want at most 128, EventBridge's bound on a detail-type", len(h.Event))
	case strings.ContainsFunc(h.Event, unicode.IsControl):
		return FieldErrorf(field+".event", "%q holds control characters; want none", h.Event)
	case len(h.Script) > MaxScript || strings.ContainsRune(h.Script, 0):
		return FieldErrorf(field+".script", "%d bytes; want at most %d, and no zero byte", len(h.Script), MaxScript)
	}
	return nil
}

func (h Hook) String() string {
	switch {
	case h.Function != "":
		return "function " + h.Function
	case h.Event != "":
		return "event " + h.Event
	}
	return "script " + Cut(strings.TrimSpace(h.Script), 60)
}
