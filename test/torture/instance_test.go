//go:build unix

package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/test/kafka"
)

// instance is one process of freshet run, over its lives.
type instance struct {
	w    *world
	id   string
	data string
	http string
	wall string // by how much its machine's clock is wrong
	pace string // how fast it goes
	heap string // directory of its profiles of the heap

	cmd    *exec.Cmd
	done   chan struct{} // closed when the process has ended
	lives  int
	frozen bool
}

// instance makes one that does not run yet.
func (w *world) instance(id string) *instance {
	w.t.Helper()
	ports, err := kafka.Ports(1)
	if err != nil {
		w.t.Fatal(err)
	}
	i := &instance{w: w, id: id, data: filepath.Join(w.dir, id), http: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	w.instances = append(w.instances, i)
	return i
}

func (i *instance) log() string { return filepath.Join(i.w.dir, i.id+".log") }

// start begins a life. A point other than "" is where it is to end: see package await.
func (i *instance) start(point string) {
	i.w.t.Helper()
	if i.runs() {
		i.w.t.Fatalf("%s runs already", i.id)
	}
	path, err := built()
	if err != nil {
		i.w.t.Fatal(err)
	}
	args := []string{
		"run", "-contracts.file", i.w.contract, "-data.dir", i.data, "-http.listen", i.http, "-instance.id", i.id, "-memory.limit", "1GiB",
		"-group.session-timeout", i.w.sessionTimeout.String(), "-topics.partitions", fmt.Sprint(i.w.partitions), "-topics.prefix", i.w.prefix,
		"-topics.max-message-bytes", fmt.Sprint(1 << 20),
	}
	if i.w.at == embedded {
		args = append(args, "-embedded.listen", i.w.brokers[0])
	} else {
		args = append(args, "-kafka.brokers", strings.Join(i.w.brokers, ","))
	}
	log, err := os.OpenFile(i.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		i.w.t.Fatal(err)
	}
	defer log.Close()
	i.lives++
	fmt.Fprintf(log, "---- life %d, %s %q\n", i.lives, time.Now().Format(time.RFC3339Nano), point)
	i.cmd = exec.Command(path, append(args, i.w.flags...)...)
	i.cmd.Stdout, i.cmd.Stderr = log, log
	i.cmd.Env = append(os.Environ(), await.Env+"="+point, await.OffEnv+"="+i.w.without, "FRESHET_WALL_CLOCK="+i.wall, "FRESHET_CLOCK_PACE="+i.pace, "FRESHET_HEAP_PROFILES="+i.heap)
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := kafka.StartMortal(i.cmd); err != nil {
		i.w.t.Fatal(err)
	}
	i.done, i.frozen = make(chan struct{}), false
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(i.cmd, i.done)
}

func (i *instance) runs() bool {
	if i.cmd == nil {
		return false
	}
	select {
	case <-i.done:
		return false
	default:
		return true
	}
}

func (i *instance) signal(s syscall.Signal) {
	i.w.t.Helper()
	if err := i.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		i.w.t.Errorf("%v to %s: %v", s, i.id, err)
	}
}

// kill ends a life at once.
func (i *instance) kill() {
	i.w.t.Helper()
	if i.runs() {
		i.signal(syscall.SIGKILL)
		<-i.done
	}
}

// stop ends a life as an operator would. One that does not end in time, or says that something went wrong, is an error.
func (i *instance) stop() {
	i.w.t.Helper()
	i.signal(syscall.SIGTERM)
	select {
	case <-i.done:
		if code := i.cmd.ProcessState.ExitCode(); code != 0 {
			i.w.t.Errorf("%s ended with %d when it was asked to stop: %s", i.id, code, i.lastWords())
		}
	case <-time.After(30 * time.Second):
		i.w.t.Errorf("%s did not end within 30 s", i.id)
		i.kill()
	}
}

func (i *instance) freeze() { i.frozen = true; i.signal(syscall.SIGSTOP) }
func (i *instance) wake()   { i.frozen = false; i.signal(syscall.SIGCONT) }

// get asks the instance over HTTP.
func (i *instance) get(ctx context.Context, path string) (int, string, error) {
	return i.ask(ctx, http.MethodGet, path, "")
}

func (i *instance) ask(ctx context.Context, method, path, body string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+i.http+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(text)), err
}

// state says how the instance is, in its own words.
func (i *instance) state() string {
	switch {
	case i.cmd == nil:
		return "never started"
	case !i.runs():
		return fmt.Sprintf("ended, %v: %s", i.cmd.ProcessState, i.lastWords())
	case i.frozen:
		return "frozen"
	}
	_, body, err := i.get(context.Background(), "/ready")
	if err != nil {
		return err.Error()
	}
	return body
}

// ready says whether the instance is, or what it waits for.
func (i *instance) ready() string {
	if !i.runs() {
		return i.id + " ended: " + i.lastWords()
	}
	status, body, err := i.get(i.w.t.Context(), "/ready")
	switch {
	case err != nil:
		return fmt.Sprintf("%s: %v", i.id, err)
	case status != http.StatusOK:
		return fmt.Sprintf("%s: %s", i.id, body)
	}
	return ""
}

// awaitReady waits until the instance is ready. One that ends instead fails the test.
func (i *instance) awaitReady(ctx context.Context) {
	i.w.t.Helper()
	i.w.until(ctx, func() string {
		if !i.runs() {
			i.w.t.Fatalf("%s ended: %s", i.id, i.lastWords())
		}
		return i.ready()
	})
}

// killedAt says whether the last life ended at the point that it was started with.
func (i *instance) killedAt(point string) bool {
	return strings.Contains(i.lastWords(), "killed at "+point)
}

// said are the lines of the last life's log.
func (i *instance) said() string {
	text, err := os.ReadFile(i.log())
	if err != nil {
		return err.Error()
	}
	if at := bytes.LastIndex(text, []byte("---- life ")); at >= 0 {
		text = text[at:]
	}
	return string(text)
}

// lastWords are the end of the last life's log.
func (i *instance) lastWords() string {
	lines := strings.Split(strings.TrimSpace(i.said()), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// clocks are how far partitions have been applied, in Unix seconds, by their name.
func (i *instance) clocks(ctx context.Context) map[string]float64 {
	all := map[string]float64{}
	for labels, v := range i.metric(ctx, "freshet_applied_through_timestamp_seconds") {
		all[labels] = v
	}
	return all
}

// metric returns the values of a series by their labels, nil if the instance does not answer.
func (i *instance) metric(ctx context.Context, name string) map[string]float64 {
	_, body, err := i.get(ctx, "/metrics")
	if err != nil {
		return nil
	}
	all := map[string]float64{}
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(\{[^}]*\})? (\S+)`).FindAllStringSubmatch(body, -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		if err == nil {
			all[m[1]] = v
		}
	}
	return all
}
