package store_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/store"
)

// started notes where a query starts.
type started struct {
	store.Client
	key map[string]types.AttributeValue
}

func (s *started) Query(_ context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	s.key = in.ExclusiveStartKey
	return &dynamodb.QueryOutput{}, nil
}

// FuzzCursor: a cursor is refused, naming the field, or it names one deployment of the query's own partition.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "MS5kZXBsb3ktMjAyNjAxMDEtMDAwMDAwMDAwLWFhYWFhYWFh", "MS5kZXBsb3k", "!", "eyJpZCI6MX0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		client := &started{}
		_, _, err := store.New(client, "t").List(t.Context(), deploy.Query{App: "shop", Environment: "production", Limit: 1, Cursor: text})
		switch {
		case err != nil && (deploy.KindOf(err) != deploy.Invalid || deploy.FieldOf(err) != "cursor"):
			t.Errorf("%q: %v", text, err)
		case err == nil && text != "":
			id := client.key["id"].(*types.AttributeValueMemberS).Value
			pk := client.key["pk"].(*types.AttributeValueMemberS).Value
			where := client.key["app_environment"].(*types.AttributeValueMemberS).Value
			if !deploy.ValidID(id) || pk != "DEPLOYMENT#"+id || where != "shop#production" {
				t.Errorf("%q starts at %v", text, client.key)
			}
		}
	})
}
