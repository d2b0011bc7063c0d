//go:build unix && !linux

package script

import "syscall"

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func anchor() func() { return func() {} }

func conceal() {}

func adopt() {}

func endLeft() bool { return true }

func changed() string { return "" }

// groupRuns reports whether the group has a member.
func groupRuns(group int) bool { return syscall.Kill(-group, 0) != syscall.ESRCH }
