// Command buildsession is the function behind the route by which builds get their credentials.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/buildsession"
	"github.com/slipway-cd/slipway/internal/secret"
)

func main() {
	e := boot.Load()
	server := buildsession.Server{
		Role:    e.Get("SLIPWAY_BUILD_ROLE"),
		Builds:  &buildsession.Project{Client: codebuild.NewFromConfig(e.AWS), Name: e.Get("SLIPWAY_BUILD_PROJECT")},
		Records: e.Store(),
		Roles:   &buildsession.Role{Client: sts.NewFromConfig(e.AWS), ARN: e.Get("SLIPWAY_JOB_ROLE")},
		Secrets: secret.New(ssm.NewFromConfig(e.AWS), secretsmanager.NewFromConfig(e.AWS)),
		Log:     e.Log,
	}
	lambda.Start(server.Lambda)
}
