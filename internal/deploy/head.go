package deploy

import (
	"fmt"
	"time"
)

// Head is an environment's state: whose turn it is, who waits, and what is live. Its methods decide; the store makes
// each decision one compare-and-swap. Ids sort by time, so "newer" is a comparison of ids.
type Head struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Fence       int64  `json:"fence"` // the number of the last turn given; it only grows
	Holder      *Turn  `json:"holder,omitempty"`
	Waiting     *Turn  `json:"waiting,omitempty"`
	Live        *Live  `json:"live,omitempty"`
	Previous    *Live  `json:"previous,omitempty"`
	Dirty       bool   `json:"dirty,omitempty"` // Holder ended without putting the environment right; the lock stays with it
	Version     int64  `json:"version"`
}

// Place is a deployment's record and the head of its environment, read at one time.
type Place struct {
	Head       *Head
	Deployment *Deployment
}

// Turn is one deployment's place in an environment: it holds the lock, or waits for it.
type Turn struct {
	Deployment string    `json:"deployment"`
	Action     Action    `json:"action"`
	Token      string    `json:"token,omitempty"` // the task token that its execution waits with
	Since      time.Time `json:"since"`
	Expires    time.Time `json:"expires"`           // when a holder that was not heard of is given another execution
	Repairs    string    `json:"repairs,omitempty"` // the dirty deployment that it was asked to repair
}

// Lease is how long a turn lasts: longer than everything after Admit may take in an all-at-once plan.
const Lease = 2 * time.Hour

// Admission is the answer to a deployment that asks for its turn. Exactly one of Granted, Queued, SupersededBy and
// Refused is set; the others say whom it touched.
type Admission struct {
	Granted      bool
	Queued       bool
	SupersededBy string // a newer deployment that is live or waits
	Refused      string // why there is no turn to be had
	Displaced    *Turn  // waited until now and is superseded by this one
	TookOver     *Turn  // held the lock of a dirty environment
}

// Admit decides about a deployment that wants its turn. The same one may ask again, with another token.
func (h *Head) Admit(t Turn, now time.Time) Admission {
	t.Since = now
	switch holder := h.Holder; {
	case holder != nil && holder.Deployment == t.Deployment && !h.Dirty:
		holder.Token = t.Token
		return Admission{Granted: true}
	case t.Action == Deploy && h.Live != nil && h.Live.Deployment > t.Deployment:
		return Admission{SupersededBy: h.Live.Deployment}
	case t.Repairs != "" && !h.DirtyBy(t.Repairs):
		return Admission{Refused: h.notDirtyBy(t.Repairs)}
	case holder == nil:
		h.grant(t, now)
		return Admission{Granted: true}
	case h.Dirty && t.Action == Deploy && t.Repairs == "":
		return Admission{Refused: fmt.Sprintf("the environment is dirty since %s and stays locked until it is repaired: %s",
			holder.Deployment, RepairCommands(holder.Deployment))}
	case h.Dirty:
		took := *holder
		h.Dirty = false
		h.grant(t, now)
		return Admission{Granted: true, TookOver: &took}
	}
	return h.queue(t)
}

// DirtyBy reports whether the deployment id left the environment dirty and nothing has taken it over since.
func (h *Head) DirtyBy(id string) bool {
	return h.Dirty && h.Holder != nil && h.Holder.Deployment == id
}

// longestChain is how many failed repairs in a row are followed.
const longestChain = 50

// DirtyHolder finds the deployment that is to be repaired where a caller names one: the one that left the environment dirty, or one
// whose repair it was, so that any id of a chain of failed repairs will do; "" names whichever it is. Conflict says the right one.
func (h *Head) DirtyHolder(id string, record func(id string) (*Deployment, error)) (string, error) {
	if !h.Dirty || h.Holder == nil {
		return "", Errorf(Conflict, "", "%s of %s is not dirty: there is nothing to repair", h.Environment, h.App)
	}
	holder := h.Holder.Deployment
	for at, n := holder, 0; id != "" && at != id; n++ {
		d, err := record(at)
		if err != nil && KindOf(err) != NotFound {
			return "", err
		}
		if err != nil || d.Repairs == "" || n == longestChain {
			return "", Errorf(Conflict, "", "%s of %s is dirty since %s, not since %s; %s", h.Environment, h.App, holder, id, RepairCommands(holder))
		}
		at = d.Repairs
	}
	return holder, nil
}

