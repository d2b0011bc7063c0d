package notify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/notify"
)

const payloadOf = `{"slipway_deployment":%q}`

// deployed is what GitHub says of its deployments, the oldest first: each one's id in Slipway and its states.
func (s *scene) deployed() string {
	var all []string
	for _, d := range s.hub.All() {
		text := strings.TrimSuffix(strings.TrimPrefix(string(d.Payload), `{"slipway_deployment":"`), `"}`) + ":"
		for _, said := range d.Statuses {
			text += " " + said.State
		}
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}

func (s *scene) wants(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := s.deployed(); got != strings.Join(want, "\n") || s.refused != 0 {
		t.Errorf("%s: GitHub has\n%s\nwant\n%s\n%s", what, got, strings.Join(want, "\n"), s.log)
	}
}

func TestDeploymentStates(t *testing.T) {
	for status, want := range map[deploy.Status]string{deploy.Running: "in_progress", deploy.Success: "success", deploy.Failed: "failure",
		deploy.RolledBack: "failure", deploy.Aborted: "error"} {
		s := newScene(t)
		s.table.is(older, status)
		s.table.deployments[older].ErrorKind = deploy.DeployFailed
		for range 2 {
			if err := s.tell(notify.Deployments, older, status); err != nil {
				t.Fatal(err)
			}
			s.wants(t, string(status), older+": "+want)
		}
		d := s.hub.All()[0]
		said := d.Statuses[0]
		if d.SHA != commit || d.Environment != "shop/production" || !strings.HasSuffix(said.Description, " - "+older) || said.EnvironmentURL != "https://shop.example.com" ||
			said.LogURL != "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/arn:aws:states:eu-west-1:123456789012:execution:slipway:"+older {
			t.Errorf("%s: %+v", status, d)
		}
	}
}

// TestDeploymentOrder: in whatever order the changes of a deployment are told, and however often, GitHub has one deployment and never
// says of it what was before after what is.
func TestDeploymentOrder(t *testing.T) {
	s := newScene(t)
	tell := func(status deploy.Status) {
		t.Helper()
		if err := s.tell(notify.Deployments, older, status); err != nil {
			t.Fatal(err)
		}
	}
	s.table.is(older, deploy.Pending)
	tell(deploy.Pending)
	if s.hub.asked != 0 {
		t.Errorf("%d requests for one that is pending", s.hub.asked)
	}
	s.table.is(older, deploy.Running)
	tell(deploy.Running)
	s.table.is(older, deploy.Success)
	for _, status := range []deploy.Status{deploy.Success, deploy.Running, deploy.Pending, deploy.Running, deploy.Success} {
		tell(status)
	}
	s.wants(t, "late and again", older+": in_progress success")
	s.table.is(older, deploy.RolledBack)
	tell(deploy.RolledBack)
	s.wants(t, "undone later", older+": in_progress success inactive")
}

// TestDeploymentOvertaken: a success that is told after the next one's doesn't look live again.
func TestDeploymentOvertaken(t *testing.T) {
	s := newScene(t)
	tell := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			if err := s.tell(notify.Deployments, id, deploy.Success); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.table.is(older, deploy.Success)
	tell(older)
	s.table.is(newer, deploy.Success)
	tell(newer, older, newer)
	s.wants(t, "in order, and again", older+": success inactive", newer+": success")

	s = newScene(t)
	s.table.is(older, deploy.Success)
	s.table.is(newer, deploy.Success)
	tell(newer, older, newer)
	s.wants(t, "the newer first", newer+": success", older+": inactive")
}

// TestDeploymentMeanwhile: what becomes of the deployment while its state is being set is set too; one that never rests is left.
func TestDeploymentMeanwhile(t *testing.T) {
	s := newScene(t)
	s.table.is(older, deploy.Running)
	s.hub.onPost = func() { s.table.is(older, deploy.Success) }
	if err := s.tell(notify.Deployments, older, deploy.Running); err != nil {
		t.Fatal(err)
	}
	s.wants(t, "ended meanwhile", older+": in_progress success")
	s = newScene(t)
	s.table.is(older, deploy.Running)
	states := []deploy.Status{deploy.Running, deploy.Failed}
	s.hub.onPost = func() { states[0], states[1] = states[1], states[0]; s.table.is(older, states[0]) }
	if err := s.tell(notify.Deployments, older, deploy.Running); err == nil || s.hub.asked > 20 {
		t.Errorf("one that never comes to rest: %v after %d requests", err, s.hub.asked)
	}
}

// TestDeploymentFound: the reply to a creation was lost, or another call created one at the same time. Others' deployments of the
// commit are not ours, whatever their payload is, and however many pages of them there are.
func TestDeploymentFound(t *testing.T) {
	s := newScene(t)
	s.hub.Add(commit, "shop/production", fmt.Sprintf(payloadOf, older))
	s.hub.Add(commit, "bank/production", fmt.Sprintf(payloadOf, older))
	for i := range 150 {
		s.hub.Add(commit, "shop/production", []string{`""`, `"text"`, `{}`, `[1]`, `null`, fmt.Sprintf(payloadOf, newer)}[i%6])
	}
	s.table.is(older, deploy.Success)
	if err := s.tell(notify.Deployments, older, deploy.Success); err != nil {
		t.Fatal(err)
	}
	if all := s.hub.All(); len(all) != 152 || all[0].State() != "success" {
		t.Errorf("%d deployments, the first is %q", len(all), all[0].State())
	}
}

func TestDeploymentTwice(t *testing.T) {
	s := newScene(t)
	s.table.is(older, deploy.Success)
	s.hub.Add(commit, "shop/production", fmt.Sprintf(payloadOf, older))
	s.hub.Lag = 1 // the call doesn't see it, and creates another
	s.hub.onPost = func() { s.hub.Lag = 0 }
	if err := s.tell(notify.Deployments, older, deploy.Success); err != nil {
		t.Fatal(err)
	}
	s.wants(t, "created at the same time", older+": success", older+": success inactive")

	s = newScene(t)
	s.table.is(older, deploy.Running)
	s.hub.Lag = 1
	if err := s.tell(notify.Deployments, older, deploy.Running); err != nil {
		t.Fatal(err)
	}
	s.wants(t, "the list lags behind", older+": in_progress")
}
