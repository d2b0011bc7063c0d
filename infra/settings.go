package infra

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Settings is what whoever deploys Slipway decides. They are CDK context: cdk.json has them all, and -c overrides one.
type Settings struct {
	Arch               string   // of the functions: "arm64" or "x86_64"
	FunctionsDir       string   // holds a folder for each function, with its bootstrap
	Targets            []string // names of the Lambda functions that Slipway may deploy
	HookFunctions      []string // names of the Lambda functions that hooks may invoke
	Repositories       []string // names of the CodeCommit repositories that commits may be fetched from
	Topics             []string // names of the SNS topics that apps' notifications may go to
	FlagsConcurrency   int      // how many requests for flags are answered at once: the reserved concurrency of slipway-ofrep; 0: as many as the account has room for
	RetentionDays      int      // how long logs are kept
	Removal            string   // of tables and bucket with the stack: "retain" or "destroy"
	Runner             string   // of tests and builds where an environment names none: "codebuild" or "function"
	BuildCache         string   // what CodeBuild keeps from one build for the next: "none", or "local", which builds of all apps share
	PipelineRepository string   // CodeCommit repository that the example pipeline takes; "" for no such pipeline
	AlarmTopic         string   // ARN of the SNS topic that hears of alarms; "" for none
	APIGatewayRole     string   // the region's role by which API Gateway logs: "replace" sets Slipway's, "keep" leaves what is set
	AssetsBucket       string   // S3 bucket for the functions' code; "" for the one that `cdk bootstrap` makes
}

// The values of Arch and Removal.
const (
	ARM64   = "arm64"
	X8664   = "x86_64"
	Retain  = "retain"
	Destroy = "destroy"
)

// The values of Runner.
const (
	CodeBuild = "codebuild"
	Function  = "function"
)

// The values of BuildCache.
const (
	NoCache    = "none"
	LocalCache = "local"
)

// The values of APIGatewayRole.
const (
	Replace = "replace"
	Keep    = "keep"
)

// DefaultSettings is what holds where the context is silent; cdk.json says the same.
func DefaultSettings() Settings {
	return Settings{Arch: ARM64, FunctionsDir: "bin/functions", Targets: []string{"slipway-shop"}, FlagsConcurrency: 100, RetentionDays: 30, Removal: Retain, Runner: CodeBuild, BuildCache: NoCache,
		APIGatewayRole: Replace}
}

// retentions lists the days that CloudWatch Logs takes (PutRetentionPolicy).
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

var (
	functionPattern   = regexp.MustCompile(`^[A-Za-z0-9-_]{1,64}$`)
	repositoryPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)
	bucketPattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	topicNamePattern  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)
	topicPattern      = regexp.MustCompile(`^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9-_]+$`)
)

// What the patterns of names want, in words.
const (
	functionRule   = "a Lambda function's name; want 1 to 64 letters, digits, - or _"
	topicRule      = "a standard SNS topic's name; want 1 to 256 letters, digits, - or _"
	repositoryRule = "a CodeCommit repository's name; want 1 to 100 letters, digits, . _ or -"
)

// settingFor says how each key of the context becomes a setting. A -c gives every value as text.
var settingFor = map[string]func(*Settings, any) error{
	"arch":             func(s *Settings, v any) error { return oneOf(&s.Arch, v, ARM64, X8664) },
	"functionsDir":     func(s *Settings, v any) error { return text(&s.FunctionsDir, v) },
	"targets":          func(s *Settings, v any) error { return names(&s.Targets, v, functionPattern, functionRule) },
	"hookFunctions":    func(s *Settings, v any) error { return names(&s.HookFunctions, v, functionPattern, functionRule) },
	"repositories":     func(s *Settings, v any) error { return names(&s.Repositories, v, repositoryPattern, repositoryRule) },
	"topics":           func(s *Settings, v any) error { return names(&s.Topics, v, topicNamePattern, topicRule) },
	"flagsConcurrency": func(s *Settings, v any) error { return atLeastNone(&s.FlagsConcurrency, v) },
	"retentionDays":    func(s *Settings, v any) error { return days(&s.RetentionDays, v) },
	"removal":          func(s *Settings, v any) error { return oneOf(&s.Removal, v, Retain, Destroy) },
	"runner":           func(s *Settings, v any) error { return oneOf(&s.Runner, v, CodeBuild, Function) },
	"buildCache":       func(s *Settings, v any) error { return oneOf(&s.BuildCache, v, NoCache, LocalCache) },
	"pipelineRepository": func(s *Settings, v any) error {
		return match(&s.PipelineRepository, v, repositoryPattern, "a CodeCommit repository's name")
	},
	"alarmTopic":     func(s *Settings, v any) error { return match(&s.AlarmTopic, v, topicPattern, "an SNS topic's ARN") },
	"apiGatewayRole": func(s *Settings, v any) error { return oneOf(&s.APIGatewayRole, v, Replace, Keep) },
	"assetsBucket":   func(s *Settings, v any) error { return match(&s.AssetsBucket, v, bucketPattern, "an S3 bucket's name") },
}

