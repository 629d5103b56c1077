package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/alerts/rules"
	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/internal/programs"
)

// pageReceiver is a webhook that notes when it was told first of what.
type pageReceiver struct {
	url    string
	now    func() time.Time
	server *http.Server

	mu    sync.Mutex
	first map[[2]string]time.Time // by path and what it is about
}

func newPageReceiver(now func() time.Time) (*pageReceiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for pages: %w", err)
	}
	r := &pageReceiver{url: "http://" + l.Addr().String(), now: now, first: map[[2]string]time.Time{}}
	r.server = &http.Server{Handler: http.HandlerFunc(r.serve), ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(l) }()
	return r, nil
}

func (r *pageReceiver) close() error { return r.server.Close() }

// told is what is read of what Alertmanagers, and the engine, post.
type told struct {
	toldOf
	Alerts []toldOf // of an Alertmanager
}

type toldOf struct {
	Name   string `json:"name"`
	Labels map[string]string
}

func (r *pageReceiver) serve(_ http.ResponseWriter, req *http.Request) {
	at := r.now()
	body, err := io.ReadAll(req.Body)
	var t told
	if err != nil || json.Unmarshal(body, &t) != nil {
		return // it is missed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range append(t.Alerts, t.toldOf) {
		name, path := a.Name, req.URL.Path
		if name == "" {
			name = a.Labels["alertname"]
		}
		what := map[string]string{alerts.FreshnessSLOBurn: a.Labels["slo"], rules.SLOBurn: a.Labels["slo"], alerts.SourceSilent: a.Labels["key"], alerts.Watchdog: alerts.Watchdog}[name]
		if name == rules.SLOBurn {
			path = "/am/prometheus"
		}
		key := [2]string{path, what}
		if _, known := r.first[key]; !known && what != "" {
			r.first[key] = at
		}
	}
}

// at returns when it was told first of something, if it was.
func (r *pageReceiver) at(path, what string) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.first[[2]string{path, what}]
	return at, ok
}

func (r *pageReceiver) has(path, what string) bool {
	_, ok := r.at(path, what)
	return ok
}

// missing says which pages have not come, "" if all have.
func (r *pageReceiver) missing(ways []pageWay, samples int) string {
	var all []string
	for _, way := range ways {
		n := 0
		for i := range samples {
			if r.has(way.path, bench.Objective(i)) {
				n++
			}
		}
		quiet := 0
		for i := range pageQuiet {
			if r.has(way.path, bench.Quiet(i)) {
				quiet++
			}
		}
		if n < samples || way.goal > 0 && quiet < pageQuiet {
			all = append(all, fmt.Sprintf("%d of %d breaches and %d of %d silences have come by %s", n, samples, quiet, pageQuiet, way.name))
		}
	}
	return strings.Join(all, "; ")
}

// alertmanager starts one that tells the receiver of each alert at once.
func (s *pageStage) alertmanager(ctx context.Context) (*programs.Process, error) {
	at, err := programs.FreeAddress()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("route: {receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}\nreceivers: [{name: hook, webhook_configs: [{url: '%s/am/freshet'}]}]\n", s.receiver.url)
	am, err := (&programs.Alertmanager{Dir: filepath.Join(s.dir, "alertmanager"), Listen: at, Config: []byte(config)}).Start(ctx)
	if err != nil {
		return nil, err
	}
	s.undo = append(s.undo, func() error { am.Kill(); return nil })
	return am, nil
}

// prometheus starts one that scrapes the engine and evaluates the generated rules, both every second.
func (s *pageStage) prometheus(ctx context.Context, engine string) error {
	file, err := readContract(s.cfg.ContractsFile)
	if err != nil {
		return err
	}
	text, err := rules.Build(file, rules.Options{Job: "freshet"}).YAML()
	if err != nil {
		return err
	}
	at, err := programs.FreeAddress()
	if err != nil {
		return err
	}
	p, err := (&programs.Prometheus{Dir: filepath.Join(s.dir, "prometheus"), Listen: at, Scrape: engine, Every: time.Second, Rules: text, Alerts: []string{strings.TrimPrefix(s.am.URL, "http://")}}).Start(ctx)
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { p.Kill(); return nil })
	s.ways = append(s.ways, pageWay{"Prometheus → Alertmanager → webhook", "/am/prometheus", 0})
	return nil
}
