package programs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Prometheus says what Prometheus is to run.
type Prometheus struct {
	Dir      string        // of its configuration, data and log
	Listen   string        // address
	Scrape   string        // address of the engine
	Every    time.Duration // it scrapes and evaluates so often
	Rules    []byte
	Features string   // --enable-feature
	Alerts   []string // addresses of Alertmanagers
}

// Start starts it and waits until it answers.
func (s *Prometheus) Start(ctx context.Context) (*Process, error) {
	path, err := find("prometheus", "prometheus")
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("global: {scrape_interval: %v, evaluation_interval: %[1]v}\nrule_files: [rules.yaml]\nscrape_configs: [{job_name: freshet, static_configs: [{targets: [%q]}]}]\n", s.Every, s.Scrape)
	if len(s.Alerts) > 0 {
		config += fmt.Sprintf("alerting: {alertmanagers: [{static_configs: [{targets: [%s]}]}]}\n", strings.Join(s.Alerts, ", "))
	}
	if err := write(s.Dir, map[string][]byte{"prometheus.yml": []byte(config), "rules.yaml": s.Rules}); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+s.Listen, "--enable-feature="+s.Features)
	return start(ctx, cmd, s.Dir, s.Listen)
}

// Alertmanager says what Alertmanager is to run.
type Alertmanager struct {
	Dir     string // of its configuration, data and log
	Listen  string // address
	Cluster string // address at which its peers find it; "": it has none
	Peers   []string
	Config  []byte
}

// FindAlertmanager returns where the program is.
func FindAlertmanager() (string, error) {
	return find("prometheus-alertmanager", "prometheus-alertmanager", "alertmanager")
}

// Start starts it and waits until it answers. One that was started before in the same directory goes on from what it had stored.
func (a *Alertmanager) Start(ctx context.Context) (*Process, error) {
	path, err := FindAlertmanager()
	if err != nil {
		return nil, err
	}
	if err := write(a.Dir, map[string][]byte{"alertmanager.yml": a.Config}); err != nil {
		return nil, err
	}
	args := []string{"--config.file=alertmanager.yml", "--storage.path=data", "--web.listen-address=" + a.Listen, "--cluster.listen-address=" + a.Cluster, "--cluster.pushpull-interval=2s", "--cluster.reconnect-interval=1s"}
	for _, p := range a.Peers {
		args = append(args, "--cluster.peer="+p)
	}
	return start(ctx, exec.Command(path, args...), a.Dir, a.Listen)
}

func write(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return fmt.Errorf("write a configuration: %w", err)
		}
	}
	return nil
}

func start(ctx context.Context, cmd *exec.Cmd, dir, listen string) (*Process, error) {
	cmd.Dir = dir
	p, err := Run(cmd, filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	p.URL = "http://" + listen
	if err := p.Await(ctx, "/-/ready"); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}
