package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// maxItem is the most bytes of a DynamoDB item.
const maxItem = 400 << 10

// sizeOf counts as DynamoDB does (Developer Guide, "DynamoDB item sizes and formats"): names and texts in bytes, a number as at most
// 21, 3 for a list or a map and 1 for each of its elements.
func sizeOf(v types.AttributeValue) int {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return 21
	case *types.AttributeValueMemberL:
		n := 3
		for _, each := range v.Value {
			n += 1 + sizeOf(each)
		}
		return n
	case *types.AttributeValueMemberM:
		n := 3
		for name, each := range v.Value {
			n += 1 + len(name) + sizeOf(each)
		}
		return n
	}
	return 1
}

// fill adds variables for as long as they are allowed.
func fill(variables map[string]string, valid func() error) {
	for n := 0; valid() == nil; n++ {
		variables[fmt.Sprintf("V%d", n)] = strings.Repeat("x", deploy.MaxVariable)
	}
	delete(variables, fmt.Sprintf("V%d", len(variables)-1))
}

// TestBiggestRecord: the most that a commit, an app's owner and a long life can put onto a record fits into an item. One that did not
// could not be ended.
func TestBiggestRecord(t *testing.T) {
	now, long := time.Now(), func(n int) string { return strings.Repeat("x", n) }
	d := newDeployment("biggest", 1)
	config := deploy.DefaultConfig()
	config.HealthCheckPath, config.Variables = "/"+long(deploy.MaxPath-1), map[string]string{}
	d.Release = &deploy.Release{App: d.App, BuiltAt: now}
	for n := range deploy.MaxArtifacts {
		path := fmt.Sprintf("%0*d", deploy.MaxPath, n)
		config.Artifacts = append(config.Artifacts, path)
		key := "artifacts/" + d.App + "/" + long(40) + "/" + long(64) + "/" + path
		d.Release.Artifacts = append(d.Release.Artifacts, deploy.Artifact{Path: path, Key: key, SHA256: long(64), Bytes: 1})
		d.Artifacts[path] = key
	}
	fill(config.Variables, config.Validate)
	settings := deploy.Settings{Target: deploy.Target{Type: deploy.TargetScript}, URL: "https://shop.test", Variables: map[string]string{}}
	app := deploy.App{Name: d.App, Environments: map[string]deploy.Settings{"production": settings}}
	fill(settings.Variables, app.Validate)
	if config.Validate() != nil || app.Validate() != nil || len(config.Variables) < 10 || len(settings.Variables) < 10 {
		t.Fatalf("%v, %v; %d and %d variables", config.Validate(), app.Validate(), len(config.Variables), len(settings.Variables))
	}
	d.Config, d.Settings, d.Health = &config, &settings, config.Health()
	d.Previous = &deploy.Live{Deployment: d.ID, CommitSHA: long(40), Health: d.Health}
	d.Metadata["note"] = long(api.MaxMetadata)
	d.Fail(deploy.Internal, long(deploy.MaxErrorText+1))
	d.Recovery = &deploy.Recovery{Time: now, Cause: d.Error}
	for n := range 3 * deploy.MaxLogs {
		d.Log(now, "%s", long(deploy.MaxLogBytes))
		d.AddCheck(deploy.Check{Time: now, Status: 500, LatencyMS: 1, Error: long(deploy.MaxLogBytes + 1)})
		if n < 50 { // a deployment passes ten, and each recovery may add to them
			d.Begin(fmt.Sprint("checkrollback", n), now)
			d.Finish(fmt.Sprint("checkrollback", n), deploy.Passed, now)
		}
	}
	item, err := attributevalue.MarshalMapWithOptions(d, func(o *attributevalue.EncoderOptions) { o.TagKey = "json" })
	if n := sizeOf(&types.AttributeValueMemberM{Value: item}); err != nil || n > maxItem-1<<10 || n < maxItem/2 {
		t.Errorf("%d bytes of %d, with some room for keys; %v", n, maxItem, err)
	}
}
