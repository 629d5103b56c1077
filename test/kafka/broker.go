//go:build unix

package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// broker is one process of a cluster.
type broker struct {
	node    int
	dir     string
	addr    string
	java    string
	libs    string
	heap    string
	warm    bool
	outlive bool
	audit   bool // says in its log what it has allowed and denied

	secured, mutual string // addresses for TLS with SASL, and with a client's certificate

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

func (b *broker) properties() string { return filepath.Join(b.dir, "server.properties") }

// pid is where the process id is kept, for those who did not start the broker.
func (b *broker) pid() string { return filepath.Join(b.dir, "pid") }

// jvm is a command of Java: one that is soon there, or one that is fast once it is warm.
func (b *broker) jvm(heap string, warm bool, args ...string) *exec.Cmd {
	all := []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	if warm {
		all = []string{"-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"}
	}
	if b.audit {
		all = append(all, "-Dfreshet.audit=DEBUG")
	}
	all = append(all, "-Xms"+heap, "-Xmx"+heap, "-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=file:"+filepath.Join(b.dir, "log4j2.yaml"), "-cp", filepath.Join(b.libs, "*"))
	return exec.Command(b.java, append(all, args...)...)
}

// format makes the data directory of a broker that has none.
func (b *broker) format(ctx context.Context, cluster string, s *SASL) error {
	if _, err := os.Stat(filepath.Join(b.dir, "logs", "meta.properties")); err == nil {
		return nil
	}
	args := []string{"kafka.tools.StorageTool", "format", "-t", cluster, "-c", b.properties()}
	if s != nil {
		for _, name := range slices.Sorted(maps.Keys(s.Users)) {
			for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
				args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, name, s.Users[name]))
			}
		}
	}
	cmd := b.jvm("256m", false, args...)
	out, err := cmd.CombinedOutput()
	if err := errors.Join(err, ctx.Err()); err != nil {
		return fmt.Errorf("format broker %d: %w: %s", b.node, err, out)
	}
	return nil
}

func (b *broker) start() error {
	if b.running() {
		return fmt.Errorf("broker %d runs already", b.node)
	}
	out, err := os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("log of broker %d: %w", b.node, err)
	}
	defer out.Close()
	b.cmd = b.jvm(b.heap, b.warm, "kafka.Kafka", b.properties())
	b.cmd.Stdout, b.cmd.Stderr = out, out
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is not the broker's
	if err := launch(b.cmd, !b.outlive); err != nil {
		return fmt.Errorf("start broker %d: %w", b.node, err)
	}
	b.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}(b.cmd, b.done)
	if err := os.WriteFile(b.pid(), []byte(strconv.Itoa(b.cmd.Process.Pid)), 0o644); err != nil {
		return fmt.Errorf("process id of broker %d: %w", b.node, err)
	}
	return nil
}

func (b *broker) running() bool {
	if b.cmd == nil {
		return false
	}
	select {
	case <-b.done:
		return false
	default:
		return true
	}
}

// await waits until the port is open: in KRaft mode a broker opens it once it may serve.
func (b *broker) await(ctx context.Context) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-b.done:
			return fmt.Errorf("broker %d ended at its start: %s", b.node, b.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("broker %d does not listen on %s: %w; %s", b.node, b.addr, ctx.Err(), b.lastWords())
		case <-tick.C:
		}
	}
}

// lastWords are the end of the broker's log.
func (b *broker) lastWords() string {
	text, err := os.ReadFile(filepath.Join(b.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-20):], []byte("\n")))
}

// stopPatience is how long a broker may take to end when it is asked to.
const stopPatience = 30 * time.Second

func (b *broker) stop() error {
	if !b.running() {
		return nil
	}
	if err := b.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-b.done:
		return os.Remove(b.pid())
	case <-time.After(stopPatience):
		return errors.Join(fmt.Errorf("broker %d did not end within %v", b.node, stopPatience), b.kill())
	}
}

func (b *broker) kill() error {
	if !b.running() {
		return nil
	}
	if err := b.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-b.done
	return os.Remove(b.pid())
}

func (b *broker) pause() error  { return b.signal(syscall.SIGSTOP) }
func (b *broker) resume() error { return b.signal(syscall.SIGCONT) }

func (b *broker) signal(s syscall.Signal) error {
	if b.cmd == nil {
		return fmt.Errorf("broker %d was never started", b.node)
	}
	if err := b.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v to broker %d: %w", s, b.node, err)
	}
	return nil
}

// StopAll ends the brokers that another process has started in a directory, by their process ids.
func StopAll(dir string) (int, error) {
	files, err := filepath.Glob(filepath.Join(dir, "broker-*", "pid"))
	if err != nil {
		return 0, fmt.Errorf("look for brokers: %w", err)
	}
	stopped := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return stopped, fmt.Errorf("process id: %w", err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return stopped, fmt.Errorf("process id in %s: %w", f, err)
		}
		if err := end(pid); err != nil {
			return stopped, err
		}
		stopped++
		if err := os.Remove(f); err != nil {
			return stopped, fmt.Errorf("process id: %w", err)
		}
	}
	return stopped, nil
}

// end asks a process that is not a child of this one to end, and insists.
func end(pid int) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(stopPatience)
	sig := syscall.SIGTERM
	for {
		err := syscall.Kill(pid, sig)
		switch {
		case errors.Is(err, syscall.ESRCH):
			return nil
		case err != nil:
			return fmt.Errorf("%v to process %d: %w", sig, pid, err)
		}
		sig = 0 // only asks whether it is still there
		if time.Now().After(deadline) {
			sig, deadline = syscall.SIGKILL, time.Now().Add(stopPatience)
		}
		<-tick.C
	}
}
