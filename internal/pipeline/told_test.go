package pipeline_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
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
	return &inbox{t, client, *q.QueueUrl, a.Attributes["QueueArn"]}
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
	mu       sync.Mutex
	statuses []map[string]string // the newest first
	messages []string
	tokens   []string
	failing  int // how many requests of GitHub's are yet to be answered 502
}

func newOutside(t *testing.T) *outside {
	o := &outside{}
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
	case o.failing > 0:
		o.failing--
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
		w.WriteHeader(http.StatusNotFound)
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

// ways names each deployment's changes in the order in which they were told.
func ways(changes []deploy.Change) map[string]string {
	told := map[string]string{}
	for _, c := range changes {
		told[c.Deployment] += fmt.Sprintf("%s>%s ", c.PreviousStatus, c.Status)
	}
	return told
}

// TestStatusesAreTold: each change of a deployment's status is on the bus, once and in order, and in each of the app's channels.
func TestStatusesAreTold(t *testing.T) {
	a := newApp(t)
	o, schema := newOutside(t), compileSchema(t)
	pointTo(t, o.URL)
	putSecret(t, "slipway/told-github", "a-token-of-github")
	putSecret(t, "slipway/told-slack", o.URL+"/services/T0/B0/hook")
	bus, topic := newInbox(t, "told-bus"), newInbox(t, "told-topic")
	bus.onBus(a.name)
	client := sns.NewFromConfig(world.cloud.Config())
	made, err := client.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("told")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: made.TopicArn, Protocol: aws.String("sqs"), Endpoint: &topic.arn,
		Attributes: map[string]string{"RawMessageDelivery": "true"}}); err != nil {
		t.Fatal(err)
	}
	a.Notifications = &deploy.Notifications{SNS: &deploy.SNSChannel{Topic: *made.TopicArn}, Slack: &deploy.SlackChannel{Webhook: "secretsmanager:told-slack"},
		GitHub: &deploy.GitHubChannel{Repository: "octo/told", Token: "secretsmanager:told-github"}}
	a.apply()

	good := a.deploy(a.commit("one", config()))
	good.wants(deploy.Success)
	bad := a.deploy(a.commit("bad", config()))
	bad.wants(deploy.RolledBack)
	want := map[string]string{good.id: ">running running>success ", bad.id: ">running running>rolled_back "}
	var changes []deploy.Change
	waitFor(t, "the bus to hear of all", func() (int, bool) {
		for _, body := range bus.read() {
			var e struct {
				Detail json.RawMessage `json:"detail"`
			}
			if err := json.Unmarshal([]byte(body), &e); err != nil {
				t.Fatal(err)
			}
			changes = append(changes, change(t, schema, string(e.Detail)))
		}
		return len(changes), len(changes) >= 4
	})
	if got := ways(changes); fmt.Sprint(got) != fmt.Sprint(want) || !slices.IsSortedFunc(changes[:2], func(x, y deploy.Change) int { return int(x.Sequence - y.Sequence) }) {
		t.Errorf("told %v, want %v", got, want)
	}
	if last := changes[len(changes)-1]; last.Error != bad.record().Error || last.Error == "" || last.EndTime == nil {
		t.Errorf("%+v", last)
	}
	var published []deploy.Change
	waitFor(t, "the topic to hear of all", func() (int, bool) {
		for _, body := range topic.read() {
			published = append(published, change(t, schema, body))
		}
		return len(published), len(published) >= 4
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
		return states, strings.Contains(states, "live in production - "+good.id) && strings.Contains(states, "rolled back - "+bad.id) && len(o.messages) >= 4
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tokens[0] != "Bearer a-token-of-github" || o.statuses[0]["context"] != "slipway/"+a.name+"/production" {
		t.Errorf("%v, %v", o.tokens, o.statuses)
	}
}
