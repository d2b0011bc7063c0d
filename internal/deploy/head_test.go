package deploy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/internal/deploy"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func turn(n int, action deploy.Action) deploy.Turn {
	return deploy.Turn{Deployment: id(n), Action: action, Token: fmt.Sprint("token-", n)}
}

func id(n int) string { return deploy.NewID(noon.Add(time.Duration(n)*time.Second), []byte("-----")) }

func TestQueue(t *testing.T) {
	h := &deploy.Head{}
	if adm := h.Admit(turn(1, deploy.Deploy), noon); !adm.Granted || h.Fence != 1 {
		t.Fatalf("the first: %+v", adm)
	}
	if adm := h.Admit(turn(1, deploy.Deploy), noon); !adm.Granted || h.Fence != 1 {
		t.Errorf("the first again: %+v, turn %d", adm, h.Fence)
	}
	if adm := h.Admit(turn(2, deploy.Deploy), noon); !adm.Queued {
		t.Errorf("the second: %+v", adm)
	}
	if adm := h.Admit(turn(4, deploy.Deploy), noon); !adm.Queued || adm.Displaced == nil || adm.Displaced.Deployment != id(2) {
		t.Errorf("a newer one: %+v", adm)
	}
	if adm := h.Admit(turn(3, deploy.Deploy), noon); adm.SupersededBy != id(4) {
		t.Errorf("an older one: %+v", adm)
	}
	if adm := h.Admit(turn(5, deploy.Rollback), noon); adm.Displaced == nil || adm.Displaced.Deployment != id(4) {
		t.Errorf("a rollback: %+v", adm)
	}
	if adm := h.Admit(turn(6, deploy.Deploy), noon); adm.Refused == "" {
		t.Errorf("a commit behind a rollback: %+v", adm)
	}
	over := h.Leave(id(1), noon)
	if over.Granted == nil || over.Granted.Deployment != id(5) || h.Fence != 2 || h.Waiting != nil {
		t.Errorf("handed over: %+v, head %+v", over, h)
	}
	if over := h.Leave(id(1), noon); over != (deploy.Handover{}) {
		t.Errorf("left twice: %+v", over)
	}
}

func TestNewerIsLive(t *testing.T) {
	h := &deploy.Head{}
	h.Admit(turn(2, deploy.Deploy), noon)
	h.Admit(turn(1, deploy.Deploy), noon)
	h.GoLive(&deploy.Live{Deployment: id(2)}, nil)
	if over := h.Leave(id(2), noon); over.Superseded == nil || over.Superseded.Deployment != id(1) || h.Holder != nil {
		t.Errorf("the older one that waited: %+v", over)
	}
	if adm := h.Admit(turn(1, deploy.Deploy), noon); adm.SupersededBy != id(2) {
		t.Errorf("the older one, late: %+v", adm)
	}
	if adm := h.Admit(turn(1, deploy.Rollback), noon); !adm.Granted {
		t.Errorf("a rollback that was asked for before: %+v", adm)
	}
}

func TestDirty(t *testing.T) {
	h := &deploy.Head{}
	h.Admit(turn(1, deploy.Deploy), noon)
	h.Admit(turn(2, deploy.Deploy), noon)
	if over := h.Soil(id(1), noon); over.Refused == nil || over.Refused.Deployment != id(2) || !h.Dirty {
		t.Errorf("soiled: %+v", over)
	}
	if over := h.Leave(id(1), noon); over != (deploy.Handover{}) || h.Holder == nil {
		t.Errorf("a dirty holder left: %+v", over)
	}
	if adm := h.Admit(turn(3, deploy.Deploy), noon.Add(100*deploy.Lease)); adm.Refused == "" {
		t.Errorf("a commit in a dirty environment: %+v", adm)
	}
	if adm := h.Admit(turn(4, deploy.Rollback), noon); !adm.Granted || adm.TookOver.Deployment != id(1) || h.Dirty || h.Fence != 2 {
		t.Errorf("the repair: %+v, head %+v", adm, h)
	}
}

// TestRepairTurn has repairs ask for their turn: only that of what is dirty now gets it, and one that changes nothing gives the
// dirt back.
func TestRepairTurn(t *testing.T) {
	repair := func(n int, action deploy.Action, of int) deploy.Turn {
		asks := turn(n, action)
		asks.Repairs = id(of)
		return asks
	}
	h := &deploy.Head{}
	h.Admit(turn(1, deploy.Deploy), noon)
	if adm := h.Admit(repair(2, deploy.Deploy, 1), noon); adm.Refused == "" || h.Waiting != nil {
		t.Errorf("a repair while it is at work: %+v", adm)
	}
	h.Soil(id(1), noon)
	if adm := h.Admit(repair(3, deploy.Rollback, 2), noon); adm.Refused == "" {
		t.Errorf("a repair of another one: %+v", adm)
	}
	if adm := h.Admit(repair(4, deploy.Deploy, 1), noon); !adm.Granted || adm.TookOver == nil || adm.TookOver.Deployment != id(1) || h.Dirty {
		t.Errorf("a deployment that repairs: %+v", adm)
	}
	if adm := h.Admit(repair(5, deploy.Rollback, 1), noon); adm.Refused == "" {
		t.Errorf("a second repair: %+v", adm)
	}
	h.Admit(turn(6, deploy.Deploy), noon)
	over := h.GiveBack(id(4), deploy.Turn{Deployment: id(1)}, noon)
	if over.Refused == nil || over.Refused.Deployment != id(6) || !h.DirtyBy(id(1)) {
		t.Errorf("given back: %+v, head %+v", over, h)
	}
	h.Admit(repair(7, deploy.Rollback, 1), noon)
	h.Admit(turn(8, deploy.Rollback), noon)
	if over := h.GiveBack(id(7), deploy.Turn{Deployment: id(1)}, noon); over.Granted == nil || over.Granted.Deployment != id(8) || h.Dirty {
		t.Errorf("given back while a rollback waits: %+v, head %+v", over, h)
	}
	h.Leave(id(8), noon)
	if adm := h.Admit(repair(9, deploy.Rollback, 1), noon); adm.Refused == "" {
		t.Errorf("a repair of what is repaired: %+v", adm)
	}
}

