//go:build unix

package paging

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/programs"
	"github.com/freshet-io/freshet/test/wait"
)

// What Prometheus says by the generated rules. It knows whose the objective is, and not whose the cause.
var (
	burnSeen   = []alert{{"payments", "alertname=FreshetSLOBurn severity=page slo=refunds"}}
	absentSeen = []alert{{"freshet", "alertname=FreshetAbsent severity=page"}}
	dogSeen    = []alert{{"freshet", "alertname=FreshetWatchdog severity=none"}}
)

// command runs a command of the program to its end and returns what it wrote.
func command(ctx context.Context, t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(ctx, program(t), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("freshet %s: %v", args, err)
	}
	return out
}

// With nothing but Prometheus, the generated rules and Alertmanagers, those are paged who have to be: while the engine works, for an objective
// that burns; when it is dead, or frozen, because it is. What burned then is over when the engine has seen so, and not for lack of data.
func TestPrometheusPagesWithoutTheEngine(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]struct {
		goes, comes func(ctx context.Context, i *instance)
	}{
		"dead": {func(_ context.Context, i *instance) { i.runs.Kill() }, func(ctx context.Context, i *instance) { i.start(ctx) }},
		"frozen": {
			func(_ context.Context, i *instance) { signal(i, syscall.SIGSTOP) },
			func(_ context.Context, i *instance) { signal(i, syscall.SIGCONT) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, 12*time.Minute)
			asked(t)
			r := newReceiver(t)
			ams := newAlertmanagers(t, r)
			ams.start(ctx, 0) // the other one is down
			dir := t.TempDir()
			path, graph := contractFile(t, dir)
			broker := ports(t, 1)[0]
			i := newInstance(t, "engine", "-contracts.file", path, "-embedded.listen", broker)
			i.start(ctx)
			at, err := programs.FreeAddress()
			if err != nil {
				t.Fatal(err)
			}
			server := programs.Prometheus{Dir: filepath.Join(dir, "prometheus"), Listen: at, Scrape: i.http, Every: time.Second, Alerts: []string{ams.all[0].Listen, ams.all[1].Listen},
				Rules: command(ctx, t, "rules", "-contracts.file", path)}
			p, err := server.Start(ctx)
			if err != nil {
				there(t, err)
			}
			keep(t, "Prometheus", func() *programs.Process { return p })
			f := newFleet(ctx, t, []string{broker}, graph)
			told := func(since time.Time, promised time.Duration, status string, alerts []alert) {
				t.Helper()
				wait.Until(ctx, t, func() string { return r.missing(status, alerts...) })
				r.delays(t, since, promised, status, alerts...)
			}
			wait.Until(ctx, t, func() string { // what Prometheus sends before it knows to whom is lost, and sent again a minute later
				if !strings.Contains(get(ctx, p.URL+"/api/v1/alertmanagers"), ams.all[0].Listen) {
					return "Prometheus does not know its Alertmanagers"
				}
				return ""
			})
			since := time.Now()
			f.breaks(ctx, policyLate)
			told(since, promised, "firing", burnSeen)

			f.pause(true)
			since = time.Now()
			s.goes(ctx, i)
			told(since, 2*time.Minute+promised, "firing", all(dogSeen, absentSeen)) // the rule waits for two
			r.exactly(t, "when the engine was "+name, all(dogSeen, burnSeen, absentSeen), nil)
			since = time.Now()
			s.comes(ctx, i)
			told(since, promised, "resolved", absentSeen)
			r.exactly(t, "when it was back", all(dogSeen, burnSeen, absentSeen), absentSeen)
			since = time.Now()
			f.heals(ctx)
			f.pause(false)
			told(since, promised, "resolved", burnSeen)
			r.exactly(t, "in the end", all(dogSeen, burnSeen, absentSeen), all(burnSeen, absentSeen))
		})
	}
}

func signal(i *instance, s syscall.Signal) {
	i.t.Helper()
	if err := i.runs.Signal(s); err != nil {
		i.t.Error(err)
	}
}
