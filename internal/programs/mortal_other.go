//go:build !linux

package programs

import "os/exec"

// StartMortal starts a command. Here nothing can be said of what becomes of it when this process is killed.
func StartMortal(cmd *exec.Cmd) error { return cmd.Start() }
