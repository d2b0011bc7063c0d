package deploy

// Status is where a deployment stands. There are exactly six.
type Status string

const (
	Pending    Status = "pending"     // recorded, its execution not yet in Prepare
	Running    Status = "running"     // an execution works on it
	Success    Status = "success"     // its release went live, checked healthy
	Failed     Status = "failed"      // it didn't; see Dirty for whether the environment is whole
	RolledBack Status = "rolled_back" // its change was undone and the release before it serves again
	Aborted    Status = "cancelled"   // somebody cancelled it, or a newer one took its place
)

// moves is the whole life of a deployment: each status with those that may follow it.
var moves = map[Status][]Status{
	Pending: {Running, Failed, Aborted},
	Running: {Success, Failed, RolledBack, Aborted},
	Success: {RolledBack}, // a later rollback undoes it
}

// Statuses lists all six in the order of a deployment's life.
var Statuses = []Status{Pending, Running, Success, Failed, RolledBack, Aborted}

// Ended tells whether nothing works on the deployment any more.
func (s Status) Ended() bool { return s != Pending && s != Running }

// Valid tells whether s is one of the six.
func (s Status) Valid() bool {
	for _, each := range Statuses {
		if s == each {
			return true
		}
	}
	return false
}

// To checks a move against the table. Staying is always allowed, so that a handler may run twice.
func (s Status) To(next Status) error {
	if s == next {
		return nil
	}
	for _, each := range moves[s] {
		if each == next {
			return nil
		}
	}
	return Errorf(Conflict, "", "a deployment that is %s can't become %s", s, next)
}
