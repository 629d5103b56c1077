package programs

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// mortal starts processes that die with this one. Linux ties that to the thread that started them, so one thread does it, and stays.
var mortal = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// StartMortal starts a command that does not outlive this process, however that ends.
func StartMortal(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	err := make(chan error)
	mortal() <- func() { err <- cmd.Start() }
	return <-err
}
