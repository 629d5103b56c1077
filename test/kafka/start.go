//go:build unix

package kafka

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Env says whether tests run on a real Kafka: unset they are skipped, "try" runs them where Java and Maven are there, "require" fails
// where they are not.
const Env = "FRESHET_KAFKA"

// Skip skips a test unless a real Kafka is asked for, and says so.
func Skip(t *testing.T) {
	t.Helper()
	if v := os.Getenv(Env); v != "try" && v != "require" {
		t.Skipf("NOT RUN ON A REAL KAFKA: %s is not set to try or require; make test-kafka sets it", Env)
	}
}

// Start starts a cluster for one test, in a directory of its own; it ends with the test. Without Java or Maven the test is skipped, or
// fails where the environment requires it.
func Start(t *testing.T, o Options) *Cluster {
	t.Helper()
	Skip(t)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	c, err := Launch(t.Context(), o)
	if errors.Is(err, ErrMissing) && os.Getenv(Env) != "require" {
		t.Skipf("NOT RUN ON A REAL KAFKA: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			c.keepLogs(t)
		}
	})
	return c
}

// keepLogs shows what the brokers of a failed test have said last.
func (c *Cluster) keepLogs(t *testing.T) {
	t.Helper()
	for _, b := range c.brokers {
		t.Logf("%s:\n%s", filepath.Join(b.dir, "log"), b.lastWords())
	}
}

// StartMortal starts a command that does not outlive the test's process, however that ends.
func StartMortal(cmd *exec.Cmd) error { return launch(cmd, true) }
