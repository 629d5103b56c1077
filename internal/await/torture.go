//go:build torture

package await

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// target is the pass that kills; point "" is none.
type target struct {
	point string
	left  atomic.Int64
}

// parse reads POINT:N. What it does not understand is an error: a torture that kills nobody must not pass.
func parse(s string) (*target, error) {
	t := &target{}
	if s == "" {
		return t, nil
	}
	point, n, _ := strings.Cut(s, ":")
	left, err := strconv.ParseInt(n, 10, 64)
	if !slices.Contains(Points(), point) || err != nil || left < 1 {
		return nil, fmt.Errorf("%s=%q: must be POINT:N with N from 1 and one of the points %s", Env, s, strings.Join(Points(), ", "))
	}
	t.point = point
	t.left.Store(left)
	return t, nil
}

var chosen = sync.OnceValue(func() *target {
	t, err := parse(os.Getenv(Env))
	if err != nil {
		panic(err)
	}
	return t
})

// Point kills this process if this is the pass that Env names.
func Point(name string) {
	t := chosen()
	if t.point != name || t.left.Add(-1) != 0 {
		return
	}
	fmt.Fprintf(os.Stderr, "killed at %s\n", os.Getenv(Env))
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal may take a moment, and nothing may happen in it
}

var without = sync.OnceValue(func() string {
	rule := os.Getenv(OffEnv)
	if rule != "" && !slices.Contains(Rules(), rule) {
		panic(fmt.Sprintf("%s=%q: must be one of the rules %s", OffEnv, rule, strings.Join(Rules(), ", ")))
	}
	return rule
})

// Off says whether a rule is switched off.
func Off(rule string) bool { return without() == rule }
