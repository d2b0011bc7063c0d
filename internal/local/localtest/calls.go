package localtest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/slipway-cd/slipway/internal/local"
)

// standIns has MiniStack judge what tests make under names of [Name] as what Slipway's policies name: the target, and executions of
// the machine.
var standIns = [][2]string{
	{`:function:app-[a-z0-9]{8}-[0-9]+(-[a-z]+)?`, ":function:slipway-shop"},
	{`:function:hello($|:)`, `:function:slipway-shop\1`}, // the README's, for make up TARGETS=hello
	{`:(execution|stateMachine):app-[a-z0-9]{8}-[0-9]+(-[a-z]+)?`, `:\1:slipway`},
}

// Call is what a role did: an action on a resource.
type Call struct {
	Who, Action, Resource string
	Allowed               bool
}

// Calls returns each distinct call that the cloud's roles have made so far. Engines that don't judge roles have none.
func Calls(c *local.Cloud) ([]Call, error) {
	file, err := os.Open(filepath.Join(c.State, local.CallsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()

	var calls []Call
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var call Call
		if err := json.Unmarshal(lines.Bytes(), &call); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", file.Name(), lines.Text(), err)
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// Trust returns the trust policy of a role that a service may assume.
func Trust(service string) string {
	return fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": %q},
		"Condition": {"StringEquals": {"aws:SourceAccount": %q}}}]}`, service+".amazonaws.com", account)
}

const account = "000000000000"

// Role makes an IAM role with a trust policy and one inline policy, and returns its ARN. A policy of "" leaves it without permissions.
func Role(ctx context.Context, c *local.Cloud, name, trust, policy string) (string, error) {
	if _, err := callIAM(ctx, c, url.Values{"Action": {"CreateRole"}, "RoleName": {name}, "AssumeRolePolicyDocument": {trust}}); err != nil {
		return "", err
	}
	arn := "arn:aws:iam::" + account + ":role/" + name
	if policy == "" {
		return arn, nil
	}
	_, err := callIAM(ctx, c, url.Values{"Action": {"PutRolePolicy"}, "RoleName": {name}, "PolicyName": {"work"}, "PolicyDocument": {policy}})
	return arn, err
}

// Person begins the session names of roles that [As] makes, which tells their calls from those of Slipway's own roles.
const Person = "person-"

// As makes a role that people of the account may assume, with one inline policy, and returns the configuration of one who did.
func As(ctx context.Context, c *local.Cloud, name, policy string) (aws.Config, error) {
	trust := fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::%s:root"}}]}`, account)
	arn, err := Role(ctx, c, name, trust, policy)
	if err != nil {
		return aws.Config{}, err
	}
	cfg := c.Config()
	assumed, err := sts.NewFromConfig(cfg).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String(Person + name)})
	if err != nil {
		return aws.Config{}, err
	}
	key := assumed.Credentials
	cfg.Credentials = credentials.NewStaticCredentialsProvider(*key.AccessKeyId, *key.SecretAccessKey, *key.SessionToken)
	return cfg, nil
}

// User makes an IAM user without any permission, and returns its key.
func User(ctx context.Context, c *local.Cloud, name string) (aws.CredentialsProvider, error) {
	if _, err := callIAM(ctx, c, url.Values{"Action": {"CreateUser"}, "UserName": {name}}); err != nil {
		return nil, err
	}
	text, err := callIAM(ctx, c, url.Values{"Action": {"CreateAccessKey"}, "UserName": {name}})
	if err != nil {
		return nil, err
	}
	var answer struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	if err := xml.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	return credentials.NewStaticCredentialsProvider(answer.ID, answer.Secret, ""), nil
}

// callIAM makes one signed call. It saves the SDK's IAM module, which nothing else needs.
func callIAM(ctx context.Context, c *local.Cloud, form url.Values) (answer []byte, err error) {
	form.Set("Version", "2010-05-08")
	body := form.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, answer, err := Send(c, request, []byte(body), "iam")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("iam %s: %d: %s", form.Get("Action"), status, answer)
	}
	return answer, nil
}

// Send signs a request with the cloud's own key, which may do everything, sends it, and returns the status and the body of the answer. It is for services that
// the program has no client of.
func Send(c *local.Cloud, request *http.Request, body []byte, service string) (status int, answer []byte, err error) {
	key, err := c.Config().Credentials.Retrieve(request.Context())
	if err != nil {
		return 0, nil, err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(request.Context(), key, request, hex.EncodeToString(sum[:]), service, c.Config().Region, time.Now()); err != nil {
		return 0, nil, err
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}
