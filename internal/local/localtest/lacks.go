package localtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/slipway-cd/slipway/internal/local"
)

// Case is what some engine can't judge. docs/emulator.md lists them all.
type Case string

// What engines lack.
const (
	CodeBuild      Case = "CodeBuild"
	MachineTimeOut Case = "TIMED_OUT"
	FailedTarget   Case = "failed events' destination"
	CallerName     Case = "who signed a request"
	AliasAgain     Case = "an alias that is made again"
	ServiceFaults  Case = "services that fail"
	Roles          Case = "roles"
)

// Lack tells which engines lack a case, and why. An endpoint is asked for nothing that an engine here can't do: nobody knows what
// answers there.
type Lack struct {
	Case    Case
	Engines []local.Engine
	Why     string
}

// Lacks is the whole list.
var Lacks = []Lack{
	{CodeBuild, []local.Engine{local.LocalStack, local.Remote}, "it has no CodeBuild; MiniStack runs builds by our own builds.py"},
	{FailedTarget, []local.Engine{local.LocalStack, local.Remote}, "EventBridge's events are not tried again, and failed ones go nowhere"},
	{CallerName, []local.Engine{local.LocalStack, local.Remote}, "API Gateway tells a function no ARN"},
	{AliasAgain, []local.Engine{local.LocalStack, local.Remote}, "its function URL answers 403 from then on"},
	{ServiceFaults, []local.Engine{local.LocalStack, local.Remote}, "functions call it themselves, not through the proxy that fails"},
	{Roles, []local.Engine{local.LocalStack, local.Remote}, "it doesn't judge what a function's role may do"},
	{MachineTimeOut, []local.Engine{local.MiniStack, local.Remote}, "the machine's own TimeoutSeconds is not heeded"},
}

// Needs leaves a test out, with the reason, on an engine that can't judge it.
func Needs(tb testing.TB, c Case) {
	tb.Helper()
	if why, lacks := Lacking(c); lacks {
		tb.Skip(why)
	}
}

// Lacking tells whether this run's engine can't judge a case, and why.
func Lacking(c Case) (why string, lacks bool) {
	for _, lack := range Lacks {
		if lack.Case == c && slices.Contains(lack.Engines, Engine()) {
			return fmt.Sprintf("left out on %s: %s: %s", Engine(), c, lack.Why), true
		}
	}
	return "", false
}
