package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// OutputGroup is the log group of the scripts' output: one stream a deployment, named by its id.
const OutputGroup = "/slipway/deployments"

// data is what outlives a deployment: two tables, the bucket, the bus of hooks' events, and the scripts' output.
type data struct {
	deployments awsdynamodb.Table
	flags       awsdynamodb.Table
	bucket      awss3.Bucket
	bus         awsevents.EventBus
	output      awslogs.LogGroup
}

func newData(scope constructs.Construct, s Settings) *data {
	scope = constructs.NewConstruct(scope, jsii.String("Data"))
	d := &data{
		deployments: newTable(scope, "Deployments", s),
		flags:       newTable(scope, "Flags", s),
		bucket:      newBucket(scope, s),
		bus:         awsevents.NewEventBus(scope, jsii.String("Bus"), &awsevents.EventBusProps{EventBusName: jsii.String("slipway")}),
		output:      newLogGroup(scope, "Output", OutputGroup, s),
	}
	forget(d.deployments) // requests alone have it
	forget(d.flags)       // counts of evaluations alone have it
	d.deployments.AddGlobalSecondaryIndex(&awsdynamodb.GlobalSecondaryIndexProps{
		IndexName:      jsii.String("open"), // what has not ended: an item is in it for as long as it has the key
		PartitionKey:   &awsdynamodb.Attribute{Name: jsii.String("open"), Type: awsdynamodb.AttributeType_STRING},
		SortKey:        &awsdynamodb.Attribute{Name: jsii.String("id"), Type: awsdynamodb.AttributeType_STRING},
		ProjectionType: awsdynamodb.ProjectionType_KEYS_ONLY, // so that only an item's begin and end are written to it
	})
	addIndex(d.deployments, "by-environment", "app_environment")
	addIndex(d.deployments, "by-app", "app")
	addIndex(d.deployments, "by-time", "kind")
	return d
}

// newTable makes a table with keys pk and sk. Its encryption is DynamoDB's own, which is always on and costs nothing. Deletion protection
// is left to operators: with it CloudFormation could not take a failed first deployment back. DynamoDB keeps a backup of a
// deleted table for 35 days, since its point-in-time recovery is on.
func newTable(scope constructs.Construct, id string, s Settings) awsdynamodb.Table {
	return awsdynamodb.NewTable(scope, jsii.String(id), &awsdynamodb.TableProps{
		PartitionKey: &awsdynamodb.Attribute{Name: jsii.String("pk"), Type: awsdynamodb.AttributeType_STRING},
		SortKey:      &awsdynamodb.Attribute{Name: jsii.String("sk"), Type: awsdynamodb.AttributeType_STRING},
		BillingMode:  awsdynamodb.BillingMode_PAY_PER_REQUEST,
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
		RemovalPolicy: s.removalPolicy(),
	})
}

// forget lets DynamoDB delete what its attribute expires says is over.
func forget(table awsdynamodb.Table) {
	table.Node().DefaultChild().(awsdynamodb.CfnTable).SetTimeToLiveSpecification(&awsdynamodb.CfnTable_TimeToLiveSpecificationProperty{
		AttributeName: jsii.String("expires"), Enabled: jsii.Bool(true),
	})
}

// addIndex lets history pages be read newest first, since ids sort by time. It holds what a page shows and no more, so
// that a page costs the same however long the deployments' timelines are.
func addIndex(table awsdynamodb.Table, name, key string) {
	table.AddGlobalSecondaryIndex(&awsdynamodb.GlobalSecondaryIndexProps{
		IndexName:      jsii.String(name),
		PartitionKey:   &awsdynamodb.Attribute{Name: jsii.String(key), Type: awsdynamodb.AttributeType_STRING},
		SortKey:        &awsdynamodb.Attribute{Name: jsii.String("id"), Type: awsdynamodb.AttributeType_STRING},
		ProjectionType: awsdynamodb.ProjectionType_INCLUDE,
		NonKeyAttributes: summaryExcept(key, "app", "environment", "status", "commit_sha", "branch", "start_time", "end_time",
			"error", "dirty", "rollback_from", "superseded_by", "action"),
	})
}

// summaryExcept leaves out the index's own key, which DynamoDB projects anyway and refuses to be told about.
func summaryExcept(key string, attributes ...string) *[]*string {
	var kept []*string
	for _, each := range attributes {
		if each != key {
			kept = append(kept, jsii.String(each))
		}
	}
	return &kept
}

// newBucket holds sources/, fetched/ and artifacts/, of which nothing expires: a rollback may need any release. Their keys are
// written once, so that there is nothing for versioning to keep. What deployments take to CodeBuild, jobs/, goes after a month.
func newBucket(scope constructs.Construct, s Settings) awss3.Bucket {
	bucket := awss3.NewBucket(scope, jsii.String("Bucket"), &awss3.BucketProps{
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		EnforceSSL:        jsii.Bool(true),
		RemovalPolicy:     s.removalPolicy(),
		LifecycleRules: &[]*awss3.LifecycleRule{{
			AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(1)),
		}, {
			Prefix: jsii.String("jobs/"), Expiration: awscdk.Duration_Days(jsii.Number(30)),
		}},
	})
	bucket.AddToResourcePolicy(writeOnce(bucket))
	return bucket
}

// writeOnce makes S3 refuse every write over a bundle or an artifact: what was tested is what is deployed. Parts of a
// multipart upload can't say If-None-Match, its completion can (S3 User Guide, "Enforce conditional writes").
func writeOnce(bucket awss3.Bucket) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("WriteOnce"),
		Effect:     awsiam.Effect_DENY,
		Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()},
		Actions:    jsii.Strings("s3:PutObject"),
		Resources: &[]*string{
			bucket.ArnForObjects(jsii.String("sources/*")), bucket.ArnForObjects(jsii.String("fetched/*")), bucket.ArnForObjects(jsii.String("artifacts/*")),
		},
		Conditions: &map[string]any{
			"Null": map[string]string{"s3:if-none-match": "true"},
			"Bool": map[string]string{"s3:ObjectCreationOperation": "true"},
		},
	})
}

// newLogGroup goes with its stack whatever the removal: its name is fixed, and one left behind would refuse the next
// stack. Keep logs elsewhere by a subscription.
func newLogGroup(scope constructs.Construct, id, name string, s Settings) awslogs.LogGroup {
	group := awslogs.NewLogGroup(scope, jsii.String(id), &awslogs.LogGroupProps{
		LogGroupName:  jsii.String(name),
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	group.Node().DefaultChild().(awslogs.CfnLogGroup).SetRetentionInDays(jsii.Number(s.RetentionDays))
	return group
}

// removalPolicy retains data, but not the empty tables and bucket of a first deployment that failed.
func (s Settings) removalPolicy() awscdk.RemovalPolicy {
	if s.Removal == Destroy {
		return awscdk.RemovalPolicy_DESTROY
	}
	return awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE
}
