package pipeline

import (
	"github.com/slipway-cd/slipway/internal/deploy"
)

// What Settle measures of each deployment, once: when its end is written. Alarms and the dashboard read these names.
const (
	DirtyMetric       = "Dirty"             // 1 for each that left its environment dirty
	DeploymentsMetric = "Deployments"       // 1, by Status
	DurationMetric    = "DeploymentSeconds" // from its record to its success, by Action
	StageMetric       = "StageSeconds"      // of each stage that ran, by Stage
)

// What measures are told apart by. Each has few values: a status, an action, a stage.
const (
	ByStatus = "Status"
	ByAction = "Action"
	ByStage  = "Stage"
)

// Measure is one number for CloudWatch, and what is said beside it in the log.
type Measure struct {
	Name  string
	Unit  string // Count or Seconds
	Value float64
	By    string // what it is told apart by, "" for nothing
	Is    string // By's value
	About map[string]string
}

// measure tells what became of a deployment that has just ended. served is what its environment serves by now.
func (s *Settle) measure(d *deploy.Deployment, served *deploy.Live) {
	if s.Measure == nil {
		return
	}
	about := map[string]string{"app": d.App, "environment": d.Environment, "deployment": d.ID, "action": string(d.Action),
		"commit_sha": d.CommitSHA, "error_kind": string(d.ErrorKind)}
	if served != nil {
		about["live"], about["live_commit"] = served.Deployment, served.CommitSHA
	}
	if d.Dirty {
		s.Measure(Measure{Name: DirtyMetric, Unit: "Count", Value: 1, About: about})
	}
	s.Measure(Measure{Name: DeploymentsMetric, Unit: "Count", Value: 1, By: ByStatus, Is: string(d.Status), About: about})
	if d.Status == deploy.Success && d.EndTime != nil {
		s.Measure(Measure{Name: DurationMetric, Unit: "Seconds", Value: d.EndTime.Sub(d.StartTime).Seconds(), By: ByAction, Is: string(d.Action), About: about})
	}
	for _, stage := range d.Stages {
		if stage.End != nil && stage.Outcome != deploy.Skipped {
			s.Measure(Measure{Name: StageMetric, Unit: "Seconds", Value: stage.End.Sub(stage.Start).Seconds(), By: ByStage, Is: stage.Name, About: about})
		}
	}
}
