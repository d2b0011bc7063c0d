package deploy

import (
	"encoding/base32"
	"fmt"
	"strings"
	"time"
)

// Action is what a deployment is for.
type Action string

const (
	Deploy   Action = "deploy"   // put a commit's release into an environment
	Rollback Action = "rollback" // put back a release that served before
)

// Bounds on what a record keeps, so that it stays far under DynamoDB's 400 KB an item however long a deployment takes.
const (
	MaxLogs      = 200             // timeline lines; the oldest but the first go
	MaxLogBytes  = 500             // a line
	MaxChecks    = MaxHealthyCount // health check attempts; the oldest go, and as many good ones in a row may be asked for
	MaxErrorText = 2000            // bytes of an error's text
)

// Deployment is one attempt to put a release into an environment: the record that every handler reads and writes.
type Deployment struct {
	ID           string            `json:"id"`
	CommitSHA    string            `json:"commit_sha"`
	Branch       string            `json:"branch"`
	Status       Status            `json:"status"`
	Environment  string            `json:"environment"`
	StartTime    time.Time         `json:"start_time"`
	EndTime      *time.Time        `json:"end_time"` // null until the status is an end
	Logs         []string          `json:"logs"`     // the timeline, one line an event, each with its time
	Artifacts    map[string]string `json:"artifacts"`
	Metadata     map[string]any    `json:"metadata"`
	Error        string            `json:"error"`
	RollbackFrom string            `json:"rollback_from"` // the deployment that this rollback undoes

	App          string     `json:"app"`
	Action       Action     `json:"action"`
	Force        bool       `json:"force_deployment"`
	Execution    string     `json:"execution,omitempty"` // ARN
	Stages       []Stage    `json:"stages"`
	Checks       []Check    `json:"checks,omitempty"`
	Plan         Plan       `json:"plan,omitempty"`
	Release      *Release   `json:"release,omitempty"`       // what this deployment puts live
	Previous     *Live      `json:"previous,omitempty"`      // what served before its first change
	Found        *Live      `json:"found,omitempty"`         // what serves at its end because somebody else moved the target; nil: nobody did
	Fallback     string     `json:"fallback,omitempty"`      // the deployment whose release undoing this one restores
	RollbackTo   string     `json:"rollback_to,omitempty"`   // the deployment whose release this rollback restores
	Repairs      string     `json:"repairs,omitempty"`       // the deployment whose dirty environment this one took over
	Repairing    *Repair    `json:"repairing,omitempty"`     // what a caller asked for to end a dirty environment
	Shifted      int        `json:"shifted,omitempty"`       // steps of the plan whose weight was set
	StepsDone    int        `json:"steps_done,omitempty"`    // steps of the plan that were checked healthy
	Healthy      bool       `json:"healthy,omitempty"`       // the last health check of the way, forward or back, was good
	HooksRun     []string   `json:"hooks_run,omitempty"`     // points whose hooks have run
	Changed      *time.Time `json:"changed,omitempty"`       // when the target's first change began; unset: nothing was touched
	Undone       bool       `json:"undone,omitempty"`        // the change was taken back
	OwesScript   bool       `json:"owes_script,omitempty"`   // traffic is back, and the rollback script has not succeeded
	Dirty        bool       `json:"dirty,omitempty"`         // the environment needs a repair and stays locked
	Repair       string     `json:"repair,omitempty"`        // the commands that repair it
	ErrorKind    Kind       `json:"error_kind,omitempty"`    // what sort of failure Error tells
	SupersededBy string     `json:"superseded_by,omitempty"` // the newer deployment that took its place
	CancelTime   *time.Time `json:"cancel_time,omitempty"`   // when somebody asked to cancel it
	Fence        int64      `json:"fence,omitempty"`         // the number of its turn in the environment; 0 before Admit
	Recovery     *Recovery  `json:"recovery,omitempty"`      // the last time that its execution was gone and another took over
	Health       Health     `json:"health,omitzero"`         // of the release that this deployment puts live
	Source       *Bundle    `json:"source,omitempty"`
	Config       *Config    `json:"config,omitempty"`    // slipway.yaml at the commit, merged for the environment
	Settings     *Settings  `json:"settings,omitempty"`  // the environment's, as they were when it was asked for
	Runner       Runner     `json:"runner,omitempty"`    // of its test and build, as Prepare chose it
	Build        string     `json:"build,omitempty"`     // CodeBuild's id of the build that ran them
	TestedBy     string     `json:"tested_by,omitempty"` // the deployment whose tests count for this one, which has none to run

	Rebuild   bool              `json:"rebuild,omitempty"`         // build anew, whatever was built of the commit
	Variables map[string]string `json:"build_variables,omitempty"` // the app's for tests and builds, as they were when it was asked for
	Scripts   *ScriptSlot       `json:"script_slot,omitempty"`     // which run of a stage may have a script at work. The API doesn't show it

	Version int64 `json:"version"` // grows with every write; the store's compare-and-swap
}

