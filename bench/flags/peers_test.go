package flags_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Unleash/unleash-client-go/v4"
	unleashcontext "github.com/Unleash/unleash-client-go/v4/context"
	"github.com/growthbook/growthbook-golang"
	"github.com/launchdarkly/go-sdk-common/v3/ldcontext"
	"github.com/launchdarkly/go-sdk-common/v3/ldvalue"
	ld "github.com/launchdarkly/go-server-sdk-evaluation/v3"
	"github.com/launchdarkly/go-server-sdk-evaluation/v3/ldbuilders"
	"github.com/launchdarkly/go-server-sdk-evaluation/v3/ldmodel"
	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/logger"
	"github.com/open-feature/flagd/core/pkg/store"
	"github.com/open-feature/flagd/core/pkg/sync"
	ffclient "github.com/thomaspoignant/go-feature-flag"
	"github.com/thomaspoignant/go-feature-flag/ffcontext"
	"go.uber.org/zap"
)

// peer is an engine with the flags of a case loaded: it evaluates a boolean flag for one user.
type peer func(tb testing.TB) (evaluate func(key string) bool)

// user is who the flags are evaluated for, by everybody.
const user, email = "user-12345", "ann@company-19.com"

const manyFlags = 10_000

// crowd names the flags beside those of the cases.
func crowd(each func(key string)) {
	for i := range manyFlags {
		each(fmt.Sprintf("crowd-%d", i))
	}
}

func suffixes() []string {
	var list []string
	for i := range 20 {
		list = append(list, fmt.Sprintf("@company-%d.com", i))
	}
	return list
}

var suffix = suffixes()[19]

func flagd(tb testing.TB) func(string) bool {
	log := logger.NewLogger(zap.NewNop(), false)
	flags, err := store.NewStore(log, []string{"bench"})
	if err != nil {
		tb.Fatal(err)
	}
	je := evaluator.NewJSON(log, flags)
	if err := je.SetState(sync.DataSync{FlagData: string(document(100)), Source: "bench"}); err != nil { // it takes minutes for 10,000
		tb.Fatal(err)
	}
	attributes := map[string]any{"targetingKey": user, "email": email}
	return func(key string) bool {
		value, _, _, _, _ := je.ResolveBooleanValue(context.Background(), "", key, attributes)
		return value
	}
}

type ldFlags map[string]*ldmodel.FeatureFlag

func (f ldFlags) GetFeatureFlag(key string) *ldmodel.FeatureFlag { return f[key] }
func (f ldFlags) GetSegment(string) *ldmodel.Segment             { return nil }

func launchDarkly(testing.TB) func(string) bool {
	flags := ldFlags{}
	add := func(key string, build func(*ldbuilders.FlagBuilder)) {
		b := ldbuilders.NewFlagBuilder(key).On(true).Salt(key).Variations(ldvalue.Bool(true), ldvalue.Bool(false)).FallthroughVariation(1).OffVariation(1)
		build(b)
		f := b.Build()
		flags[key] = &f
	}
	rule := func(b *ldbuilders.FlagBuilder, suffix string) {
		b.AddRule(ldbuilders.NewRuleBuilder().ID(suffix).Variation(0).Clauses(ldbuilders.Clause("email", ldmodel.OperatorEndsWith, ldvalue.String(suffix))))
	}
	add("static", func(b *ldbuilders.FlagBuilder) { b.FallthroughVariation(0) })
	add("suffix", func(b *ldbuilders.FlagBuilder) { rule(b, suffix) })
	add("split", func(b *ldbuilders.FlagBuilder) {
		b.Fallthrough(ldbuilders.Rollout(ldbuilders.Bucket(0, 50_000), ldbuilders.Bucket(1, 50_000)))
	})
	add("twenty", func(b *ldbuilders.FlagBuilder) {
		for _, s := range suffixes() {
			rule(b, s)
		}
	})
	crowd(func(key string) { add(key, func(b *ldbuilders.FlagBuilder) { rule(b, suffix) }) })
	engine := ld.NewEvaluator(flags)
	who := ldcontext.NewBuilder(user).SetString("email", email).Build()
	return func(key string) bool { return engine.Evaluate(flags[key], who, nil).Detail.Value.BoolValue() }
}

