package config

import (
	"encoding/json"
)

// schema is the part of JSON Schema 2020-12 that slipway.yaml needs.
type schema struct {
	Schema               string             `json:"$schema,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Type                 string             `json:"type,omitempty"`
	AnyOf                []*schema          `json:"anyOf,omitempty"`
	Not                  *schema            `json:"not,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	MinLength            int                `json:"minLength,omitempty"`
	Minimum              int                `json:"minimum,omitempty"`
	Maximum              int                `json:"maximum,omitempty"`
	Default              any                `json:"default,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	MaxItems             int                `json:"maxItems,omitempty"`
	MinProperties        int                `json:"minProperties,omitempty"`
	MaxProperties        int                `json:"maxProperties,omitempty"`
	Required             []string           `json:"required,omitempty"`
	PropertyNames        *schema            `json:"propertyNames,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	AdditionalProperties any                `json:"additionalProperties,omitempty"` // *schema or false
}

// Schema is slipway.yaml's JSON Schema (2020-12), for editors: the keys, types and bounds that Parse wants. Where a bound
// is in bytes, or about the file as YAML, only Parse knows.
func Schema() []byte {
	s := commitShape().schema()
	s.Schema, s.Title = "https://json-schema.org/draft/2020-12/schema", File
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // plain values
	}
	return append(data, '\n')
}

func (s *shape) schema() *schema {
	out := &schema{Description: s.about, Pattern: s.pattern, Enum: s.enum, Default: s.standard}
	if len(s.never) > 0 {
		out.Not = &schema{Enum: s.never}
	}
	switch s.kind {
	case text:
		out.Type = "string"
	case whole:
		out.Type, out.Minimum, out.Maximum = "integer", s.min, s.max
	case code:
		out.Pattern = ""
		out.AnyOf = []*schema{{Type: "integer", Minimum: 200, Maximum: 599}, {Type: "string", Pattern: s.pattern}}
	case truth:
		out.Type = "boolean"
	case list:
		out.Type, out.MaxItems, out.Items = "array", s.max, s.each.schema()
	case table:
		out.Type, out.MaxProperties, out.AdditionalProperties = "object", s.max, s.each.schema()
		out.PropertyNames = s.name.schema()
	case object:
		s.object(out)
	}
	if s.bare != "" {
		bare := &schema{Type: "string", MinLength: 1}
		out.Description = ""
		return &schema{Description: s.about, AnyOf: []*schema{bare, out}}
	}
	return out
}

func (s *shape) object(out *schema) {
	out.Type, out.AdditionalProperties, out.Properties = "object", false, map[string]*schema{}
	for _, k := range s.keys {
		if k.not != "" {
			continue
		}
		out.Properties[k.name] = k.shape.schema()
		if k.need {
			out.Required = append(out.Required, k.name)
		}
	}
	if s.one {
		out.MinProperties, out.MaxProperties = 1, 1
	}
}

func (r *rule) schema() *schema {
	out := &schema{Pattern: r.pattern}
	if r.never != "" {
		out.Not = &schema{Pattern: r.never}
	}
	return out
}
