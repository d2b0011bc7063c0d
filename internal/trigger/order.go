package trigger

import (
	"slices"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// maxKnown bounds how many pushes to a branch are remembered for each environment. With them an item of the table has about 5 KB.
const maxKnown = 20

// zeroCommit is how git writes that there is none.
const zeroCommit = "0000000000000000000000000000000000000000"

// history is the pushes to one branch that were told of, in the order in which they were told.
//
// Each push leads from one commit to another, so that the pushes to a branch are a path, and its end is the commit that came more
// often than it was replaced. That holds in whatever order the pushes are told, and without any clock. Clocks count only
// where pushes are missing or don't say what they replaced: the path is in pieces then, and the piece that was told last is
// the newest. The time is AWS's or our own. GitHub's own clock counts between two of GitHub's pushes, since a delivery may be sent
// again by hand days later; a clock of anybody else never counts.
type history []deploy.KnownPush

// historyOf returns what is known of a branch. A tip of an older version knows only its own push.
func historyOf(tip *deploy.Tip) history {
	switch {
	case tip == nil:
		return nil
	case len(tip.Known) == 0:
		return history{{CommitSHA: tip.CommitSHA, Before: tip.Before, Told: tip.Pushed}}
	}
	return slices.Clone(tip.Known)
}

// add returns the history with a push, and reports whether that is another one than h. The push isn't added where it was told
// before: by the same sender, or by another one through another door.
func (h history) add(p Push) (history, bool) {
	if i, known := h.find(p); known {
		return h.mark(i, p)
	}

	grown := append(slices.Clone(h), deploy.KnownPush{CommitSHA: p.CommitSHA, Before: p.before(), Told: p.Told,
		Doors: map[string]time.Time{p.Door: p.Sent}})
	return grown.trim(), true
}

// before is what the push replaced, "" where that isn't said. No push replaces a commit with itself.
func (p *Push) before() string {
	if p.Before == p.CommitSHA {
		return ""
	}
	return p.Before
}

// find returns the index of the push in h, and reports whether it is there.
func (h history) find(p Push) (int, bool) {
	same, before := -1, p.before()
	for i, known := range h {
		switch {
		case known.CommitSHA != p.CommitSHA:
			continue
		case before == "":
			same = i // the last: a push that doesn't say what it replaced puts no old commit back
			continue
		}

		sent, told := known.Doors[p.Door]
		switch {
		case known.Before == "" && !told:
			return i, true // another door told of it, and didn't say what it replaced
		case known.Before == before && (!told || sent.Equal(p.Sent)):
			return i, true
		case known.Before == before:
			same = i
		}
	}

	// The same step, told a second time by one sender with another time: it was taken again, after the branch had been put back. From
	// a sender without a time, which may only try again, that is believed only where the branch is known to be back.
	if same >= 0 && before != "" && (p.HasTime || h.open(before)) {
		return -1, false
	}
	return same, same >= 0
}

// mark writes down that one more sender told of a push, or what it replaced.
func (h history) mark(i int, p Push) (history, bool) {
	_, told := h[i].Doors[p.Door]
	if told && (h[i].Before != "" || p.before() == "") {
		return h, false
	}

	marked := slices.Clone(h)
	doors := map[string]time.Time{p.Door: p.Sent}
	for door, sent := range h[i].Doors {
		doors[door] = sent
	}
	marked[i].Doors = doors
	if marked[i].Before == "" {
		marked[i].Before = p.before()
	}
	return marked, true
}

// balance returns by how much a commit came more often than it was replaced. It is 1 at the end of the path, and -1 at its beginning.
func (h history) balance(commit string) int {
	n := 0
	for _, known := range h {
		if known.CommitSHA == commit {
			n++
		}
		if known.Before == commit {
			n--
		}
	}
	return n
}

// open reports whether a commit is an end of the path.
func (h history) open(commit string) bool { return h.balance(commit) > 0 || h.returned(commit) }

// clockSlack is how far apart GitHub's times must be to prove an order. GitHub sends the time of the repository's last push, which may
// be another one that came seconds later.
const clockSlack = time.Minute

// returned reports whether the branch came to a commit after each known push that replaced it, by GitHub's clock. Such a push replaced an
// earlier arrival at the commit, which is unknown. So it doesn't continue the path: after a-b, b-c (lost) and c-a, the end is a
// and not b.
func (h history) returned(commit string) bool {
	var arrived, left time.Time
	for _, known := range h {
		sent := known.Doors[doorGitHub]
		switch {
		case commit == known.Before && sent.IsZero():
			return false
		case commit == known.Before:
			left = latest(left, earlier(sent, known.Told))
		case commit == known.CommitSHA && !sent.IsZero():
			arrived = latest(arrived, earlier(sent, known.Told))
		}
	}
	return !left.IsZero() && arrived.Sub(left) > clockSlack
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// head returns the newest push: of those whose commit is at the end of its piece of the path, the one that was told last. A piece
// that is a ring has no end; each of its pushes may be the newest.
func (h history) head() deploy.KnownPush {
	pieces, ended := h.pieces(), map[string]bool{}
	for _, known := range h {
		if h.open(known.CommitSHA) {
			ended[pieces[known.CommitSHA]] = true
		}
	}

	var newest *deploy.KnownPush
	for i, known := range h {
		if ended[pieces[known.CommitSHA]] && !h.open(known.CommitSHA) {
			continue
		}
		if newest == nil || !later(*newest, known) {
			newest = &h[i]
		}
	}
	return *newest
}

// pieces maps each commit to one of the commits that it is connected with, the same for all of them.
func (h history) pieces() map[string]string {
	piece := map[string]string{}
	for _, known := range h {
		for _, commit := range []string{known.CommitSHA, known.Before} {
			if piece[commit] == "" {
				piece[commit] = commit
			}
		}
		if known.Before == "" {
			continue
		}

		from, to := piece[known.Before], piece[known.CommitSHA]
		for commit, name := range piece {
			if name == from {
				piece[commit] = to
			}
		}
	}
	return piece
}

// later reports whether a was pushed after b, as far as clocks tell. Times in whole seconds tell no more than seconds apart.
func later(a, b deploy.KnownPush) bool {
	if at, bt := a.Doors[doorGitHub], b.Doors[doorGitHub]; !at.IsZero() && !bt.IsZero() {
		if c := compare(earlier(at, a.Told), earlier(bt, b.Told)); c != 0 {
			return c > 0
		}
	}
	return compare(a.Told, b.Told) > 0
}

// createdAgain reports whether newest creates the branch again at the commit that was deployed last. The history shows it without
// the deletion, which deploys nothing and may come late: a branch is created only while it isn't there. A creation from before the
// deployed push is a late event.
func (h history) createdAgain(tip deploy.Tip, newest deploy.KnownPush) bool {
	if newest.CommitSHA != tip.CommitSHA || newest.Before != zeroCommit {
		return false
	}

	deployed := deploy.KnownPush{CommitSHA: tip.CommitSHA, Before: tip.Before, Told: tip.Pushed}
	for _, known := range h {
		sameBefore := tip.Before == "" || tip.Before == known.Before
		if known.CommitSHA == tip.CommitSHA && known.Told.Equal(tip.Pushed) && sameBefore {
			deployed = known
			break
		}
	}
	same := deployed.Before == newest.Before && deployed.Told.Equal(newest.Told)
	return !same && !later(deployed, newest)
}

// earlier returns the earlier of two times: nothing is pushed after it was told.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// compare orders two times. Some clocks have whole seconds, which lie before what another one says of that second.
func compare(a, b time.Time) int {
	if a.Nanosecond() == 0 || b.Nanosecond() == 0 {
		a, b = a.Truncate(time.Second), b.Truncate(time.Second)
	}
	return a.Compare(b)
}

// trim forgets pushes where there are too many: those at the beginning of the path, the ones that were told first before others, and
// never so that another push becomes the newest.
func (h history) trim() history {
	for len(h) > maxKnown {
		i := h.expendable()
		if i < 0 {
			return history{h.head()}
		}
		h = slices.Delete(slices.Clone(h), i, i+1)
	}
	return h
}

// expendable returns the index of the push to forget; -1 where there is none. At a beginning with several ways, one way is such that
// the rest stays in one piece.
func (h history) expendable() int {
	head, apart := h.head().CommitSHA, h.apart()
	for _, beginning := range []bool{true, false} {
		for i, known := range h {
			rest := slices.Delete(slices.Clone(h), i, i+1)
			if beginning && (h.balance(known.Before) >= 0 || rest.apart() > apart) {
				continue
			}
			if rest.head().CommitSHA == head {
				return i
			}
		}
	}
	return -1
}

// apart returns how many pieces the path is in.
func (h history) apart() int {
	names := map[string]bool{}
	for _, name := range h.pieces() {
		names[name] = true
	}
	return len(names)
}
