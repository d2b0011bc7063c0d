package pipeline_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// The persons who try by their own code, and the runner that each has.
const (
	committerFunction  = "Committer, function"
	committerCodeBuild = "Committer, CodeBuild"
	runnerFunction     = "function"
	runnerCodeBuild    = "codebuild"
)

// reachTable reads docs/security.md's table of who reaches what: the persons, and for each thing the verbs of
// each person's cell.
func reachTable(t *testing.T) (persons []string, table map[string][]string) {
	t.Helper()
	manual, err := os.ReadFile(securityManual)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(manual), "<!-- begin reach -->\n")
	text, _, ended := strings.Cut(text, "<!-- end reach -->")
	if !found || !ended {
		t.Fatal("docs/security.md has no table between <!-- begin reach --> and <!-- end reach -->")
	}

	table = map[string][]string{}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for j := range cells {
			cells[j] = strings.TrimSpace(footnote.ReplaceAllString(cells[j], ""))
		}
		switch {
		case i == 0:
			persons = cells[1:]
		case i > 1 && (len(cells) != len(persons)+1 || table[cells[0]] != nil):
			t.Errorf("%q: want %d cells, and each thing once", line, len(persons)+1)
		case i > 1:
			table[cells[0]] = cells[1:]
		}
	}
	return persons, table
}

var footnote = regexp.MustCompile(`<sup>[^<]*</sup>`)

// TestWhoReachesWhat tries each cell of docs/security.md's table: what each kind of person reaches of each
// thing, under judged IAM.
func TestWhoReachesWhat(t *testing.T) {
	localtest.Needs(t, localtest.Roles)
	localtest.Needs(t, localtest.CodeBuild)
	persons, table := reachTable(t)
	s := newReachWorld(t, newApp(t))
	got := s.tryAll()

	for name := range got {
		if !slices.Contains(persons, name) {
			t.Errorf("the table has no column %q", name)
		}
	}
	f := s.facts("Viewer")
	things := f.things()
	if len(table) != len(things) {
		t.Errorf("the table has %d things, the test %d", len(table), len(things))
	}
	cells := 0
	for _, thing := range things {
		row := table[thing.name]
		if row == nil {
			t.Errorf("the table has no row %q", thing.name)
			continue
		}
		for i, person := range persons {
			reached, tried := got[person]
			if !tried {
				t.Errorf("%s, %s: nothing was tried", person, thing.name)
				continue
			}
			cells++
			if text := reached.cell(thing.name); text != row[i] {
				t.Errorf("%s, %s: the table says %q, tried: %q", person, thing.name, row[i], text)
			}
		}
	}
	if t.Logf("%d cells tried", cells); cells < 60 {
		t.Errorf("%d cells tried, want 60 at least", cells)
	}
	s.checkWays(got)
}

// checkWays holds the attempts themselves to be right: each way leads somewhere for one of the persons, or
// for the account's own user, who tries last, since that destroys things. A way that can't lead anywhere
// would say "no" of everybody.
func (s *reachWorld) checkWays(got map[string]*outcome) {
	f := s.facts("Viewer")
	ofOtherTests := func(t thing) bool { return t.name == secretThings[webhookSecret] }
	things := slices.DeleteFunc(f.things(), ofOtherTests)
	for i := range things {
		things[i].tries = slices.DeleteFunc(things[i].tries, func(t trial) bool { return t.verb == starts })
	}
	owner := &caller{cfg: world.cloud.Config(), client: http.DefaultClient, ended: s.ended}
	all := owner.try(s.t.Context(), things, s.markers)
	for _, why := range all.Unclear {
		s.t.Log("the account's own user:", why) // such as what an attempt before has deleted
	}
	for _, each := range got {
		all.add(each)
	}

	untried := []string{"states:StartExecution", "events:PutEvents"} // by the owner
	nowhere := append(untried, putOverOnce, signedWrong, copied)
	for way, led := range all.Ways {
		if led == slices.Contains(nowhere, way) {
			s.t.Errorf("%s led somewhere for somebody: %v, want %v", way, led, !led)
		}
	}
}

// reachWorld is the world in which all persons try: two apps of committers, one for each runner, and an app
// that is none of theirs.
type reachWorld struct {
	t       *testing.T
	mu      sync.Mutex
	byName  map[string]*app // the committers' by the runner, and "other"
	before  map[string]*deploy.Deployment
	this    map[string]*deploy.Deployment
	markers map[string]string
	keys    map[string]string // ids of evaluation keys, by APP/ENVIRONMENT
	jobRole string            // of builds' sessions
}