// notDirtyBy says what became of an environment that a deployment wants to repair.
func (h *Head) notDirtyBy(id string) string {
	switch {
	case h.Dirty:
		return fmt.Sprintf("the environment is dirty since %s by now, not since %s", h.Holder.Deployment, id)
	case h.Holder != nil:
		return fmt.Sprintf("the environment is not dirty any more: %s has taken it over from %s", h.Holder.Deployment, id)
	}
	return fmt.Sprintf("the environment is not dirty any more: %s was repaired meanwhile", id)
}

// queue lets one wait: the newest, except that a rollback which somebody asked for is never pushed out by a commit.
func (h *Head) queue(t Turn) Admission {
	w := h.Waiting
	switch {
	case w == nil || w.Deployment == t.Deployment:
		h.Waiting = &t
		return Admission{Queued: true}
	case w.Deployment > t.Deployment:
		return Admission{SupersededBy: w.Deployment}
	case w.Action == Rollback && t.Action == Deploy:
		return Admission{Refused: fmt.Sprintf("the rollback %s waits for this environment; deploy again when it has ended", w.Deployment)}
	}
	displaced := *w
	h.Waiting = &t
	return Admission{Queued: true, Displaced: &displaced}
}

// Recover takes id out of the queue and gives it a new fence, which shuts its last execution out. A turn that it holds goes
// on under the new number.
func (h *Head) Recover(id string, now time.Time) (fence int64) {
	h.Fence++
	if h.Waiting != nil && h.Waiting.Deployment == id {
		h.Waiting = nil
	}
	if h.Holder != nil && h.Holder.Deployment == id {
		h.Holder.Token, h.Holder.Expires = "", now.Add(Lease)
	}
	return h.Fence
}

func (h *Head) grant(t Turn, now time.Time) {
	h.Fence++
	t.Expires = now.Add(Lease)
	h.Holder = &t
	if h.Waiting != nil && h.Waiting.Deployment == t.Deployment {
		h.Waiting = nil
	}
}

// Handover says whom the end of a turn touched.
type Handover struct {
	Granted    *Turn // its turn begins
	Superseded *Turn // waited, and what is live by now is newer
	Refused    *Turn // waited, and the environment is dirty now
}

// Leave ends id's turn or its waiting and gives the lock on. Whoever is neither leaves nothing behind: a second call
// changes nothing.
func (h *Head) Leave(id string, now time.Time) Handover {
	if h.Waiting != nil && h.Waiting.Deployment == id {
		h.Waiting = nil
	}
	if h.Holder == nil || h.Holder.Deployment != id || h.Dirty {
		return Handover{}
	}
	h.Holder = nil
	w := h.Waiting
	switch {
	case w == nil:
		return Handover{}
	case w.Action == Deploy && h.Live != nil && h.Live.Deployment > w.Deployment:
		h.Waiting = nil
		return Handover{Superseded: w}
	}
	h.grant(*w, now)
	return Handover{Granted: h.Holder}
}

// Soil marks the environment dirty: id keeps the lock, and a commit that waits is turned away. A rollback that waits is
// what the environment needs, and gets its turn.
func (h *Head) Soil(id string, now time.Time) Handover {
	if h.Holder == nil || h.Holder.Deployment != id {
		return Handover{}
	}
	w := h.Waiting
	if w != nil && w.Action == Rollback {
		h.grant(*w, now)
		return Handover{Granted: h.Holder}
	}
	h.Dirty, h.Waiting = true, nil
	return Handover{Refused: w}
}

// GiveBack ends the turn of a repair that changed nothing: the environment is as dirty as before, since the deployment dirty.
// Another rollback that waits gets its turn.
func (h *Head) GiveBack(id string, dirty Turn, now time.Time) Handover {
	if h.Holder == nil || h.Holder.Deployment != id {
		return Handover{}
	}
	h.Holder = &dirty
	return h.Soil(dirty.Deployment, now)
}

// GoLive records what serves from now on, and what there is to go back to.
func (h *Head) GoLive(live, previous *Live) { h.Live, h.Previous = live, previous }
