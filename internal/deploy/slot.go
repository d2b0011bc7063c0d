package deploy

// ScriptSlot names the run of a stage that may start scripts. A deployment has one slot, and only the deployment that holds its
// environment's lock runs scripts there, so the environment has at most one script at work.
//
// A run claims the slot in the write that begins its stage, and frees it in the write that ends the stage. If another run has it, that
// run is leaving: it ends its script when it reads the new owner, and then confirms that. The owner starts no script before.
type ScriptSlot struct {
	Owner   string `json:"owner,omitempty"`   // the run that may start scripts once no run is leaving; "" for none
	Leaving string `json:"leaving,omitempty"` // the run before it, whose script may still be at work
}

// ClaimScripts makes run the owner of the script slot. If the owner so far still waited for a run to leave, it has started nothing, and
// run waits for the same one. A second claim by the owner changes nothing.
func (d *Deployment) ClaimScripts(run string) {
	s := ScriptSlot{Owner: run}
	if old := d.Scripts; old != nil {
		s.Leaving = old.Leaving
		if old.Leaving == "" && old.Owner != run {
			s.Leaving = old.Owner
		}
	}
	d.Scripts = &s
}

// FreeScripts notes that run has no script at work and starts no more. It reports whether that changed the slot.
func (d *Deployment) FreeScripts(run string) bool {
	if d.Scripts == nil || run == "" {
		return false
	}
	s := *d.Scripts
	switch run {
	case s.Leaving:
		s.Leaving = ""
	case s.Owner:
		s.Owner = ""
	default:
		return false
	}
	if d.Scripts = &s; s == (ScriptSlot{}) {
		d.Scripts = nil
	}
	return true
}

// MayRunScripts reports whether run owns the slot and no other run is leaving it.
func (d *Deployment) MayRunScripts(run string) bool {
	return d.Scripts != nil && *d.Scripts == ScriptSlot{Owner: run}
}

// HeldLock reports whether the deployment was given its environment's lock. Before that its scripts touch no environment.
func (d *Deployment) HeldLock() bool {
	s := d.Stage("admit")
	return s != nil && s.End != nil
}
