package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/api/apitest"
	"github.com/slipway-cd/slipway/internal/deploy"
)

var previewOne = `{"app":"shop","environment":"preview","commit_sha":"` + commit(1) + `"}`

// begun reads the id of a deployment that an answer says has begun.
func begun(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code != http.StatusAccepted {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return read[deploy.Deployment](t, w).ID
}

func count(t *testing.T, c *apitest.Cloud, environment string) int {
	t.Helper()
	page, _, err := c.List(t.Context(), deploy.Query{App: "shop", Environment: environment, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return len(page)
}

// TestOnce asks again for a deployment, in all the ways in which that is the same request, and in those in which it isn't.
func TestOnce(t *testing.T) {
	c := world(t)
	h := served(t, c.Control(quiet()))
	line := `POST /v1/deployments idempotency-key=`
	first := begun(t, ask(h, line+`"a key"`, previewOne))
	respelt := `{"commit_sha":"` + commit(1) + `", "metadata":null, "environment":"preview","app":"shop"}`
	for _, body := range []string{previewOne, respelt} {
		if id := begun(t, ask(h, line+`"a key"`, body)); id != first {
			t.Errorf("%s: %s, want %s again", body, id, first)
		}
	}
	c.Step(first)
	if d := read[deploy.Deployment](t, ask(h, line+`"a key"`, previewOne)); d.ID != first || d.Status != deploy.Running {
		t.Errorf("%s is %s", d.ID, d.Status)
	}
	other := strings.Replace(previewOne, commit(1), commit(2), 1)
	if p := ask(h, line+`"a key"`, other); p.Code != 422 || !strings.Contains(p.Body.String(), `"field":"Idempotency-Key"`) || !strings.Contains(p.Body.String(), first) {
		t.Errorf("another request: %d %s", p.Code, p.Body)
	}
	for _, again := range []string{line + "another", "POST /v1/deployments"} {
		if id := begun(t, ask(h, again, previewOne)); id == first {
			t.Errorf("%s: it is the same", again)
		}
	}
	if bare, quoted := begun(t, ask(h, line+"k-1", previewOne)), begun(t, ask(h, line+`"k-1"`, previewOne)); bare != quoted {
		t.Error("bare and quoted are two keys")
	}
	c.Pass(24*time.Hour - 2*time.Second) // and a second went by in Step
	if id := begun(t, ask(h, line+`"a key"`, previewOne)); id != first {
		t.Error("forgotten too early")
	}
	c.Pass(time.Second)
	if id := begun(t, ask(h, line+`"a key"`, previewOne)); id == first {
		t.Error("kept too long")
	}
}

// TestOnceTogether: many at one moment start one deployment.
func TestOnceTogether(t *testing.T) {
	c := world(t)
	h := served(t, c.Control(quiet()))
	ids := make([]string, 20)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			var d deploy.Deployment
			_ = json.Unmarshal(ask(h, "POST /v1/deployments idempotency-key=together", previewOne).Body.Bytes(), &d)
			ids[i] = d.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("%v", ids)
		}
	}
	if n := count(t, c, "preview"); n != 1 {
		t.Errorf("%d deployments", n)
	}
}

// TestOnceRollback: a rollback that was heard is answered, though by then there is nothing left to undo.
func TestOnceRollback(t *testing.T) {
	for _, line := range []string{"POST /v1/deployments/" + live + "/rollback", "POST /v1/apps/shop/environments/production/rollback"} {
		c := world(t)
		h := served(t, c.Control(quiet()))
		id := begun(t, ask(h, line+" idempotency-key=back", ""))
		for range 10 {
			c.Step(id)
		}
		if again := begun(t, ask(h, line+" idempotency-key=back", "{}")); again != id {
			t.Errorf("%s: %s, want %s", line, again, id)
		}
		if w := ask(h, line, ""); w.Code != http.StatusConflict {
			t.Errorf("%s without the key: %d %s", line, w.Code, w.Body)
		}
	}
	h := served(t, world(t).Control(quiet()))
	begun(t, ask(h, "POST /v1/deployments/"+live+"/rollback idempotency-key=back", ""))
	if w := ask(h, "POST /v1/deployments/"+first+"/rollback idempotency-key=back", ""); w.Code != 422 {
		t.Errorf("another deployment's rollback: %d %s", w.Code, w.Body)
	}
}

// TestOnceRefused: what started nothing uses up no key.
func TestOnceRefused(t *testing.T) {
	c := world(t)
	h := served(t, c.Control(quiet()))
	line := "POST /v1/deployments idempotency-key=try"
	missing := strings.Replace(previewOne, commit(1), commit(9), 1)
	if w := ask(h, line, missing); w.Code != http.StatusNotFound {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	c.Upload("shop", commit(9))
	c.StartErr = errors.New("throttled")
	if w := ask(h, line, missing); w.Code != http.StatusInternalServerError {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	c.StartErr = nil
	if d, err := c.Deployment(t.Context(), begun(t, ask(h, line, missing))); err != nil || d.Status != deploy.Pending {
		t.Errorf("%v, %v", d, err)
	}
}

// TestOnceACaller: keys of different callers don't meet; those of one role do, whatever its sessions are called.
func TestOnceACaller(t *testing.T) {
	h := api.Lambda(served(t, world(t).Control(quiet())))
	asked := func(arn string) string {
		var e events.APIGatewayProxyRequest
		if err := json.Unmarshal(gatewayEvent("POST", "/v1/deployments", previewOne, false, nil), &e); err != nil {
			t.Fatal(err)
		}
		e.MultiValueHeaders["Idempotency-Key"] = []string{"mine"}
		e.RequestContext.Identity.UserArn = arn
		event, _ := json.Marshal(e)
		out, err := h.Invoke(t.Context(), event)
		var answer events.APIGatewayProxyResponse
		var d deploy.Deployment
		if err != nil || json.Unmarshal(out, &answer) != nil || json.Unmarshal([]byte(answer.Body), &d) != nil || d.ID == "" {
			t.Fatal(err, string(out))
		}
		return d.ID
	}
	eve := asked("arn:aws:iam::123456789012:user/eve")
	role := asked("arn:aws:sts::123456789012:assumed-role/deployer/session-1")
	switch {
	case asked("arn:aws:iam::123456789012:user/eve") != eve:
		t.Error("a user's key is forgotten")
	case asked("arn:aws:sts::123456789012:assumed-role/deployer/session-2") != role:
		t.Error("a role's key is its session's")
	case eve == role, asked("arn:aws:sts::123456789012:assumed-role/deploy/deployer") == role, asked("arn:aws:iam::123456789012:user/mallory") == eve:
		t.Error("two callers' keys meet")
	}
}

// TestRepairSaysWho asks for a repair as API Gateway hands it on: the record has the caller's ARN.
func TestRepairSaysWho(t *testing.T) {
	h := api.Lambda(served(t, world(t).Control(quiet())))
	for _, way := range []string{"", "/skip-scripts", "/declare", "/deployment"} {
		body := `{"why":"the network is back"}`
		if way == "/deployment" {
			body = `{"why":"the network is back","commit_sha":"` + commit(1) + `"}`
		}
		out, err := h.Invoke(t.Context(), gatewayEvent("POST", "/v1/deployments/"+dirty+"/repair"+way, body, false, nil))
		var answer events.APIGatewayProxyResponse
		var d deploy.Deployment
		if err != nil || json.Unmarshal(out, &answer) != nil || json.Unmarshal([]byte(answer.Body), &d) != nil || d.Repairing == nil {
			t.Fatal(way, err, string(out))
		}
		if d.Repairing.By != "arn:aws:iam::123456789012:user/eve" || d.Repairing.Why != "the network is back" || d.Repairing.Of != dirty {
			t.Errorf("%s: %+v", way, d.Repairing)
		}
	}
}

func TestNoOnceForEvaluationKeys(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	if w := ask(h, "POST "+preview+"/evaluation-keys idempotency-key=k", `{"name":"web"}`); w.Code != 400 || !strings.Contains(w.Body.String(), "Idempotency-Key") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// FuzzIdempotencyKey: a key is taken as its form says, twice it is the same request, and it is never our mistake.
func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"", "a", `"a b"`, `"`, `""`, `"a\"b"`, `"a";p=1`, strings.Repeat("k", 128), strings.Repeat("k", 129), "é", "a b", `a"b"`, "\x7f", `"~!#[]"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		c := world(t)
		h := c.Control(quiet()).Handler()
		send := func() *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodPost, "/v1/deployments", strings.NewReader(previewOne))
			r.Header.Set("Content-Type", "application/json")
			r.Header["Idempotency-Key"] = []string{key}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		answered(t, send())
		w := send()
		inner, quoted := strings.CutPrefix(key, `"`)
		inner, closed := strings.CutSuffix(inner, `"`)
		allowed := len(inner) >= 1 && len(inner) <= 128 && quoted == closed && len(key) != 1+len(inner)
		for _, r := range inner {
			bare := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._~:+/=-", r)
			allowed = allowed && (bare || quoted && r >= ' ' && r <= '~' && r != '"' && r != '\\')
		}
		want := map[bool]int{true: http.StatusAccepted, false: http.StatusBadRequest}[allowed]
		if w.Code != want {
			t.Errorf("%q: %d, want %d: %s", key, w.Code, want, w.Body)
		}
		if n := count(t, c, "preview"); allowed && n != 1 || !allowed && n != 0 {
			t.Errorf("%q: %d deployments", key, n)
		}
	})
}
