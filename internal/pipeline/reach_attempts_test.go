package pipeline_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"github.com/slipway-cd/slipway/internal/trigger"
)

// The verbs of a cell, in the order in which it has them.
const (
	reads   = "reads"
	adds    = "adds"    // makes what wasn't there
	changes = "changes" // replaces or deletes what was there
	starts  = "starts"
)

var verbs = []string{reads, adds, changes, starts}

// Texts that stand in one place each: whoever has seen one, has read what is there.
const (
	thisSecret             = "secret of the environment"
	otherEnvironmentSecret = "secret of another environment"
	otherAppSecret         = "secret of another app"
	ownSecret              = "secret of Slipway"
	webhookSecret          = "secret of the webhook"
	bundleText             = "text of the bundle"
)

// printed is what a committer's scripts print.
const printed = "a line of the committer's"

// secretThings are the things whose reading shows in any answer whatever, like a log or an environment.
var secretThings = map[string]string{
	thisSecret:             "Secrets of scripts, this app and environment",
	otherEnvironmentSecret: "Secrets of scripts, another environment",
	otherAppSecret:         "Secrets of scripts, another app",
	ownSecret:              "What Slipway logs in with (`slipway-own/`)",
	webhookSecret:          "The webhook's secret",
}

// flagText is the value of an environment's flag.
func flagText(app, environment string) string { return "flag-of-" + app + "-" + environment }

// place is a deployment, and what belongs to it.
// Key is the id of an evaluation key of the environment.
type place struct{ App, Environment, Commit, Deployment, Artifact, Key string }

// facts are what a person knows. A committer's scripts get them as JSON.
type facts struct {
	Endpoint, Region, API, FlagsURL, Bucket, Table, LogGroup, Machine string

	JobRole             string // that builds get sessions of
	This, Before, Other place
	Elsewhere           string            // another environment
	Own                 string            // name of a secret below slipway-own/
	Markers             map[string]string // the texts by their names
	Root                bool              // the person's programs are root, as in a build's container
}

// thing is a row of the table, with what a person tries on it.
type thing struct {
	name  string
	tries []trial
}

// trial is one way to do something. It reports whether it was done. An error says that this isn't clear, and
// fails the test.
type trial struct {
	verb string
	way  string // the action, as IAM or HTTP calls it
	do   func(ctx context.Context, c *caller) (bool, error)
}

// outcome is what a person did: the verbs for each thing.
type outcome struct {
	Done    map[string][]string
	Ways    map[string]bool // each way that was tried, and whether it led anywhere
	Unclear []string
}

func (r *outcome) note(thing, verb string) {
	if r.Done == nil {
		r.Done = map[string][]string{}
	}
	if !slices.Contains(r.Done[thing], verb) {
		r.Done[thing] = append(r.Done[thing], verb)
	}
}

func (r *outcome) tried(way string, led bool) {
	if r.Ways == nil {
		r.Ways = map[string]bool{}
	}
	r.Ways[way] = r.Ways[way] || led
}

func (r *outcome) add(other *outcome) {
	for thing, verbs := range other.Done {
		for _, verb := range verbs {
			r.note(thing, verb)
		}
	}
	for way, led := range other.Ways {
		r.tried(way, led)
	}
	r.Unclear = append(r.Unclear, other.Unclear...)
}

// cell is what the table says where r is true.
func (r *outcome) cell(thing string) string {
	var done []string
	for _, verb := range verbs {
		if slices.Contains(r.Done[thing], verb) {
			done = append(done, verb)
		}
	}
	if done == nil {
		return "no"
	}
	return strings.Join(done, ", ")
}

// caller is somebody who tries: with credentials of AWS or without, with an evaluation key or without.
type caller struct {
	cfg    aws.Config
	client *http.Client
	key    string
	ended  func(deployment string) // waits for a deployment that the caller started

	seen [][]byte // answers
}