// Stage is one of the pipeline's stages as it went.
type Stage struct {
	Name    string     `json:"name"` // the ASL state's, in lower case
	Start   time.Time  `json:"start"`
	End     *time.Time `json:"end"`
	Outcome Outcome    `json:"outcome"` // "" while it runs
	Attempt int        `json:"attempt"` // from 1; more when the handler was run again
}

// Open tells whether the stage has begun and not ended.
func (s *Stage) Open() bool { return s != nil && s.End == nil }

// Recovery says why a deployment has another execution than it began with.
type Recovery struct {
	Number int       `json:"number"` // from 1
	Time   time.Time `json:"time"`
	Kind   Kind      `json:"kind"` // Cancelled where somebody stopped the execution
	Cause  string    `json:"cause"`
}

// Outcome is how a stage ended.
type Outcome string

const (
	Passed      Outcome = "passed"
	Skipped     Outcome = "skipped"
	StageFailed Outcome = "failed"
)

// Check is one attempt of a health check.
type Check struct {
	Time      time.Time `json:"time"`
	Status    int       `json:"status"`     // HTTP, 0 where no answer came
	LatencyMS int64     `json:"latency_ms"` // until the answer's headers
	Error     string    `json:"error,omitempty"`
	Healthy   bool      `json:"healthy"`
}

// Bundle is a commit's source as one gzipped tar in S3.
type Bundle struct {
	Key    string `json:"key"`
	SHA256 string `json:"sha256"` // hex, of the gzipped file
}

// FetchedPrefix begins the keys of bundles that Slipway's own functions made, of a git server's commit or a pipeline's artifact. Only
// they may write there, unlike under sources/, where people upload.
const FetchedPrefix = "fetched/"

// Fetched reports whether one of Slipway's own functions made the bundle.
func (b *Bundle) Fetched() bool { return strings.HasPrefix(b.Key, FetchedPrefix) }

// Release is a commit's artifacts, built once.
type Release struct {
	App       string     `json:"app"`
	CommitSHA string     `json:"commit_sha"`
	Artifacts []Artifact `json:"artifacts"`
	BuiltBy   string     `json:"built_by"` // deployment
	BuiltAt   time.Time  `json:"built_at"`
	TestedBy  string     `json:"tested_by,omitempty"` // deployment whose tests passed before it was built; "" where they were skipped

	// SourceSHA256 is the digest of the bundle that it was tested and built of; "" in records from before this was kept.
	SourceSHA256 string `json:"source_sha256,omitempty"`

	// BuildVariables is the digest of the app's build_variables that it was built with; "" for none.
	BuildVariables string `json:"build_variables,omitempty"`

	FunctionVersion // that it was published as
}

