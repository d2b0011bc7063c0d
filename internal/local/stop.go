package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// record is the state folder's note of the emulator that runs there. A pid alone is no name: the system hands it out
// again. With the time of its start it is one.
type record struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // as the system tells it; compared, never read
	Port  int    `json:"port"`

	// The account's own keys, made at random for each start. Clients find them in local.env.
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

func recordFile(state string) string { return filepath.Join(state, "ministack.pid") }

func readRecord(state string) (record, error) {
	var r record
	text, err := os.ReadFile(recordFile(state))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil || r.PID <= 1 {
		return record{}, fmt.Errorf("%s isn't a note of ours: %w", recordFile(state), fs.ErrNotExist)
	}
	return r, nil
}

func (r record) write(state string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writePrivate(recordFile(state), append(text, '\n'))
}

func (r record) alive() bool { return r.Start != "" && started(r.PID) == r.Start }

// members are the emulator's processes that still run: all of its session, so functions and the scripts that those run
// in process groups of their own. Where the emulator itself has gone, its number may lead somebody else's session by
// now: then only those count that stand in our folder.
func (r record) members(state string) ([]int, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	alive := r.alive()
	var pids []int
	for _, p := range all {
		if p.session == r.PID && (alive || strings.Contains(p.place, state)) {
			pids = append(pids, p.pid)
		}
	}
	return pids, nil
}

// Stop ends the emulator with everything that it started, and removes its files but the log. Stopping twice is harmless.
func (c *Cloud) Stop() error {
	err := c.end()
	if c.tether != nil {
		_ = c.tether.Close() // it is gone; this frees our end
	}
	return errors.Join(err, c.discard())
}

// Stop ends the cloud whose state folder that is. It tells whether one was running; none is no error.
func Stop(state string) (bool, error) {
	state, err := filepath.Abs(state)
	if err != nil {
		return false, err
	}
	run, err := readRecord(state)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	was := run.alive()
	c := &Cloud{State: state, run: run}
	return was, c.Stop()
}

// end kills, because there is nothing to save: the emulator keeps all its state in memory. It looks again until nobody is
// left, because a process may fork between the look and the kill.
func (c *Cloud) end() error {
	run := c.run
	if run.PID == 0 {
		run, _ = readRecord(c.State)
	}
	if run.PID == 0 {
		return nil
	}
	if run.alive() {
		_ = syscall.Kill(run.PID, syscall.SIGSTOP) // so that it starts no more functions meanwhile
	}
	deadline := time.Now().Add(stopTimeout)
	for {
		pids, err := run.members(c.State)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of the local cloud don't end", pids)
		}
		for _, pid := range pids {
			if pid != run.PID || len(pids) == 1 { // its leader last: as long as it lives, the session is surely ours
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// discard removes what a cloud has on disk; a private one's whole folder.
func (c *Cloud) discard() error {
	if c.private {
		return os.RemoveAll(c.State)
	}
	return c.clear()
}

// clear removes what means nothing without the emulator's memory.
func (c *Cloud) clear() error {
	err := os.Remove(recordFile(c.State))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for _, name := range []string{"tmp", "home", "outputs.json", "local.env"} {
		err = errors.Join(err, os.RemoveAll(filepath.Join(c.State, name)))
	}
	return err
}
