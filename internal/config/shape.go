package config

import (
	"github.com/slipway-cd/slipway/internal/deploy"
)

// kind is what sort of value may stand at a place in a document.
type kind int

const (
	text   kind = iota
	whole       // a whole number
	code        // an HTTP status, a whole number or text
	truth       // true or false
	list        // of each
	table       // from names of the author's choice to each
	object      // with the keys listed
)

// want names a kind in error messages.
var want = [...]string{"text", "a whole number", "a status, like 204, or a range, like 200-299", "true or false", "a list", "a map", "a map"}

// shape says what may stand at a place. The reader walks a document along it and the JSON Schema is printed from it,
// so that an editor and the parser want the same thing. Values are deploy's Validate methods to judge; the patterns and
// bounds here only tell an editor about them, and a test holds the two together.
type shape struct {
	kind  kind
	about string
	keys  []key  // of an object
	bare  string // the object's key that a bare text stands for
	one   bool   // exactly one of the keys is given
	each  *shape // what a list or table holds
	name  *rule  // for a table's names

	pattern  string   // text, and a code, as RE2 and ECMAScript both read it
	enum     []string // text
	never    []string // text that it may not be
	min, max int      // of a number, or the length of a list or table; 0 is no bound
	standard any      // what holds where the document is silent
}

// key is one key of an object.
type key struct {
	name  string
	shape *shape
	need  bool   // the document is wrong without it
	not   string // why it may not be given here; "" where it may
}

// rule is for names that the author chooses.
type rule struct {
	pattern string
	never   string // a pattern that none may match; "" for none
	want    string
}

// What the patterns of package deploy say, in a form that both a schema and the reader can use.
const (
	functionName = `^[A-Za-z0-9_-]{1,64}$`
	// A relative path of segments that are neither empty nor . nor .. and hold no backslash.
	workspacePath = `^` + segment + `(/` + segment + `)*$`
	segment       = `([^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]*|\.[^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]*|\.\.[^/\\\x00-\x1f\x7f-\x9f]+)`
)

var (
	environmentRule = &rule{pattern: `^[a-z][a-z0-9-]{0,38}[a-z0-9]$`, want: deploy.NameRule}
	variableRule    = &rule{pattern: `^[A-Za-z_][A-Za-z0-9_]*$`, never: `^SLIPWAY_`,
		want: "letters, digits and _, no digit first, and not SLIPWAY_, which is Slipway's own"}
)

// commitShape is slipway.yaml: the top level, and under environments the same keys again but those of the build.
func commitShape() *shape {
	override := &shape{kind: object, about: "What differs in this environment. Maps are merged by key; lists and values replace.",
		keys: commitKeys(true)}
	return &shape{kind: object, about: "How a commit is tested, built, deployed and checked.", keys: append(commitKeys(false),
		key{name: "environments", shape: &shape{kind: table, each: override, name: environmentRule, max: deploy.MaxEnvironments,
			about: "Overrides for single environments, by name."}})}
}

func commitKeys(override bool) []key {
	d := deploy.DefaultConfig()
	once, everywhere := "", ""
	if override {
		once, everywhere = "a release is built once and promoted unchanged", "a release introduces the same flags everywhere"
	}
	script := func(about string, standard any) *shape {
		return &shape{about: about + " Run by sh -e in the commit's workspace.", standard: standard}
	}
	keys := []key{
		{name: "artifacts", not: once, shape: &shape{kind: list, max: deploy.MaxArtifacts, about: "The files that the build makes and that are kept as the release.",
			each: &shape{pattern: workspacePath, about: "A path in the workspace, like build/app.zip."}}},
		{name: "scripts", shape: &shape{kind: object, about: "Shell commands; an empty one is not run.", keys: []key{
			{name: "test", not: once, shape: script("Tests the commit; skipped by a forced deployment.", d.Scripts.Test)},
			{name: "build", not: once, shape: script("Builds the artifacts.", d.Scripts.Build)},
			{name: "pre_deploy", shape: script("Before anything is changed; a failure fails the deployment.", nil)},
			{name: "deploy", shape: script("Changes a script target.", nil)},
			{name: "post_deploy", shape: script("After the release was deployed; a failure only warns.", nil)},
			{name: "rollback", shape: script("Takes the change back. Without one, a script target runs "+deploy.DefaultRollback+" if the Makefile has that rule, else it deploys the release before again.", nil)},
		}}},
		{name: "environment_variables", shape: variables("For the scripts, by name, as they are. References to secrets are for app.yaml: a commit must not read what it likes.")},
		{name: "health_check_path", shape: &shape{pattern: `^/[^ \t\r\n#\x00]*$`, about: "Appended to the environment's URL.",
			standard: d.HealthCheckPath}},
		{name: "health_check_timeout", shape: &shape{kind: whole, min: 1, max: deploy.MaxHealthCheckTimeout, about: "Seconds until a release that is not healthy has failed.",
			standard: d.HealthCheckTimeout}},
		{name: "health_check_successes", shape: &shape{kind: whole, min: 1, max: deploy.MaxHealthyCount, about: "How many good answers in a row make a release healthy.",
			standard: d.HealthyCount}},
		{name: "health_check_status", shape: &shape{kind: list, max: deploy.MaxStatusRanges, about: "The statuses of a good answer; 200 alone where there are none. A redirect isn't followed.",
			each: &shape{kind: code, pattern: deploy.StatusRangePattern, about: "A status, like 204, or a range, like 200-299."}}},
		{name: "rollback_enabled", shape: &shape{kind: truth, about: "Whether a failed deployment is taken back by itself.", standard: d.RollbackEnabled}},
		{name: "hooks", shape: hooks()},
		{name: "flags", not: everywhere, shape: &shape{kind: list, max: deploy.MaxReleaseFlags,
			about: "The feature flags that the release introduces. Deploying it creates those that are missing, off; a rollback switches them off first.",
			each:  &shape{pattern: deploy.FlagPattern, about: "A flag's key."}}},
	}
	if override { // silence here means the top level's value, not the default
		forget(keys)
	}
	return keys
}

