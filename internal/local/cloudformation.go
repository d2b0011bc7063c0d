package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// stack is CloudFormation's description of a stack, as far as it is read here.
type stack struct {
	Status  string `xml:"StackStatus"`
	Reason  string `xml:"StackStatusReason"`
	Outputs []struct {
		Key   string `xml:"OutputKey"`
		Value string `xml:"OutputValue"`
	} `xml:"Outputs>member"`
}

// stackTimeout is for one stack. The slowest engine takes half a minute.
const stackTimeout = 5 * time.Minute

// apply creates the stack, or updates it, waits for its end and returns its outputs.
func (c *Cloud) apply(ctx context.Context, name, templateURL string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, stackTimeout)
	defer cancel()
	action, err := c.stackAction(ctx, name)
	if err != nil {
		return nil, err
	}
	err = c.cloudFormation(ctx, action, url.Values{
		"StackName":             {name},
		"TemplateURL":           {templateURL},
		"Capabilities.member.1": {"CAPABILITY_NAMED_IAM"},
	}, nil)
	if err != nil && !strings.Contains(err.Error(), "No updates are to be performed") {
		return nil, err
	}

	s, err := c.settled(ctx, name)
	if err != nil {
		return nil, err
	}
	if s.Status != "CREATE_COMPLETE" && s.Status != "UPDATE_COMPLETE" {
		return nil, fmt.Errorf("%s %s%s", s.Status, s.Reason, c.stackFailures(ctx, name))
	}
	outputs := map[string]string{}
	for _, o := range s.Outputs {
		outputs[o.Key] = o.Value
	}
	return outputs, nil
}

// stackAction returns what brings the stack to a template: UpdateStack where there is one that takes updates, otherwise CreateStack. A
// stack whose creation failed takes none, and is deleted.
func (c *Cloud) stackAction(ctx context.Context, name string) (string, error) {
	s, err := c.settled(ctx, name)
	if err != nil || s == nil || s.Status == "DELETE_COMPLETE" {
		return "CreateStack", err
	}
	if strings.HasPrefix(s.Status, "UPDATE_") || s.Status == "CREATE_COMPLETE" {
		return "UpdateStack", nil
	}

	if err := c.cloudFormation(ctx, "DeleteStack", url.Values{"StackName": {name}}, nil); err != nil {
		return "", err
	}
	s, err = c.settled(ctx, name)
	if err == nil && s != nil && s.Status != "DELETE_COMPLETE" {
		err = fmt.Errorf("the stack of a creation that failed can't be deleted: %s %s", s.Status, s.Reason)
	}
	return "CreateStack", err
}

// settled returns the stack as soon as nothing is in progress, or nil where there is none.
func (c *Cloud) settled(ctx context.Context, name string) (*stack, error) {
	for {
		var answer struct {
			Stacks []stack `xml:"DescribeStacksResult>Stacks>member"`
		}
		err := c.cloudFormation(ctx, "DescribeStacks", url.Values{"StackName": {name}}, &answer)
		if err != nil && strings.Contains(err.Error(), "does not exist") || err == nil && len(answer.Stacks) == 0 {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if s := answer.Stacks[0]; !strings.HasSuffix(s.Status, "_IN_PROGRESS") {
			return &s, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stackFailures returns what CloudFormation says about the resources that failed, a line each.
func (c *Cloud) stackFailures(ctx context.Context, name string) string {
	var answer struct {
		Events []struct {
			ID     string `xml:"LogicalResourceId"`
			Status string `xml:"ResourceStatus"`
			Reason string `xml:"ResourceStatusReason"`
		} `xml:"DescribeStackEventsResult>StackEvents>member"`
	}
	if err := c.cloudFormation(ctx, "DescribeStackEvents", url.Values{"StackName": {name}}, &answer); err != nil {
		return "\n" + err.Error()
	}
	var lines strings.Builder
	for _, e := range answer.Events {
		if strings.HasSuffix(e.Status, "_FAILED") {
			fmt.Fprintf(&lines, "\n%s: %s %s", e.ID, e.Status, e.Reason)
		}
	}
	return lines.String()
}

// cloudFormation calls an action of CloudFormation's query API, and reads its XML into answer. The SDK's client for it would take as
// long to compile as a tenth of Slipway.
func (c *Cloud) cloudFormation(ctx context.Context, action string, parameters url.Values, answer any) error {
	parameters.Set("Action", action)
	parameters.Set("Version", "2010-05-15")
	body := parameters.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint()+"/", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")

	config := c.Config()
	keys, err := config.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(body))
	err = v4.NewSigner().SignHTTP(ctx, keys, request, hex.EncodeToString(sum[:]), "cloudformation", config.Region, time.Now())
	if err != nil {
		return err
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", action, queryError(response.Status, text))
	}
	if answer == nil {
		return nil
	}
	return xml.Unmarshal(text, answer)
}

// queryError reads the error of a query API.
func queryError(status string, text []byte) error {
	var said struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	if err := xml.Unmarshal(text, &said); err != nil || said.Code == "" {
		return errors.New(status + ": " + string(bytes.TrimSpace(text)))
	}
	return errors.New(said.Code + ": " + said.Message)
}
