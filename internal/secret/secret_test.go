package secret_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/secret"
)

// answering makes a Store of a server that always gives this answer.
func answering(t *testing.T, status int, body string) *secret.Store {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		RetryMaxAttempts: 1}
	return secret.New(ssm.NewFromConfig(cfg), secretsmanager.NewFromConfig(cfg))
}

func TestResolveWithoutLookingUp(t *testing.T) {
	variables := map[string]string{"PLAIN": "ssm", "DB_PASSWORD": "hunter2", "api_key": "k-1", "MyToken": "t-1", "EMPTY_SECRET": "",
		"GITHUB_PRIVATE_KEY": "p-1", "KEYBOARD": "qwerty", "URL": "https://x/ssm:y"}
	got, masked, err := secret.New(nil, nil).Resolve(t.Context(), "shop", variables)
	if err != nil || !maps.Equal(got, variables) {
		t.Errorf("got %v, %v", got, err)
	}
	slices.Sort(masked)
	if want := []string{"hunter2", "k-1", "p-1", "t-1"}; !slices.Equal(masked, want) {
		t.Errorf("to mask: %q, want %q", masked, want)
	}
}

func TestResolveRefusesNames(t *testing.T) {
	for _, value := range []string{"ssm:", "ssm:/", "ssm:/slipway/", "ssm:../x", "ssm:../slipway-own/x", "secretsmanager:slipway/../slipway-own/x", "ssm:a/../../b", "ssm:a//b", "ssm:x:1", "ssm:arn:aws:ssm:::x",
		"ssm:/slipway/books/db", "secretsmanager:slipway/db", "secretsmanager:slipway/shopping/db", "secretsmanager:", "secretsmanager:arn:aws:secretsmanager:us-east-1:1:secret:x", "secretsmanager:/x", "ssm:sp ace"} {
		_, _, err := secret.New(nil, nil).Resolve(t.Context(), "shop", map[string]string{"DB": value})
		if deploy.KindOf(err) != deploy.Invalid || deploy.FieldOf(err) != "environment_variables.DB" {
			t.Errorf("%s: got %v", value, err)
		}
	}
}

// TestResolveMasksMembers: a secret that is a JSON object, as Secrets Manager makes for databases, is seldom printed whole.
func TestResolveMasksMembers(t *testing.T) {
	const value = `{"engine":"postgres","username":"shop","password":"hun\"ter2","port":5432,"tokens":["x"],"apiKey":"k-12345"}`
	store := answering(t, 200, fmt.Sprintf(`{"SecretString":%q}`, value))
	got, masked, err := store.Resolve(t.Context(), "shop", map[string]string{"DB": "secretsmanager:db", "JSON_TOKEN": `{"password":"plain"}`})
	if err != nil || got["DB"] != value {
		t.Fatal(got, err)
	}
	slices.Sort(masked)
	want := []string{`hun"ter2`, "k-12345", "plain", value, `{"password":"plain"}`}
	slices.Sort(want)
	if !slices.Equal(masked, want) {
		t.Errorf("to mask: %q, want %q", masked, want)
	}
}

func TestValueRefusesNames(t *testing.T) {
	for _, value := range []string{"", "plain", "SSM:x", "ssm:", "ssm:/slipway-own/", "ssm:../slipway/x", "secretsmanager:slipway-own/../x", "secretsmanager:slipway-own/github-webhook", "ssm:/slipway-own/books/git", "secretsmanager:/x"} {
		if got, err := secret.New(nil, nil).Value(t.Context(), "shop", value); deploy.KindOf(err) != deploy.Invalid || got != "" {
			t.Errorf("%s: got %q, %v", value, got, err)
		}
	}
}

func TestResolveFaults(t *testing.T) {
	for name, c := range map[string]struct {
		status      int
		body, value string
		kind        deploy.Kind
		says        string
	}{
		"denied": {400, `{"__type":"AccessDeniedException","message":"no"}`, "ssm:db", deploy.Internal, "parameter /slipway/shop/db: "},
		"denied secret": {400, `{"__type":"AccessDeniedException","message":"no"}`, "secretsmanager:db", deploy.Internal,
			"secret slipway/shop/db: "},
		"missing": {400, `{"__type":"ParameterNotFound"}`, "ssm:/slipway/shop/db", deploy.NotFound, "there is no parameter /slipway/shop/db"},
		"deleted": {400, `{"__type":"InvalidRequestException","message":"it was marked for deletion"}`, "secretsmanager:db", deploy.NotFound,
			"there is no secret slipway/shop/db"},
		"empty answer":  {200, `{}`, "ssm:db", deploy.Internal, "holds none"},
		"binary secret": {200, `{"SecretBinary":"aHVudGVyMg=="}`, "secretsmanager:db", deploy.Invalid, "binary"},
		"zero byte":     {200, `{"Parameter":{"Value":"hunter2\u0000"}}`, "ssm:db", deploy.Invalid, "zero byte"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := answering(t, c.status, c.body).Resolve(t.Context(), "shop", map[string]string{"A": "a", "DB": c.value})
			if deploy.KindOf(err) != c.kind || !strings.HasPrefix(text(err), "environment_variables.DB: ") || !strings.Contains(text(err), c.says) {
				t.Errorf("got %v (%s), want %s saying %q", err, deploy.KindOf(err), c.kind, c.says)
			}
			if strings.Contains(text(err), "hunter2") {
				t.Errorf("the error shows the value: %v", err)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