// The ways by which nobody gets anywhere, the account's own user included.
const (
	putOverOnce = "s3:PutObject over a key, If-None-Match"
	signedWrong = "POST /webhooks/github with a wrong signature"
	copied      = "POST /v1/apps/APP/environments/ENV/flags.copy?dry_run=true" // the caller brings what is copied
)

// way names a request as many have it that differ in names alone.
func way(method, url string) string {
	for _, g := range []struct{ pattern, name string }{
		{`^http.*(/ofrep/|/flagd/|/v1/)`, "$1"},
		{`app-[a-z0-9]{8}-\d+`, "APP"},
		{`deploy-\d{8}-[^/]+`, "ID"},
		{`/environments/\w+`, "/environments/ENV"},
	} {
		url = regexp.MustCompile(g.pattern).ReplaceAllString(url, g.name)
	}
	return method + " " + url
}

// tryThings tries all that f names.
func (c *caller) tryThings(ctx context.Context, f facts) *outcome {
	return c.try(ctx, f.things(), f.Markers)
}

func (c *caller) try(ctx context.Context, things []thing, markers map[string]string) *outcome {
	r := &outcome{}
	for _, thing := range things {
		for _, t := range thing.tries {
			done, err := t.do(ctx, c)
			r.tried(t.way, done)
			switch {
			case err != nil:
				r.Unclear = append(r.Unclear, fmt.Sprintf("%s, %s by %s: %v", thing.name, t.verb, t.way, err))
			case done:
				r.note(thing.name, t.verb)
			}
		}
	}
	c.noteSeen(r, markers)
	return r
}

// noteSeen adds the secrets that any answer held.
func (c *caller) noteSeen(r *outcome, markers map[string]string) {
	for name, thing := range secretThings {
		for _, text := range c.seen {
			if bytes.Contains(text, []byte(markers[name])) {
				r.note(thing, reads)
			}
		}
	}
}

// things is all that is tried.
func (f *facts) things() []thing {
	elsewhere := f.This
	elsewhere.Environment = f.Elsewhere
	return []thing{
		{secretThings[thisSecret], f.secret("slipway/" + f.This.App + "/" + f.This.Environment)},
		{secretThings[otherEnvironmentSecret], f.secret("slipway/" + f.This.App + "/" + f.Elsewhere)},
		{secretThings[otherAppSecret], f.secret("slipway/" + f.Other.App + "/production")},
		{"Bundle of this commit", f.bundle(f.This, false)},
		{"Bundles of the app's other commits", f.bundle(f.Before, true)},
		{"Bundles of another app", f.bundle(f.Other, true)},
		{"Record of this deployment and its release", f.record(f.This)},
		{"Records of the app's other deployments", f.record(f.Before)},
		{"Records of another app's deployments", f.record(f.Other)},
		{
			"Artifacts of this commit",
			f.object(f.This.Artifact, "artifacts/"+f.This.App+"/"+f.This.Commit+"/"),
		},
		{
			"Artifacts of the app's other commits",
			f.object(f.Before.Artifact, "artifacts/"+f.Before.App+"/"+f.Before.Commit+"/"),
		},
		{
			"Artifacts of another app",
			f.object(f.Other.Artifact, "artifacts/"+f.Other.App+"/"+f.Other.Commit+"/"),
		},
		{"Log of this deployment", f.log(f.This)},
		{"Logs of the app's other deployments", f.log(f.Before)},
		{"Logs of another app's deployments", f.log(f.Other)},
		{"Flags, this app and environment", f.flags(f.This, f.This)},
		{"Flags, another environment", f.flags(elsewhere, f.This)},
		{"Flags, another app", f.flags(f.Other, f.This)},
		{"Evaluation keys, this app and environment", f.keys(f.This)},
		{"Evaluation keys, another app", f.keys(f.Other)},
		{"Settings of the app", f.settings(f.This)},
		{"Settings of another app", f.settings(f.Other)},
		{secretThings[ownSecret], f.secret("slipway-own/" + f.Own)},
		{secretThings[webhookSecret], f.secret("slipway-own/github-webhook")},
		{"The deployments table", f.table()},
		{"Deploying the app", f.deploying(f.This)},
		{"Deploying the app to another environment", f.deploying(elsewhere)},
		{"Deploying another app", f.deploying(f.Other)},
		{"Rolling the app back", f.rollingBack(f.This)},
		{"Rolling the app back in another environment", f.rollingBack(elsewhere)},
		{"Rolling another app back", f.rollingBack(f.Other)},
	}
}

