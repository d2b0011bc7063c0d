package pipeline_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

const securityManual = "../../docs/security.md"

// roles are the four of docs/security.md, in the order of its table's columns.
var roles = []string{"Viewer", "Developer", "Deployer", "Operator"}

// absentID is a deployment that never was.
const absentID = "deploy-20200101-000000000-aaaaaaaa"

// person is somebody who took on a role.
type person struct {
	cfg aws.Config
}

// ask sends a request to the API, signed with the person's own credentials.
func (p person) ask(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, world.out.API+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	key, err := p.cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), key, r, hex.EncodeToString(sum[:]), "execute-api", p.cfg.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// people reads the policies of docs/security.md, with the app in the place of shop, and takes on each role.
func people(t *testing.T, a *app) map[string]person {
	t.Helper()
	manual, err := os.ReadFile(securityManual)
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`/execute-api/([a-z0-9]+)/`).FindStringSubmatch(world.out.API)
	if id == nil {
		t.Fatalf("no API's id in %s", world.out.API)
	}
	here := strings.NewReplacer("eu-west-1", world.cloud.Config().Region, "123456789012", "000000000000", "a1b2c3d4e5", id[1],
		"slipway-bucket", world.out.Bucket, "/apps/shop", "/apps/"+a.name, "/sources/shop/", "/sources/"+a.name+"/")

	all := map[string]person{}
	for _, role := range roles {
		_, section, found := strings.Cut(string(manual), "\n### "+role+"\n")
		_, policy, opened := strings.Cut(section, "```json\n")
		policy, _, closed := strings.Cut(policy, "```\n")
		if !found || !opened || !closed {
			t.Fatalf("%s has no policy for %s", securityManual, role)
		}
		cfg, err := localtest.As(t.Context(), world.cloud, a.name+"-"+strings.ToLower(role), here.Replace(policy))
		if err != nil {
			t.Fatal(err)
		}
		all[role] = person{cfg}
	}
	return all
}

// permissions reads the table: for each row whether each role may.
func permissions(t *testing.T) map[string][]bool {
	t.Helper()
	manual, err := os.ReadFile(securityManual)
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(manual), "| "+strings.Join(roles, " | ")+" |\n|---|---|---|---|---|\n")
	table, _, ended := strings.Cut(table, "\n\n")
	if !found || !ended {
		t.Fatalf("%s has no table of the four roles", securityManual)
	}
	rows := map[string][]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		may := make([]bool, len(roles))
		for i := range roles {
			switch cell := strings.TrimSpace(cells[i+1]); cell {
			case "yes", "–":
				may[i] = cell == "yes"
			default:
				t.Fatalf("%q has the cell %q; want yes or –", line, cell)
			}
		}
		rows[strings.TrimSpace(cells[0])] = may
	}
	return rows
}

// attempt is something that a person may do or not. It returns whether it was refused for lack of a permission.
type attempt struct {
	name string
	do   func(t *testing.T, p person) (denied bool)
}

// call is a request to the API. What it asks for is refused by the function, if it comes so far, and so changes nothing.
func call(method, path, body string) attempt {
	return attempt{method + " " + path, func(t *testing.T, p person) bool {
		status, answer := p.ask(t, method, path, body)
		if status >= 500 || method != http.MethodGet && status < 300 {
			t.Errorf("%s %s: %d %s", method, path, status, answer)
		}
		return status == http.StatusForbidden
	}}
}

// calls are requests of one method below a path.
func calls(method, below string, paths ...string) (all []attempt) {
	for _, path := range paths {
		all = append(all, call(method, below+path, ""))
	}
	return all
}

