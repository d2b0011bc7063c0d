package remote_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/remote"
	"github.com/slipway-cd/slipway/internal/remote/remotetest"
)

var keys = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

// TestSigned holds the signature to what git-remote-codecommit 1.17's own sign gave, run with botocore 1.43.
func TestSigned(t *testing.T) {
	session := keys
	session.SessionToken = "session/token=="
	for _, row := range []struct {
		c                      aws.Credentials
		region, host, path, at string
		user, password         string
	}{
		{keys, "eu-west-1", "git-codecommit.eu-west-1.amazonaws.com", "/v1/repos/shop", "2026-11-25T12:00:00Z",
			"AKIDEXAMPLE", "20261125T120000Z3394b7f999e87ab57d76d21b1e152dd0b3df038d20da3724e44fdb8ec6d2cf9f"},
		{session, "eu-west-1", "git-codecommit.eu-west-1.amazonaws.com", "/v1/repos/shop", "2026-11-25T13:00:00+01:00",
			"AKIDEXAMPLE%session/token==", "20261125T120000Z3394b7f999e87ab57d76d21b1e152dd0b3df038d20da3724e44fdb8ec6d2cf9f"},
		{keys, "cn-north-1", "git-codecommit.cn-north-1.amazonaws.com.cn", "/v1/repos/a.b_c", "2027-01-01T23:59:59Z",
			"AKIDEXAMPLE", "20270101T235959Z798a658cec5c42796c5ccd3e553af421405a4f2cf50742b488caad8c20f589a7"},
	} {
		at, err := time.Parse(time.RFC3339, row.at)
		if err != nil {
			t.Fatal(err)
		}
		if user, password := remote.Signed(row.c, row.region, row.host, row.path, at); user != row.user || password != row.password {
			t.Errorf("%s at %s: %s %s", row.path, row.at, user, password)
		}
	}
}

// TestCodeCommit fetches from a server that is git's own behind CodeCommit's check of the signature.
func TestCodeCommit(t *testing.T) {
	repo := remotetest.NewRepository(t)
	repo.Write("v", "1")
	tip := repo.Commit("one")
	repo.Push("main")
	session := keys
	session.SessionToken = "a/session+token"
	url := remotetest.HTTP(t, repo.Root, func(r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		at, err := time.Parse("20060102T150405Z", password[:min(len(password), 16)])
		path, _, _ := strings.Cut(r.URL.Path, "/info/refs")
		path = strings.TrimSuffix(path, "/git-upload-pack")
		wantUser, want := remote.Signed(session, "eu-west-1", r.Host, path, at)
		r.URL.Path = strings.Replace(r.URL.Path, "/v1/repos/shop/", "/shop.git/", 1)
		return err == nil && time.Since(at).Abs() < 15*time.Minute && user == wantUser && password == want
	})
	for secret, kind := range map[string]deploy.Kind{keys.SecretAccessKey: "", "another": deploy.Invalid} {
		f := here
		f.Region, f.CodeCommit = "eu-west-1", url
		f.Credentials = credentials.NewStaticCredentialsProvider(keys.AccessKeyID, secret, session.SessionToken)
		r := remote.Request{Source: deploy.Source{Type: deploy.SourceCodeCommit, Repository: "shop"}, Commit: tip, Branch: "main", Verify: true}
		got := seen{}
		err := f.Fetch(t.Context(), r, got.add)
		if deploy.KindOf(err) != kind || (kind == "") != (got["v"] == "644 0 1") {
			t.Errorf("%v, %v", got, err)
		}
		if err != nil && (deploy.FieldOf(err) != "source.repository" || !strings.Contains(err.Error(), "name shop among repositories in cdk.json")) {
			t.Errorf("refused: %v; want what to do", err)
		}
	}
}
