package alerting

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/freshet-io/freshet/alerts"
)

// Config says how alerts are evaluated and what pages say.
type Config struct {
	Tick         time.Duration
	EngineOwner  string
	ExternalURL  string
	RunbookURL   string
	DashboardURL string
	TemplateFile string
}

// RegisterFlags declares the flags with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.DurationVar(&c.Tick, "alerts.tick", time.Second, "How often alerts are evaluated at least. What makes an objective worse, or a source silent, has them evaluated sooner.")
	f.StringVar(&c.EngineOwner, "alerts.engine-owner", "", "Owner of the contract who is paged when the engine is blind. Empty: nobody in particular; Alertmanagers and webhooks are told all the same.")
	f.StringVar(&c.ExternalURL, "alerts.external-url", "", "Where people reach this server, for the links of pages. Empty: pages have no links to it.")
	f.StringVar(&c.RunbookURL, "alerts.runbook-url", "https://github.com/freshet-io/freshet/blob/main/docs/runbooks", "Where the runbooks are; an alert's name and .md are put behind it.")
	f.StringVar(&c.DashboardURL, "alerts.dashboard-url", "", "Dashboard that pages link to.")
	f.StringVar(&c.TemplateFile, "alerts.template-file", "", "Go text/template that defines \"summary\" or \"description\" of pages anew.")
}

// Validate names the flag, the value and what is allowed.
func (c *Config) Validate() error {
	if c.Tick < 100*time.Millisecond || c.Tick > time.Minute {
		return fmt.Errorf("-alerts.tick %v: must be from 100ms to 1m", c.Tick)
	}
	for name, v := range map[string]string{"alerts.external-url": c.ExternalURL, "alerts.runbook-url": c.RunbookURL, "alerts.dashboard-url": c.DashboardURL} {
		if u, err := url.Parse(v); v != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return fmt.Errorf("-%s %q: must be an http or https URL", name, v)
		}
	}
	return nil
}

// New returns Alerts with the configured text.
func (c *Config) New() (*alerts.Alerts, error) {
	override := ""
	if c.TemplateFile != "" {
		b, err := os.ReadFile(c.TemplateFile)
		if err != nil {
			return nil, fmt.Errorf("-alerts.template-file: %w", err)
		}
		override = string(b)
	}
	text, err := alerts.NewText(override)
	if err != nil {
		return nil, fmt.Errorf("-alerts.template-file %s: %w", c.TemplateFile, err)
	}
	return alerts.New(alerts.Config{EngineOwner: c.EngineOwner, ExternalURL: c.ExternalURL, RunbookURL: c.RunbookURL, DashboardURL: c.DashboardURL}, text), nil
}
