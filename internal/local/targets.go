package local

import (
	"encoding/json"
	"strings"
)

// target is the example app's function, the one that the template's policies let Slipway deploy.
const target = ":function:slipway-shop"

// withTargets adds functions to a template's policies: each statement that names the example app's function names them too.
func withTargets(template []byte, names []string) (string, error) {
	if len(names) == 0 {
		return string(template), nil
	}
	var whole any
	if err := json.Unmarshal(template, &whole); err != nil {
		return "", err
	}
	if err := addTargets(whole, names); err != nil {
		return "", err
	}
	text, err := json.Marshal(whole)
	return string(text), err
}

// addTargets looks for the resources of statements in a part of a template.
func addTargets(part any, names []string) error {
	switch part := part.(type) {
	case []any:
		for _, each := range part {
			if err := addTargets(each, names); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, each := range part {
			resources, ok := each.([]any)
			if key != "Resource" || !ok {
				if err := addTargets(each, names); err != nil {
					return err
				}
				continue
			}
			more, err := others(resources, names)
			if err != nil {
				return err
			}
			part[key] = append(resources, more...)
		}
	}
	return nil
}

// others returns the resources that name the example app's function, with each of names in its place.
func others(resources []any, names []string) (more []any, err error) {
	for _, r := range resources {
		text, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		if !strings.Contains(string(text), target) {
			continue
		}
		for _, name := range names {
			var other any
			if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), target, ":function:"+name)), &other); err != nil {
				return nil, err
			}
			more = append(more, other)
		}
	}
	return more, nil
}
