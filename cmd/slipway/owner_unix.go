//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// checkOwner returns why a file's content may be another user's: it belongs to one, or others may write it. The superuser's is taken, who
// can change anything anyhow.
func checkOwner(info os.FileInfo) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return fmt.Errorf("it belongs to user %d, and you are user %d", stat.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("others may write it (mode %04o)", mode)
	}
	return nil
}
