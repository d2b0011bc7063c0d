package store

import (
	"encoding/base64"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// The deployments table, every shape of its keys:
//
//	pk                   sk        what
//	DEPLOYMENT#<id>      RECORD    deploy.Deployment
//	HEAD#<app>#<env>     HEAD      deploy.Head
//	RELEASE#<app>        <commit>  deploy.Release
//	APPS                 <app>     deploy.App
//	REPOSITORY#<name>    <app>     which apps a repository's pushes are for
//	TARGET#<fn>#<alias>  TARGET    which app's environment an alias is the target of
//	TIP#<app>#<env>      <branch>  deploy.Tip
//	REQUEST#<key>        REQUEST   deploy.Request
//
// Only deployments have an id, so only they are in the indexes, which sort by it.
const (
	pk = "pk"
	sk = "sk"

	indexByEnvironment = "by-environment" // app_environment
	indexByApp         = "by-app"         // app
	indexByTime        = "by-time"        // kind
	indexOpen          = "open"           // open, which only deployments have that have not ended
	kindDeployment     = "deployment"
	appsPartition      = "APPS"
)

type attributes = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func key(partition, sort string) attributes { return attributes{pk: str(partition), sk: str(sort)} }

func deploymentKey(id string) attributes { return key("DEPLOYMENT#"+id, "RECORD") }

func headKey(app, environment string) attributes { return key("HEAD#"+app+"#"+environment, "HEAD") }

func releaseKey(app, commit string) attributes { return key("RELEASE#"+app, commit) }

func tipKey(app, environment, branch string) attributes {
	return key("TIP#"+appEnvironment(app, environment), branch)
}

// repositoryKey is one for all spellings on GitHub, which tells no small letters from capitals. CodeCommit does.
func repositoryKey(repository, app string) attributes {
	if strings.Contains(repository, "/") {
		repository = strings.ToLower(repository)
	}
	return key("REPOSITORY#"+repository, app)
}

func targetKey(t deploy.Target) attributes { return key("TARGET#"+t.Function+"#"+t.Alias, "TARGET") }

func requestKey(name string) attributes { return key("REQUEST#"+name, "REQUEST") }

func appKey(name string) attributes { return key(appsPartition, name) }

func appEnvironment(app, environment string) string { return app + "#" + environment }

// cursor names the last item of a page. It holds nothing but a name: the rest of the key follows from the query.
func cursor(name string) string {
	return base64.RawURLEncoding.EncodeToString([]byte("1." + name))
}

func parseCursor(text string, valid func(string) bool) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	name, ok := strings.CutPrefix(string(raw), "1.")
	if err != nil || !ok || !valid(name) {
		return "", deploy.FieldErrorf("cursor", "%q is none of ours; want next_cursor of an earlier answer", deploy.Cut(text, 80))
	}
	return name, nil
}