// Artifact is one file that a build made.
type Artifact struct {
	Path   string `json:"path"` // in the workspace
	Key    string `json:"key"`  // in S3
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`

	Executable bool `json:"executable,omitempty"` // it was built so; false in records from before this was kept
}

// Live is what serves in an environment.
type Live struct {
	Deployment string `json:"deployment,omitempty"` // the one that put it there; "" for what Slipway found
	CommitSHA  string `json:"commit_sha,omitempty"`
	FunctionVersion
	OtherVersions string `json:"other_versions,omitempty"` // what takes a part of its traffic, in words; "": it serves alone
	Fallback      string `json:"fallback,omitempty"`       // the deployment of the release before, to go back to from here
	Health        Health `json:"health,omitzero"`          // how to ask whether it is well
}

// IsUnknown reports whether nothing is known of what serves. How to ask whether it is well says nothing of that.
func (l *Live) IsUnknown() bool {
	return l.Deployment == "" && l.CommitSHA == "" && l.FunctionVersion == (FunctionVersion{}) && l.OtherVersions == "" && l.Fallback == ""
}

// Health says when a release is well. It goes with the release: the one before may answer on another path.
type Health struct {
	Path           string `json:"path"`
	TimeoutSeconds int    `json:"timeout_seconds"` // without a good answer; then it is unhealthy
	Successes      int    `json:"successes"`       // good answers in a row that make it healthy

	Statuses []StatusRange `json:"statuses,omitempty"` // of a good answer; none: 200 alone
}

// Plan is a strategy compiled to steps. All-at-once is one step.
type Plan []Step

// Step moves a share of the traffic and keeps it there while health checks hold.
type Step struct {
	WeightPercent int `json:"weight_percent"` // of the traffic that the new release takes, 1 to 100
	BakeSeconds   int `json:"bake_seconds"`   // how long it must stay healthy at that weight
}

// Query asks for deployments, the newest first. Environment needs App.
type Query struct {
	App         string
	Environment string
	Status      Status // "" for all
	Limit       int    // 1 to MaxPage
	Cursor      string // as the page before gave it; "" for the first
}

// MaxPage is the most deployments that one page holds.
const MaxPage = 100

// AllAtOnce is the plan of moving everything in one step.
func AllAtOnce() Plan { return Plan{{WeightPercent: 100}} }

// Verdict is a health check's word on what the machine does next.
type Verdict string

const (
	Advance Verdict = "advance" // the next step, please
	Hold    Verdict = "hold"    // not enough is known yet: bake, then check again
	Done    Verdict = "done"    // that was the last step, or the end of a rollback that was asked for
	Undone  Verdict = "undone"  // a way back has ended, of a failed deployment or short of its aim
	Again   Verdict = "again"   // the way back crashed: begin it once more
)

var (
	idPattern  = lazily(`^deploy-\d{8}-\d{9}-[a-z2-7]{8}$`)
	shaPattern = lazily(`^[0-9a-f]{40}$`)
	sumPattern = lazily(`^[0-9a-f]{64}$`)
	base32ID   = base32.StdEncoding.WithPadding(base32.NoPadding)
)

// NewID makes a deployment's id: its start in UTC to the millisecond, then 40 bits that entropy gives (5 bytes at
// least), so that ids sort by time and two of one millisecond differ. It is a legal Step Functions execution name.
func NewID(start time.Time, entropy []byte) string {
	start = start.UTC()
	return fmt.Sprintf("deploy-%s%03d-%s", start.Format("20060102-150405"), start.Nanosecond()/1e6,
		strings.ToLower(base32ID.EncodeToString(entropy[:5])))
}

// IDTime is the start that NewID put into an id; zero for what is no id.
func IDTime(id string) time.Time {
	if !ValidID(id) {
		return time.Time{}
	}
	t, _ := time.Parse("20060102-150405.000", id[7:22]+"."+id[22:25])
	return t
}

// ValidID tells whether id has the form that NewID gives.
func ValidID(id string) bool { return idPattern(id) }

// ValidCommit tells whether sha is a full, lower-case commit id.
func ValidCommit(sha string) bool { return shaPattern(sha) }

// ValidSHA256 reports whether sum is a SHA-256 in lower-case hex.
func ValidSHA256(sum string) bool { return sumPattern(sum) }

// ShortCommit is what people read: the first eight characters.
func ShortCommit(sha string) string { return sha[:min(8, len(sha))] }

// Log adds a line to the timeline, cut to MaxLogBytes.
func (d *Deployment) Log(now time.Time, format string, args ...any) {
	line := "[" + now.UTC().Format("2006-01-02T15:04:05.000Z") + "] " + fmt.Sprintf(format, args...)
	d.Logs = append(d.Logs, Cut(line, MaxLogBytes))
	if len(d.Logs) > MaxLogs {
		d.Logs = append(d.Logs[:1], d.Logs[2:]...)
	}
}

// AddCheck records a health check's attempt.
func (d *Deployment) AddCheck(c Check) {
	c.Error = Cut(c.Error, MaxLogBytes)
	d.Checks = append(d.Checks, c)
	if len(d.Checks) > MaxChecks {
		d.Checks = d.Checks[len(d.Checks)-MaxChecks:]
	}
}

// Stage finds the latest stage of that name, nil where it hasn't begun.
func (d *Deployment) Stage(name string) *Stage {
	for i := len(d.Stages) - 1; i >= 0; i-- {
		if d.Stages[i].Name == name {
			return &d.Stages[i]
		}
	}
	return nil
}

// Begin opens a stage, or opens it once more where an attempt didn't end.
func (d *Deployment) Begin(name string, now time.Time) {
	if s := d.Stage(name); s != nil && s.End == nil {
		s.Attempt++
		return
	}
	d.Stages = append(d.Stages, Stage{Name: name, Start: now, Attempt: 1})
}

// Finish closes the open stage of that name; one that is closed stays as it is.
func (d *Deployment) Finish(name string, outcome Outcome, now time.Time) {
	if s := d.Stage(name); s != nil && s.End == nil {
		s.End, s.Outcome = &now, outcome
	}
}

// Fail notes the first thing that went wrong; what follows from it doesn't replace it.
func (d *Deployment) Fail(kind Kind, text string) {
	if d.ErrorKind == "" {
		d.ErrorKind, d.Error = kind, Cut(text, MaxErrorText)
	}
}

// End moves the deployment to its last status.
func (d *Deployment) End(status Status, now time.Time) error {
	if err := d.Status.To(status); err != nil {
		return err
	}
	if d.EndTime == nil {
		d.EndTime = &now
	}
	d.Status = status
	return nil
}

// Cut shortens text to at most n bytes without splitting a character.
func Cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	cut := n - len("…")
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "…"
}

// New makes a pending deployment.
func New(id string, action Action, app, environment string, now time.Time) *Deployment {
	return &Deployment{
		ID: id, App: app, Environment: environment, Action: action, Status: Pending, StartTime: now.UTC(),
		Logs: []string{}, Stages: []Stage{}, Artifacts: map[string]string{}, Metadata: map[string]any{},
	}
}

// Live is what serves while this deployment's release is live.
func (d *Deployment) Live() *Live {
	l := &Live{Deployment: d.ID, CommitSHA: d.CommitSHA, Fallback: d.Fallback, Health: d.Health}
	if d.Release == nil {
		return l
	}
	l.FunctionVersion = d.Release.FunctionVersion
	if l.TargetVersion == "" || d.Settings == nil {
		return l
	}

	// Older records hold the number alone; the rest follows from the settings and the artifact.
	if l.TargetFunction == "" {
		l.TargetFunction = d.Settings.Target.Function
	}
	if zip, err := d.Release.ZipFor(d.Settings.Target); err == nil && l.TargetCodeSHA256 == "" {
		l.TargetCodeSHA256 = zip.CodeSHA256()
	}
	return l
}

// WentLive tells whether the deployment ever succeeded, even where a later one undid it: its own way back was not taken.
func (d *Deployment) WentLive() bool {
	return d.Status == Success || d.Status == RolledBack && d.ErrorKind == ""
}

// ZipFor finds the artifact that a Lambda target runs: the one that the target names, else the only .zip.
func (r *Release) ZipFor(t Target) (Artifact, error) {
	var zips []Artifact
	for _, a := range r.Artifacts {
		if t.Artifact != "" && a.Path == t.Artifact {
			return a, nil
		}
		if strings.HasSuffix(a.Path, ".zip") {
			zips = append(zips, a)
		}
	}
	switch {
	case t.Artifact != "":
		return Artifact{}, Errorf(BuildFailed, "target.artifact", "the build made no %q; list it under artifacts in slipway.yaml", t.Artifact)
	case len(zips) == 0:
		return Artifact{}, Errorf(BuildFailed, "artifacts", "none of the artifacts is a .zip file; a Lambda target runs one: add it to artifacts in slipway.yaml")
	case len(zips) > 1:
		return Artifact{}, Errorf(BuildFailed, "artifacts", "%d of them are .zip files; a Lambda target runs exactly one: name it in the environment's target.artifact", len(zips))
	}
	return zips[0], nil
}