// secret tries a secret's value in both services.
func (f *facts) secret(name string) []trial {
	parameter := "/" + name
	return []trial{
		{reads, "ssm:GetParameter", func(ctx context.Context, c *caller) (bool, error) {
			out, err := ssm.NewFromConfig(c.cfg).GetParameter(ctx, &ssm.GetParameterInput{
				Name:           &parameter,
				WithDecryption: aws.Bool(true),
			})
			if err == nil {
				c.seen = append(c.seen, []byte(aws.ToString(out.Parameter.Value)))
			}
			return isDone(err)
		}},
		{reads, "secretsmanager:GetSecretValue", func(ctx context.Context, c *caller) (bool, error) {
			out, err := c.secrets().GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
				SecretId: &name,
			})
			if err == nil {
				c.seen = append(c.seen, []byte(aws.ToString(out.SecretString)))
			}
			return isDone(err)
		}},
		{changes, "ssm:PutParameter", func(ctx context.Context, c *caller) (bool, error) {
			_, err := ssm.NewFromConfig(c.cfg).PutParameter(ctx, &ssm.PutParameterInput{
				Name:      &parameter,
				Value:     aws.String("changed"),
				Overwrite: aws.Bool(true),
			})
			return isDone(err)
		}},
		{changes, "secretsmanager:PutSecretValue", func(ctx context.Context, c *caller) (bool, error) {
			_, err := c.secrets().PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
				SecretId:     &name,
				SecretString: aws.String("changed"),
			})
			return isDone(err)
		}},
	}
}

func (c *caller) secrets() *secretsmanager.Client { return secretsmanager.NewFromConfig(c.cfg) }
func (c *caller) logs() *cloudwatchlogs.Client    { return cloudwatchlogs.NewFromConfig(c.cfg) }
func (c *caller) table() *dynamodb.Client         { return dynamodb.NewFromConfig(c.cfg) }

func (c *caller) s3() *s3.Client {
	return s3.NewFromConfig(c.cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

// object tries an object of the bucket, and to make another one beside it. A key of "" is that of an object
// that isn't there yet; a folder of "" leaves the making out.
func (f *facts) object(key, folder string) []trial {
	put := func(key string, condition *string) func(context.Context, *caller) (bool, error) {
		return func(ctx context.Context, c *caller) (bool, error) {
			_, err := c.s3().PutObject(ctx, &s3.PutObjectInput{
				Bucket:      &f.Bucket,
				Key:         &key,
				Body:        strings.NewReader("forged"),
				IfNoneMatch: condition,
			})
			return isDone(err)
		}
	}
	fresh := folder + randomText()
	if key == "" {
		key = fresh
	}

	var tries []trial
	if folder != "" {
		tries = append(tries, trial{
			adds,
			"s3:PutObject of a new key, without a condition",
			put(fresh, nil),
		}, trial{adds, "s3:PutObject of a new key", put(fresh, aws.String("*"))})
	}
	return append(tries,
		trial{reads, "s3:GetObject", func(ctx context.Context, c *caller) (bool, error) {
			out, err := c.s3().GetObject(ctx, &s3.GetObjectInput{Bucket: &f.Bucket, Key: &key})
			if err == nil {
				defer out.Body.Close()
				c.read(out.Body)
			}
			return isDone(err)
		}},
		trial{changes, "s3:PutObject over a key", put(key, nil)},
		trial{changes, putOverOnce, put(key, aws.String("*"))},
		trial{changes, "s3:DeleteObject", func(ctx context.Context, c *caller) (bool, error) {
			_, err := c.s3().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &f.Bucket, Key: &key})
			return isDone(err)
		}})
}

