// Package apitest is a control API without a cloud: everything behind internal/api, in memory, for the tests of the API
// and of its clients. It keeps copies, compares versions and pages as the real store does.
package apitest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// Cloud stands behind an api.Control. Its zero value is not usable; New makes one.
type Cloud struct {
	StartErr error // what StartExecution says

	mu       sync.Mutex
	now      time.Time
	entropy  *rand.ChaCha8
	apps     map[string]deploy.App
	records  map[string]deploy.Deployment
	heads    map[string]deploy.Head
	requests map[string]deploy.Request
	tips     map[string]deploy.Tip
	bundles  map[string]string // SHA-256 by key
	lines    map[string][]deploy.Line
	next     []string         // what the deployments to come will do
	courses  map[string][]act // what the running ones have before them
	flags    flags
}

// Bucket is where clients upload bundles.
const Bucket = "slipway-test"

// New makes an empty cloud, with a clock that stands still and ids that are the same every time.
func New() *Cloud {
	return &Cloud{
		now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), entropy: rand.NewChaCha8([32]byte{1}),
		apps: map[string]deploy.App{}, records: map[string]deploy.Deployment{}, heads: map[string]deploy.Head{},
		requests: map[string]deploy.Request{}, tips: map[string]deploy.Tip{}, bundles: map[string]string{}, lines: map[string][]deploy.Line{}, courses: map[string][]act{},
		flags: newFlags(),
	}
}

// Control gives the API over the cloud.
func (c *Cloud) Control(log *slog.Logger) *api.Control {
	return &api.Control{Store: c, Cancel: c.Cancel, Sources: c, Output: c, Machine: c, Flags: c, Bucket: Bucket, Now: c.Now, Entropy: c.entropy, Log: log}
}

// Now is the cloud's clock.
func (c *Cloud) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Pass lets time pass.
func (c *Cloud) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Upload puts a commit's bundle where the API finds it, without its SHA-256.
func (c *Cloud) Upload(app, commit string) { c.UploadAs(app, commit, "") }

// UploadAs is Upload with the SHA-256 that the uploader names.
func (c *Cloud) UploadAs(app, commit, sha256 string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bundles["sources/"+app+"/"+commit+".tar.gz"] = sha256
}

// Put stores a deployment as it is.
func (c *Cloud) Put(d *deploy.Deployment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records[d.ID] = clone(*d)
}

// SetHead stores an environment's state as it is.
func (c *Cloud) SetHead(h deploy.Head) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heads[h.App+"#"+h.Environment] = clone(h)
}

// Print adds lines to a deployment's output.
func (c *Cloud) Print(id string, lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.print(id, lines...)
}

func (c *Cloud) print(id string, lines ...string) {
	for _, text := range lines {
		c.lines[id] = append(c.lines[id], deploy.Line{Time: c.now, Text: text})
	}
}

func clone[T any](v T) T {
	var out T
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err) // of records that went through the API as JSON
	}
	return out
}

// App implements api.Apps.
func (c *Cloud) App(_ context.Context, name string) (*deploy.App, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.apps[name]
	if !ok {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "app", Err: fmt.Errorf("there is no app %q", name)}
	}
	a = clone(a)
	return &a, nil
}

// Apps implements api.Apps.
func (c *Cloud) Apps(_ context.Context, limit int, after string) ([]deploy.App, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make([]string, 0, len(c.apps))
	for name := range c.apps {
		names = append(names, name)
	}
	slices.Sort(names)
	names, next, err := page(names, after, limit)
	apps := make([]deploy.App, len(names))
	for i, name := range names {
		apps[i] = clone(c.apps[name])
	}
	return apps, next, err
}

// PutApp implements api.Apps.
func (c *Cloud) PutApp(_ context.Context, a *deploy.App) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.apps {
		if err := a.CheckTargets(&other); err != nil {
			return err
		}
	}
	a.Version = c.apps[a.Name].Version + 1
	c.apps[a.Name] = clone(*a)
	return nil
}

// Create implements api.Records.
func (c *Cloud) Create(_ context.Context, d *deploy.Deployment) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.create(d)
}

func (c *Cloud) create(d *deploy.Deployment) error {
	if _, ok := c.records[d.ID]; ok {
		return deploy.Errorf(deploy.Conflict, "", "deployment %s exists", d.ID)
	}
	d.Version = 1
	c.records[d.ID] = clone(*d)
	return nil
}

// Deployment implements api.Records.
func (c *Cloud) Deployment(_ context.Context, id string) (*deploy.Deployment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.records[id]
	if !ok {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "deployment", Err: fmt.Errorf("there is no deployment %q", id)}
	}
	d = clone(d)
	return &d, nil
}

// Update implements api.Records. Nothing is locked while change runs, as in the real one.
func (c *Cloud) Update(ctx context.Context, d *deploy.Deployment, change func(*deploy.Deployment) error) error {
	for {
		stored, err := c.Deployment(ctx, d.ID)
		if err != nil {
			return err
		}
		if stored.Version != d.Version {
			*d = *stored
		}
		if err := change(d); err != nil {
			return err
		}
		if c.swap(d) {
			return nil
		}
	}
}

