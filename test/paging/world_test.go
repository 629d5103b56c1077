//go:build unix

package paging

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/programs"
	"github.com/freshet-io/freshet/test/kafka"
	"github.com/freshet-io/freshet/test/wait"
)

const partitions = 4

// env says whether real Alertmanagers are used: "try", or "require" where it is an error that they are missing. make test-alerting sets it.
const env = "FRESHET_ALERTMANAGER"

// asked skips a test unless real programs are asked for, and there.
func asked(t *testing.T) {
	t.Helper()
	wanted := os.Getenv(env)
	if wanted == "" {
		t.Skipf("SKIPPED: %s is not set: make test-alerting", env)
	}
	if _, err := programs.FindAlertmanager(); err != nil {
		there(t, err)
	}
}

// there ends a test for which a program is missing: it is skipped, aloud, or fails where that is an error.
func there(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, programs.ErrMissing) && os.Getenv(env) != "require" {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	t.Fatal(err)
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// ports returns addresses that stay free.
func ports(t *testing.T, n int) []string {
	t.Helper()
	all, err := kafka.Ports(n)
	if err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for _, port := range all {
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return addrs
}

// keep shows what a process has said, if the test fails, and ends it.
func keep(t *testing.T, name string, p func() *programs.Process) {
	t.Cleanup(func() {
		if one := p(); one != nil {
			one.Kill()
			if t.Failed() {
				t.Logf("%s said:\n%s", name, one.Said())
			}
		}
	})
}

// alertmanagers are two that know each other.
type alertmanagers struct {
	t    *testing.T
	all  [2]programs.Alertmanager
	runs [2]*programs.Process
}

// newAlertmanagers makes them. They send each owner's alerts to a path of the receiver: one alert at a time, at once.
func newAlertmanagers(t *testing.T, r *receiver) *alertmanagers {
	t.Helper()
	var b strings.Builder
	b.WriteString("route:\n  receiver: nobody\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\n  repeat_interval: 4h\n  routes:\n")
	owners := []string{"payments", "billing", "support", "procurement", "desk", "risk", "treasury", "search", "ml", "platform", "freshet"}
	for _, o := range owners {
		fmt.Fprintf(&b, "    - {matchers: ['owner=\"%s\"'], receiver: %[1]s}\n", o)
	}
	b.WriteString("receivers:\n")
	for _, o := range append(owners, "nobody") {
		fmt.Fprintf(&b, "  - {name: %s, webhook_configs: [{url: '%s/am/%[1]s'}]}\n", o, r.URL)
	}
	a := &alertmanagers{t: t}
	at := ports(t, 4)
	for i := range a.all {
		a.all[i] = programs.Alertmanager{Dir: filepath.Join(t.TempDir(), fmt.Sprint("am", i)), Listen: at[i], Cluster: at[2+i], Peers: []string{at[3-i]}, Config: []byte(b.String())}
		keep(t, fmt.Sprint("Alertmanager ", i), func() *programs.Process { return a.runs[i] })
	}
	return a
}

func (a *alertmanagers) start(ctx context.Context, i int) {
	a.t.Helper()
	p, err := a.all[i].Start(ctx)
	if err != nil {
		there(a.t, err)
	}
	a.runs[i] = p
}

func (a *alertmanagers) urls() string {
	return "http://" + a.all[0].Listen + ",http://" + a.all[1].Listen
}

// knows waits until one has been told of so many alerts.
func (a *alertmanagers) knows(ctx context.Context, i int, labels ...string) {
	a.t.Helper()
	wait.Until(ctx, a.t, func() string {
		body := get(ctx, a.runs[i].URL+"/api/v2/alerts")
		for _, l := range labels {
			if !strings.Contains(body, l) {
				return fmt.Sprintf("Alertmanager %d does not know %s", i, l)
			}
		}
		return ""
	})
}

// get returns what answers, "" if nothing does.
func get(ctx context.Context, url string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return ""
	}
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		return ""
	}
	return b.String()
}

// instance is one process of freshet run, over its lives.
type instance struct {
	t    *testing.T
	args []string
	http string
	log  string
	runs *programs.Process
}

// newInstance makes one that does not run yet.
func newInstance(t *testing.T, id string, args ...string) *instance {
	t.Helper()
	dir := t.TempDir()
	i := &instance{t: t, http: ports(t, 1)[0], log: filepath.Join(dir, "log")}
	i.args = append([]string{"run", "-instance.id", id, "-data.dir", filepath.Join(dir, "data"), "-http.listen", i.http, "-topics.partitions", fmt.Sprint(partitions), "-memory.limit", "512MiB"}, args...)
	keep(t, id, func() *programs.Process { return i.runs })
	return i
}

// program is freshet itself.
func program(t *testing.T) string {
	t.Helper()
	path := os.Getenv("FRESHET_BIN")
	if path == "" {
		t.Fatal("FRESHET_BIN does not say where freshet is: make test-alerting")
	}
	return path
}

// start begins a life, and waits until it is ready.
func (i *instance) start(ctx context.Context) {
	i.t.Helper()
	p, err := programs.Run(exec.Command(program(i.t), i.args...), i.log)
	if err != nil {
		i.t.Fatal(err)
	}
	p.URL, i.runs = "http://"+i.http, p
	if err := p.Await(ctx, "/ready"); err != nil {
		i.t.Fatal(err)
	}
}

// evaluates says whether it is the instance that evaluates alerts. Any instance answers for the one that does; its own metrics say which.
func (i *instance) evaluates(ctx context.Context) bool {
	return i.runs != nil && i.runs.Runs() && strings.Contains(get(ctx, "http://"+i.http+"/metrics"), `freshet_partition_state{partition="freshet-alerting/0",state="live"} 1`)
}