// bundle tries a commit's bundle: uploaded, and where Slipway puts those that it fetches. A new one is that
// of a commit besides.
func (f *facts) bundle(p place, other bool) []trial {
	var tries []trial
	for _, folder := range []string{"sources/" + p.App + "/", "fetched/" + p.App + "/"} {
		key, beside := folder+p.Commit+".tar.gz", ""
		if other {
			beside = folder
		}
		for _, tried := range f.object(key, beside) {
			tries = append(tries, absent(tried))
		}
	}
	return tries
}

// record tries a deployment's record, wherever it is.
func (f *facts) record(p place) []trial {
	tries := f.get("/v1/deployments/"+p.Deployment, "/v1/apps/"+p.App+"/deployments/"+p.Deployment,
		"/v1/apps/"+p.App+"/environments/"+p.Environment+"/deployments/"+p.Deployment,
		"/v1/deployments?app="+p.App, "/v1/apps/"+p.App+"/deployments",
		"/v1/apps/"+p.App+"/environments/"+p.Environment+"/deployments")
	for _, key := range []map[string]dynamodbtypes.AttributeValue{
		tableKey("DEPLOYMENT#"+p.Deployment, "RECORD"), tableKey("RELEASE#"+p.App, p.Commit)} {
		tries = append(tries, f.item(key)...)
	}
	for _, name := range []string{"deployment.json", "result.json", "cancelled"} {
		for _, tried := range f.object("jobs/"+p.Deployment+"/"+name, "") {
			tries = append(tries, absent(tried))
		}
	}
	return tries
}

// absent is a trial of an object that some deployments have: where there is none, nothing is done.
func absent(tried trial) trial {
	return trial{tried.verb, tried.way, func(ctx context.Context, c *caller) (bool, error) {
		done, err := tried.do(ctx, c)
		if err != nil && errorCode(err) == "NoSuchKey" {
			return false, nil
		}
		return done, err
	}}
}

func tableKey(partition, sort string) map[string]dynamodbtypes.AttributeValue {
	return map[string]dynamodbtypes.AttributeValue{
		"pk": &dynamodbtypes.AttributeValueMemberS{
			Value: partition,
		}, "sk": &dynamodbtypes.AttributeValueMemberS{Value: sort}}
}

// item tries one item of the deployments table.
func (f *facts) item(key map[string]dynamodbtypes.AttributeValue) []trial {
	return []trial{
		{reads, "dynamodb:GetItem", func(ctx context.Context, c *caller) (bool, error) {
			_, err := c.table().GetItem(ctx, &dynamodb.GetItemInput{
				TableName: &f.Table,
				Key:       key,
			})
			return isDone(err)
		}},
		{changes, "dynamodb:PutItem", func(ctx context.Context, c *caller) (bool, error) {
			_, err := c.table().PutItem(ctx, &dynamodb.PutItemInput{
				TableName: &f.Table,
				Item:      key,
			})
			return isDone(err)
		}},
		{changes, "dynamodb:DeleteItem", func(ctx context.Context, c *caller) (bool, error) {
			_, err := c.table().DeleteItem(ctx, &dynamodb.DeleteItemInput{
				TableName: &f.Table,
				Key:       key,
			})
			return isDone(err)
		}},
	}
}

