package buildsession

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	codebuildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// SessionName begins the names of the sessions that builds get; the deployment's id follows.
const SessionName = "slipway-job-"

// seconds is how long a session lasts: the most that AWS allows for a role that another role assumes. A build ends earlier.
const seconds = 3600

// Project looks up the builds of a CodeBuild project.
type Project struct {
	Client *codebuild.Client
	Name   string
}

// Build implements Builds. Its role needs codebuild:BatchGetBuilds on the project.
func (p *Project) Build(ctx context.Context, uuid string) (*Build, error) {
	id := p.Name + ":" + uuid
	out, err := p.Client.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "codebuild", "look up build %s: %w", id, err)
	}
	if len(out.Builds) != 1 {
		return nil, deploy.Errorf(deploy.NotFound, "build", "CodeBuild does not know %s", id)
	}

	found := &out.Builds[0]
	b := &Build{Running: found.BuildStatus == codebuildtypes.StatusTypeInProgress, Variables: map[string]string{}}
	if found.Environment != nil {
		for _, v := range found.Environment.EnvironmentVariables {
			b.Variables[aws.ToString(v.Name)] = aws.ToString(v.Value)
		}
	}
	return b, nil
}

// Role is the role of builds' sessions.
type Role struct {
	Client *sts.Client
	ARN    string
}

// Assume implements Roles. Its role needs sts:AssumeRole and sts:TagSession on the role.
func (r *Role) Assume(ctx context.Context, d *deploy.Deployment) (aws.Credentials, error) {
	tag := func(key, value string) ststypes.Tag { return ststypes.Tag{Key: &key, Value: &value} }
	out, err := r.Client.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn:         &r.ARN,
		RoleSessionName: aws.String(SessionName + d.ID),
		DurationSeconds: aws.Int32(seconds),
		Tags:            []ststypes.Tag{tag("app", d.App), tag("commit", d.CommitSHA), tag("deployment", d.ID)},
	})
	if err != nil {
		return aws.Credentials{}, deploy.Errorf(deploy.Internal, "sts", "assume %s for deployment %s: %w", r.ARN, d.ID, err)
	}
	c := out.Credentials
	return aws.Credentials{AccessKeyID: aws.ToString(c.AccessKeyId), SecretAccessKey: aws.ToString(c.SecretAccessKey), SessionToken: aws.ToString(c.SessionToken)}, nil
}