func growthBook(tb testing.TB) func(string) bool {
	rule := func(suffix string) map[string]any {
		return map[string]any{"condition": map[string]any{"email": map[string]any{"$regex": strings.ReplaceAll(suffix, ".", `\.`) + "$"}}, "force": true}
	}
	var twenty []any
	for _, s := range suffixes() {
		twenty = append(twenty, rule(s))
	}
	features := map[string]any{
		"static": map[string]any{"defaultValue": true},
		"suffix": map[string]any{"defaultValue": false, "rules": []any{rule(suffix)}},
		"split":  map[string]any{"defaultValue": false, "rules": []any{map[string]any{"force": true, "coverage": 0.5, "hashAttribute": "id"}}},
		"twenty": map[string]any{"defaultValue": false, "rules": twenty},
	}
	crowd(func(key string) { features[key] = features["suffix"] })
	text, err := json.Marshal(features)
	if err != nil {
		tb.Fatal(err)
	}
	client, err := growthbook.NewClient(context.Background(), growthbook.WithJsonFeatures(string(text)), growthbook.WithLogger(slog.New(slog.DiscardHandler)),
		growthbook.WithAttributes(growthbook.Attributes{"id": user, "email": email}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return func(key string) bool { return client.EvalFeature(context.Background(), key).On }
}

type answering string

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(a)))}, nil
}

type quiet struct{}

func (quiet) OnReady()                        {}
func (quiet) OnError(error)                   {}
func (quiet) OnWarning(error)                 {}
func (quiet) OnCount(string, bool)            {}
func (quiet) OnSent(unleash.MetricsData)      {}
func (quiet) OnRegistered(unleash.ClientData) {}

func unleashed(tb testing.TB) func(string) bool {
	rule := func(suffix string) map[string]any {
		return map[string]any{"name": "default", "constraints": []any{map[string]any{"contextName": "email", "operator": "STR_ENDS_WITH", "values": []string{suffix}}}}
	}
	var twenty []any
	for _, s := range suffixes() {
		twenty = append(twenty, rule(s))
	}
	feature := func(key string, strategies ...any) map[string]any {
		return map[string]any{"name": key, "type": "release", "enabled": true, "strategies": strategies}
	}
	features := []any{
		feature("static", map[string]any{"name": "default"}), feature("suffix", rule(suffix)), feature("twenty", twenty...),
		feature("split", map[string]any{"name": "flexibleRollout", "parameters": map[string]any{"rollout": "50", "stickiness": "userId", "groupId": "split"}}),
	}
	crowd(func(key string) { features = append(features, feature(key, rule(suffix))) })
	text, err := json.Marshal(map[string]any{"version": 2, "features": features})
	if err != nil {
		tb.Fatal(err)
	}
	client, err := unleash.NewClient(unleash.WithListener(quiet{}), unleash.WithAppName("bench"), unleash.WithUrl("http://127.0.0.1/api/"), unleash.WithBackupPath(tb.TempDir()),
		unleash.WithHttpClient(&http.Client{Transport: answering(text)}), unleash.WithDisableMetrics(true), unleash.WithRefreshInterval(time.Hour))
	if err != nil {
		tb.Fatal(err)
	}
	client.WaitForReady()
	tb.Cleanup(func() { _ = client.Close() })
	who := unleashcontext.Context{UserId: user, Properties: map[string]string{"email": email}}
	return func(key string) bool { return client.IsEnabled(key, unleash.WithContext(who)) }
}

type retrieved []byte

func (r retrieved) Retrieve(context.Context) ([]byte, error) { return r, nil }

func goFeatureFlag(tb testing.TB) func(string) bool {
	feature := func(suffixes ...string) map[string]any {
		var rules []any
		for i, s := range suffixes {
			rules = append(rules, map[string]any{"name": fmt.Sprint("rule ", i), "query": fmt.Sprintf(`email ew %q`, s), "variation": "on"})
		}
		f := map[string]any{"variations": map[string]any{"on": true, "off": false}, "defaultRule": map[string]any{"variation": "off"}, "trackEvents": false}
		if len(rules) > 0 {
			f["targeting"] = rules
		}
		return f
	}
	features := map[string]any{"static": feature(), "suffix": feature(suffix), "twenty": feature(suffixes()...), "split": feature()}
	features["static"].(map[string]any)["defaultRule"] = map[string]any{"variation": "on"}
	features["split"].(map[string]any)["defaultRule"] = map[string]any{"percentage": map[string]any{"on": 50, "off": 50}}
	crowd(func(key string) { features[key] = features["suffix"] })
	text, err := json.Marshal(features)
	if err != nil {
		tb.Fatal(err)
	}
	client, err := ffclient.New(ffclient.Config{PollingInterval: time.Hour, Retriever: retrieved(text), FileFormat: "json", LeveledLogger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	who := ffcontext.NewEvaluationContextBuilder(user).AddCustom("email", email).Build()
	return func(key string) bool {
		value, _ := client.BoolVariation(key, who, false)
		return value
	}
}