// table tries the deployments table as a whole.
func (f *facts) table() []trial {
	return append(f.item(tableKey("REQUEST#reach", "REQUEST")),
		trial{reads, "dynamodb:Scan", func(ctx context.Context, c *caller) (bool, error) {
			_, err := c.table().Scan(ctx, &dynamodb.ScanInput{
				TableName: &f.Table,
				Limit:     aws.Int32(1),
			})
			return isDone(err)
		}},
		trial{reads, "dynamodb:Query", func(ctx context.Context, c *caller) (bool, error) {
			_, err := c.table().Query(ctx, &dynamodb.QueryInput{TableName: &f.Table, Limit: aws.Int32(1),
				KeyConditionExpression: aws.String("pk = :pk"),
				ExpressionAttributeValues: map[string]dynamodbtypes.AttributeValue{
					":pk": &dynamodbtypes.AttributeValueMemberS{Value: "APPS"},
				}})
			return isDone(err)
		}})
}

// log tries a deployment's output, by the API and in CloudWatch Logs.
func (f *facts) log(p place) []trial {
	tries := f.get("/v1/deployments/"+p.Deployment+"/logs",
		"/v1/apps/"+p.App+"/deployments/"+p.Deployment+"/logs",
		"/v1/apps/"+p.App+"/environments/"+p.Environment+"/deployments/"+p.Deployment+"/logs")
	return append(tries,
		trial{reads, "logs:GetLogEvents", func(ctx context.Context, c *caller) (bool, error) {
			_, err := c.logs().GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
				LogGroupName:  &f.LogGroup,
				LogStreamName: &p.Deployment,
			})
			return isDone(err)
		}},
		trial{adds, "logs:PutLogEvents", func(ctx context.Context, c *caller) (bool, error) {
			// The stream comes with the first line of a deployment's output, which may be late.
			_, made := c.logs().CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{
				LogGroupName:  &f.LogGroup,
				LogStreamName: &p.Deployment,
			})
			_, err := c.logs().PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
				LogGroupName: &f.LogGroup, LogStreamName: &p.Deployment,
				LogEvents: []logtypes.InputLogEvent{
					{Message: aws.String("forged"), Timestamp: aws.Int64(time.Now().UnixMilli())},
				}})
			if created, _ := isDone(made); !created && errorCode(err) == "ResourceNotFoundException" {
				return false, nil
			}
			return isDone(err)
		}},
		trial{changes, "logs:DeleteLogStream", func(ctx context.Context, c *caller) (bool, error) {
			_, err := c.logs().DeleteLogStream(ctx, &cloudwatchlogs.DeleteLogStreamInput{
				LogGroupName:  &f.LogGroup,
				LogStreamName: &p.Deployment,
			})
			return isDone(err)
		}})
}

// flags tries an environment's flags: by the API, by copying them to an environment of one's own, and by
// evaluating them.
func (f *facts) flags(p, own place) []trial {
	site := func(p place) string { return "/v1/apps/" + p.App + "/environments/" + p.Environment }
	text := flagText(p.App, p.Environment)
	read := func(method, url string, in any) trial {
		return trial{reads, way(method, url), func(ctx context.Context, c *caller) (bool, error) {
			status, answer, err := c.ask(ctx, method, url, in, nil)
			if err != nil || status >= 500 {
				return false, fmt.Errorf("%s %s: %d %s, %w", method, url, status, answer, err)
			}
			return bytes.Contains(answer, []byte(text)), nil
		}}
	}
	change := func(method, path string, in any) trial {
		return trial{changes, way(method, path), func(ctx context.Context, c *caller) (bool, error) {
			return done(c.ask(ctx, method, f.API+site(p)+path, in, http.Header{"If-Match": {"*"}}))
		}}
	}
	tries := []trial{
		read("GET", f.API+site(p)+"/flags/reach", nil),
		read("GET", f.API+site(p)+"/flags.flagd.json", nil),
		read("POST", f.FlagsURL+"/ofrep/v1/evaluate/flags/reach", map[string]any{
			"context": map[string]any{"targetingKey": "user"},
		}),
		read("POST", f.FlagsURL+"/ofrep/v1/evaluate/flags", map[string]any{
			"context": map[string]any{"targetingKey": "user"},
		}),
		read("GET", f.FlagsURL+"/flagd/v1/flags", nil),
		change("POST", "/flags/reach/enable", map[string]any{}),
		change("PATCH", "/flags/reach", map[string]any{"description": "reached"}),
	}
	if p.App == own.App && p.Environment != own.Environment {
		tries = append(tries, read("POST", f.API+site(own)+"/flags.copy?dry_run=true", map[string]any{
			"from": p.Environment,
		}))
	}
	return tries
}

