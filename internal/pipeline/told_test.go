package pipeline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	events "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/notify/notifytest"
)

// inbox is an SQS queue that the test reads what is told from.
type inbox struct {
	t        *testing.T
	client   *sqs.Client
	url, arn string
}

func newInbox(t *testing.T, name string) *inbox {
	t.Helper()
	client := sqs.NewFromConfig(world.cloud.Config())
	q, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	a, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: q.QueueUrl, AttributeNames: []types.QueueAttributeName{"QueueArn"}})
	if err != nil {
		t.Fatal(err)
	}
	arn := a.Attributes["QueueArn"]
	policy := fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": %q,
		"Principal": {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}}]}`, arn)
	_, err = client.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: q.QueueUrl, Attributes: map[string]string{"Policy": policy}})
	if err != nil {
		t.Fatal(err)
	}
	return &inbox{t, client, *q.QueueUrl, arn}
}

// read takes what there is, each message's body.
func (i *inbox) read() (bodies []string) {
	i.t.Helper()
	for {
		out, err := i.client.ReceiveMessage(i.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &i.url, MaxNumberOfMessages: 10})
		if err != nil {
			i.t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return bodies
		}
		for _, m := range out.Messages {
			bodies = append(bodies, *m.Body)
			if _, err := i.client.DeleteMessage(i.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &i.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				i.t.Fatal(err)
			}
		}
	}
}

// onBus makes a rule that brings the app's changes from Slipway's bus to the inbox.
func (i *inbox) onBus(app string) {
	i.t.Helper()
	client, bus := eventbridge.NewFromConfig(world.cloud.Config()), world.out.EventBus
	pattern := fmt.Sprintf(`{"source":["slipway"],"detail-type":["Deployment Status Changed"],"detail":{"app":[%q]}}`, app)
	if _, err := client.PutRule(i.t.Context(), &eventbridge.PutRuleInput{Name: &app, EventBusName: &bus, EventPattern: &pattern}); err != nil {
		i.t.Fatal(err)
	}
	if _, err := client.PutTargets(i.t.Context(), &eventbridge.PutTargetsInput{Rule: &app, EventBusName: &bus,
		Targets: []events.Target{{Id: aws.String("inbox"), Arn: &i.arn}}}); err != nil {
		i.t.Fatal(err)
	}
}

// outside is a server in GitHub's and Slack's place.
type outside struct {
	*httptest.Server
	notifytest.Deployments
	mu       sync.Mutex
	statuses []map[string]string // the newest first
	messages []string
	tokens   []string
	failing  bool // whether GitHub answers 502
}

func newOutside(t *testing.T) *outside {
	o := &outside{Deployments: notifytest.Deployments{Repository: "octo/told"}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.URL.Path == "/services/T0/B0/hook":
		o.messages = append(o.messages, string(body))
	case o.failing:
		w.WriteHeader(http.StatusBadGateway)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/repos/octo/told/commits/"):
		o.tokens = append(o.tokens, r.Header.Get("Authorization"))
		_ = json.NewEncoder(w).Encode(append([]map[string]string{}, o.statuses...))
	case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/repos/octo/told/statuses/"):
		var s map[string]string
		_ = json.Unmarshal(body, &s)
		o.statuses = append([]map[string]string{s}, o.statuses...)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "{}")
	default:
		r.Body = io.NopCloser(bytes.NewReader(body))
		if !o.Serve(w, r) {
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

// deployed waits until GitHub has one deployment for each of the app's that got as far as a commit, and says of it what became of it.
func (o *outside) deployed(t *testing.T, a *app) {
	t.Helper()
	head, err := world.store.Head(t.Context(), a.name, "production")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, listed := range a.deployments() {
		d, err := world.store.Deployment(t.Context(), listed.ID)
		if err != nil {
			t.Fatal(err)
		}
		state := map[deploy.Status]string{deploy.Success: "inactive", deploy.Failed: "failure", deploy.RolledBack: "failure", deploy.Aborted: "error"}[d.Status]
		switch {
		case d.ID == head.Live.Deployment:
			state = "success"
		case d.WentLive():
			state = "inactive"
		}
		want[fmt.Sprintf(`{"slipway_deployment":%q} %s %s/production`, d.ID, d.CommitSHA, a.name)] = state
	}
	waitFor(t, "GitHub to have each deployment as it is", func() (string, bool) {
		got := map[string]string{}
		all := o.All()
		for _, d := range all {
			got[fmt.Sprintf("%s %s %s", d.Payload, d.SHA, d.Environment)] = d.State()
		}
		return fmt.Sprintf("%d deployments: %v\nwant %v", len(all), got, want), len(all) == len(want) && maps.Equal(got, want)
	})
	for _, d := range o.All() {
		last := d.Statuses[len(d.Statuses)-1].State
		for _, s := range d.Statuses[:len(d.Statuses)-1] {
			// GitHub sets a deployment to inactive when a later one succeeds. Slipway may set the same state at that time.
			if twice := s.State == "inactive" && last == "inactive"; s.State != "in_progress" && s.State != "success" && !twice {
				t.Errorf("%s: %+v", d.Payload, d.Statuses)
			}
		}
	}
}

// pointTo sets where the function finds GitHub.
func pointTo(t *testing.T, url string) {
	t.Helper()
	name := aws.String("slipway-notify")
	fn, err := world.fn.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: name})
	if err != nil {
		t.Fatal(err)
	}
	env := fn.Environment.Variables
	env["SLIPWAY_GITHUB_URL"] = url
	if _, err := world.fn.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: name, Environment: &lambdatypes.Environment{Variables: env}}); err != nil {
		t.Fatal(err)
	}
}

func putSecret(t *testing.T, name, value string) {
	t.Helper()
	if _, err := secretsmanager.NewFromConfig(world.cloud.Config()).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}); err != nil {
		t.Fatal(err)
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open("../../docs/deployment-status-changed.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("schema.json")
}

// change reads an event's detail, and holds it against the schema that others read.
func change(t *testing.T, schema *jsonschema.Schema, detail string) deploy.Change {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(detail))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v", detail, err)
	}
	strict := json.NewDecoder(strings.NewReader(detail))
	strict.DisallowUnknownFields()
	var c deploy.Change
	if err := strict.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// whole checks that the changes of one deployment, in the order in which they were told, are its whole way to where it is.
func whole(t *testing.T, d *deploy.Deployment, told []deploy.Change) {
	t.Helper()
	at, sequence := deploy.Status(""), int64(0)
	for _, c := range told {
		if c.PreviousStatus != at || c.Sequence <= sequence || at != "" && at.To(c.Status) != nil || at == "" && c.Status != deploy.Pending && c.Status != deploy.Running {
			t.Errorf("%s: %s to %s (%d) after %s (%d)", d.ID, c.PreviousStatus, c.Status, c.Sequence, at, sequence)
		}
		at, sequence = c.Status, c.Sequence
	}
	last := told[len(told)-1]
	if at != d.Status || last.Error != d.Error || last.SupersededBy != d.SupersededBy || last.EndTime == nil || last.CommitSHA != d.CommitSHA {
		t.Errorf("%s is %s (%s), told last %+v", d.ID, d.Status, d.Error, last)
	}
}

// TestStatusesAreTold: each change of a deployment's status is on the bus, once and in order, and in each of the app's channels.
func TestStatusesAreTold(t *testing.T) {
	a := newApp(t)
	o, schema := newOutside(t), compileSchema(t)
	pointTo(t, o.URL)
	putSecret(t, "slipway-own/"+a.name+"/github", "a-token-of-github")
	putSecret(t, "slipway-own/"+a.name+"/slack", o.URL+"/services/T0/B0/hook")
	bus, topic := newInbox(t, "told-bus"), newInbox(t, "told-topic")
	bus.onBus(a.name)
	client := sns.NewFromConfig(world.cloud.Config())
	made, err := client.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String(local.Topic)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: made.TopicArn, Protocol: aws.String("sqs"), Endpoint: &topic.arn,
		Attributes: map[string]string{"RawMessageDelivery": "true"}}); err != nil {
		t.Fatal(err)
	}
	a.Notifications = &deploy.Notifications{SNS: &deploy.SNSChannel{Topic: *made.TopicArn}, Slack: &deploy.SlackChannel{Webhook: "secretsmanager:slack"},
		GitHub: &deploy.GitHubChannel{Repository: "octo/told", Token: "secretsmanager:github"}}
	a.apply()

	good := a.deploy(a.commit("one", config()))
	good.wants(deploy.Success)
	bad := a.deploy(a.commit("bad", config(`deploy=echo bad > "$SERVE/live"; echo "it said \"no\"" >&2; exit 1`)))
	bad.wants(deploy.RolledBack)
	slow := a.commit("two", config(`deploy=sleep 2; cp out/version "$SERVE/live"`))
	crowd := []*run{a.deploy(slow), a.deploy(slow), a.deploy(slow), a.deploy(slow)} // some are overtaken
	for _, r := range crowd {
		r.ended()
	}
	a.start(map[string]any{"action": "rollback"}).wants(deploy.Success)

	var changes []deploy.Change
	told := map[string][]deploy.Change{}
	waitFor(t, "the bus to hear of all", func() (int, bool) {
		for _, body := range bus.read() {
			var e struct {
				Detail json.RawMessage `json:"detail"`
			}
			if err := json.Unmarshal([]byte(body), &e); err != nil {
				t.Fatal(err)
			}
			c := change(t, schema, string(e.Detail))
			changes, told[c.Deployment] = append(changes, c), append(told[c.Deployment], c)
		}
		for _, d := range a.deployments() {
			if n := len(told[d.ID]); n == 0 || told[d.ID][n-1].Status != d.Status {
				return 0, false
			}
		}
		return len(changes), true
	})
	for _, d := range a.deployments() {
		t.Logf("%s, %s: told %d times", d.ID, d.Status, len(told[d.ID]))
		whole(t, &d, told[d.ID])
	}
	if len(told) < 7 {
		t.Errorf("told of %d deployments", len(told))
	}
	var published []deploy.Change
	waitFor(t, "the topic to hear of all", func() (int, bool) {
		for _, body := range topic.read() {
			published = append(published, change(t, schema, body))
		}
		return len(published), len(published) >= len(changes)
	})
	for _, c := range changes {
		if !slices.ContainsFunc(published, func(p deploy.Change) bool {
			return fmt.Sprint(p.Deployment, p.Sequence, p.Error) == fmt.Sprint(c.Deployment, c.Sequence, c.Error)
		}) {
			t.Errorf("the topic was not told %+v", c)
		}
	}
	waitFor(t, "GitHub and Slack to hear of all", func() (string, bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		states := fmt.Sprint(o.statuses)
		return states, strings.Contains(states, "went live in production - "+good.id) && strings.Contains(states, "rolled back - "+bad.id) && len(o.messages) >= len(changes)
	})
	o.deployed(t, a)
	o.failed(t, a)
	o.deployed(t, a)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tokens[0] != "Bearer a-token-of-github" || o.statuses[0]["context"] != "slipway/"+a.name+"/production" {
		t.Errorf("%v, %v", o.tokens, o.statuses)
	}
}

// failed: a channel that fails holds up neither the deployment nor another channel. What it was not told waits, and can be told then.
func (o *outside) failed(t *testing.T, a *app) {
	set := func(failing bool) (messages int) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.failing = failing
		return len(o.messages)
	}
	before := set(true)
	r := a.deploy(a.commit("three", config()))
	r.wants(deploy.Success)
	waitFor(t, "Slack to hear though GitHub doesn't", func() (int, bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.messages), len(o.messages) >= before+2
	})
	slipway, err := filepath.Abs("../../bin/slipway")
	if err != nil {
		t.Fatal(err)
	}
	type letter struct {
		Why, Result string
		Event       struct {
			Channel string
			Event   struct{ Detail deploy.Change }
		}
	}
	ofOurs := func(text string) map[string]letter {
		var all []letter
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		ours := map[string]letter{}
		for _, l := range all {
			if c := l.Event.Event.Detail; c.Deployment == r.id {
				ours[l.Event.Channel+" "+string(c.Status)] = l
			}
		}
		return ours
	}
	letters := waitFor(t, "GitHub's changes to be dead letters", func() (map[string]letter, bool) {
		ours := ofOurs(shell(t, nil, slipway, "events", "list", "--notifications", "--limit", "1000", "-o", "json"))
		_, status := ours["github success"]
		_, deployment := ours["github-deployments success"]
		return ours, status && deployment && len(ours) >= 4
	})
	if why := letters["github success"].Why; !strings.Contains(why, "github: success of "+r.id) || !strings.Contains(why, "502 Bad Gateway") {
		t.Errorf("the letter says %q", why)
	}
	if out, err := try(t, nil, slipway, "events", "redrive", "--notifications", "-o", "json"); err == nil || !strings.Contains(out, "502 Bad Gateway") || !strings.Contains(out, "failed again, and stay") {
		t.Errorf("while GitHub still fails: %v\n%s", err, out)
	}
	set(false)
	for what, l := range ofOurs(shell(t, nil, slipway, "events", "redrive", "--notifications", "-o", "json")) {
		if l.Result != "told" {
			t.Errorf("%s: %+v", what, l)
		}
	}
	if left := ofOurs(shell(t, nil, slipway, "events", "list", "--notifications", "--limit", "1000", "-o", "json")); len(left) != 0 {
		t.Errorf("%d letters are left: %v", len(left), left)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.statuses[0]["description"] != "went live in production - "+r.id {
		t.Errorf("GitHub says %v", o.statuses[0])
	}
}