func newReachWorld(t *testing.T, a *app) *reachWorld {
	s := &reachWorld{t: t, byName: map[string]*app{
		runnerFunction:  a,
		runnerCodeBuild: makeApp(t),
		"other":         makeApp(t),
	},
		before:  map[string]*deploy.Deployment{},
		this:    map[string]*deploy.Deployment{},
		markers: map[string]string{},
		keys:    map[string]string{},
	}
	for _, name := range []string{thisSecret, otherEnvironmentSecret, otherAppSecret, ownSecret, bundleText} {
		s.markers[name] = name + "-" + randomText() + randomText()
	}
	s.markers[webhookSecret] = hookSecret
	sessions, err := world.fn.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{
		FunctionName: aws.String("slipway-buildsession"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.jobRole = sessions.Environment.Variables["SLIPWAY_JOB_ROLE"]; s.jobRole == "" {
		t.Fatal("no role of builds' sessions")
	}
	hookOnce.Do(func() { keep(t, "github-webhook", hookSecret) })
	keep(t, a.name, s.markers[ownSecret])
	s.parameter("/slipway-own/"+a.name, s.markers[ownSecret])

	var all sync.WaitGroup
	for name, each := range s.byName {
		all.Go(func() { s.settle(name, each) })
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return s
}

// settle gives an app two environments with secrets and flags of their own, and a first deployment.
func (s *reachWorld) settle(name string, a *app) {
	production := a.Environments["production"]
	if name == runnerCodeBuild {
		production.Runner = deploy.RunnerCodeBuild
	}
	staging := production
	for environment, settings := range map[string]*deploy.Settings{
		"production": &production,
		"staging":    &staging,
	} {
		value := s.markers[s.secretOf(name, environment)]
		secret := a.name + "/" + environment
		s.parameter("/slipway/"+secret, value)
		putSecret(s.t, "slipway/"+secret, value)
		settings.Variables = map[string]string{
			"SERVE": a.dir,
			"TOKEN": "ssm:" + environment,
			"KEY":   "secretsmanager:" + environment,
		}
	}
	build := a.name + "/build"
	s.parameter("/slipway/"+build, s.markers[s.secretOf(name, "production")])
	a.Variables = map[string]string{"SERVE": a.dir, "TOKEN": "ssm:build"}
	a.Environments = map[string]deploy.Settings{"production": production, "staging": staging}
	a.apply()

	for environment := range a.Environments {
		definition := map[string]any{
			"state":          "ENABLED",
			"variants":       map[string]any{"on": flagText(a.name, environment)},
			"defaultVariant": "on",
		}
		s.root("PUT", "/v1/apps/"+a.name+"/environments/"+environment+"/flags/reach", definition)
		s.addKey(a.name, environment)
	}
	before := a.deploy(a.commit("before", config())).wants(deploy.Success)
	this := before
	if name == "other" { // so that there is something to go back to
		this = a.deploy(a.commit("after", config())).wants(deploy.Success)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before[name], s.this[name] = before, this
}

// addKey makes the evaluation key that persons try to revoke.
func (s *reachWorld) addKey(app, environment string) {
	path := "/v1/apps/" + app + "/environments/" + environment + "/evaluation-keys"
	made := s.root("POST", path, map[string]any{"name": "to-revoke"})
	id, _ := made["id"].(string)
	if id == "" {
		s.t.Errorf("POST %s: the answer has no id", path)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[app+"/"+environment] = id
}

func (s *reachWorld) secretOf(name, environment string) string {
	switch {
	case name == "other":
		return otherAppSecret
	case environment == "staging":
		return otherEnvironmentSecret
	}
	return thisSecret
}

func (s *reachWorld) parameter(name, value string) {
	_, err := ssm.NewFromConfig(world.cloud.Config()).PutParameter(s.t.Context(),
		&ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString})
	if err != nil {
		s.t.Error(err)
	}
}

// root makes a call of the API as the account's own user, and reads the answer.
func (s *reachWorld) root(method, path string, in any) map[string]any {
	c := &caller{cfg: world.cloud.Config(), client: http.DefaultClient}
	status, text, err := c.ask(s.t.Context(), method, world.out.API+path, in, nil)
	if err != nil || status >= 300 {
		s.t.Errorf("%s %s: %d %s, %v", method, path, status, text, err)
	}
	var out map[string]any
	_ = json.Unmarshal(text, &out)
	return out
}

// facts are what a person knows of the world: names, which are no secrets.
func (s *reachWorld) facts(person string) facts {
	name := runnerFunction
	if person == committerCodeBuild {
		name = runnerCodeBuild
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, other := s.byName[name], s.byName["other"]
	artifact := func(d *deploy.Deployment) string {
		for _, key := range d.Artifacts {
			return key
		}
		return ""
	}
	environment, elsewhere, markers := "production", "staging", maps.Clone(s.markers)
	if person == "Developer" { // whose environment is staging
		environment, elsewhere = elsewhere, environment
		markers[thisSecret], markers[otherEnvironmentSecret] = markers[otherEnvironmentSecret], markers[thisSecret]
	}
	place := func(a *app, environment string, d *deploy.Deployment) place {
		return place{
			App:         a.name,
			Environment: environment,
			Commit:      d.CommitSHA,
			Deployment:  d.ID,
			Artifact:    artifact(d),
			Key:         s.keys[a.name+"/"+environment],
		}
	}
	return facts{
		Endpoint:  world.cloud.Endpoint(),
		Region:    world.cloud.Config().Region,
		API:       world.out.API,
		FlagsURL:  world.out.FlagsURL,
		Bucket:    world.out.Bucket,
		Table:     world.out.DeploymentsTable,
		LogGroup:  world.out.LogGroup,
		Machine:   world.out.StateMachineARN,
		JobRole:   s.jobRole,
		This:      place(a, environment, s.this[name]),
		Before:    place(a, environment, s.before[name]),
		Other:     place(other, "production", s.this["other"]),
		Elsewhere: elsewhere,
		Own:       s.byName[runnerFunction].name,
		Markers:   markers,
		Root:      name == runnerCodeBuild,
	}
}

// tryAll has each person try everything. Committers come first: what they do is a deployment that others look
// at.
func (s *reachWorld) tryAll() map[string]*outcome {
	got := map[string]*outcome{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for person, runner := range map[string]string{
		committerFunction:  runnerFunction,
		committerCodeBuild: runnerCodeBuild,
	} {
		all.Go(func() {
			r := s.asCommitter(person, runner)
			mu.Lock()
			defer mu.Unlock()
			got[person] = r
		})
	}
	all.Wait()

	maps.Copy(got, s.asPeople())
	anonymous := s.anonymous(nil)
	got["Stranger"] = anonymous.tryThings(s.t.Context(), s.facts("Stranger"))
	got["Evaluation key"] = s.withKey(anonymous).tryThings(s.t.Context(), s.facts("Evaluation key"))
	got["Page"] = s.asPage()
	for person, r := range got {
		for _, why := range r.Unclear {
			s.t.Errorf("%s: %s", person, why)
		}
	}
	return got
}

// asCommitter deploys a commit whose scripts try everything, and adds what Slipway did with what they made.
func (s *reachWorld) asCommitter(person, runner string) *outcome {
	a := s.byName[runner]
	program, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	knows, err := json.Marshal(s.facts(person))
	if err != nil {
		s.t.Fatal(err)
	}
	a.write("facts.json", string(knows))
	try := fmt.Sprintf(`%s="$SERVE" '%s'`, reachVariable, program)
	build := "mkdir -p out && cp version out/version; " + try
	serve := `cp out/version "$SERVE/live"; `
	before := callsOfBuilds(s.t)
	r := a.deploy(a.commit(s.markers[bundleText], config("test="+try, "build="+build, "deploy="+serve+try)))
	d := r.wants(deploy.Success)
	s.mu.Lock()
	s.this[runner] = d
	s.mu.Unlock()
	meant.note(s.t, before)

	all := &outcome{}
	for _, stage := range []string{"test", "build", "deploy"} {
		var one outcome
		if err := json.Unmarshal([]byte(a.read("reach-"+stage+".json")), &one); err != nil {
			s.t.Errorf("%s: the %s script tried nothing: %v; %s", person, stage, err, r.output())
		}
		all.add(&one)
	}
	if strings.Contains(r.output(), printed) {
		all.note("Log of this deployment", adds)
	}
	for _, artifact := range d.Release.Artifacts {
		if string(object(s.t, artifact.Key)) == s.markers[bundleText] {
			all.note("Artifacts of this commit", adds)
		}
	}
	return all
}

// asPeople tries everything with the policy of each role, and with the right to upload.
func (s *reachWorld) asPeople() map[string]*outcome {
	a := s.byName[runnerFunction]
	everybody := people(s.t, a)
	policy := fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:PutObject",
		"Resource": "arn:aws:s3:::%s/sources/%s/*"}]}`, world.out.Bucket, a.name)
	uploader, err := localtest.As(s.t.Context(), world.cloud, a.name+"-uploader", policy)
	if err != nil {
		s.t.Fatal(err)
	}
	everybody["Uploader"] = person{uploader}

	got := map[string]*outcome{}
	for role, p := range everybody {
		c := &caller{cfg: p.cfg, client: http.DefaultClient, ended: s.ended}
		got[role] = c.tryThings(s.t.Context(), s.facts(role))
	}
	return got
}

// ended waits for the end of a deployment that a person started, so that the next person finds the
// environment free.
func (s *reachWorld) ended(id string) {
	waitFor(s.t, id+" to end", func() (deploy.Status, bool) {
		d, err := world.store.Deployment(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		return d.Status, d.EndTime != nil
	})
}

// anonymous is somebody without credentials, who sends these headers besides.
func (s *reachWorld) anonymous(header http.Header) *caller {
	cfg := world.cloud.Config()
	cfg.Credentials = aws.AnonymousCredentials{}
	client := &http.Client{Transport: adding{header}, Timeout: time.Minute}
	cfg.HTTPClient = client
	return &caller{cfg: cfg, client: client, ended: s.ended}
}

// asPage tries everything as a browser sends it for a page of another site: as a stranger, and with the keys
// of the local cloud, in case that the page knows them.
func (s *reachWorld) asPage() *outcome {
	all := &outcome{}
	for _, page := range []struct {
		header http.Header
		knows  bool // the keys
	}{
		{http.Header{"Origin": {"https://shop.example"}}, true},
		{http.Header{"Origin": {"null"}}, false},
		{http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		{http.Header{"Host": {"shop.example"}}, false},
	} {
		c := s.anonymous(page.header)
		if page.knows {
			c.cfg.Credentials = world.cloud.Config().Credentials
		}
		all.add(c.tryThings(s.t.Context(), s.facts("Page")))
	}
	return all
}

// withKey is the same with an evaluation key of the committer's production.
func (s *reachWorld) withKey(c *caller) *caller {
	path := "/v1/apps/" + s.byName[runnerFunction].name + "/environments/production/evaluation-keys"
	made := s.root("POST", path, map[string]any{
		"name": "reach",
	})
	key, _ := made["key"].(string)
	if key == "" {
		s.t.Errorf("no key in %v", slices.Collect(maps.Keys(made)))
	}
	with := *c
	with.key = key
	return &with
}

// adding is a transport that adds headers as a browser does.
type adding struct{ header http.Header }

func (a adding) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	for name, values := range a.header {
		if name == "Host" {
			sent.Host = values[0]
			continue
		}
		sent.Header[name] = values
	}
	return http.DefaultTransport.RoundTrip(sent)
}

// meant are the calls that a test's own programs made by credentials which they found: no need of Slipway's.
var meant meantCalls

type meantCalls struct {
	mu   sync.Mutex
	list []localtest.Call
}

func (m *meantCalls) has(c localtest.Call) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.list, c)
}

// note adds the calls of builds that were made since before, but for those that the golden file has: builds of
// other tests, which run at the same time, need them.
func (m *meantCalls) note(t *testing.T, before []localtest.Call) {
	golden, err := os.ReadFile(callsFile)
	if err != nil {
		t.Fatal(err)
	}
	needed := func(c localtest.Call) bool {
		return c.Allowed && strings.Contains("\n"+string(golden), "\n"+describe(c)+"\n")
	}
	now := callsOfBuilds(t)

	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range now {
		if !slices.Contains(before, c) && !needed(c) {
			m.list = append(m.list, c)
		}
	}
}

// callsOfBuilds lists what the sessions did that a build's scripts can take on.
func callsOfBuilds(t *testing.T) []localtest.Call {
	calls, err := localtest.Calls(world.cloud)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(calls, func(c localtest.Call) bool { return !ofBuild.MatchString(c.Who) })
}

var ofBuild = regexp.MustCompile(`^(slipway-builds|slipway-job(-.*)?|AWSCodeBuild-.*)$`)
