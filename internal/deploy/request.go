package deploy

// Request is what is remembered of a request that must count once, however often it comes.
type Request struct {
	Key         string `json:"key"`         // what is the same however often the request comes
	Fingerprint string `json:"fingerprint"` // of all that it asks for: another one under the same key is another request
	Deployment  string `json:"deployment"`  // what it made
	Expires     int64  `json:"expires"`     // seconds since 1970; from then on the key is new again
}
