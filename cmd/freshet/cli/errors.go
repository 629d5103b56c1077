package cli

import (
	"context"
	"errors"
	"fmt"
)

// Exit statuses (SPEC 10).
const (
	ExitOK          = 0
	ExitNo          = 1 // the answer is no: not fresh, differences found, a check failed
	ExitUsage       = 2 // usage or configuration
	ExitUnavailable = 3 // it could not be done
)

// statusError is an error that decides the exit status.
type statusError struct {
	err    error
	status int
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// Usagef says what is wrong with the command line or the configuration: the message names the flag or the line, the value, and what is
// allowed.
func Usagef(format string, args ...any) error {
	return &statusError{fmt.Errorf(format, args...), ExitUsage}
}

// Usage makes err a matter of usage or configuration.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &statusError{err, ExitUsage}
}

// Nof says that the answer is no.
func Nof(format string, args ...any) error {
	return &statusError{fmt.Errorf(format, args...), ExitNo}
}

// Unavailable says that it could not be done.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &statusError{err, ExitUnavailable}
}

// Status returns the exit status of what a command returned. An error that says nothing of it is one of doing, not of asking.
func Status(err error) int {
	if err == nil {
		return ExitOK
	}
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	return ExitUnavailable
}

// message returns what is printed for an error.
func message(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted: " + err.Error()
	}
	return err.Error()
}
