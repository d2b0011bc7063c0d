package pipeline_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// measured reads back what Settle printed of a deployment, a line "name by=is" a measure, and what is live by then.
func measured(t *testing.T, id string) (all []string, live string) {
	t.Helper()
	logs := cloudwatchlogs.NewFromConfig(world.cloud.Config())
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/slipway-settle")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			var line map[string]any
			if json.Unmarshal([]byte(*e.Message), &line) != nil || line["_aws"] == nil || line["deployment"] != id {
				continue
			}
			for _, name := range []string{pipeline.DirtyMetric, pipeline.DeploymentsMetric, pipeline.DurationMetric, pipeline.StageMetric} {
				if _, ok := line[name].(float64); !ok {
					continue
				}
				text := name
				for _, by := range []string{pipeline.ByStatus, pipeline.ByAction, pipeline.ByStage} {
					if is, ok := line[by]; ok {
						text += fmt.Sprintf(" %s=%s", by, is)
					}
				}
				all = append(all, text)
			}
			live = fmt.Sprint(line["live"])
		}
	}
	slices.Sort(all)
	return all, live
}

// TestMeasures: each deployment is counted once, with the stages that it went through, and says what is live.
func TestMeasures(t *testing.T) {
	a := newApp(t)
	good := a.deploy(a.commit("one", config()))
	good.wants(deploy.Success)
	bad := a.deploy(a.commit("bad", hasty()))
	bad.wants(deploy.RolledBack)
	back := a.deploy(a.commit("two", config("test=exit 1")))
	back.wants(deploy.Failed)
	for _, each := range []struct {
		run  *run
		want string
	}{
		{good, "DeploymentSeconds Action=deploy, Deployments Status=success, StageSeconds Stage=admit, StageSeconds Stage=build, StageSeconds Stage=deploy, " +
			"StageSeconds Stage=healthcheck, StageSeconds Stage=prepare, StageSeconds Stage=shift, StageSeconds Stage=test"},
		{bad, "Deployments Status=rolled_back, StageSeconds Stage=admit, StageSeconds Stage=build, StageSeconds Stage=checkrollback, StageSeconds Stage=deploy, " +
			"StageSeconds Stage=healthcheck, StageSeconds Stage=prepare, StageSeconds Stage=rollback, StageSeconds Stage=shift, StageSeconds Stage=test"},
		{back, "Deployments Status=failed, StageSeconds Stage=prepare, StageSeconds Stage=test"},
	} {
		all, live := measured(t, each.run.id)
		if got := strings.Join(all, ", "); got != each.want || live != good.id {
			t.Errorf("%s, live %s, want %s\n%s, live %s", got, live, good.id, each.want, good.id)
		}
	}
}
