//go:build unix && !linux

package kafka

import "os/exec"

// launch starts a command. Here a process that is killed leaves its brokers running; kafka-stop ends them.
func launch(cmd *exec.Cmd, _ bool) error { return cmd.Start() }