// TestDirtyHolder names the deployment to repair by every id of a chain of failed repairs.
func TestDirtyHolder(t *testing.T) {
	records := map[string]*deploy.Deployment{id(1): {ID: id(1)}, id(2): {ID: id(2), Repairs: id(1)}, id(3): {ID: id(3), Repairs: id(2)}, id(4): {ID: id(4)}}
	record := func(id string) (*deploy.Deployment, error) {
		if d := records[id]; d != nil {
			return d, nil
		}
		return nil, deploy.Errorf(deploy.NotFound, "", "no %s", id)
	}
	h := &deploy.Head{App: "shop", Environment: "production", Dirty: true, Holder: &deploy.Turn{Deployment: id(3)}}
	for _, named := range []string{"", id(1), id(2), id(3)} {
		if got, err := h.DirtyHolder(named, record); err != nil || got != id(3) {
			t.Errorf("%q: %q, %v", named, got, err)
		}
	}
	records[id(1)].Repairs = id(0) // whose record is gone
	if _, err := h.DirtyHolder(id(4), record); deploy.KindOf(err) != deploy.Conflict || !strings.Contains(err.Error(), "slipway repair "+id(3)) {
		t.Errorf("another one: %v", err)
	}
	h.Dirty = false
	if _, err := h.DirtyHolder(id(3), record); deploy.KindOf(err) != deploy.Conflict {
		t.Errorf("a clean environment: %v", err)
	}
}

func TestLeaseRunsOut(t *testing.T) {
	h := &deploy.Head{}
	h.Admit(turn(1, deploy.Deploy), noon)
	if adm := h.Admit(turn(2, deploy.Deploy), noon.Add(deploy.Lease)); !adm.Queued {
		t.Errorf("just in time: %+v", adm)
	}
	if adm := h.Admit(turn(3, deploy.Deploy), noon.Add(deploy.Lease+time.Second)); !adm.Queued {
		t.Errorf("too late, and what it changed not undone: %+v", adm)
	}
}

func TestRecover(t *testing.T) {
	h := &deploy.Head{}
	h.Admit(turn(1, deploy.Deploy), noon)
	h.Admit(turn(2, deploy.Deploy), noon)
	later := noon.Add(time.Hour)
	if fence := h.Recover(id(1), later); fence != 2 || h.Holder.Deployment != id(1) || h.Holder.Token != "" || !h.Holder.Expires.Equal(later.Add(deploy.Lease)) {
		t.Errorf("the one inside: fence %d, holder %+v", fence, h.Holder)
	}
	if fence := h.Recover(id(2), later); fence != 3 || h.Waiting != nil || h.Holder.Deployment != id(1) {
		t.Errorf("the one that waited: fence %d, head %+v", fence, h)
	}
	if fence := h.Recover(id(3), later); fence != 4 || h.Holder.Deployment != id(1) {
		t.Errorf("one that had not asked yet: fence %d, head %+v", fence, h)
	}
}

// TestOneInside throws any order of events at a head: the fence only grows, a turn is given only when it grows, at most
// one holds the lock, and nobody both holds it and waits.
func TestOneInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, now := &deploy.Head{}, noon
		action := rapid.SampledFrom([]deploy.Action{deploy.Deploy, deploy.Rollback})
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			before := *h
			n := rapid.IntRange(1, 9).Draw(t, "deployment")
			now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "minutes")) * time.Minute)
			switch rapid.SampledFrom([]string{"admit", "leave", "soil", "live", "recover"}).Draw(t, "event") {
			case "admit":
				adm := h.Admit(turn(n, action.Draw(t, "action")), now)
				said := 0
				for _, yes := range []bool{adm.Granted, adm.Queued, adm.SupersededBy != "", adm.Refused != ""} {
					if yes {
						said++
					}
				}
				if said != 1 {
					t.Fatalf("an admission says %d things: %+v", said, adm)
				}
				if adm.Granted != (h.Holder != nil && h.Holder.Deployment == id(n) && !h.Dirty) {
					t.Fatalf("granted %v, holder %+v", adm.Granted, h.Holder)
				}
			case "leave":
				h.Leave(id(n), now)
			case "soil":
				h.Soil(id(n), now)
			case "recover":
				if !h.Dirty && h.Recover(id(n), now) != before.Fence+1 {
					t.Fatalf("a recovery's fence is %d after %d", h.Fence, before.Fence)
				}
			case "live":
				if h.Holder != nil && !h.Dirty {
					h.GoLive(&deploy.Live{Deployment: h.Holder.Deployment}, h.Live)
				}
			}
			changed := h.Holder != nil && (before.Holder == nil || before.Holder.Deployment != h.Holder.Deployment)
			switch {
			case h.Fence < before.Fence, changed && h.Fence != before.Fence+1:
				t.Fatalf("turn %d became %d", before.Fence, h.Fence)
			case h.Waiting != nil && h.Holder == nil:
				t.Fatalf("%+v waits for nobody", h.Waiting)
			case h.Waiting != nil && h.Holder.Deployment == h.Waiting.Deployment && !h.Dirty:
				t.Fatalf("%+v holds and waits", h.Waiting)
			case h.Dirty && h.Holder == nil:
				t.Fatal("dirty, and nobody's")
			}
		}
	})
}
