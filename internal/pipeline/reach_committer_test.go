package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// reachVariable names the folder in which a committer's script finds facts.json, and leaves what it reached.
const reachVariable = "SLIPWAY_TEST_REACH"

// reachAsCommitter is this program as a committer's scripts run it: it tries everything with each of the
// credentials that it finds.
func reachAsCommitter(folder string) {
	stage := os.Getenv("SLIPWAY_STAGE")
	if err := reachFrom(folder, stage); err != nil {
		fmt.Println("reach:", err)
		os.Exit(1)
	}
}

func reachFrom(folder, stage string) error {
	text, err := os.ReadFile(filepath.Join(folder, "facts.json"))
	if err != nil {
		return err
	}
	var f facts
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	if !f.Root || stage == "deploy" {
		dropCapabilities() // which Lambda's functions don't have
	}
	f.This.Deployment, f.This.Commit = os.Getenv("SLIPWAY_DEPLOYMENT"), os.Getenv("SLIPWAY_COMMIT")
	f.This.Artifact = "" // which isn't made yet
	if f.This.Deployment == "" || f.This.Commit == "" {
		return fmt.Errorf("the script's environment names no deployment and commit: %v", os.Environ())
	}

	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	defer stop()
	all, tried := &outcome{}, map[string]bool{}
	found := append([]aws.CredentialsProvider{aws.AnonymousCredentials{}}, findCredentials()...)
	for i := 0; i < len(found); i++ {
		key, _ := found[i].Retrieve(ctx)
		if tried[key.AccessKeyID] {
			continue
		}
		tried[key.AccessKeyID] = true

		cfg := aws.Config{Region: f.Region, BaseEndpoint: &f.Endpoint, Credentials: found[i]}
		c := &caller{cfg: cfg, client: http.DefaultClient, ended: func(string) {}, seen: environments()}
		assumed, err := c.assume(ctx, f)
		if err != nil {
			all.Unclear = append(all.Unclear, "sts:AssumeRole: "+err.Error())
		}
		for _, more := range []aws.CredentialsProvider{c.session(ctx, f), assumed} {
			if more != nil && len(tried) < 10 { // a session may be good for another one
				found = append(found, more)
			}
		}
		all.add(c.tryThings(ctx, f))
	}
	for name, thing := range map[string]string{
		"version":     "Bundle of this commit",
		"out/version": "Artifacts of this commit",
	} {
		if text, err := os.ReadFile(name); err == nil && string(text) == f.Markers[bundleText] {
			all.note(thing, reads)
		}
	}
	fmt.Println(printed, "tried", len(tried), "credentials")

	text, err = json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "reach-"+stage+".json"), text, 0o600)
}

// ancestors are the processes above this one, up to the one that stands for AWS here.
func ancestors() []string {
	var all []string
	for pid := os.Getppid(); pid > 1; {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil || strings.HasPrefix(string(name), "python") {
			return all
		}
		all = append(all, strconv.Itoa(pid))
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if err != nil || len(fields) < 2 {
			return all
		}
		if pid, err = strconv.Atoi(fields[1]); err != nil {
			return all
		}
	}
	return all
}

// environments returns the environments that the script can read: its own, and those of the processes that
// started it.
func environments() [][]byte {
	all := [][]byte{[]byte(strings.Join(os.Environ(), "\x00"))}
	for _, pid := range ancestors() {
		if text, err := os.ReadFile("/proc/" + pid + "/environ"); err == nil {
			all = append(all, text)
		}
	}
	return all
}

// keyPattern finds a key of AWS in JSON.
var keyPattern = regexp.MustCompile(`(?i)"(access_?key_?id|secret_?access_?key|session_?token)"\s*:\s*"([^"]+)"`)

// keysIn returns the credentials that a text of JSON holds, if it does.
func keysIn(text []byte) aws.CredentialsProvider {
	values := map[string]string{}
	for _, match := range keyPattern.FindAllStringSubmatch(string(text), -1) {
		values[strings.ToLower(strings.ReplaceAll(match[1], "_", ""))] = match[2]
	}
	return keyOf(values["accesskeyid"], values["secretaccesskey"], values["sessiontoken"])
}

func keyOf(id, secret, token string) aws.CredentialsProvider {
	if id == "" || secret == "" {
		return nil
	}
	return credentials.NewStaticCredentialsProvider(id, secret, token)
}

// findCredentials looks for credentials of AWS where a script can look: in environments, and in files of the
// processes that started it.
func findCredentials() []aws.CredentialsProvider {
	var found []aws.CredentialsProvider
	for _, text := range environments() {
		values := map[string]string{}
		for _, line := range strings.Split(string(text), "\x00") {
			name, value, _ := strings.Cut(line, "=")
			values[name] = value
		}
		key := keyOf(values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"], values["AWS_SESSION_TOKEN"])
		found = append(found, key)
	}

	for _, pid := range ancestors() {
		files, _ := filepath.Glob("/proc/" + pid + "/cwd/*")
		for _, name := range files {
			if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
				continue
			}
			if text, err := os.ReadFile(name); err == nil {
				found = append(found, keysIn(text))
			}
		}
	}
	return slices.DeleteFunc(found, func(key aws.CredentialsProvider) bool { return key == nil })
}

// assume takes on the role of builds' sessions itself, for another app's deployment.
func (c *caller) assume(ctx context.Context, f facts) (aws.CredentialsProvider, error) {
	tag := func(name, value string) ststypes.Tag { return ststypes.Tag{Key: &name, Value: &value} }
	out, err := sts.NewFromConfig(c.cfg).AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: &f.JobRole, RoleSessionName: aws.String("slipway-job-" + f.Other.Deployment),
		Tags: []ststypes.Tag{
			tag("app", f.Other.App),
			tag("commit", f.Other.Commit),
			tag("deployment", f.Other.Deployment),
		},
	})
	if isAssumed, err := isDone(err); !isAssumed {
		return nil, err
	}
	key := out.Credentials
	return keyOf(*key.AccessKeyId, *key.SecretAccessKey, *key.SessionToken), nil
}

// session asks for a build's session, which holds credentials, as the build's own program does.
func (c *caller) session(ctx context.Context, f facts) aws.CredentialsProvider {
	status, answer, err := c.ask(ctx, "POST", f.API+"/v1/build-session", nil, nil)
	if err != nil || status != http.StatusOK {
		return nil
	}
	return keysIn(answer)
}
