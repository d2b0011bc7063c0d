package flag

import (
	"time"
	"unsafe"
)

// Context is what a flag is evaluated for. A Context that is kept, and filled again by Parse or by appending to
// Attributes[:0], costs no allocation; a Map is what JSON's decoder or OpenFeature gives, and is looked at where Attributes has nothing. A Context may
// be used by many goroutines as long as none changes it.
type Context struct {
	TargetingKey string
	Attributes   []Attribute
	Map          map[string]any
	Time         int64 // Unix seconds, for $flagd.timestamp and schedules; 0 is now

	index  map[string]int // of a large Attributes that Parse made
	parser parser
	buffer []byte
}

// indexFrom is the number of attributes from which a map is faster than looking at each.
const indexFrom = 24

// ParseContext reads a context's JSON object, {"targetingKey": "user-1", ...}. Its error is an *Invalid.
func ParseContext(object []byte) (*Context, error) {
	c := new(Context)
	if err := c.Parse(object); err != nil {
		return nil, err
	}
	return c, nil
}

// Parse is ParseContext into a Context that was used before: what it then needs no longer is allocated again. Results of
// earlier evaluations stay valid, Values of the earlier context don't.
func (c *Context) Parse(object []byte) error {
	c.TargetingKey, c.Attributes, c.Map, c.Time, c.index = "", nil, nil, 0, nil
	if len(object) > MaxContext {
		return &Invalid{[]Problem{{Message: "more than 64 KiB; want a smaller context"}}}
	}
	c.buffer = append(c.buffer[:0], object...)
	p := &c.parser
	clear(p.members)
	clear(p.items)
	*p = parser{where: nowhere, stack: p.stack[:0], members: p.members[:0], items: p.items[:0]}
	p.text = unsafe.String(unsafe.SliceData(c.buffer), len(c.buffer))
	if p.next() != '{' {
		return &Invalid{[]Problem{{Message: "want a JSON object: {\"targetingKey\": …}"}}}
	}
	v := p.objectValue()
	p.end()
	if p.err != nil {
		return &Invalid{[]Problem{{Message: p.err.message}}}
	}
	c.Attributes = v.members()
	if len(c.Attributes) >= indexFrom {
		c.index = make(map[string]int, len(c.Attributes))
		for i, a := range c.Attributes {
			c.index[a.Name] = i
		}
	}
	return nil
}

// ContextOf makes a Context of decoded JSON, which it keeps.
func ContextOf(attributes map[string]any) *Context { return &Context{Map: attributes} }

// targetingKey is its value, null where there is none.
func (c *Context) targetingKey() Value {
	if c.TargetingKey != "" {
		return String(c.TargetingKey)
	}
	return c.attribute(targetingKeyName)
}

const targetingKeyName = "targetingKey"

// attribute finds a member by its name; null where there is none.
func (c *Context) attribute(name string) Value {
	if c.index != nil {
		if i, ok := c.index[name]; ok {
			return c.Attributes[i].Value
		}
		return Value{}
	}
	for i := len(c.Attributes) - 1; i >= 0; i-- {
		if c.Attributes[i].Name == name {
			return c.Attributes[i].Value
		}
	}
	if c.Map != nil {
		if v, ok := c.Map[name]; ok {
			return Any(v)
		}
	}
	return Value{}
}

// walk follows a path from the context, $flagd left aside.
func (c *Context) walk(parts []part) Value {
	if c.TargetingKey != "" && parts[0].name == targetingKeyName {
		return walk(String(c.TargetingKey), parts[1:])
	}
	if len(parts) > 1 && c.Map != nil {
		if v, ok := c.Map[parts[0].name]; ok && !c.has(parts[0].name) {
			return walkAny(v, parts[1:])
		}
	}
	return walk(c.attribute(parts[0].name), parts[1:])
}

func (c *Context) has(name string) bool {
	for i := range c.Attributes {
		if c.Attributes[i].Name == name {
			return true
		}
	}
	return false
}

// walkAny is walk in decoded JSON, so that only what is found at the end becomes a Value.
func walkAny(v any, parts []part) Value {
	for i := range parts {
		switch object := v.(type) {
		case map[string]any:
			v = object[parts[i].name]
		case []any:
			if parts[i].index < 0 || parts[i].index >= len(object) {
				return Value{}
			}
			v = object[parts[i].index]
		default:
			return walk(Any(v), parts[i:])
		}
	}
	return Any(v)
}

func (c *Context) isEmpty() bool {
	return c.TargetingKey == "" && len(c.Attributes) == 0 && len(c.Map) == 0
}

func (c *Context) now() int64 {
	if c.Time != 0 {
		return c.Time
	}
	return time.Now().Unix()
}
