package api

import (
	"context"
	"net/http"
	"time"

	"github.com/slipway-cd/slipway/internal/board"
)

// Boards keeps the flags of environments. Change calls decide with a draft of the newest state, again where another
// change came between, writes it whole or not at all, and gives the state after it.
type Boards interface {
	State(ctx context.Context, app, environment string) (*board.State, error)
	Change(ctx context.Context, app, environment string, o board.Origin, decide func(*board.Draft) error) (*board.State, error)
}

// Versions keeps what flags were, the newest first, deleted ones too. Version is NotFound where there never was such.
type Versions interface {
	Versions(ctx context.Context, app, environment, flag string, limit int, cursor string) ([]board.Version, string, error)
	Version(ctx context.Context, app, environment, flag string, version int64) (*board.Version, error)
}

// Evaluations tells what was served of the flags from one key to another; "" and "" are all.
type Evaluations interface {
	Seen(ctx context.Context, app, environment, from, to string) (map[string][]board.Seen, error)
}

// EvaluationKeys keeps evaluation keys. CreateKey is a Conflict where there are too many, RevokeKey NotFound where there
// is no such.
type EvaluationKeys interface {
	CreateKey(ctx context.Context, k *board.Key) error
	Keys(ctx context.Context, app, environment string) ([]board.Key, error)
	RevokeKey(ctx context.Context, app, environment, id, by string, now time.Time) (*board.Key, error)
}

// Flags is everything that is kept of flags.
type Flags interface {
	Boards
	Versions
	Evaluations
	EvaluationKeys
}

// flagActions are the routes of flags. What concerns all flags of an environment at once has a dot where a flag's key
// would be a segment of its own, so that no key is taken.
func (c *Control) flagActions() map[string]action {
	return map[string]action{
		"GET /v1/apps/{app}/environments/{environment}/flags":                      c.listFlags,
		"PUT /v1/apps/{app}/environments/{environment}/flags":                      c.importFlags,
		"GET /v1/apps/{app}/environments/{environment}/flags.flagd.json":           c.exportFlags,
		"POST /v1/apps/{app}/environments/{environment}/flags.copy":                c.copyFlags,
		"GET /v1/apps/{app}/environments/{environment}/flags/{key}":                c.getFlag,
		"PUT /v1/apps/{app}/environments/{environment}/flags/{key}":                c.putFlag,
		"PATCH /v1/apps/{app}/environments/{environment}/flags/{key}":              c.patchFlag,
		"DELETE /v1/apps/{app}/environments/{environment}/flags/{key}":             c.deleteFlag,
		"POST /v1/apps/{app}/environments/{environment}/flags/{key}/enable":        c.enableFlag,
		"POST /v1/apps/{app}/environments/{environment}/flags/{key}/disable":       c.disableFlag,
		"POST /v1/apps/{app}/environments/{environment}/flags/{key}/rollout":       c.rollOutFlag,
		"POST /v1/apps/{app}/environments/{environment}/flags/{key}/restore":       c.restoreFlag,
		"POST /v1/apps/{app}/environments/{environment}/flags/{key}/explain":       c.explainFlag,
		"GET /v1/apps/{app}/environments/{environment}/flags/{key}/versions":       c.listVersions,
		"GET /v1/apps/{app}/environments/{environment}/segments":                   c.listSegments,
		"GET /v1/apps/{app}/environments/{environment}/segments/{segment}":         c.getSegment,
		"PUT /v1/apps/{app}/environments/{environment}/segments/{segment}":         c.putSegment,
		"DELETE /v1/apps/{app}/environments/{environment}/segments/{segment}":      c.deleteSegment,
		"GET /v1/apps/{app}/environments/{environment}/evaluation-keys":            c.listKeys,
		"POST /v1/apps/{app}/environments/{environment}/evaluation-keys":           c.createKey,
		"DELETE /v1/apps/{app}/environments/{environment}/evaluation-keys/{keyid}": c.revokeKey,
	}
}

// site is where a flag request is about.
type site struct {
	app, environment string
	hashVersion      string // the environment's setting
}

// site checks that the path's environment is there.
func (c *Control) site(r *http.Request) (site, error) {
	at := site{app: r.PathValue("app"), environment: r.PathValue("environment")}
	settings, err := c.environment(r.Context(), at.app, at.environment)
	if err != nil {
		return site{}, err
	}

	at.hashVersion = settings.HashVersion
	return at, nil
}
