package infra

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// IAM's quotas (IAM and STS quotas): characters of a role's inline policies together and of one managed policy, and managed policies
// for a role. What surrounds the statements is left room for.
const (
	inlineSize   = 10240 - 200
	managedSize  = 6144 - 200
	managedCount = 10
)

// newServiceRole makes a role that a service of AWS assumes for resources of this account alone, which keeps other accounts' resources
// from using it (the confused deputy). Statements that are too large for the role itself go into managed policies.
func newServiceRole(scope constructs.Construct, id, service, description string, statements []awsiam.PolicyStatement) awsiam.Role {
	inline, managed := fit(statements)
	if len(managed) > managedCount {
		panic(fmt.Errorf("%s: the functions, topics and repositories in the settings need %d managed policies, and IAM lets a role have %d; "+
			"name fewer, or deploy a second Slipway in another account or region", description, len(managed), managedCount))
	}
	var policies []awsiam.IManagedPolicy
	for i, part := range managed {
		policies = append(policies, awsiam.NewManagedPolicy(scope, jsii.String(id+"Policy"+strconv.Itoa(i+1)), &awsiam.ManagedPolicyProps{
			Description: jsii.String(description), Statements: &[]awsiam.PolicyStatement{part},
		}))
	}

	account := map[string]any{"aws:SourceAccount": awscdk.Stack_Of(scope).Account()}
	return awsiam.NewRole(scope, jsii.String(id), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String(service), &awsiam.ServicePrincipalOpts{
			Conditions: &map[string]any{"StringEquals": account},
		}),
		Description: jsii.String(description),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"Work": awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &inline}),
		},
		ManagedPolicies: &policies,
	})
}

// fit keeps in a role what it has room for. The largest statements leave it first, in parts of a managed policy's size.
func fit(statements []awsiam.PolicyStatement) (inline, managed []awsiam.PolicyStatement) {
	inline = slices.Clone(statements)
	for {
		total, largest := 0, 0
		for i, s := range inline {
			total += size(s)
			if size(s) > size(inline[largest]) {
				largest = i
			}
		}
		if total <= inlineSize {
			return inline, managed
		}
		managed = append(managed, split(inline[largest])...)
		inline = slices.Delete(inline, largest, largest+1)
	}
}

// split makes statements of a managed policy's size of one, each with a part of its resources.
func split(s awsiam.PolicyStatement) []awsiam.PolicyStatement {
	var parts []awsiam.PolicyStatement
	var resources []*string
	for _, r := range *s.Resources() {
		next := allowAll(append(slices.Clone(resources), r), s.Actions())
		if len(resources) > 0 && size(next) > managedSize {
			parts, resources = append(parts, allowAll(resources, s.Actions())), nil
		}
		resources = append(resources, r)
	}
	return append(parts, allowAll(resources, s.Actions()))
}

func allowAll(on []*string, actions *[]*string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: actions, Resources: &on})
}

// token is what the CDK has in the place of a value that CloudFormation fills in.
var token = regexp.MustCompile(`\$\{Token\[(.*?)\.?\d+\]\}`)

// lengths are the most characters that CloudFormation fills in for a token; an ARN of this stack's has fewer than longest.
var lengths = map[string]int{"AWS.Partition": len("aws-us-gov"), "AWS.Region": len("ap-southeast-99"), "AWS.AccountId": 12}

const longest = 130

// size is how many characters a statement has in a policy at most.
func size(s awsiam.PolicyStatement) int {
	text, err := json.Marshal(s.ToJSON())
	if err != nil {
		panic(err) // plain values
	}
	n := len(text)
	for _, match := range token.FindAllSubmatch(text, -1) {
		length, ok := lengths[string(match[1])]
		if !ok {
			length = longest
		}
		n += length - len(match[0])
	}
	return n
}
