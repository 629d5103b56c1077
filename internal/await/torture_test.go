//go:build torture

package await

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// passes is set in the process that a test starts: it passes two points by turns and counts aloud.
const passes = "AWAIT_TEST_PASSES"

func TestMain(m *testing.M) {
	if os.Getenv(passes) != "" {
		for i := range 5 {
			Point(BeforeProduce)
			fmt.Fprintln(os.Stdout, i)
			Point(AfterProduce)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestTheNamedPassKills(t *testing.T) {
	for _, c := range []struct {
		env     string
		counted int
		killed  bool
	}{
		{"", 5, false},
		{"before-produce:1", 0, true},
		{"before-produce:3", 2, true},
		{"after-produce:3", 3, true},
		{"after-produce:6", 5, false},
		{"restore:1", 5, false},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), passes+"=1", Env+"="+c.env)
		out, err := cmd.Output()
		var exit *exec.ExitError
		killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		if err != nil && !killed {
			t.Fatalf("%q: %v", c.env, err)
		}
		if counted := strings.Count(string(out), "\n"); killed != c.killed || counted != c.counted {
			t.Errorf("%q: counted to %d, killed: %v; want %d, %v", c.env, counted, killed, c.counted, c.killed)
		}
	}
}

func TestWhatKillsNobodyIsRefused(t *testing.T) {
	for _, s := range []string{"restore", "restore:", "restore:0", "restore:-1", "restore:x", "nowhere:1", ":1"} {
		if _, err := parse(s); err == nil || !strings.Contains(err.Error(), Env) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
