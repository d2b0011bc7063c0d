package store

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// App reads one app. NotFound names it.
func (s *Store) App(ctx context.Context, name string) (*deploy.App, error) {
	var a deploy.App
	if err := s.named(ctx, appKey(name), &a, "app", name); err != nil {
		return nil, err
	}
	return &a, nil
}

// PutApp stores an app over whatever version there is; a stored app's Version only grows. Afterwards a is what is stored. Conflict
// where one of its targets is another app's.
func (s *Store) PutApp(ctx context.Context, a *deploy.App) error {
	return again(ctx, "app "+a.Name, func() error {
		var stored deploy.App
		if _, err := s.get(ctx, appKey(a.Name), &stored); err != nil {
			return err
		}
		claims, err := s.claim(ctx, a)
		if err != nil {
			return err
		}
		a.Version = stored.Version + 1
		it, err := item(appKey(a.Name), a, nil)
		if err != nil {
			return err
		}
		if a.Source.Repository == "" && len(claims) == 0 {
			return s.put(ctx, it, stored.Version)
		}

		tx := transaction{store: s, ctx: ctx}
		writes := append([]types.TransactWriteItem{tx.write(it, stored.Version)}, claims...)
		if a.Source.Repository != "" {
			writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &s.table, Item: repositoryKey(a.Source.Repository, a.Name)}})
		}
		return tx.send(writes)
	})
}

// A claim says whose target an alias is. It outlives an app's move to another target: what counts is what the app says.
type claim struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
}

// claim returns the writes that make each alias the app's, held to what was read: of two apps that take one alias at the same time,
// one finds the other's claim. Apps that were stored before there were claims are looked through for each alias that nobody has claimed.
func (s *Store) claim(ctx context.Context, a *deploy.App) (writes []types.TransactWriteItem, err error) {
	unclaimed := false
	for _, name := range a.EnvironmentNames() {
		t := a.Environments[name].Target
		if t.Type != deploy.TargetLambda {
			continue
		}
		var held claim
		was, err := s.get(ctx, targetKey(t), &held)
		if err != nil {
			return nil, err
		}
		if err := s.checkClaim(ctx, a, held); err != nil {
			return nil, err
		}
		unclaimed = unclaimed || was == nil
		it, err := item(targetKey(t), claim{App: a.Name, Environment: name}, nil)
		if err != nil {
			return nil, err
		}
		writes = append(writes, types.TransactWriteItem{Put: s.putOver(it, was)})
	}
	if unclaimed {
		return writes, s.checkAll(ctx, a)
	}
	return writes, nil
}

// checkClaim returns the Conflict with the app that holds an alias, if that still has it.
func (s *Store) checkClaim(ctx context.Context, a *deploy.App, held claim) error {
	if held.App == "" || held.App == a.Name {
		return nil
	}
	other, err := s.App(ctx, held.App)
	if deploy.KindOf(err) == deploy.NotFound {
		return nil
	} else if err != nil {
		return err
	}
	return a.CheckTargets(other)
}

// checkAll returns the Conflict with any app.
func (s *Store) checkAll(ctx context.Context, a *deploy.App) error {
	for cursor := ""; ; {
		apps, next, err := s.apps(ctx, deploy.MaxPage, cursor, true)
		if err != nil {
			return err
		}
		for i := range apps {
			if err := a.CheckTargets(&apps[i]); err != nil {
				return err
			}
		}
		if cursor = next; cursor == "" {
			return nil
		}
	}
}

// putOver writes an item where what is stored is still what was read; nil: nothing.
func (s *Store) putOver(it, was attributes) *types.Put {
	put := &types.Put{TableName: &s.table, Item: it, ConditionExpression: aws.String("attribute_not_exists(pk)")}
	if was != nil {
		put.ConditionExpression = aws.String("#stamp = :stamp")
		put.ExpressionAttributeNames = map[string]string{"#stamp": stamp}
		put.ExpressionAttributeValues = attributes{":stamp": was[stamp]}
	}
	return put
}

