package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"github.com/slipway-cd/slipway/internal/buildsession"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/source"
)

// thief is a test script that keeps what a commit's code finds in a build, and goes on until it may end: the session of its own build,
// and the credentials of the role that all builds share.
const thief = `cp ../../session.json "$SERVE/session"; tr '\0' '\n' < /proc/$PPID/environ > "$SERVE/environ"; while [ ! -e "$SERVE/enough" ]; do sleep 0.1; done`

// stolen returns what thief kept, as configurations of the SDK.
func (a *app) stolen() (session, role aws.Config) {
	a.t.Helper()
	text := waitFor(a.t, "the script to find credentials", func() ([]byte, bool) {
		if _, err := os.Stat(filepath.Join(a.dir, "environ")); err != nil {
			return nil, false
		}
		text, err := os.ReadFile(filepath.Join(a.dir, "session"))
		return text, err == nil && len(text) > 0
	})
	var s buildsession.Session
	if err := json.Unmarshal(text, &s); err != nil {
		a.t.Fatal(err)
	}
	session, role = world.cloud.Config(), world.cloud.Config()
	session.Credentials = credentials.NewStaticCredentialsProvider(s.Credentials.AccessKeyID, s.Credentials.SecretAccessKey, s.Credentials.SessionToken)

	found := map[string]string{}
	for line := range strings.Lines(a.read("environ")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		found[name] = value
	}
	role.Credentials = credentials.NewStaticCredentialsProvider(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], found["AWS_SESSION_TOKEN"])
	return session, role
}

// reach is one thing that a build could want of AWS.
type reach struct {
	name string
	try  func(ctx context.Context, cfg aws.Config) error
}

func readObject(name, key string) reach {
	return reach{name, func(ctx context.Context, cfg aws.Config) error {
		_, err := s3Of(cfg).GetObject(ctx, &s3.GetObjectInput{Bucket: &world.out.Bucket, Key: &key})
		return err
	}}
}

func writeObject(name, key string) reach {
	return reach{name, func(ctx context.Context, cfg aws.Config) error {
		in := &s3.PutObjectInput{Bucket: &world.out.Bucket, Key: &key, Body: strings.NewReader("{}")}
		if !strings.HasPrefix(key, "jobs/") {
			in.IfNoneMatch = aws.String("*")
		}
		_, err := s3Of(cfg).PutObject(ctx, in)
		return err
	}}
}

func s3Of(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

func printInto(name, stream string) reach {
	return reach{name, func(ctx context.Context, cfg aws.Config) error {
		client := cloudwatchlogs.NewFromConfig(cfg)
		_, err := client.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &world.out.LogGroup, LogStreamName: &stream})
		if exists := (*logtypes.ResourceAlreadyExistsException)(nil); err != nil && !errors.As(err, &exists) {
			return err
		}
		_, err = client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: &world.out.LogGroup, LogStreamName: &stream,
			LogEvents: []logtypes.InputLogEvent{{Message: aws.String("forged"), Timestamp: aws.Int64(time.Now().UnixMilli())}}})
		return err
	}}
}

// ownJob are the things of a deployment that its build works with.
func ownJob(a *app, d *deploy.Deployment) []reach {
	artifacts := "artifacts/" + a.name + "/" + d.CommitSHA + "/"
	return []reach{
		readObject("bundle", source.BundleKey(a.name, d.CommitSHA)),
		readObject("job", "jobs/"+d.ID+"/deployment.json"),
		writeObject("result", "jobs/"+d.ID+"/result.json"),
		writeObject("artifact", artifacts+strings.Repeat("0", 64)+"/forged-"+randomText()),
		printInto("log", d.ID),
	}
}

// TestBuildReachesItsOwnJob: a commit's code has all credentials of its build, and reaches its own job with them and nothing else: no
// other deployment's, no secret, no table, no list of the bucket.
func TestBuildReachesItsOwnJob(t *testing.T) {
	localtest.Needs(t, localtest.Roles)
	other := newBuildApp(t)
	theirs := other.deploy(other.commit("one", config())).wants(deploy.Success)
	_, err := ssm.NewFromConfig(world.cloud.Config()).PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/slipway/" + other.name + "/key"), Value: aws.String("theirs"), Type: ssmtypes.ParameterTypeSecureString})
	if err != nil {
		t.Fatal(err)
	}
	putSecret(t, "slipway/"+other.name+"/db", "theirs")

	a := makeApp(t)
	a.byCodeBuild()
	earlier := a.deploy(a.commit("one", config())).wants(deploy.Success)
	r := a.deploy(a.commit("two", config("test="+thief)))
	session, role := a.stolen()
	mine, err := world.store.Deployment(t.Context(), r.id)
	if err != nil {
		t.Fatal(err)
	}

	for _, each := range ownJob(a, mine) {
		if err := each.try(t.Context(), session); err != nil {
			t.Errorf("its own %s: %v", each.name, err)
		}
		if err := each.try(t.Context(), role); !refusedBy(err) {
			t.Errorf("its own %s with the role that all builds share: %v, want AccessDenied", each.name, err)
		}
	}
	foreign := append(ownJob(other, theirs), ownJob(a, earlier)...)
	foreign = append(foreign, artifactsOf(theirs)...)
	foreign = append(foreign, everywhere(other.name, mine)...)
	for _, each := range foreign {
		for who, cfg := range map[string]aws.Config{"session": session, "role": role} {
			if err := each.try(t.Context(), cfg); !refusedBy(err) {
				t.Errorf("%s with the %s: %v, want AccessDenied", each.name, who, err)
			}
		}
	}

	a.write("enough", "")
	r.wants(deploy.Success)
	if _, err := buildsession.Ask(t.Context(), role, world.out.API); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("once the build has ended its role gets another session: %v", err)
	}
}

func artifactsOf(d *deploy.Deployment) (all []reach) {
	for _, a := range d.Release.Artifacts {
		all = append(all, readObject("artifact "+a.Key, a.Key), writeObject("artifact "+a.Key, a.Key))
	}
	return all
}

// everywhere are things that are no job's.
func everywhere(other string, mine *deploy.Deployment) []reach {
	return []reach{
		{"another app's parameter", func(ctx context.Context, cfg aws.Config) error {
			_, err := ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/slipway/" + other + "/key")})
			return err
		}},
		{"another app's secret", func(ctx context.Context, cfg aws.Config) error {
			_, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("slipway/" + other + "/db")})
			return err
		}},
		{"the table", func(ctx context.Context, cfg aws.Config) error {
			key := map[string]dynamotypes.AttributeValue{"pk": &dynamotypes.AttributeValueMemberS{Value: mine.ID}, "sk": &dynamotypes.AttributeValueMemberS{Value: mine.ID}}
			_, err := dynamodb.NewFromConfig(cfg).GetItem(ctx, &dynamodb.GetItemInput{TableName: &world.out.DeploymentsTable, Key: key})
			return err
		}},
		{"a list of the bucket", func(ctx context.Context, cfg aws.Config) error {
			_, err := s3Of(cfg).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &world.out.Bucket})
			return err
		}},
		writeObject("its own bundle", source.BundleKey(mine.App, mine.CommitSHA)),
		writeObject("its own job", "jobs/"+mine.ID+"/deployment.json"),
		writeObject("its own cancel", "jobs/"+mine.ID+"/cancelled"),
	}
}

// refusedBy reports whether AWS itself refused a call.
func refusedBy(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && (api.ErrorCode() == "AccessDenied" || api.ErrorCode() == "AccessDeniedException")
}