// ParseSettings reads the settings among context's keys over the defaults. Its error names the key, the value and what
// would be right. Keys of the CDK's own are left alone; any other unknown key is an error.
func ParseSettings(context map[string]any) (Settings, error) {
	s := DefaultSettings()
	for key, value := range context {
		if strings.ContainsAny(key, ":/") || key == "cli-telemetry" { // "aws:cdk:…", "@aws-cdk/…:…"; cdk writes the last itself
			continue
		}
		set, ok := settingFor[key]
		if !ok {
			return s, fmt.Errorf("context %q is unknown; there are %s", key, strings.Join(settingNames(), ", "))
		}
		if err := set(&s, value); err != nil {
			return s, fmt.Errorf("context %q: %w", key, err)
		}
	}
	return s, nil
}

// ReadContext reads the context of a cdk.json, as the cdk command does. A missing file has none.
func ReadContext(file string) (map[string]any, error) {
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return map[string]any{}, nil
	}
	if err != nil {
		return nil, err
	}
	config := struct{ Context map[string]any }{Context: map[string]any{}}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return config.Context, nil
}

func settingNames() []string {
	names := make([]string, 0, len(settingFor))
	for name := range settingFor {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func text(to *string, value any) error {
	s, ok := value.(string)
	if !ok || s == "" {
		return fmt.Errorf("%v; want a text that isn't empty", value)
	}
	*to = s
	return nil
}

func oneOf(to *string, value any, choices ...string) error {
	if s, ok := value.(string); ok && slices.Contains(choices, s) {
		*to = s
		return nil
	}
	return fmt.Errorf("%v is unknown; want %s", value, strings.Join(choices, " or "))
}

// names takes a list, or text with commas between the names.
func names(to *[]string, value any, pattern *regexp.Regexp, rule string) error {
	var given []string
	switch v := value.(type) {
	case string:
		given = strings.FieldsFunc(v, func(r rune) bool { return r == ',' })
	case []any:
		for _, each := range v {
			given = append(given, fmt.Sprint(each))
		}
	default:
		return fmt.Errorf("%v; want a list of names", value)
	}
	for _, name := range given {
		if !pattern.MatchString(name) {
			return fmt.Errorf("%q is not %s", name, rule)
		}
	}
	*to = given
	return nil
}

// number reads a whole number, which a -c gives as text.
func number(value any) (n int, ok bool) {
	switch v := value.(type) {
	case float64:
		return int(v), v == math.Trunc(v) && math.Abs(v) < 1e9
	case string:
		n, err := strconv.Atoi(v)
		return n, err == nil
	}
	return 0, false
}

func atLeastNone(to *int, value any) error {
	n, ok := number(value)
	if !ok || n < 0 {
		return fmt.Errorf("%v; want a whole number from 0, which sets no limit", value)
	}
	*to = n
	return nil
}

func days(to *int, value any) error {
	n, ok := number(value)
	if !ok || !slices.Contains(retentions, n) {
		return fmt.Errorf("%v; CloudWatch Logs keeps logs for one of %v days", value, retentions)
	}
	*to = n
	return nil
}

// match takes nothing too: it is the default of what has a pattern.
func match(to *string, value any, pattern *regexp.Regexp, what string) error {
	s, ok := value.(string)
	if !ok || s != "" && !pattern.MatchString(s) {
		return fmt.Errorf("%v; want %s, or nothing", value, what)
	}
	*to = s
	return nil
}
