// Package preflight checks an AWS account and region before Slipway is deployed there: credentials, the CDK's bootstrap, what the
// settings name, and limits. It only reads, and each finding says what to do.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Level says how much a finding matters.
type Level int

// The levels.
const (
	Good    Level = iota
	Note          // nothing has to be done, but the operator should know
	Problem       // the deployment, or Slipway's first deployment of a target, would fail
)

// Finding is what one check found.
type Finding struct {
	Level   Level
	Subject string // what was checked
	Text    string // what was found, and what to do
}

// Settings name what is checked, as cdk.json has it.
type Settings struct {
	Targets       []string // Lambda functions that Slipway may deploy
	HookFunctions []string // Lambda functions that hooks may invoke
	Topics        []string // SNS topics of notifications, by name
	AlarmTopic    string   // ARN of the SNS topic of alarms; "" for none

	FlagsConcurrency int32  // reserved concurrency of the function that serves flags; 0 for none
	AssetsBucket     string // bucket of the functions' code; "" for the one of the CDK's bootstrap
}

// exampleTarget is cdk.json's own target, a function of the example stack. It need not be there.
const exampleTarget = "slipway-shop"

// targetAlias is the alias of a target whose settings name none (deploy.Target).
const targetAlias = "live"

// Limits below which a finding is a note. A new account may run ten functions at once, and Slipway shares them with the targets.
const (
	fewExecutions = 50
	unreserved    = 100 // concurrent executions that Lambda keeps for functions that reserve none (Lambda Developer Guide, "Reserved concurrency")
	fullStorage   = 0.9 // of the account's room for functions' code
)

// bootstrapVersion is where `cdk bootstrap` notes which version it made.
const bootstrapVersion = "/cdk-bootstrap/hnb659fds/version"

// checker collects findings.
type checker struct {
	cfg     aws.Config
	lambda  *lambda.Client
	account string
	found   []Finding
}

// Check runs all checks and returns their findings. Where the credentials don't work there is nothing else to check.
func Check(ctx context.Context, cfg aws.Config, s Settings) []Finding {
	c := &checker{cfg: cfg, lambda: lambda.NewFromConfig(cfg)}
	if !c.credentials(ctx) {
		return c.found
	}
	if s.AssetsBucket == "" {
		c.bootstrap(ctx)
	} else {
		c.bucket(ctx, s.AssetsBucket)
	}
	for _, name := range s.Targets {
		c.target(ctx, name)
	}
	for _, name := range s.HookFunctions {
		c.hook(ctx, name)
	}
	for _, name := range s.Topics {
		c.topic(ctx, "topic "+name, c.arn("sns", name))
	}
	if s.AlarmTopic != "" {
		c.topic(ctx, "alarm topic", s.AlarmTopic)
	}
	c.limits(ctx, s)
	return c.found
}

// Failed reports whether a finding is a problem.
func Failed(found []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return f.Level == Problem })
}

func (c *checker) add(level Level, subject, format string, args ...any) {
	c.found = append(c.found, Finding{level, subject, fmt.Sprintf(format, args...)})
}

// unable adds what a check could not find out. A permission that only preflight needs is a note.
func (c *checker) unable(subject, permission string, err error) {
	if deploy.IsDenied(err) {
		c.add(Note, subject, "not checked: these credentials may not %s", permission)
		return
	}
	c.add(Problem, subject, "can't be checked: %v", err)
}

func (c *checker) arn(service, name string) string {
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s", partition(c.cfg.Region), service, c.cfg.Region, c.account, name)
}