func forget(keys []key) {
	for _, k := range keys {
		k.shape.standard = nil
		forget(k.shape.keys)
	}
}

func variables(about string) *shape {
	return &shape{kind: table, name: variableRule, max: deploy.MaxVariables, about: about, each: &shape{}}
}

func hooks() *shape {
	hook := &shape{kind: object, one: true, bare: "script", about: "A script, a Lambda function's name, or an event's detail-type. A bare text is a script.", keys: []key{
		{name: "script", shape: &shape{pattern: `[^\x00]`, about: "Run by sh -e in the commit's workspace."}},
		{name: "function", shape: &shape{pattern: functionName, about: "A Lambda function's name; it is called with the deployment. The environment's hook_functions in app.yaml must have it."}},
		{name: "event", shape: &shape{pattern: `[^\x00]`, never: []string{deploy.EventPushed, deploy.EventStatus}, about: "The detail-type of an event on Slipway's bus."}},
	}}
	points := &shape{kind: object, about: "What else runs at five points. A failing hook is on the timeline and stops nothing."}
	for _, point := range deploy.HookPoints {
		points.keys = append(points.keys, key{name: point, shape: &shape{kind: list, each: hook, max: deploy.MaxHooks}})
	}
	return points
}

// appShape is app.yaml: what a commit may not decide.
func appShape() *shape {
	target := &shape{kind: object, keys: []key{
		{name: "type", need: true, shape: &shape{enum: []string{deploy.TargetLambda, deploy.TargetScript}}},
		{name: "function", shape: &shape{pattern: functionName}},
		{name: "alias", shape: &shape{}},
		{name: "artifact", shape: &shape{}},
	}}
	settings := &shape{kind: object, keys: []key{
		{name: "target", need: true, shape: target},
		{name: "url", need: true, shape: &shape{}},
		{name: "branches", shape: &shape{kind: list, each: &shape{}}},
		{name: "deploy_on_push", shape: &shape{kind: list, each: &shape{}}},
		{name: "rollback_enabled", shape: &shape{kind: truth}},
		{name: "runner", shape: &shape{enum: []string{string(deploy.RunnerFunction), string(deploy.RunnerCodeBuild)}}},
		{name: "hash_version", shape: &shape{enum: []string{"v2", "v3"}}},
		{name: "hook_functions", shape: &shape{kind: list, each: &shape{pattern: functionName}, max: deploy.MaxHookFunctions}},
		{name: "environment_variables", shape: variables("")},
		{name: "build_variables", not: "a release is built once, for all environments", shape: variables("")},
	}}
	return &shape{kind: object, keys: []key{
		{name: "name", need: true, shape: &shape{}},
		{name: "source", shape: source()},
		{name: "build_variables", shape: variables("")},
		{name: "environments", need: true, shape: &shape{kind: table, each: settings, name: environmentRule, max: deploy.MaxEnvironments}},
		{name: "notifications", shape: notifications()},
	}}
}

func notifications() *shape {
	return &shape{kind: object, keys: []key{
		{name: "sns", shape: &shape{kind: object, keys: []key{{name: "topic", need: true, shape: &shape{}}}}},
		{name: "github", shape: &shape{kind: object, keys: []key{
			{name: "repository", shape: &shape{}},
			{name: "token", need: true, shape: &shape{}},
		}}},
		{name: "slack", shape: &shape{kind: object, keys: []key{{name: "webhook", need: true, shape: &shape{}}}}},
	}}
}

func source() *shape {
	return &shape{kind: object, keys: []key{
		{name: "type", shape: &shape{enum: []string{string(deploy.SourceBundle), string(deploy.SourceGit), string(deploy.SourceCodeCommit)}}},
		{name: "bucket", not: "Slipway's own bucket is used", shape: &shape{}},
		{name: "repository", shape: &shape{}},
		{name: "url", shape: &shape{}},
		{name: "token", shape: &shape{}},
		{name: "ssh_key", shape: &shape{}},
		{name: "host_keys", shape: &shape{kind: list, each: &shape{}}},
	}}
}
