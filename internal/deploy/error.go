package deploy

import (
	"errors"
	"fmt"
)

// Kind says what sort of failure an Error is. A Kind exists only where something branches on it: the state machine's
// Catch and Choice, the API's status, or the CLI's exit code. Its text is the error's name in Step Functions.
type Kind string

const (
	Invalid           Kind = "Invalid"           // the caller sent something that can't be right
	NotFound          Kind = "NotFound"          // what the caller named isn't there
	Conflict          Kind = "Conflict"          // it is there, and its state forbids the request
	TooLarge          Kind = "TooLarge"          // over a stated bound
	Unfetched         Kind = "Unfetched"         // the commit's source has to be fetched first; never a deployment's end
	TestFailed        Kind = "TestFailed"        // the commit's tests failed
	BuildFailed       Kind = "BuildFailed"       // its build failed, or made other artifacts than it promised
	DeployFailed      Kind = "DeployFailed"      // the target could not be changed
	HealthCheckFailed Kind = "HealthCheckFailed" // the release answered badly, or not at all
	RollbackFailed    Kind = "RollbackFailed"    // the earlier release could not be restored
	Moved             Kind = "Moved"             // somebody else changed what the target serves
	Cancelled         Kind = "Cancelled"         // somebody asked for it
	Superseded        Kind = "Superseded"        // a newer deployment took its place
	Fenced            Kind = "Fenced"            // another deployment holds the environment by now
	Internal          Kind = "Internal"          // ours, or AWS's
)

// Kinds lists every Kind, for the tests that hold the state machine and the API to them.
var Kinds = []Kind{
	Invalid, NotFound, Conflict, TooLarge, Unfetched, TestFailed, BuildFailed, DeployFailed, HealthCheckFailed, RollbackFailed,
	Moved, Cancelled, Superseded, Fenced, Internal,
}

// Error is the one error type of the program. Err keeps the cause, AWS's own included.
type Error struct {
	Kind  Kind
	Op    string // what was being done: "deploy: update function shop"
	Field string // the input's field at fault, as its sender wrote it; empty where there is none
	Err   error
}

// Errorf makes an Error; %w keeps a cause.
func Errorf(kind Kind, op, format string, args ...any) *Error {
	return &Error{Kind: kind, Op: op, Err: fmt.Errorf(format, args...)}
}

// FieldErrorf makes an Invalid error about one field of the input.
func FieldErrorf(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Field: field, Err: fmt.Errorf(format, args...)}
}

// Error implements error: the field or the operation first, then what went wrong.
func (e *Error) Error() string {
	switch {
	case e.Field != "":
		return e.Field + ": " + e.Err.Error()
	case e.Op != "":
		return e.Op + ": " + e.Err.Error()
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf finds the outermost Kind in err's chain. An error that has none is Internal; nil has "".
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// FieldOf finds the field that err is about, "" where none is named.
func FieldOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Field
	}
	return ""
}
