package dispatch

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config says where alerts are sent.
type Config struct {
	Alertmanagers string // base URLs, separated by commas
	Webhooks      string
	SecretFile    string // of the webhooks' signatures
	PagerDuty     string
	Slack         string
	Timeout       time.Duration // of one attempt
	MinBackoff    time.Duration
	MaxBackoff    time.Duration
}

// RegisterFlags declares the flags with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Alertmanagers, "alerts.alertmanager.urls", "", "Alertmanagers, such as http://alertmanager-0:9093, separated by commas: name every replica.")
	f.StringVar(&c.Webhooks, "alerts.webhook.urls", "", "Webhooks that get every alert's record, separated by commas.")
	f.StringVar(&c.SecretFile, "alerts.webhook.secret-file", "", "File with the secret (whsec_ and base64) that webhooks are signed with, by Standard Webhooks. Empty: they are not signed.")
	f.StringVar(&c.PagerDuty, "alerts.pagerduty.url", "https://events.pagerduty.com/v2/enqueue", "PagerDuty's Events API v2. Owners whose contract entry has a pagerduty_key are paged there.")
	f.StringVar(&c.Slack, "alerts.slack.url", "", "Slack's incoming webhook. Owners whose contract entry has a channel are told there.")
	f.DurationVar(&c.Timeout, "alerts.timeout", 10*time.Second, "How long one attempt to deliver an alert may take.")
	f.DurationVar(&c.MinBackoff, "alerts.min-backoff", 500*time.Millisecond, "Pause after the first failed attempt to deliver; it doubles with each one.")
	f.DurationVar(&c.MaxBackoff, "alerts.max-backoff", time.Minute, "Longest pause between attempts to deliver, unless the receiver asks for a longer one.")
}

// Validate names the flag and what is allowed; of a value only what cannot be a secret.
func (c *Config) Validate() error {
	var errs []error
	for _, f := range []struct{ name, value string }{
		{"alerts.alertmanager.urls", c.Alertmanagers}, {"alerts.webhook.urls", c.Webhooks}, {"alerts.pagerduty.url", c.PagerDuty}, {"alerts.slack.url", c.Slack},
	} {
		for i, u := range list(f.value) {
			if parsed, err := url.Parse(u); err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
				errs = append(errs, fmt.Errorf("-%s: address %d must be an http or https URL", f.name, i+1))
			}
		}
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("-alerts.timeout %v: must be greater than 0", c.Timeout))
	}
	if c.MinBackoff <= 0 || c.MaxBackoff < c.MinBackoff {
		errs = append(errs, fmt.Errorf("-alerts.min-backoff %v and -alerts.max-backoff %v: must be greater than 0, the second not less than the first", c.MinBackoff, c.MaxBackoff))
	}
	if c.SecretFile != "" {
		if _, err := c.secret(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Secrets names the flags whose values are not shown.
func Secrets() []string {
	return []string{"alerts.webhook.urls", "alerts.slack.url", "alerts.alertmanager.urls", "alerts.pagerduty.url"}
}

func list(s string) []string {
	var all []string
	for u := range strings.SplitSeq(s, ",") {
		if u = strings.TrimSpace(u); u != "" {
			all = append(all, u)
		}
	}
	return all
}

// secret reads the secret of the webhooks; nil if there is none.
func (c *Config) secret() ([]byte, error) {
	if c.SecretFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("-alerts.webhook.secret-file: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(string(text)), "whsec_"))
	if err != nil || len(key) < 24 {
		return nil, fmt.Errorf("-alerts.webhook.secret-file %s: must hold whsec_ and the base64 of at least 24 bytes", c.SecretFile)
	}
	return key, nil
}