func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// credentials finds out who deploys, and where. It reports whether the other checks make sense.
func (c *checker) credentials(ctx context.Context) bool {
	if c.cfg.Region == "" {
		c.add(Problem, "region", "none is set; set AWS_REGION, as in AWS_REGION=eu-west-1, or a region in the profile: aws configure set region eu-west-1")
		return false
	}
	if _, err := c.cfg.Credentials.Retrieve(ctx); err != nil {
		c.add(Problem, "credentials", "there are none that work; sign in (aws sso login, aws configure), or set AWS_PROFILE: %v", err)
		return false
	}
	who, err := sts.NewFromConfig(c.cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	var refused smithy.APIError
	switch {
	case errors.As(err, &refused):
		c.add(Problem, "credentials", "AWS refuses them; sign in again, or set another AWS_PROFILE: %s: %s", refused.ErrorCode(), refused.ErrorMessage())
		return false
	case err != nil:
		c.add(Problem, "region", "nothing answers for %s; is it a region of AWS, and enabled for the account? %v", c.cfg.Region, err)
		return false
	}
	c.account = aws.ToString(who.Account)
	c.add(Good, "credentials", "%s", aws.ToString(who.Arn))
	c.add(Good, "region", "%s of account %s", c.cfg.Region, c.account)
	return true
}

// bootstrap looks for what the CDK keeps functions' code in.
func (c *checker) bootstrap(ctx context.Context) {
	const subject = "CDK bootstrap"
	out, err := ssm.NewFromConfig(c.cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(bootstrapVersion)})
	var missing *ssmtypes.ParameterNotFound
	switch {
	case errors.As(err, &missing):
		c.add(Note, subject, "not there yet; make deploy makes it, which takes the right to make a bucket, a repository and five roles. "+
			"Without that right, set assetsBucket in cdk.json to a bucket of your own")
	case err != nil:
		c.unable(subject, "ssm:GetParameter on "+bootstrapVersion, err)
	default:
		c.add(Good, subject, "version %s", aws.ToString(out.Parameter.Value))
	}
}

func (c *checker) bucket(ctx context.Context, name string) {
	subject := "bucket " + name
	_, err := s3.NewFromConfig(c.cfg, func(o *s3.Options) { o.UsePathStyle = c.cfg.BaseEndpoint != nil }).HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name})
	if err != nil {
		c.add(Problem, subject, "assetsBucket in cdk.json names no bucket in %s that these credentials may use: %v", c.cfg.Region, err)
		return
	}
	c.add(Good, subject, "is there")
}

// target checks that a function can be deployed to: it is there, and the alias that Slipway moves is on a published version.
func (c *checker) target(ctx context.Context, name string) {
	subject := "target " + name
	_, err := c.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	var missing *lambdatypes.ResourceNotFoundException
	switch {
	case errors.As(err, &missing) && name == exampleTarget:
		c.add(Note, subject, "the example app isn't there, and need not be; name your own functions: TARGETS=a,b")
		return
	case errors.As(err, &missing):
		c.add(Problem, subject, "there is no such function in %s; create it, or correct TARGETS", c.cfg.Region)
		return
	case err != nil:
		c.unable(subject, "lambda:GetFunctionConfiguration on it", err)
		return
	}
	c.alias(ctx, subject, name)
}

func (c *checker) alias(ctx context.Context, subject, name string) {
	var aliases []lambdatypes.AliasConfiguration
	pages := lambda.NewListAliasesPaginator(c.lambda, &lambda.ListAliasesInput{FunctionName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			c.unable(subject, "lambda:ListAliases on it", err)
			return
		}
		aliases = append(aliases, page.Aliases...)
	}

	var named []string
	for _, a := range aliases {
		named = append(named, aws.ToString(a.Name))
	}
	at := slices.Index(named, targetAlias)
	switch {
	case at >= 0 && aws.ToString(aliases[at].FunctionVersion) == "$LATEST":
		c.add(Problem, subject, "its alias %s is on $LATEST, which each update of the code changes at once; publish a version, then move the alias to its number N: "+
			"aws lambda publish-version --function-name %[2]s; aws lambda update-alias --function-name %[2]s --name %[1]s --function-version N", targetAlias, name)
	case at >= 0:
		c.add(Good, subject, "alias %s on version %s", targetAlias, aws.ToString(aliases[at].FunctionVersion))
	case len(named) > 0:
		c.add(Note, subject, "has no alias %s; name the one that takes the traffic as target.alias in app.yaml: %s", targetAlias, strings.Join(named, ", "))
	default:
		c.add(Problem, subject, "has no alias; publish a version, and make the alias on its number N: "+
			"aws lambda publish-version --function-name %[2]s; aws lambda create-alias --function-name %[2]s --name %[1]s --function-version N", targetAlias, name)
	}
}

