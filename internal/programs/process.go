package programs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrMissing says that a program is not installed.
var ErrMissing = errors.New("is not installed")

// find returns the path of a program by the first of its names that there is.
func find(pkg string, names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s %w (Debian: apt-get install %s)", names[0], ErrMissing, pkg)
}

// Process is a program that has been started.
type Process struct {
	URL string // where it answers

	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// Run starts a command with what it says going to the end of a file.
func Run(cmd *exec.Cmd, logFile string) (*Process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", filepath.Base(cmd.Path), err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := StartMortal(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	p := &Process{cmd: cmd, log: logFile, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Runs says whether the process has not ended.
func (p *Process) Runs() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal to a process that runs.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v to %s: %w", s, filepath.Base(p.cmd.Path), err)
	}
	return nil
}

// Kill ends the process at once, and returns when it has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Said returns the end of what the process has said, and those before it in the same file.
func (p *Process) Said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-4000):]))
}

// Await waits until a path of the process answers 200.
func (p *Process) Await(ctx context.Context, path string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	missing := errors.New("it has not been asked")
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s%s: %w: %w", p.URL, path, ctx.Err(), missing)
		case <-p.done:
			return fmt.Errorf("%s ended: %s", filepath.Base(p.cmd.Path), p.Said())
		case <-tick.C:
		}
		if missing = ask(ctx, p.URL+path); missing == nil {
			return nil
		}
	}
}

func ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