func (c *Cloud) swap(d *deploy.Deployment) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.records[d.ID].Version != d.Version {
		return false
	}
	d.Version++
	c.records[d.ID] = clone(*d)
	return true
}

// Head implements api.Environments.
func (c *Cloud) Head(_ context.Context, app, environment string) (*deploy.Head, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.head(app, environment)
	return &h, nil
}

func (c *Cloud) head(app, environment string) deploy.Head {
	if h, ok := c.heads[app+"#"+environment]; ok {
		return clone(h)
	}
	return deploy.Head{App: app, Environment: environment}
}

// List implements api.Environments.
func (c *Cloud) List(_ context.Context, q deploy.Query) ([]deploy.Deployment, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for id, d := range c.records {
		if (q.App == "" || d.App == q.App) && (q.Environment == "" || d.Environment == q.Environment) && (q.Status == "" || d.Status == q.Status) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(b, a) })
	ids, next, err := page(ids, q.Cursor, q.Limit)
	found := make([]deploy.Deployment, len(ids))
	for i, id := range ids {
		found[i] = clone(c.records[id])
	}
	return found, next, err
}

// page cuts the names behind a cursor, which is the last name of the page before, wrapped.
func page(names []string, after string, limit int) ([]string, string, error) {
	if after != "" {
		raw, err := base64.RawURLEncoding.DecodeString(after)
		name, ok := strings.CutPrefix(string(raw), "1.")
		if err != nil || !ok {
			return nil, "", deploy.FieldErrorf("cursor", "%q is none of ours; want next_cursor of an earlier answer", deploy.Cut(after, 80))
		}
		names = names[slices.Index(names, name)+1:]
	}
	if len(names) <= limit {
		return names, "", nil
	}
	return names[:limit], base64.RawURLEncoding.EncodeToString([]byte("1." + names[limit-1])), nil
}

// Stat implements api.Sources.
func (c *Cloud) Stat(_ context.Context, app, commit string) (*deploy.Bundle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := "sources/" + app + "/" + commit + ".tar.gz"
	sum, ok := c.bundles[key]
	if !ok {
		return nil, deploy.Errorf(deploy.NotFound, "source", "no bundle %s", key)
	}
	return &deploy.Bundle{Key: key, SHA256: sum}, nil
}

// Read implements api.Output; its cursor is a count of lines.
func (c *Cloud) Read(_ context.Context, stream, cursor string, limit int) ([]deploy.Line, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, lines := 0, c.lines[stream]
	if cursor != "" {
		var err error
		if from, err = strconv.Atoi(cursor); err != nil || from < 0 || from > len(lines) {
			return nil, "", deploy.FieldErrorf("cursor", "%q is none of ours", cursor)
		}
	}
	to := min(from+limit, len(lines))
	return slices.Clone(lines[from:to]), strconv.Itoa(to), nil
}

// Request implements api.Records.
func (c *Cloud) Request(_ context.Context, key string) (*deploy.Request, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.requests[key]; ok {
		return &r, nil
	}
	return nil, nil
}

// CreateOnce implements api.Records.
func (c *Cloud) CreateOnce(_ context.Context, d *deploy.Deployment, r deploy.Request, replaces string, tip *deploy.Tip) (*deploy.Request, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if taken, ok := c.requests[r.Key]; ok && taken.Expires > d.StartTime.Unix() && taken.Deployment != replaces {
		return &taken, nil
	}
	var at string
	if tip != nil {
		at = tip.App + "#" + tip.Environment + "#" + tip.Branch
		if c.tips[at].Version != tip.Version {
			return nil, deploy.Errorf(deploy.Superseded, "", "the tip of %s has moved", tip.Branch)
		}
	}
	if err := c.create(d); err != nil {
		return nil, err
	}
	if tip != nil {
		moved := *tip
		moved.Deployment, moved.Started, moved.Version = d.ID, d.StartTime, tip.Version+1
		c.tips[at] = moved
	}
	r.Deployment = d.ID
	c.requests[r.Key] = r
	return nil, nil
}

// Tip reads a branch's last deployed push; nil where there is none.
func (c *Cloud) Tip(_ context.Context, app, environment, branch string) (*deploy.Tip, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.tips[app+"#"+environment+"#"+branch]; ok {
		return &t, nil
	}
	return nil, nil
}

// MoveTip implements trigger.Store.
func (c *Cloud) MoveTip(_ context.Context, tip deploy.Tip) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := tip.App + "#" + tip.Environment + "#" + tip.Branch
	if c.tips[at].Version != tip.Version {
		return deploy.Errorf(deploy.Superseded, "", "the tip of %s has moved", tip.Branch)
	}
	tip.Version++
	c.tips[at] = tip
	return nil
}

// AppsOf finds the apps of a repository, in order of their names.
func (c *Cloud) AppsOf(_ context.Context, repository string) ([]deploy.App, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var apps []deploy.App
	for _, name := range slices.Sorted(maps.Keys(c.apps)) {
		if strings.EqualFold(c.apps[name].Source.Repository, repository) && repository != "" {
			apps = append(apps, clone(c.apps[name]))
		}
	}
	return apps, nil
}
