package board

import (
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

// Introduce creates those of a release's flags that aren't there, off, and gives their keys.
func (d *Draft) Introduce(keys []string) ([]string, error) {
	var created []string
	for _, key := range keys {
		if d.version(key) != 0 {
			continue
		}
		if err := d.set(Create, key, flag.Definition{Simple: &flag.Simple{}}); err != nil {
			return nil, err
		}
		created = append(created, key)
	}
	return created, nil
}

// SwitchOff switches off those of the flags that are on, and gives their keys.
func (d *Draft) SwitchOff(keys []string) ([]string, error) {
	var off []string
	for _, key := range keys {
		text, ok := d.base.Flags[key]
		if !ok {
			continue
		}
		def, err := parse(text)
		if err != nil {
			return nil, deploy.Errorf(deploy.Conflict, "", "the stored definition of %s can't be read: %w", key, err)
		}
		if def.Archived || !def.Enabled() {
			continue
		}
		if err := d.set(Disable, key, def.WithEnabled(false)); err != nil {
			return nil, err
		}
		off = append(off, key)
	}
	return off, nil
}
