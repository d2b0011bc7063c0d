// Package notifytest is GitHub's side of its deployments, as docs.github.com has it, for the tests of those who tell it.
package notifytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Deployments is GitHub's deployments API for one repository. Its zero value has none.
type Deployments struct {
	Repository string // owner/name
	Lag        int    // how many of the newest deployments its lists leave out

	mu  sync.Mutex
	all []*Deployment
	ids int64
}

// Deployment is one with its statuses, the oldest first.
type Deployment struct {
	ID          int64           `json:"id"`
	SHA         string          `json:"sha"`
	Environment string          `json:"environment"`
	Payload     json.RawMessage `json:"payload"`
	Description string          `json:"description"`
	Statuses    []Status        `json:"-"`
}

// Status is one of a deployment.
type Status struct {
	ID             int64  `json:"id"`
	State          string `json:"state"`
	Description    string `json:"description"`
	LogURL         string `json:"log_url"`
	EnvironmentURL string `json:"environment_url"`
}

// State is what the newest status says, "" where there is none.
func (d Deployment) State() string {
	if len(d.Statuses) == 0 {
		return ""
	}
	return d.Statuses[len(d.Statuses)-1].State
}

// All copies what there is, the oldest first.
func (g *Deployments) All() (all []Deployment) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.all {
		c := *d
		c.Statuses = slices.Clone(d.Statuses)
		all = append(all, c)
	}
	return all
}

// Add puts a deployment there, as somebody else may.
func (g *Deployments) Add(sha, environment, payload string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ids++
	g.all = append(g.all, &Deployment{ID: g.ids, SHA: sha, Environment: environment, Payload: json.RawMessage(payload)})
	return g.ids
}

// Serve answers a request, and tells whether it was one about deployments.
func (g *Deployments) Serve(w http.ResponseWriter, r *http.Request) bool {
	rest, ours := strings.CutPrefix(r.URL.Path, "/repos/"+g.Repository+"/deployments")
	if !ours {
		return false
	}
	if rest == "" {
		g.deployments(w, r)
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.all {
		if rest == fmt.Sprintf("/%d/statuses", d.ID) {
			g.statuses(w, r, d)
			return true
		}
	}
	answer(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
	return true
}

func (g *Deployments) deployments(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		q, found := r.URL.Query(), []Deployment{}
		all := g.All()
		for _, d := range all[:max(0, len(all)-g.Lag)] {
			if d.SHA == q.Get("sha") && d.Environment == q.Get("environment") {
				found = append(found, d)
			}
		}
		answer(w, http.StatusOK, page(found, q))
		return
	}
	var in struct {
		Ref, Environment, Description string
		AutoMerge                     *bool     `json:"auto_merge"`
		Contexts                      *[]string `json:"required_contexts"`
		Payload                       json.RawMessage
	}
	switch err := json.NewDecoder(r.Body).Decode(&in); {
	case err != nil || in.Ref == "" || in.Environment == "" || len(in.Environment) > 255:
		answer(w, http.StatusUnprocessableEntity, map[string]string{"message": "Validation Failed"})
	case in.AutoMerge == nil || *in.AutoMerge || in.Contexts == nil || len(*in.Contexts) > 0: // else it merges, and waits for statuses
		answer(w, http.StatusConflict, map[string]string{"message": "Conflict merging the default branch, or commit status checks failed"})
	default:
		id := g.Add(in.Ref, in.Environment, string(in.Payload))
		answer(w, http.StatusCreated, Deployment{ID: id, SHA: in.Ref, Environment: in.Environment, Payload: in.Payload, Description: in.Description})
	}
}

var states = []string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}

func (g *Deployments) statuses(w http.ResponseWriter, r *http.Request, d *Deployment) {
	if r.Method == http.MethodGet {
		answer(w, http.StatusOK, page(d.Statuses, r.URL.Query()))
		return
	}
	var s Status
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil || !slices.Contains(states, s.State) || len(s.Description) > 140 {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"message": "Validation Failed"})
		return
	}
	g.say(d, s)
	for _, before := range g.all {
		if s.State == "success" && before.ID < d.ID && before.Environment == d.Environment && before.State() == "success" {
			g.say(before, Status{State: "inactive"})
		}
	}
	answer(w, http.StatusCreated, s)
}

func (g *Deployments) say(d *Deployment, s Status) {
	g.ids++
	s.ID = g.ids
	d.Statuses = append(d.Statuses, s)
}

// page gives one page of all, the newest first.
func page[T any](all []T, q url.Values) []T {
	size, number := 30, 1
	if n, err := strconv.Atoi(q.Get("per_page")); err == nil {
		size = min(n, 100)
	}
	if n, err := strconv.Atoi(q.Get("page")); err == nil {
		number = n
	}
	newest := slices.Clone(all)
	slices.Reverse(newest)
	from := min(len(newest), size*(number-1))
	return append([]T{}, newest[from:min(len(newest), from+size)]...)
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
