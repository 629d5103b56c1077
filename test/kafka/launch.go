//go:build unix

package kafka

import (
	"os/exec"

	"github.com/freshet-io/freshet/internal/programs"
)

// launch starts a command; if dies is set it does not outlive this process, however that ends.
func launch(cmd *exec.Cmd, dies bool) error {
	if dies {
		return programs.StartMortal(cmd)
	}
	return cmd.Start()
}
