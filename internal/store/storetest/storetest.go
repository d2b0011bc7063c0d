// Package storetest makes tables for tests.
package storetest

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// CreateTable makes a table of deployments as infra's template does. What it gives back deletes it: the cloud may be another's, and
// stays.
func CreateTable(ctx context.Context, db *dynamodb.Client, name string) (undo func(), err error) {
	attribute := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
	}
	schema := func(hash, sort string) []types.KeySchemaElement {
		return []types.KeySchemaElement{{AttributeName: &hash, KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange}}
	}
	index := func(name, hash string) types.GlobalSecondaryIndex {
		return types.GlobalSecondaryIndex{IndexName: &name, KeySchema: schema(hash, "id"), Projection: &types.Projection{
			ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{"status", "environment", "commit_sha", "start_time"},
		}}
	}
	_, err = db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest, KeySchema: schema("pk", "sk"),
		AttributeDefinitions: []types.AttributeDefinition{
			attribute("pk"), attribute("sk"), attribute("id"), attribute("app"), attribute("app_environment"), attribute("kind"),
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{
			index("by-environment", "app_environment"), index("by-app", "app"), index("by-time", "kind"),
		},
	})
	if exists := new(types.ResourceInUseException); errors.As(err, &exists) {
		err = nil // the first answer was lost, and the SDK asked again: no other test makes a table of that name
	}
	return func() { _, _ = db.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name}) }, err
}
