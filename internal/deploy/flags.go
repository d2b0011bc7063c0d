package deploy

import "time"

// Evaluations is how often a flag's variant was served within one hour.
type Evaluations struct {
	Flag    string
	Variant string    // "" for an answer without one
	Hour    time.Time // its begin
	N       int64
}
