//go:build !torture

package await

import (
	"os/exec"
	"testing"
)

func TestAPointCostsNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Point(Callback) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The other half of the package is behind a tag.
func TestWithTheTag(t *testing.T) {
	if out, err := exec.Command("go", "test", "-count=1", "-tags", "torture", ".").CombinedOutput(); err != nil {
		t.Errorf("go test -tags torture: %v\n%s", err, out)
	}
}
