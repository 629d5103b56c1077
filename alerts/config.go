package alerts

import (
	"net/url"
	"strings"

	"github.com/freshet-io/freshet/freshness"
)

const (
	second = freshness.Duration(1000)
	minute = 60 * second
	hour   = 60 * minute
)

// Asleep is how long a process that runs does not go without saying so. Beyond it the process was frozen, or its machine was, and another
// instance may have gone on.
const Asleep = 10 * second

// Config is what does not come from the contract. The zero value is completed by Defaults.
type Config struct {
	Repeat       freshness.Duration // a firing alert is sent again after so long
	ResolveAfter freshness.Duration // an alert is over when it has not held for so long
	BlindAfter   freshness.Duration // a clock may be behind for so long
	WakeAfter    freshness.Duration // a process that was not run has so long to find out how far the clocks are
	KeepResolved freshness.Duration // rows that are over are kept for so long
	Group        int                // above so many keys of a kind there is one row for all of them
	MaxRows      int                // rows that are over are given up early above so many
	Burst        int                // most new alerts that one owner is sent to one destination within RateWindow
	RateWindow   freshness.Duration

	EngineOwner  string // owner of the contract who answers for the engine; "": nobody
	ExternalURL  string // where Freshet's HTTP is reached, for links; "": no links
	RunbookURL   string // the name of the alert is put behind it
	DashboardURL string
}

// Defaults fills in what is zero.
func (c Config) Defaults() Config {
	set := func(d *freshness.Duration, to freshness.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.Repeat, minute)
	set(&c.ResolveAfter, minute)
	set(&c.BlindAfter, minute)
	set(&c.WakeAfter, 20*second)
	set(&c.KeepResolved, 24*hour)
	set(&c.RateWindow, 10*minute)
	for _, n := range []struct {
		v  *int
		to int
	}{{&c.Group, 50}, {&c.MaxRows, 5000}, {&c.Burst, 20}} {
		if *n.v == 0 {
			*n.v = n.to
		}
	}
	return c
}

// runbook returns the address of an alert's runbook.
func (c *Config) runbook(name string) string {
	if c.RunbookURL == "" {
		return ""
	}
	return strings.TrimSuffix(c.RunbookURL, "/") + "/" + name + ".md"
}

// explain returns the address of the page that explains a decision, or shows a workflow.
func (c *Config) explain(e *Evidence) string {
	switch {
	case c.ExternalURL == "" || e.Workflow == "":
		return ""
	case e.DecisionID == "":
		return strings.TrimSuffix(c.ExternalURL, "/") + "/ui/#/workflow/" + url.PathEscape(e.Workflow)
	}
	return strings.TrimSuffix(c.ExternalURL, "/") + "/ui/#/decision/" + url.PathEscape(e.Workflow) + "/" + url.PathEscape(e.DecisionID)
}
