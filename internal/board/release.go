package board

import (
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

// SwitchOff switches off those of the flags that are on, and gives their keys. One that is broken is switched off too.
func (d *Draft) SwitchOff(keys []string) ([]string, error) {
	var off []string
	for _, key := range keys {
		text, ok := d.base.Flags[key]
		if !ok {
			continue
		}
		if def, err := parse(text); err == nil && !def.Enabled() {
			continue
		}
		if err := d.disable(key); err != nil {
			return nil, err
		}
		off = append(off, key)
	}
	return off, nil
}
