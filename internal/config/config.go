// Package config reads the two files that people write: slipway.yaml, which travels with a commit, and app.yaml, which an
// app's owner applies.
package config

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// The files' names.
const (
	File    = "slipway.yaml"
	AppFile = "app.yaml"
)

// Parse reads a commit's slipway.yaml and merges it for an environment: deploy's defaults, over them the file's top level,
// over that its section for the environment, if it has one. Maps are merged by key; lists and values replace. Every
// section is checked, not only the one asked for. An empty file is all defaults.
//
// An error is Invalid. It names the field, its line and column, and what would be right.
func Parse(data []byte, environment string) (*deploy.Config, error) {
	doc, err := read(File, data, commitShape())
	if err != nil {
		return nil, err
	}
	sections, _ := doc.tree["environments"].(map[string]any)
	delete(doc.tree, "environments")
	base := merge(defaults(), doc.tree)
	config, err := doc.config("", base)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		merged, err := doc.config("environments."+name+".", merge(base, sections[name].(map[string]any)))
		if err != nil {
			return nil, err
		}
		if name == environment {
			merged.BuildVariables = common(config.Variables, merged.Variables)
			config = merged
		}
	}
	return config, config.Validate()
}

// common are the variables of the file's top level, where those of an environment differ from them; else nil.
func common(all, own map[string]string) map[string]string {
	switch {
	case maps.Equal(all, own):
		return nil
	case all == nil:
		return map[string]string{}
	}
	return all
}

// ParseApp reads an app.yaml. Its error is as Parse's.
func ParseApp(data []byte) (*deploy.App, error) {
	doc, err := read(AppFile, data, appShape())
	if err != nil {
		return nil, err
	}
	var app deploy.App
	if err := decode(doc.tree, &app); err != nil {
		return nil, err
	}
	if err := app.Validate(); err != nil {
		return nil, doc.blame("", err)
	}
	return &app, nil
}

func (d *document) config(prefix string, tree map[string]any) (*deploy.Config, error) {
	var config deploy.Config
	if err := decode(tree, &config); err != nil {
		return nil, err
	}
	if err := config.Validate(); err != nil {
		return nil, d.blame(prefix, err)
	}
	return &config, nil
}

// merge puts over on base and changes neither.
func merge(base, over map[string]any) map[string]any {
	merged := maps.Clone(base)
	for name, value := range over {
		inner, isMap := value.(map[string]any)
		if under, ok := merged[name].(map[string]any); ok && isMap {
			value = merge(under, inner)
		}
		merged[name] = value
	}
	return merged
}

func defaults() map[string]any {
	var tree map[string]any
	data, err := json.Marshal(deploy.DefaultConfig())
	if err == nil {
		err = json.Unmarshal(data, &tree)
	}
	if err != nil {
		panic(err) // a constant that doesn't encode
	}
	return tree
}

// decode turns a tree into a value of package deploy. The shapes leave nothing that could fail here.
func decode(tree map[string]any, into any) error {
	data, err := json.Marshal(tree)
	if err != nil {
		return deploy.Errorf(deploy.Internal, "config: encode", "%w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return deploy.Errorf(deploy.Internal, "config: decode", "%w", err)
	}
	return nil
}
