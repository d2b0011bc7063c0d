package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/api/apitest"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// absent is an id that no deployment has.
const absent = "deploy-20261122-150000000-gggggggg"

// withBlog returns the tests' world with a second app, blog, that has the same environments as shop.
func withBlog(t *testing.T) *apitest.Cloud {
	t.Helper()
	c := world(t)
	blog, err := c.App(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	blog.Name = "blog"
	if err := c.PutApp(t.Context(), blog); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDeploymentOfAnother: below an app or an environment, the id of another app's or environment's deployment is answered exactly like
// one that doesn't exist, on every route, and changes nothing.
func TestDeploymentOfAnother(t *testing.T) {
	tried := 0
	for _, route := range new(api.Control).Routes() {
		method, pattern, _ := strings.Cut(route, " ")
		if !strings.Contains(pattern, "{app}") || !strings.Contains(pattern, "{id}") {
			continue
		}
		elsewhere := []string{"blog production"}
		if strings.Contains(pattern, "{environment}") {
			elsewhere = append(elsewhere, "shop staging", "shop preview")
		}
		for _, place := range elsewhere {
			app, environment, _ := strings.Cut(place, " ")
			for _, id := range []string{live, first} {
				tried++
				c := withBlog(t)
				before, _ := c.Deployment(t.Context(), id)
				h := served(t, c.Control(quiet()))
				target := func(id string) string {
					return method + " " + strings.NewReplacer("{app}", app, "{environment}", environment, "{id}", id).Replace(pattern)
				}

				got, want := ask(h, target(id), bodyOf(pattern)), ask(h, target(absent), bodyOf(pattern))
				if got.Code != http.StatusNotFound || strings.ReplaceAll(got.Body.String(), id, absent) != want.Body.String() {
					t.Errorf("%s: %d %s; of one that doesn't exist %d %s", target(id), got.Code, got.Body, want.Code, want.Body)
				}
				after, _ := c.Deployment(t.Context(), id)
				if all, _, _ := c.List(t.Context(), deploy.Query{Limit: 100}); after.Version != before.Version || len(all) != 6 {
					t.Errorf("%s changed something", target(id))
				}
			}
		}
	}
	if tried < 50 {
		t.Errorf("%d requests were tried", tried)
	}
}

// bodyOf returns a body that a route takes.
func bodyOf(pattern string) string {
	switch {
	case strings.HasSuffix(pattern, "/repair/deployment"):
		return `{"why":"a test","commit_sha":"` + commit(1) + `"}`
	case strings.HasSuffix(pattern, "/repair/to"):
		return `{"why":"a test","to":"` + first + `"}`
	case strings.Contains(pattern, "/repair"):
		return `{"why":"a test"}`
	}
	return ""
}

// TestDeploymentsOfAnApp: a list below an app or an environment has that one's deployments and no others.
func TestDeploymentsOfAnApp(t *testing.T) {
	c := withBlog(t)
	c.Put(&deploy.Deployment{ID: absent, App: "blog", Environment: "production", Action: deploy.Deploy, Status: deploy.Success, StartTime: c.Now()})
	h := served(t, c.Control(quiet()))
	for target, want := range map[string][]string{
		"/v1/apps/blog/deployments":                                                {absent},
		"/v1/apps/blog/environments/staging/deployments":                           {},
		"/v1/apps/shop/environments/staging/deployments":                           {dirty},
		"/v1/apps/shop/environments/production/deployments?status=failed":          {failed},
		"/v1/apps/shop/deployments?environment=staging":                            {dirty},
		"/v1/apps/shop/deployments?environment=production&status=success&limit=10": {live, first},
	} {
		w := ask(h, "GET "+target, "")
		got := []string{}
		for _, d := range read[api.DeploymentPage](t, w).Deployments {
			got = append(got, d.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d %v, want %v", target, w.Code, got, want)
		}
	}
	for _, target := range []string{"/v1/apps/blog/deployments?app=shop", "/v1/apps/blog/environments/staging/deployments?environment=production"} {
		if w := ask(h, "GET "+target, ""); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

// TestDeployHere: a deployment goes to the environment of the path, whatever its body says.
func TestDeployHere(t *testing.T) {
	c := withBlog(t)
	h := served(t, c.Control(quiet()))
	const here = "POST /v1/apps/shop/environments/preview/deployments"
	body := `{"commit_sha":"` + commit(1) + `"}`

	d := read[deploy.Deployment](t, ask(h, here+" idempotency-key=k-1", body))
	if d.App != "shop" || d.Environment != "preview" || d.CommitSHA != commit(1) {
		t.Errorf("it deploys %+v", d)
	}
	if again := begun(t, ask(h, here+" idempotency-key=k-1", body)); again != d.ID {
		t.Errorf("again: %s, want %s", again, d.ID)
	}
	elsewhere := strings.Replace(here, "preview", "staging", 1) + " idempotency-key=k-1"
	if w := ask(h, elsewhere, body); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("the same key in another environment: %d %s", w.Code, w.Body)
	}
	for _, field := range []string{`"app":"blog"`, `"environment":"production"`} {
		if w := ask(h, here, `{`+field+`,"commit_sha":"`+commit(1)+`"}`); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", field, w.Code, w.Body)
		}
	}

	cancelled := ask(h, "POST /v1/apps/shop/environments/preview/deployments/"+d.ID+"/cancel", "")
	undone := ask(h, "POST /v1/apps/shop/environments/production/deployments/"+live+"/rollback", "")
	repaired := ask(h, "POST /v1/apps/shop/environments/staging/deployments/"+dirty+"/repair/declare", `{"why":"by hand"}`)
	if cancelled.Code != http.StatusAccepted || undone.Code != http.StatusAccepted || repaired.Code != http.StatusAccepted {
		t.Errorf("%s\n%s\n%s", cancelled.Body, undone.Body, repaired.Body)
	}
}

// TestRestoreOfAnother: a rollback or a repair that names another app's or environment's deployment to restore is answered exactly like one
// that names none.
func TestRestoreOfAnother(t *testing.T) {
	const theirs = "deploy-20261122-160000000-hhhhhhhh"
	for target, body := range map[string]string{
		"/v1/apps/shop/environments/production/rollback":                                          `{"to":"ID"}`,
		"/v1/apps/shop/environments/staging/deployments/" + dirty + "/repair/to":                  `{"to":"ID","why":"x"}`,
		"/v1/deployments/" + dirty + "/repair/to":                                                 `{"to":"ID","why":"x"}`,
		"/v1/apps/shop/environments/staging/deployments/" + dirty + "/repair/skip-scripts":        `{"to":"ID","why":"x"}`,
		"/v1/apps/shop/environments/staging/deployments/" + dirty + "/repair/declare":             `{"to":"ID","why":"x"}`,
		"/v1/apps/shop/environments/preview/rollback idempotency-key=the-key-of-another-rollback": `{"to":"ID"}`,
	} {
		c := withBlog(t)
		for environment, id := range map[string]string{"production": theirs, "staging": strings.Replace(theirs, "hhh", "iii", 1)} {
			c.Put(&deploy.Deployment{ID: id, App: "blog", Environment: environment, Action: deploy.Deploy, Status: deploy.Success, StartTime: c.Now(),
				CommitSHA: commit(1), Release: &deploy.Release{App: "blog", CommitSHA: commit(1)}})
		}
		h := served(t, c.Control(quiet()))
		want := ask(h, "POST "+target, strings.Replace(body, "ID", absent, 1))
		for _, id := range []string{theirs, strings.Replace(theirs, "hhh", "iii", 1)} {
			got := ask(h, "POST "+target, strings.Replace(body, "ID", id, 1))
			if got.Code != http.StatusNotFound || strings.ReplaceAll(got.Body.String(), id, absent) != want.Body.String() {
				t.Errorf("%s %s: %d %s; of one that doesn't exist %d %s", target, id, got.Code, got.Body, want.Code, want.Body)
			}
		}
	}
}

// TestRollbackToInDirtyEnvironment: the route of rollbacks restores no release that the caller names while the environment is dirty; that
// is a repair's, which has a permission of its own.
func TestRollbackToInDirtyEnvironment(t *testing.T) {
	const older = "deploy-20261122-113000000-gggggggg"
	c := world(t)
	c.Put(&deploy.Deployment{ID: older, App: "shop", Environment: "staging", Action: deploy.Deploy, Status: deploy.Success, StartTime: c.Now(),
		CommitSHA: commit(2), Release: &deploy.Release{App: "shop", CommitSHA: commit(2)}})
	h := served(t, c.Control(quiet()))
	const rollback = "POST /v1/apps/shop/environments/staging/rollback"

	w := ask(h, rollback, `{"to":"`+older+`"}`)
	if said := w.Body.String(); w.Code != http.StatusConflict || !strings.Contains(said, `"field":"to"`) || !strings.Contains(said, "/repair/to") ||
		!strings.Contains(said, "slipway repair "+dirty+" --to "+older) {
		t.Errorf("a rollback to a named release: %d %s", w.Code, said)
	}
	if w := ask(h, rollback, `{"to":"`+absent+`"}`); w.Code != http.StatusNotFound {
		t.Errorf("a rollback to a deployment that isn't there: %d %s", w.Code, w.Body)
	}

	again := read[deploy.Deployment](t, ask(h, rollback, ""))
	if again.RollbackFrom != dirty || again.RollbackTo != "" || again.Repairing != nil {
		t.Errorf("the same way back again is %+v", again)
	}
	to := read[deploy.Deployment](t, ask(h, "POST /v1/deployments/"+dirty+"/repair/to", `{"to":"`+older+`","why":"x"}`))
	if to.RollbackTo != older || to.Repairing == nil || to.Repairing.Of != dirty {
		t.Errorf("the repair is %+v", to)
	}
}
