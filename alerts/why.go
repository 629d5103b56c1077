package alerts

import (
	"fmt"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

// Finding says of one thing that could be the matter how it stands, and for everybody who would be told why he is or is not.
type Finding struct {
	Alert    string     `json:"alert_id"`
	Name     string     `json:"name"`
	Status   Status     `json:"status"`
	Severity string     `json:"severity"`
	Why      Reason     `json:"why"`    // told or sending: it pages. Else what keeps it
	Detail   string     `json:"detail"` // what the reason means here
	What     string     `json:"what"`
	Rule     string     `json:"rule"` // with the counts
	At       event.Time `json:"at"`   // of the tick that saw it
	Owners   []Route    `json:"owners"`
	Type     string     `json:"-"` // of the workflows it is about, "" if it is about none of a type
}

// Route is how one owner is told at one target.
type Route struct {
	Owner       string      `json:"owner,omitempty"`
	Destination Kind        `json:"destination"`
	Target      string      `json:"target"`
	Why         Reason      `json:"why"`
	Detail      string      `json:"detail,omitempty"`
	ToldAt      *event.Time `json:"told_at,omitempty"`
}

// mostFindings bounds an answer.
const mostFindings = 200

// Why says how everything with a name stood at the last tick. Nil: there has been none.
func (a *Alerts) Why(name string) []Finding {
	s := a.last
	if s == nil {
		return nil
	}
	all := []Finding{}
	seen := map[string]bool{}
	for _, c := range a.seen {
		if c.name != name {
			continue
		}
		seen[c.id] = true
		if len(all) < mostFindings {
			all = append(all, a.finding(s, c))
		}
	}
	for id, row := range a.rows {
		if row.Name == name && row.Status == Firing && !seen[id] && len(all) < mostFindings {
			f := a.finding(s, &condition{id: id, name: name, severity: row.Severity, owner: row.Owner, labels: row.Labels, rests: row.Rests, why: NotHolding,
				what: row.Annotations["summary"], rule: row.Annotations["rule"]})
			f.Detail = fmt.Sprintf("it no longer holds, and is over once it has not for %s", span(a.cfg.ResolveAfter))
			all = append(all, f)
		}
	}
	if known := map[string]bool{FreshnessSLOBurn: s.BurnsKnown, StaleContextHeld: s.HoldingsKnown, SourceSilent: s.SourcesKnown, EngineBlind: true, Watchdog: true}; !known[name] {
		all = append(all, Finding{Name: name, Status: Inactive, Why: NotKnown, Detail: "what it rests on has not been read yet", At: s.Now, Owners: []Route{}})
	}
	return all
}

func (a *Alerts) finding(s *Snapshot, c *condition) Finding {
	f := Finding{Alert: c.id, Name: c.name, Status: Pending, Severity: c.severity.String(), Why: c.why, What: c.what, Rule: c.rule, At: s.Now, Owners: []Route{}, Type: c.labels["workflow_type"]}
	row := a.rows[c.id]
	if row != nil {
		f.Status = row.Status
	}
	if row == nil || row.Status != Firing {
		if c.fires {
			f.Why = a.gate(s, c.name, c.rests)
		} else if row == nil && c.why != NotYet {
			f.Status = Inactive
		}
		f.Detail = a.detail(s, c, f.Why)
		return f
	}
	f.Severity = row.Severity.String()
	f.Why = NoDestination
	for _, to := range a.to {
		for _, owner := range row.to(to) {
			r := Route{Owner: owner, Destination: to.Kind, Target: to.ID}
			_, r.Why = a.purpose(s, row, to, owner, a.admits)
			if t := row.Told[toldKey(to, owner)]; t.Episode == row.Starts && t.At != 0 {
				r.ToldAt = &t.At
			}
			if m := inMaintenance(s, owner); r.Why == InMaintenance && m != nil {
				r.Detail = fmt.Sprintf("%s until %s", m.Reason, m.To)
			}
			f.Owners = append(f.Owners, r)
			f.Why = max(f.Why, r.Why) // the one that gets furthest
		}
	}
	f.Detail = a.detail(s, c, f.Why)
	return f
}

func (a *Alerts) detail(s *Snapshot, c *condition, why Reason) string {
	switch why {
	case NotHolding:
		return "the rule does not hold"
	case MinEvents:
		return "the rule would hold with more events"
	case TrafficClass:
		return "only live traffic pages"
	case NotYet:
		return "it has not held for long enough"
	case NotLive:
		return "a partition it rests on is catching up"
	case HeldByBlind:
		return "a partition it rests on is blind: EngineBlind is paged instead"
	case InMaintenance:
		return "it is recorded, and not paged during maintenance"
	case NoDestination:
		return "no destination leads to " + text(c.owner, "nobody in particular")
	case RateLimited:
		return fmt.Sprintf("more than %d new alerts in %s: a summary is sent instead", a.cfg.Burst, span(a.cfg.RateWindow))
	case Sending:
		return "it is due, and no destination has acknowledged it yet"
	case IsTold:
		return "it has been told"
	}
	return ""
}

func text(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// TestRow is the row that a test page shows.
func TestRow(owner string, now event.Time) *Row {
	what := "This is a test of where alerts for " + owner + " go. Nothing is the matter."
	return &Row{ID: id("Test", owner, now.String()), Name: "Test", Status: Firing, Severity: slo.Ticket, Owner: owner, Owners: []string{owner},
		Labels: map[string]string{"test": "true"}, Annotations: map[string]string{"summary": what, "description": what}, Starts: now, Sequence: 1}
}