// direct is a call of another service.
func direct(name string, do func(ctx context.Context, cfg aws.Config) error) attempt {
	return attempt{name, func(t *testing.T, p person) bool {
		err := do(t.Context(), p.cfg)
		var refused smithy.APIError
		if errors.As(err, &refused) && strings.Contains(refused.ErrorCode(), "AccessDenied") {
			return true
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return false
	}}
}

// upload puts a new bundle of an app.
func upload(app string) attempt {
	return direct("upload "+app, func(ctx context.Context, cfg aws.Config) error {
		key := "sources/" + app + "/" + strings.ToLower(localtest.Name("commit")) + ".tar.gz"
		_, err := s3.NewFromConfig(cfg).PutObject(ctx, &s3.PutObjectInput{Bucket: &world.out.Bucket, Key: &key, Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
		return err
	})
}

// changesOf are the requests that change something in an environment, with the repairs apart.
func changesOf(environment string) (deploys, again, repairs, switches, flags []attempt) {
	at := environment + "/deployments/" + absentID
	deploys = append(calls("POST", at, "/cancel", "/rollback"),
		call("POST", environment+"/deployments", `{"commit_sha":"`+strings.Repeat("0", 40)+`"}`), call("POST", environment+"/rollback", `{"to":"`+absentID+`"}`))
	again = []attempt{call("POST", at+"/repair", `{"why":"x"}`)}
	for _, way := range []string{"/to", "/skip-scripts", "/declare", "/deployment"} {
		repairs = append(repairs, call("POST", at+"/repair"+way, `{"why":"x","to":"`+absentID+`"}`))
	}
	switches = calls("POST", environment+"/flags/absent", "/enable", "/disable", "/rollout")
	flags = append(calls("PUT", environment, "/flags", "/flags/absent", "/segments/absent"), calls("DELETE", environment, "/flags/absent", "/segments/absent",
		"/evaluation-keys/key-aaaaaaaaaaaaaaaa")...)
	flags = append(flags, calls("POST", environment, "/flags.copy", "/flags/absent/restore", "/evaluation-keys")...)
	return deploys, again, repairs, switches, append(flags, call("PATCH", environment+"/flags/absent", "{}"))
}

// attempts are what stands behind each row of the table.
func attempts(shop, other *app, ended, theirs string) map[string][]attempt {
	ours, others := "/v1/apps/"+shop.name, "/v1/apps/"+other.name
	staging, production := ours+"/environments/staging", ours+"/environments/production"
	deploysS, againS, repairsS, switchesS, flagsS := changesOf(staging)
	deploysP, againP, repairsP, switchesP, flagsP := changesOf(production)
	deploysO, againO, repairsO, switchesO, flagsO := changesOf(others + "/environments/production")
	return map[string][]attempt{
		"read `shop`: settings, and what is live": calls("GET", ours, "", "/environments/staging", "/environments/production"),
		"read `shop`: deployments, their records and logs": append(calls("GET", ours, "/deployments", "/deployments/"+ended, "/deployments/"+ended+"/logs"),
			calls("GET", production, "/deployments", "/deployments/"+ended, "/deployments/"+ended+"/logs")...),
		"read `shop`: flags with their rules, segments, names of evaluation keys": calls("GET", production, "/flags", "/flags.flagd.json?format=slipway", "/flags/cart",
			"/flags/cart/versions", "/segments", "/evaluation-keys"),
		"upload a commit of `shop`":                                                             {upload(shop.name)},
		"`staging`: deploy, cancel, roll back":                                                  deploysS,
		"`staging`: repair, in each way":                                                        append(againS, repairsS...),
		"`staging`: change flags, segments and evaluation keys, copy flags there":               append(switchesS, flagsS...),
		"`production`: deploy, cancel, roll back":                                               deploysP,
		"`production`: run the way back of a dirty environment again":                           againP,
		"`production`: switch flags on and off, roll them out":                                  switchesP,
		"`production`: repair by another release, without scripts, by declaration, by a commit": repairsP,
		"`production`: explain what a user is answered (`slipway flag explain`)":                {{"explain", call("POST", production+"/flags/absent/explain", "{}").do}},
		"`production`: other changes of flags, segments and evaluation keys":                    flagsP,
		"change `shop`: targets, branches, source, variables, hook functions":                   {call("PUT", ours, "{}")},
		"read another app: settings, deployments, logs, flags": append(calls("GET", others, "", "/deployments", "/deployments/"+theirs, "/deployments/"+theirs+"/logs"),
			calls("GET", others+"/environments/production", "", "/flags", "/flags.flagd.json", "/segments", "/evaluation-keys", "/deployments/"+theirs+"/logs")...),
		"change another app: deploy, roll back, flags, settings": append(append(append(append(append(deploysO, againO...), repairsO...), switchesO...), flagsO...),
			call("PUT", others, "{}")),
		"upload a commit of another app": {upload(other.name)},
		"read and change by the routes of all apps: `/v1/apps`, `/v1/deployments`": append(calls("GET", "/v1", "/apps", "/deployments", "/deployments?app="+shop.name,
			"/deployments/"+ended, "/deployments/"+ended+"/logs", "/deployments/"+theirs),
			call("POST", "/v1/deployments", "{}"), call("POST", "/v1/deployments/"+absentID+"/cancel", ""), call("POST", "/v1/deployments/"+absentID+"/rollback", ""),
			call("POST", "/v1/deployments/"+absentID+"/repair", `{"why":"x"}`), call("POST", "/v1/deployments/"+absentID+"/repair/declare", `{"why":"x"}`)),
		"read the API's own document, which is the same for all: `/v1/openapi.json`": calls("GET", "/v1", "/openapi.json"),
		"see and send again events that could not be processed":                      {direct("dead events", readDead), direct("send again", sendAgain)},
		"read past the API: bundles, artifacts, secrets, tables, log groups": {
			direct("a bundle", func(ctx context.Context, cfg aws.Config) error {
				_, err := s3.NewFromConfig(cfg).GetObject(ctx, &s3.GetObjectInput{Bucket: &world.out.Bucket, Key: aws.String("sources/" + shop.name + "/x.tar.gz")})
				return err
			}),
			direct("the bucket", func(ctx context.Context, cfg aws.Config) error {
				_, err := s3.NewFromConfig(cfg).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &world.out.Bucket})
				return err
			}),
			direct("a secret", func(ctx context.Context, cfg aws.Config) error {
				_, err := ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/slipway/" + shop.name)})
				return err
			}),
			direct("a table", func(ctx context.Context, cfg aws.Config) error {
				_, err := dynamodb.NewFromConfig(cfg).Scan(ctx, &dynamodb.ScanInput{TableName: &world.out.DeploymentsTable})
				return err
			}),
			direct("the log", func(ctx context.Context, cfg aws.Config) error {
				_, err := cloudwatchlogs.NewFromConfig(cfg).GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: &world.out.LogGroup, LogStreamName: &ended})
				return err
			}),
		},
	}
}

