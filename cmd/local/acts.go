package main

import (
	"context"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// act is one change to production, and how it must end.
type act struct {
	title     string // the commit's message too
	story     string
	edits     []edit
	rollback  bool // somebody rolls back instead of deploying
	status    deploy.Status
	untouched bool          // the target must not have been changed
	serves    string        // the version that answers afterwards
	finally   deploy.Status // when the whole story is over
	then      func(context.Context, *stage) error
}

// acts is the story. Each edit is one that a programmer could make on a bad day, or on a good one.
var acts = []act{
	{
		title: "The shop opens", story: "The first release. Tests pass, it is built, it goes live, it answers.",
		status: deploy.Success, serves: "v1", finally: deploy.Success,
	},
	{
		title: "Ten or more cost a tenth less", story: "A better one, with a test for the new price.",
		edits: []edit{
			{"version.go", `"v1"`, `"v2"`},
			{"total.go", "	return price * count, nil", "	if count >= 10 {\n		return price * count * 9 / 10, nil\n	}\n	return price * count, nil"},
			{"shop_test.go", `		"/total?item=tea&count=0": `, "		\"/total?item=tea&count=9\":    4050.0,\n		\"/total?item=tea&count=10\":   4050.0,\n		\"/total?item=tea&count=0\": "},
		},
		status: deploy.Success, serves: "v2", finally: deploy.RolledBack,
	},
	{
		title: "Tidy up the discount", story: "An off-by-one. The tests see it: production never hears of this commit.",
		edits: []edit{
			{"version.go", `"v2"`, `"v3"`},
			{"total.go", "count >= 10", "count > 10"},
		},
		status: deploy.Failed, untouched: true, serves: "v2", finally: deploy.Failed,
	},
	{
		title: "Prices in the customer's currency", story: "The tests set CURRENCY, production doesn't: they pass, and the release answers 500.",
		edits: []edit{
			{"version.go", `"v3"`, `"v4"`},
			{"total.go", "count > 10", "count >= 10"},
			{"main.go", "	\"net/http\"\n", "	\"net/http\"\n	\"os\"\n"},
			{"main.go", "	return mux\n", "	return inCurrency(mux)\n"},
			{"main.go", "func health(", inCurrency + "func health("},
			{"shop_test.go", "	t.Helper()\n", "	t.Helper()\n	t.Setenv(\"CURRENCY\", \"EUR\")\n"},
		},
		status: deploy.RolledBack, serves: "v2", finally: deploy.RolledBack,
	},
	{
		title: "An operator rolls back", story: "By hand, as in AWS's console. It goes to the release before the one that serves.",
		rollback: true, status: deploy.Success, serves: "v1", finally: deploy.Success,
	},
	{
		title: "Express delivery, behind a flag", story: "Its slipway.yaml names a flag: the deployment makes it, off. A fifth of the users get it, nobody, everybody.",
		edits: []edit{
			{"version.go", `"v4"`, `"v5"`},
			{"main.go", "	return inCurrency(mux)\n", "	return mux\n"},
			{"slipway.yaml", "health_check_timeout: 6\n", "health_check_timeout: 6\nflags:\n  - " + theFlag + "\n"},
		},
		status: deploy.Success, serves: "v5", finally: deploy.RolledBack, then: ramp,
	},
	{
		title: "It was too early", story: "The release is rolled back. Its flag goes first, then the code.",
		rollback: true, status: deploy.Success, serves: "v1", finally: deploy.Success, then: gone,
	},
}

// inCurrency is the fourth commit's mistake.
const inCurrency = `// inCurrency refuses to quote prices that have no currency.
func inCurrency(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if os.Getenv("CURRENCY") == "" {
			answer(w, http.StatusInternalServerError, map[string]any{"error": "CURRENCY isn't set"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

`
