package deploy

import "time"

// Line is one line of a deployment's scripts' output.
type Line struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}
