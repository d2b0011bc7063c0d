package ofrep

// What the fuzz tests reach for.
var (
	Members    = members
	Matches    = matches
	Unquote    = unquote
	Quote      = quote
	ParseEvent = func(event []byte) (method, path, key string, body []byte, err error) {
		r, err := parseEvent(event)
		return r.method, r.path, r.key(), r.body, err
	}
)