// keys tries an environment's evaluation keys.
func (f *facts) keys(p place) []trial {
	path := "/v1/apps/" + p.App + "/environments/" + p.Environment + "/evaluation-keys"
	create := func(ctx context.Context, c *caller) (bool, error) {
		return done(c.ask(ctx, "POST", f.API+path, map[string]any{"name": "reach"}, nil))
	}
	revoke := func(ctx context.Context, c *caller) (bool, error) {
		return done(c.ask(ctx, "DELETE", f.API+path+"/"+p.Key, nil, nil))
	}

	return append(f.get(path),
		trial{adds, way("POST", path), create},
		trial{changes, way("DELETE", path+"/KEY"), revoke})
}

// settings tries an app's settings. Who may read them, writes what was read.
func (f *facts) settings(p place) []trial {
	path := "/v1/apps/" + p.App
	write := func(ctx context.Context, c *caller) (bool, error) {
		body := json.RawMessage("{}")
		if status, answer, _ := c.ask(ctx, "GET", f.API+path, nil, nil); status == http.StatusOK {
			body = answer
		}
		return done(c.ask(ctx, "PUT", f.API+path, body, http.Header{"If-Match": {"*"}}))
	}
	return append(f.get(path), trial{changes, way("PUT", path), write})
}

// deploying tries to have a commit deployed, by each door.
func (f *facts) deploying(p place) []trial {
	body := map[string]any{"app": p.App, "environment": p.Environment, "commit_sha": p.Commit}
	within := map[string]any{"commit_sha": p.Commit}
	tries := []trial{
		f.post("/v1/deployments", body),
		f.post("/v1/apps/"+p.App+"/environments/"+p.Environment+"/deployments", within),
		f.execute(body),
		{starts, "events:PutEvents", func(ctx context.Context, c *caller) (bool, error) {
			event := eventtypes.PutEventsRequestEntry{
				Source:     aws.String(trigger.OwnSource),
				DetailType: aws.String(trigger.OwnType),
				Detail:     aws.String(fmt.Sprintf(`{"app":%q,"commit":%q,"branch":"main"}`, p.App, p.Commit)),
			}
			in := &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{event}}
			out, err := eventbridge.NewFromConfig(c.cfg).PutEvents(ctx, in)
			if err == nil && out.FailedEntryCount > 0 {
				return false, nil
			}
			return isDone(err)
		}},
	}
	push := fmt.Sprintf(`{"ref":"refs/heads/main","after":%q,"repository":{"full_name":"octo/%s"}}`,
		p.Commit, p.App)
	return append(tries, trial{starts, signedWrong, func(ctx context.Context, c *caller) (bool, error) {
		status, answer, err := c.ask(ctx, "POST", f.API+"/webhooks/github", json.RawMessage(push), http.Header{
			"X-Github-Event":      {"push"},
			"X-Github-Delivery":   {randomText()},
			"X-Hub-Signature-256": {"sha256=" + strings.Repeat("0", 64)},
		})
		return done(status, answer, err)
	}})
}

// rollingBack tries to have an environment rolled back.
func (f *facts) rollingBack(p place) []trial {
	site := "/v1/apps/" + p.App + "/environments/" + p.Environment
	return []trial{
		f.post(site+"/rollback", map[string]any{}),
		f.post("/v1/deployments/"+p.Deployment+"/rollback", map[string]any{}),
		f.post(site+"/deployments/"+p.Deployment+"/rollback", map[string]any{}),
		f.execute(map[string]any{"action": "rollback", "app": p.App, "environment": p.Environment}),
	}
}

