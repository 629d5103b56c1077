//go:build !torture

package gateway

import (
	"os/exec"
	"testing"
)

// TestKillsWithTheTag runs what needs a build that can die at named points.
func TestKillsWithTheTag(t *testing.T) {
	if testing.Short() {
		t.Skip("another build of this test: not with -short")
	}
	out, err := exec.Command("go", "test", "-count=1", "-tags", "torture", "-run", "^TestKills$", "-v", ".").CombinedOutput()
	if err != nil {
		t.Errorf("go test -tags torture: %v\n%s", err, out)
	}
}
