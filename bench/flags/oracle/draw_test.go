package oracle_test

import (
	"encoding/json"
	"fmt"

	"pgregory.net/rapid"
)

// ruled draws a document of one flag with a rule.
func ruled(t *rapid.T) []byte {
	text, err := json.Marshal(map[string]any{
		"flags": map[string]any{"flag": map[string]any{
			"state": "ENABLED",
			"variants": rapid.SampledFrom([]map[string]any{
				{"a": 1, "b": 2, "true": 3, "false": 4, "1": 5, "0": 6, "x": 7},
				{"a": "", "b": "<", "<": "1", `"`: "2", `\`: "3", `\u003c`: "4", "null": "5", "[]": "6", "{}": "7", "[1]": "8", "{x:a}": "9", "\u2028": "10"},
				{"a": map[string]any{"$ref": "segment"}, "b": map[string]any{"x": []any{map[string]any{"$ref": "nothing"}}}},
			}).Draw(t, "variants"),
			"defaultVariant": rapid.SampledFrom([]any{"a", "b", nil}).Draw(t, "default"),
			"targeting":      rule(t, 4),
		}},
		"$evaluators": map[string]any{"segment": operation(t, 2), "<": map[string]any{"var": "a"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var texts = []string{"", " ", "a", "b", "x", "abc", "1", "1.5", "-2", "0x10", "1e3", "Inf", "nan", " 1", "true", "é-ü日", "v1.2.3", "1.2", "2.0.0-rc.1", "V3", "tags", "user", "n", "user.name", "tags.0", ".", "1e400", "-1e400", "<", `"`, `\\`, "null", "\u2028"}

func scalar(t *rapid.T) any {
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2, 3:
		return rapid.SampledFrom([]float64{0, 1, -1, 2, 3, 1.5, 0.1, 50, 100, 1e21, 1e-7, 2147483647, 3e9, -50}).Draw(t, "number")
	}
	return rapid.SampledFrom(texts).Draw(t, "text")
}

func value(t *rapid.T, depth int) any {
	if depth > 0 {
		switch rapid.IntRange(0, 9).Draw(t, "shape") {
		case 0, 2:
			return values(t, depth)
		case 3:
			return anyRule(t, depth)
		case 1:
			return rapid.MapOfN(rapid.SampledFrom([]string{"name", "x", "targetingKey", "current", "a"}), rapid.Custom(func(t *rapid.T) any { return value(t, depth-1) }), 0, 3).Draw(t, "object")
		}
	}
	return scalar(t)
}

// anyRule is data that flagd may run. There is no "if" with a var in it: flagd runs what that finds, and if it finds itself
// flagd's process ends.
func anyRule(t *rapid.T, depth int) any {
	name := rapid.SampledFrom([]string{"var", "var", "cat", "+", "!", "or", "and", "==", "in", "merge", "if", "filter", "missing", "$ref"}).Draw(t, "data's operator")
	if name == "if" {
		return map[string]any{"if": []any{scalar(t), scalar(t), scalar(t)}}
	}
	return map[string]any{name: value(t, depth-1)}
}

func values(t *rapid.T, depth int) []any {
	list := make([]any, rapid.IntRange(0, 4).Draw(t, "length"))
	for i := range list {
		list[i] = value(t, depth-1)
	}
	return list
}

func attributes(t *rapid.T) map[string]any {
	m := map[string]any{}
	for _, name := range []string{"a", "b", "n", "text", "tags", "user", "version"} {
		if rapid.IntRange(0, 3).Draw(t, "has "+name) > 0 {
			m[name] = value(t, 3)
		}
	}
	if rapid.Bool().Draw(t, "has list") {
		m["tags"] = values(t, 2)
	}
	if rapid.Bool().Draw(t, "has numbers") {
		m["n"] = []any{1.0, 2.0, 3.0}
	}
	switch rapid.IntRange(0, 3).Draw(t, "has key") {
	case 0:
		m["targetingKey"] = scalar(t)
	case 1, 2:
		m["targetingKey"] = rapid.StringMatching(`[a-z0-9é日]{0,12}`).Draw(t, "key")
	}
	return m
}

var operators = []string{"var", "var", "var", "if", "if", "and", "or", "!", "!!", "==", "!=", "===", "!==", "<", "<=", ">", ">=", "in",
	"+", "-", "*", "/", "%", "min", "max", "cat", "substr", "merge", "map", "filter", "reduce", "all", "none", "some", "missing", "missing_some",
	"starts_with", "ends_with", "sem_ver", "fractional", "fractional", "fractional", "$ref", "?:", "abs", "nonsense",
	"set", "contains_all", "contains_any", "contains_none", "filter", "some", "all", "map"}

func rule(t *rapid.T, depth int) any {
	if depth <= 0 || rapid.IntRange(0, 5).Draw(t, "leaf") == 0 {
		switch rapid.IntRange(0, 9).Draw(t, "leaf's shape") {
		case 0, 1, 2:
			return map[string]any{"var": rapid.SampledFrom([]string{"a", "b", "n", "text", "tags", "user", "name", "x", "", "current", "accumulator"}).Draw(t, "leaf's path")}
		case 3:
			return value(t, 2)
		}
		return scalar(t)
	}
	return operation(t, depth)
}

func operation(t *rapid.T, depth int) any {
	name := rapid.SampledFrom(operators).Draw(t, "operator")
	return map[string]any{name: argument(t, name, depth)}
}

func argument(t *rapid.T, name string, depth int) any {
	if rapid.IntRange(0, 19).Draw(t, "odd") == 0 {
		return rule(t, depth-1)
	}
	some := func(lo, hi int) []any {
		list := make([]any, rapid.IntRange(lo, hi).Draw(t, "arguments"))
		for i := range list {
			list[i] = rule(t, depth-1)
		}
		return list
	}
	path := func() any {
		return rapid.SampledFrom([]any{"a", "b", "n", "text", "tags", "user", "version", "targetingKey", "user.name", "tags.0", "tags.x", "tags.0.name", "x", "name",
			"current", "accumulator", "", ".", ".a", "$flagd.flagKey", "n.1", 1.0, 0.0, nil}).Draw(t, "path")
	}
	subject := func() any {
		if rapid.IntRange(0, 3).Draw(t, "literal") == 0 {
			return values(t, 2)
		}
		return map[string]any{"var": rapid.SampledFrom([]any{"n", "tags", "user", "text"}).Draw(t, "list")}
	}
	switch name {
	case "var":
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			return []any{fmt.Sprint(path()), scalar(t)}
		case 1:
			return []any{fmt.Sprint(path())}
		}
		return path()
	case "$ref":
		return rapid.SampledFrom([]any{"segment", "segment", "nothing", "<", 1}).Draw(t, "ref")
	case "set":
		return []any{subject(), rapid.SampledFrom([]any{"x", "name", 1.0}).Draw(t, "member"), rule(t, depth-1)}
	case "contains_all", "contains_any", "contains_none":
		return []any{subject(), subject()}
	case "in":
		switch rapid.IntRange(0, 3).Draw(t, "in what") {
		case 0:
			return []any{rule(t, 1), scalar(t)}
		case 1:
			return []any{rule(t, 1), []any{scalar(t), []any{scalar(t), scalar(t)}, value(t, 1)}}
		case 2:
			return []any{rule(t, 1), subject()}
		}
	case "substr":
		index := rapid.SampledFrom([]any{0, 1, 2, -1, -2, 5, -9, 1.5, "1", nil, 1e300, -1e300})
		list := []any{rule(t, 1), index.Draw(t, "start"), index.Draw(t, "length")}
		return list[:rapid.IntRange(2, 3).Draw(t, "substr's arguments")]
	case "starts_with", "ends_with", "==", "===", "!=", "!==", "<", "<=", ">", ">=", "%":
		if rapid.Bool().Draw(t, "two scalars") {
			return []any{rule(t, 1), rule(t, 1)}
		}
	case "map", "filter", "all", "none", "some":
		if rapid.IntRange(0, 9).Draw(t, "short") == 0 {
			return some(0, 1)
		}
		return []any{subject(), operation(t, max(depth-1, 1))}
	case "reduce":
		list := []any{subject(), operation(t, max(depth-1, 1)), rule(t, 1)}
		return list[:rapid.IntRange(2, 3).Draw(t, "reduce's arguments")]
	case "missing":
		return []any{path(), path()}
	case "missing_some":
		return []any{rapid.IntRange(0, 3).Draw(t, "least"), []any{path(), path()}}
	case "sem_ver":
		return []any{rule(t, 1), rapid.SampledFrom([]any{"=", "!=", "<", "<=", ">", ">=", "^", "~", "==", nil}).Draw(t, "comparison"), rapid.SampledFrom([]any{"1.2.0", "v1", "2.0.0", 1.2, "x", "1.2.3+b", "2.0.0-rc.2"}).Draw(t, "target")}
	case "fractional":
		return buckets(t, depth)
	case "!", "!!", "abs":
		return some(0, 2)
	case "-", "/":
		return some(1, 3)
	}
	return some(0, 4)
}

func buckets(t *rapid.T, depth int) []any {
	var list []any
	if rapid.Bool().Draw(t, "keyed") {
		list = append(list, rule(t, depth-1))
	}
	for range rapid.IntRange(1, 3).Draw(t, "buckets") {
		name := rapid.SampledFrom([]any{"a", "b", "x", true, nil, 1.0}).Draw(t, "name")
		weight := rapid.SampledFrom([]any{0.0, 1.0, 25.0, 50.0, -50.0, 1.5, nil, "1", 2147483647.0, 3e9}).Draw(t, "weight")
		if rapid.IntRange(0, 3).Draw(t, "plain") > 0 {
			name, weight = rapid.SampledFrom([]any{"a", "b"}).Draw(t, "name"), rapid.SampledFrom([]any{1.0, 50.0}).Draw(t, "weight")
		}
		if rapid.IntRange(0, 7).Draw(t, "computed") == 0 {
			name = rule(t, depth-1)
		}
		switch rapid.IntRange(0, 7).Draw(t, "form") {
		case 0:
			list = append(list, []any{name})
		case 1:
			list = append(list, []any{name, rule(t, depth-1)})
		case 2:
			list = append(list, rule(t, depth-1))
		default:
			list = append(list, []any{name, weight})
		}
	}
	return list
}