func readDead(ctx context.Context, cfg aws.Config) error {
	client := sqs.NewFromConfig(cfg)
	queue, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("slipway-dead-events")})
	if err != nil {
		return err
	}
	_, err = client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 1, VisibilityTimeout: 1})
	return err
}

func sendAgain(ctx context.Context, cfg aws.Config) error {
	_, err := lambda.NewFromConfig(cfg).Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("slipway-commit"), Payload: []byte(`{"detail-type":"nothing"}`)})
	return err
}

// withStaging gives the app a second environment and a flag.
func (a *app) withStaging() *app {
	a.t.Helper()
	a.Environments["staging"] = a.Environments["production"]
	a.apply()
	_, err := world.flags.Change(a.t.Context(), a.name, "production", board.Origin{By: "the test", Time: time.Now()}, func(d *board.Draft) error {
		d.HashVersion = "v2"
		return d.Put("cart", []byte(`{"enabled":true,"users":["somebody-at-`+a.name+`"]}`), board.Match{})
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return a
}

// TestPermissionsOfPeople tries each cell of the table in docs/security.md with the policies that stand there, judged by IAM.
func TestPermissionsOfPeople(t *testing.T) {
	localtest.Needs(t, localtest.Roles)
	shop := newApp(t).withStaging()
	other := makeApp(t).withStaging()
	ended := shop.deploy(shop.commit("one", config("test=echo tested"))).wants(deploy.Success).ID
	theirs := other.deploy(other.commit("one", config())).wants(deploy.Success).ID
	all, table, behind := people(t, shop), permissions(t), attempts(shop, other, ended, theirs)

	cells := 0
	for row, may := range table {
		if len(behind[row]) == 0 {
			t.Errorf("nothing is tried for the row %q", row)
		}
		for i, role := range roles {
			cells++
			for _, each := range behind[row] {
				if denied := each.do(t, all[role]); denied == may[i] {
					t.Errorf("%s, %q: %s: refused is %v", role, row, each.name, denied)
				}
			}
		}
	}
	if len(table) != len(behind) || cells < 60 {
		t.Errorf("the table has %d rows, %d are tried, %d cells", len(table), len(behind), cells)
	}
	changed, _, err := world.store.List(t.Context(), deploy.Query{App: shop.name, Limit: 10})
	if err != nil || len(changed) != 1 {
		t.Errorf("the tries left %d deployments, %v", len(changed), err)
	}
	t.Run("a dirty environment", func(t *testing.T) { repairsOfPeople(t, shop, ended, all) })
}

// repairsOfPeople tries the ways out of production while it really is dirty. The way back leads to another release than the first.
func repairsOfPeople(t *testing.T, shop *app, first string, all map[string]person) {
	shop.t = t
	_, dirty := shop.makesDirty()
	production := "/v1/apps/" + shop.name + "/environments/production"
	at := production + "/deployments/" + dirty.ID
	to := fmt.Sprintf(`{"why":"x","to":%q}`, first)

	for _, role := range []string{"Viewer", "Developer", "Deployer"} {
		for way, body := range map[string]string{"/to": to, "/skip-scripts": to, "/declare": `{"why":"x"}`, "/deployment": `{"why":"x","commit_sha":"` + dirty.CommitSHA + `"}`} {
			if status, answer := all[role].ask(t, "POST", at+"/repair"+way, body); status != http.StatusForbidden {
				t.Errorf("%s: repair%s: %d %s", role, way, status, answer)
			}
		}
	}
	rollback := fmt.Sprintf(`{"to":%q}`, first)
	if status, answer := all["Deployer"].ask(t, "POST", production+"/rollback", rollback); status != http.StatusConflict || !strings.Contains(answer, "repair/to") {
		t.Errorf("a rollback to another release: %d %s", status, answer)
	}
	if h := shop.head("production"); !h.DirtyBy(dirty.ID) {
		t.Fatalf("the tries left %+v", h)
	}

	// Who may run the way back again leaves it as it is here: the script fails each time. Another release ends it, by the right to that.
	for _, step := range []struct {
		role, path, body string
		status           deploy.Status
	}{
		{"Deployer", production + "/rollback", "", deploy.Failed},
		{"Deployer", at + "/repair", `{"why":"x"}`, deploy.Failed},
		{"Operator", at + "/repair/skip-scripts", to, deploy.Success},
	} {
		status, answer := all[step.role].ask(t, "POST", step.path, step.body)
		var d deploy.Deployment
		if err := json.Unmarshal([]byte(answer), &d); err != nil || status != http.StatusAccepted {
			t.Fatalf("%s: %s: %d %s", step.role, step.path, status, answer)
		}
		done := (&run{a: shop, id: d.ID, arn: d.Execution}).wants(step.status)
		if dirty := step.status != deploy.Success; done.Dirty != dirty || shop.head("production").Dirty != dirty {
			t.Errorf("%s: %s: dirty %v, want %v", step.role, step.path, done.Dirty, dirty)
		}
	}
}

// TestPeopleAtWork: each role can do its work from end to end, and no spelling of a path leads out of it.
func TestPeopleAtWork(t *testing.T) {
	localtest.Needs(t, localtest.Roles)
	shop := newApp(t).withStaging()
	other := makeApp(t).withStaging()
	theirs := other.deploy(other.commit("one", config())).wants(deploy.Success).ID
	all := people(t, shop)
	ours := "/v1/apps/" + shop.name
	sha := shop.commit("one", config("test=echo tested"))
	var ids []string
	for i, role := range []string{"Developer", "Deployer"} {
		environment := []string{"staging", "production"}[i]
		status, answer := all[role].ask(t, "POST", ours+"/environments/"+environment+"/deployments", `{"commit_sha":"`+sha+`"}`)
		var d deploy.Deployment
		if err := json.Unmarshal([]byte(answer), &d); err != nil || status != http.StatusAccepted {
			t.Fatalf("%s: %d %s", role, status, answer)
		}
		done := (&run{a: shop, id: d.ID, arn: d.Execution}).wants(deploy.Success)
		if done.Environment != environment {
			t.Errorf("%s deployed to %s", role, done.Environment)
		}
		ids = append(ids, d.ID)
	}
	if status, answer := all["Viewer"].ask(t, "GET", ours+"/deployments/"+ids[0]+"/logs", ""); status != 200 || !strings.Contains(answer, "tested") {
		t.Errorf("the log: %d %s", status, answer)
	}

	// A copy takes the right to read there and the right to write here. Who has one of them has no way to the other.
	status, document := all["Developer"].ask(t, "GET", ours+"/environments/production/flags.flagd.json?format=slipway", "")
	copied, answer := all["Developer"].ask(t, "POST", ours+"/environments/staging/flags.copy?dry_run=true", `{"document":`+document+`}`)
	if status != 200 || copied != 200 || !strings.Contains(answer, `"action":"copy"`) {
		t.Errorf("a copy: %d, %d %s", status, copied, answer)
	}
	writer, err := localtest.As(t.Context(), world.cloud, shop.name+"-writer", strings.ReplaceAll(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke",
		"Resource":["arn:aws:execute-api:*:*:*/prod/*/v1/apps/SHOP/environments/staging/*"]}]}`, "SHOP", shop.name))
	if err != nil {
		t.Fatal(err)
	}
	all["Writer of staging alone"] = person{writer}

	for _, role := range []string{"Viewer", "Developer", "Deployer", "Writer of staging alone", "Operator"} {
		for _, each := range waysOut(shop, other, ids[1], theirs) {
			method, path, _ := strings.Cut(each.line, " ")
			status, answer := all[role].ask(t, method, path, each.body)
			if status < 300 || strings.Contains(answer, "somebody-at-") || strings.Contains(answer, "tested") {
				t.Errorf("%s: %s: %d %s", role, each.line, status, answer)
			}
		}
	}
}

// wayOut is a request that seems to be about one thing and would be about another if somebody read it otherwise.
type wayOut struct{ line, body string }

func waysOut(shop, other *app, live, theirs string) (all []wayOut) {
	ours := "/v1/apps/" + shop.name
	for _, line := range []string{
		"GET " + ours + "/deployments/" + theirs, "GET " + ours + "/deployments/" + theirs + "/logs",
		"GET " + ours + "/environments/staging/deployments/" + live, "GET " + ours + "/environments/staging/deployments/" + live + "/logs",
		"POST " + ours + "/environments/staging/deployments/" + live + "/rollback", "POST " + ours + "/environments/production/deployments/" + theirs + "/rollback",
		"GET " + ours + "/..%2F" + other.name, "GET " + ours + "%2F..%2F" + other.name, "GET " + ours + "/%2E%2E/" + other.name + "/deployments",
		"GET " + ours + "/environments/staging%2F..%2Fproduction/flags", "GET " + ours + "/environments/staging/..%2Fproduction%2Fflags",
		"POST " + ours + "/environments/staging/deployments/x%2F..%2F..%2F..%2Fproduction%2Fdeployments",
		"GET /v1//apps/" + other.name, "GET " + ours + "/../" + other.name + "/environments/production/flags/cart",
		"GET " + ours + "/deployments?app=" + other.name, "GET " + ours + "/environments/staging/deployments?environment=production",
	} {
		all = append(all, wayOut{line: line})
	}
	return append(all,
		wayOut{"POST " + ours + "/environments/staging/flags.copy?dry_run=true", `{"from":"production"}`},
		wayOut{"POST " + ours + "/environments/staging/rollback", `{"to":"` + live + `"}`},
		wayOut{"POST " + ours + "/environments/production/rollback", `{"to":"` + theirs + `"}`},
		wayOut{"POST " + ours + "/environments/staging/deployments", fmt.Sprintf(`{"environment":"production","commit_sha":"%040d"}`, 0)},
	)
}

// run runs the real client in a folder with the person's credentials, and returns all that it prints.
func (p person) run(t *testing.T, dir string, args ...string) (output string, ok bool) {
	t.Helper()
	bin, err := filepath.Abs("../../bin/slipway")
	if err != nil {
		t.Fatal(err)
	}
	key, err := p.cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(world.cloud.Environ(world.out), "AWS_ACCESS_KEY_ID="+key.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+key.SecretAccessKey,
		"AWS_SESSION_TOKEN="+key.SessionToken)...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err == nil
}

// repository makes a git repository with one commit of the app, and its app.yaml beside it.
func (a *app) repository() (dir string) {
	a.t.Helper()
	dir = a.t.TempDir()
	settings := fmt.Sprintf("{target: {type: script}, url: %q}", a.Environments["production"].URL)
	for name, text := range map[string]string{"version": "one", "slipway.yaml": config("test=echo tested"),
		"app.yaml": fmt.Sprintf("name: %s\nenvironments:\n  staging: %s\n  production: %s\n", a.name, settings, settings)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "version", "slipway.yaml"},
		{"-c", "user.name=eve", "-c", "user.email=eve@shop.test", "commit", "-q", "-m", "one"}} {
		shell(a.t, nil, append([]string{"git", "-C", dir}, args...)...)
	}
	return dir
}

// TestClientOfOneApp: with a role's permissions for one app the real client does that role's work, and says which route it lacks.
func TestClientOfOneApp(t *testing.T) {
	localtest.Needs(t, localtest.Roles)
	shop := newApp(t).withStaging()
	all, dir := people(t, shop), shop.repository()
	for _, step := range []struct {
		role, line string
		works      bool
		says       string
	}{
		{"Viewer", "deploy --env staging", false, ".tar.gz: want s3:PutObject there (AccessDenied"},
		{"Viewer", "api GET /v1/openapi.json", true, "Slipway"},
		{"Developer", "deploy --env staging --wait", true, "success after"},
		{"Developer", "deploy --env production", false, "POST /v1/apps/" + shop.name + "/environments/production/deployments: the API answered 403"},
		{"Deployer", "deploy --env production --wait", true, "success after"},
		{"Viewer", "history", true, shop.name},
		{"Viewer", "history --all", false, "GET /v1/deployments: the API answered 403"},
		{"Viewer", "history --all", false, "\nThis route covers all apps. If your permissions are for one app, name it with --app"},
		{"Viewer", "app list", false, "GET /v1/apps: the API answered 403"},
		{"Viewer", "app list", false, "slipway api GET /v1/apps/APP"},
		{"Developer", "flag copy --from production --env staging --dry-run", true, "1 flag would change; nothing was written."},
		{"Developer", "flag copy --from production --env staging", true, "1 flag changed"},
		{"Deployer", "flag copy --from staging --env production cart", false, "/environments/production/flags.copy: the API answered 403"},
		{"Deployer", "flag disable cart --env production", true, ""},
		{"Viewer", "flag enable cart --env production", false, "/environments/production/flags/cart/enable: the API answered 403"},
		{"Operator", "history --all --limit 1", true, ""},
	} {
		out, ok := all[step.role].run(t, dir, strings.Fields(step.line)...)
		if ok != step.works || !strings.Contains(out, step.says) {
			t.Errorf("%s: slipway %s: %v, want %v with %q:\n%s", step.role, step.line, ok, step.works, step.says, out)
		}
	}
	shop.stagingAlone(dir)
	id := shop.head("production").Live.Deployment
	for role, lines := range map[string][]string{"Viewer": {"status ", "logs "}, "Developer": {"status "}} {
		for _, line := range lines {
			if out, ok := all[role].run(t, dir, strings.Fields(line+id)...); !ok {
				t.Errorf("%s: slipway %s: %s", role, line+id, out)
			}
		}
	}
	for _, command := range []string{"cancel", "rollback"} {
		want := "POST /v1/apps/" + shop.name + "/environments/production/deployments/" + id + "/" + command + ": the API answered 403"
		if out, ok := all["Developer"].run(t, dir, command, id); ok || !strings.Contains(out, want) {
			t.Errorf("slipway %s: %s", command, out)
		}
	}
}

// stagingAlone has somebody work who has rights to the environment staging, and none to the app.
func (a *app) stagingAlone(dir string) {
	a.t.Helper()
	cfg, err := localtest.As(a.t.Context(), world.cloud, a.name+"-staging", strings.NewReplacer("APP", a.name, "BUCKET", world.out.Bucket).Replace(`{"Version":"2012-10-17",
		"Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":["arn:aws:execute-api:*:*:*/prod/*/v1/apps/APP/environments/staging",
			"arn:aws:execute-api:*:*:*/prod/*/v1/apps/APP/environments/staging/*"]},
		{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::BUCKET/sources/APP/*"}]}`))
	if err != nil {
		a.t.Fatal(err)
	}
	for line, says := range map[string]string{
		"flag list --env staging":     "",
		"deploy --env staging --wait": "success after",
		"history --env staging":       "staging",
		"flag list":                   "name it with --env",
		"deploy":                      "name it with --env",
		"flag list --env production":  "/environments/production/flags: the API answered 403",
	} {
		refused := strings.Contains(says, "name it") || strings.Contains(says, "403")
		if out, ok := (person{cfg}).run(a.t, dir, strings.Fields(line)...); ok == refused || !strings.Contains(out, says) {
			a.t.Errorf("staging alone: slipway %s: %v, want %q:\n%s", line, ok, says, out)
		}
	}
}