// AppsOf finds all apps that a repository's pushes are for, in order of their names. A repository's item outlives an app's
// move to another one: what counts is what the app says.
func (s *Store) AppsOf(ctx context.Context, repository string) (apps []deploy.App, err error) {
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#pk = :pk"),
		ExpressionAttributeNames:  map[string]string{"#pk": pk},
		ExpressionAttributeValues: attributes{":pk": repositoryKey(repository, "")[pk]},
	}
	for {
		out, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, deploy.Errorf(deploy.Internal, "store", "find the apps of %s: %w", repository, err)
		}
		for _, it := range out.Items {
			if apps, err = s.linked(ctx, it, apps); err != nil {
				return nil, err
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return apps, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// linked adds the app that a repository's item names, if the app still has the repository.
func (s *Store) linked(ctx context.Context, it attributes, apps []deploy.App) ([]deploy.App, error) {
	var named struct {
		App string `json:"sk"`
	}
	if err := decode(it, &named); err != nil {
		return nil, deploy.Errorf(deploy.Internal, "store", "decode %s: %w", keyText(it), err)
	}
	a, err := s.App(ctx, named.App)
	if err != nil {
		return nil, err
	}
	if keyText(repositoryKey(a.Source.Repository, a.Name)) == keyText(it) {
		apps = append(apps, *a)
	}
	return apps, nil
}

// Apps pages through the apps in order of their names.
func (s *Store) Apps(ctx context.Context, limit int, after string) ([]deploy.App, string, error) {
	return s.apps(ctx, limit, after, false)
}

func (s *Store) apps(ctx context.Context, limit int, after string, consistent bool) ([]deploy.App, string, error) {
	in := &dynamodb.QueryInput{
		TableName: &s.table, Limit: aws.Int32(int32(limit)), ConsistentRead: &consistent,
		KeyConditionExpression:    aws.String("#pk = :pk"),
		ExpressionAttributeNames:  map[string]string{"#pk": pk},
		ExpressionAttributeValues: attributes{":pk": str(appsPartition)},
	}
	if after != "" {
		name, err := parseCursor(after, deploy.ValidName)
		if err != nil {
			return nil, "", err
		}
		in.ExclusiveStartKey = appKey(name)
	}
	out, err := s.db.Query(ctx, in)
	if err != nil {
		return nil, "", deploy.Errorf(deploy.Internal, "store", "list apps: %w", err)
	}
	apps := make([]deploy.App, len(out.Items))
	for i, it := range out.Items {
		if err := decode(it, &apps[i]); err != nil {
			return nil, "", deploy.Errorf(deploy.Internal, "store", "decode an app: %w", err)
		}
	}
	if len(out.LastEvaluatedKey) == 0 || len(apps) == 0 {
		return apps, "", nil
	}
	return apps, cursor(apps[len(apps)-1].Name), nil
}

// Release reads what was built of a commit; nil where nothing was yet.
func (s *Store) Release(ctx context.Context, app, commit string) (*deploy.Release, error) {
	var r deploy.Release
	it, err := s.get(ctx, releaseKey(app, commit), &r)
	if err != nil || it == nil {
		return nil, err
	}
	return &r, nil
}

// PutRelease stores what was built of a commit, once: where another build of the same bundle with the same variables was first, its
// release stays and is the answer. One that was built of another bundle or with other variables is replaced, and so is any where replace
// is set; deployments that took it keep it on their records.
func (s *Store) PutRelease(ctx context.Context, r *deploy.Release, replace bool) (*deploy.Release, error) {
	it, err := item(releaseKey(r.App, r.CommitSHA), r, nil)
	if err != nil {
		return nil, err
	}
	err = s.put(ctx, it, 0)
	if err == nil {
		return r, nil
	}
	if !errors.Is(err, errOvertaken) {
		return nil, err
	}

	first, err := s.Release(ctx, r.App, r.CommitSHA)
	if err != nil || first != nil && first.BuildVariables == r.BuildVariables && first.SourceSHA256 == r.SourceSHA256 && !replace {
		return first, err
	}
	if err := s.putOnce(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: it}); err != nil {
		return nil, deploy.Errorf(deploy.Internal, "store", "write %s: %w", keyText(it), err)
	}
	return r, nil
}