// post starts something by the API. What was started is waited for.
func (f *facts) post(path string, in any) trial {
	return trial{starts, way("POST", path), func(ctx context.Context, c *caller) (bool, error) {
		status, answer, err := c.ask(ctx, "POST", f.API+path, in, nil)
		var made struct{ ID string }
		if status == http.StatusAccepted || status == http.StatusCreated {
			if err := json.Unmarshal(answer, &made); err != nil || made.ID == "" {
				return false, fmt.Errorf("POST %s: %d %s", path, status, answer)
			}
			c.ended(made.ID)
		}
		if status == http.StatusConflict { // let in: what it asks for can't be had right now
			return true, nil
		}
		return done(status, answer, err)
	}}
}

// execute starts the machine itself.
func (f *facts) execute(input any) trial {
	return trial{starts, "states:StartExecution", func(ctx context.Context, c *caller) (bool, error) {
		text, err := json.Marshal(input)
		if err != nil {
			return false, err
		}
		_, err = sfn.NewFromConfig(c.cfg).StartExecution(ctx, &sfn.StartExecutionInput{
			StateMachineArn: &f.Machine,
			Input:           aws.String(string(text)),
		})
		return isDone(err)
	}}
}

// get reads paths of the API.
func (f *facts) get(paths ...string) []trial {
	var tries []trial
	for _, path := range paths {
		read := func(ctx context.Context, c *caller) (bool, error) {
			return done(c.ask(ctx, "GET", f.API+path, nil, nil))
		}
		tries = append(tries, trial{reads, way("GET", path), read})
	}
	return tries
}

// ask sends a request over HTTP, signed where the caller has credentials, and with its evaluation key where
// it has one.
func (c *caller) ask(ctx context.Context, method, url string, in any, header http.Header) (
	status int, answer []byte, err error) {

	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return 0, nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	maps.Copy(request.Header, header)
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	if _, none := c.cfg.Credentials.(aws.AnonymousCredentials); !none && c.key == "" {
		key, err := c.cfg.Credentials.Retrieve(ctx)
		if err != nil {
			return 0, nil, err
		}
		sum := sha256.Sum256(body)
		err = v4.NewSigner().SignHTTP(ctx, key, request, hex.EncodeToString(sum[:]), "execute-api", c.cfg.Region, time.Now())
		if err != nil {
			return 0, nil, err
		}
	}

	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, 8<<20))
	c.seen = append(c.seen, answer)
	return response.StatusCode, answer, err
}

// read keeps what a body holds, unpacked if it is packed.
func (c *caller) read(body io.Reader) {
	text, _ := io.ReadAll(io.LimitReader(body, 8<<20))
	c.seen = append(c.seen, text)
	if zr, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
		text, _ = io.ReadAll(io.LimitReader(zr, 8<<20))
		c.seen = append(c.seen, text)
	}
}

// done judges an answer over HTTP.
func done(status int, answer []byte, err error) (bool, error) {
	switch {
	case err != nil:
		return false, err
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound:
		return false, nil
	case status < 300:
		return true, nil
	}
	return false, fmt.Errorf("%d %s", status, answer)
}

// refusedCodes are what services of AWS call a refusal.
var refusedCodes = []string{
	"AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId",
	"InvalidSignatureException", "SignatureDoesNotMatch", "MissingAuthenticationToken",
	"MissingAuthenticationTokenException", "IncompleteSignature", "PreconditionFailed", "ExpiredToken", "Forbidden",
}

func errorCode(err error) string {
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return refused.ErrorCode()
	}
	return ""
}

// isDone judges the error of a call.
func isDone(err error) (bool, error) {
	var response interface{ HTTPStatusCode() int }
	switch {
	case err == nil:
		return true, nil
	case slices.Contains(refusedCodes, errorCode(err)):
		return false, nil
	case errors.As(err, &response) && response.HTTPStatusCode() == http.StatusForbidden:
		return false, nil
	}
	return false, err
}
