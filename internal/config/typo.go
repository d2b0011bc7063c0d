package config

import (
	"strings"
)

// elsewhere are keys that people look for in slipway.yaml and that somebody else decides.
var elsewhere = map[string]string{
	"force_deployment": "it given with the deployment: slipway deploy --force",
	"environment":      "it given with the deployment: slipway deploy --env",
	"target":           "it in app.yaml, which a commit can't change",
	"url":              "it in app.yaml, which a commit can't change",
	"branches":         "it in app.yaml, which a commit can't change",
	"deploy_on_push":   "it in app.yaml, which a commit can't change",
	"notifications":    "it in app.yaml, which a commit can't change",
}

// suggest says what could stand instead of an unknown key: the nearest where one is near, else all.
func (s *shape) suggest(name string) string {
	var names []string
	best, distance := "", len(name)/3+2
	for _, k := range s.keys {
		if k.not != "" {
			continue
		}
		names = append(names, k.name)
		if d := edits(plain(name), plain(k.name)); d < distance {
			best, distance = k.name, d
		}
	}
	if best != "" {
		return best
	}
	if hint, ok := elsewhere[name]; ok {
		return hint
	}
	return "one of " + strings.Join(names, ", ")
}

// plain forgets what habits differ in: healthCheckPath, health-check-path and health_check_path are one.
func plain(name string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name[:min(len(name), 64)]))
}

// edits is the Levenshtein distance of two short texts, a swap of neighbours counting two. Source: Wagner and Fischer,
// The String-to-String Correction Problem, 1974.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