func (c *checker) hook(ctx context.Context, name string) {
	subject := "hook function " + name
	_, err := c.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	var missing *lambdatypes.ResourceNotFoundException
	switch {
	case errors.As(err, &missing):
		c.add(Problem, subject, "there is no such function in %s; create it, or correct hookFunctions in cdk.json", c.cfg.Region)
	case err != nil:
		c.unable(subject, "lambda:GetFunctionConfiguration on it", err)
	default:
		c.add(Good, subject, "is there")
	}
}

func (c *checker) topic(ctx context.Context, subject, arn string) {
	_, err := sns.NewFromConfig(c.cfg).GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &arn})
	var missing *snstypes.NotFoundException
	switch {
	case errors.As(err, &missing):
		c.add(Problem, subject, "there is no topic %s; create it, or correct topics and alarmTopic in cdk.json", arn)
	case err != nil:
		c.unable(subject, "sns:GetTopicAttributes on it", err)
	default:
		c.add(Good, subject, "is there")
	}
}

// reservation looks whether n concurrent executions may be reserved for the flags, those that they have already included.
func (c *checker) reservation(ctx context.Context, subject string, limit *lambdatypes.AccountLimit, n int32) {
	if limit.UnreservedConcurrentExecutions == nil {
		return
	}
	room := *limit.UnreservedConcurrentExecutions - unreserved
	out, err := c.lambda.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: aws.String("slipway-ofrep")})
	var missing *lambdatypes.ResourceNotFoundException
	switch {
	case errors.As(err, &missing):
	case err != nil:
		return
	default:
		room += aws.ToInt32(out.ReservedConcurrentExecutions)
	}
	if room = max(room, 0); n > room {
		c.add(Problem, subject, "flagsConcurrency is %d, and %d can be reserved: Lambda keeps %d for functions that reserve none; set flagsConcurrency in cdk.json "+
			"to what there is, or to 0 for no limit, or ask for more: Service Quotas, AWS Lambda, Concurrent executions", n, room, unreserved)
	}
}

// limits looks whether the account has room for Slipway's functions.
func (c *checker) limits(ctx context.Context, s Settings) {
	const subject = "Lambda's limits"
	out, err := c.lambda.GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	if err != nil {
		c.unable(subject, "lambda:GetAccountSettings", err)
		return
	}
	limit, usage := out.AccountLimit, out.AccountUsage
	if limit == nil || usage == nil {
		c.add(Note, subject, "not told")
		return
	}
	if limit.UnreservedConcurrentExecutions != nil && *limit.UnreservedConcurrentExecutions < fewExecutions {
		c.add(Note, subject, "only %d functions may run at once, Slipway's and all others; ask for more: Service Quotas, AWS Lambda, Concurrent executions",
			*limit.UnreservedConcurrentExecutions)
	}
	if s.FlagsConcurrency > 0 {
		c.reservation(ctx, subject, limit, s.FlagsConcurrency)
	}
	if limit.TotalCodeSize > 0 && float64(usage.TotalCodeSize) > fullStorage*float64(limit.TotalCodeSize) {
		c.add(Note, subject, "functions' code fills %d of %d bytes, and each release of a target stays a version; delete old versions, or ask for more: "+
			"Service Quotas, AWS Lambda, Function and layer storage", usage.TotalCodeSize, limit.TotalCodeSize)
	}
	if !slices.ContainsFunc(c.found, func(f Finding) bool { return f.Subject == subject }) {
		c.add(Good, subject, "room enough")
	}
}
