package alerts

import (
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

// Target is one place where alerts are sent: one Alertmanager replica, one webhook, and so on.
type Target struct {
	ID   string // stable over restarts; no secret can be read from it
	Kind Kind
}

// Purpose is why something is sent. The zero value is none.
type Purpose uint8

// Purposes.
const (
	NoPurpose Purpose = iota
	Tell              // it fires, and the owner has not been told
	Repeat            // it still fires
	Resolve           // it is over
	Summarise         // more alerts than the owner is sent one by one
	Try               // a test
)

func (p Purpose) String() string {
	switch p {
	case Tell:
		return "tell"
	case Repeat:
		return "repeat"
	case Resolve:
		return "resolve"
	case Summarise:
		return "summary"
	case Try:
		return "test"
	}
	return "unknown"
}

// Notification is one thing that one owner is to be told at one target.
type Notification struct {
	To      Target
	Owner   string // "": whoever reads there
	Purpose Purpose
	Row     *Row // a copy
	Since   event.Time
}

// Key tells notifications apart of which only the latest matters.
func (n *Notification) Key() string { return n.Row.ID + "\x00" + toldKey(n.To, n.Owner) }

// Raised says whether the target has acknowledged the same episode at a lower severity.
func (n *Notification) Raised() bool {
	told := n.Row.Told[toldKey(n.To, n.Owner)]
	return n.Purpose == Tell && told.At != 0 && told.Episode == n.Row.Starts && told.Severity < n.Row.Severity
}

// Ack says that a notification has been delivered.
type Ack struct {
	Alert    string
	To       Target
	Owner    string
	Purpose  Purpose
	Episode  event.Time
	Severity slo.Severity
	At       event.Time
}

// AckOf returns the acknowledgement of a notification.
func AckOf(n *Notification, at event.Time) Ack {
	return Ack{Alert: n.Row.ID, To: n.To, Owner: n.Owner, Purpose: n.Purpose, Episode: n.Row.Starts, Severity: n.Row.Severity, At: at}
}

func toldKey(to Target, owner string) string { return to.ID + " " + owner }

func (a *Alerts) acknowledge(acks []Ack) {
	for _, ack := range acks {
		key := toldKey(ack.To, ack.Owner)
		if ack.Purpose == Summarise {
			if r := a.rates[key]; r != nil {
				r.summarised = ack.At
			}
			continue
		}
		if row := a.rows[ack.Alert]; row != nil && row.Starts == ack.Episode {
			row.tell(key, Told{Episode: ack.Episode, Severity: max(ack.Severity, row.Told[key].Severity), Resolved: ack.Purpose == Resolve, At: ack.At})
		}
	}
}

// due returns everything that has to be sent and has not been acknowledged.
func (a *Alerts) due(s *Snapshot, mine func(id string) bool) []Notification {
	var all []Notification
	withheld := map[string][]*Row{}
	at := map[string]Notification{}
	for _, id := range slices.Sorted(maps.Keys(a.rows)) {
		row := a.rows[id]
		if !mine(id) {
			continue
		}
		var copied *Row
		for _, to := range a.to {
			for _, owner := range row.concerns(to) {
				purpose, why := a.purpose(s, row, to, owner, a.admit)
				if purpose == NoPurpose && why != RateLimited {
					continue
				}
				if copied == nil {
					copied = row.clone()
				}
				if key := toldKey(to, owner); purpose == Tell && row.Told[key].Episode != row.Starts {
					row.tell(key, Told{Episode: row.Starts, Severity: row.Severity})
				}
				n := Notification{To: to, Owner: owner, Purpose: purpose, Row: copied, Since: s.Now}
				if why == RateLimited {
					withheld[toldKey(to, owner)] = append(withheld[toldKey(to, owner)], copied)
					at[toldKey(to, owner)] = n
					continue
				}
				all = append(all, n)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(withheld)) {
		if r := a.rates[key]; r.summarised == 0 || s.Now-r.summarised >= event.Time(a.cfg.RateWindow) {
			n := at[key]
			n.Purpose, n.Row = Summarise, a.summary(s, n.Owner, withheld[key])
			all = append(all, n)
		}
	}
	return all
}

// to returns whom a target tells of a row: nobody, each owner, or "" for whoever reads there.
func (r *Row) to(t Target) []string {
	switch {
	case !t.Kind.perOwner():
		return []string{""}
	case r.Name == Watchdog && t.Kind.people():
		return nil
	case len(r.Owners) == 0:
		return []string{""}
	}
	return r.Owners
}

// concerns returns whom a target has to hear of a row now: those it tells, and of a row that is over those who may have been told.
func (r *Row) concerns(t Target) []string {
	if r.Status == Firing {
		return r.to(t)
	}
	var owners []string
	for key, told := range r.Told {
		if target, owner, _ := strings.Cut(key, " "); target == t.ID && told.owed(r) {
			owners = append(owners, owner)
		}
	}
	slices.Sort(owners)
	return owners
}

// purpose says what one owner is to be told at one target now, and why nothing if nothing.
func (a *Alerts) purpose(s *Snapshot, row *Row, to Target, owner string, admit func(key string, row *Row, now event.Time) bool) (Purpose, Reason) {
	told := row.Told[toldKey(to, owner)]
	if row.Status == Resolved {
		if told.owed(row) {
			return Resolve, Sending
		}
		return NoPurpose, NotHolding
	}
	if told.knows(row) {
		if !to.Kind.people() && s.Now-told.At >= event.Time(a.cfg.Repeat) {
			return Repeat, IsTold
		}
		return NoPurpose, IsTold
	}
	if !reaches(s, to, owner) {
		return NoPurpose, NoDestination
	}
	if why := a.gate(s, row.Name, row.Rests); why != Unclear {
		return NoPurpose, why
	}
	if maintained(s, row, to, owner) {
		return NoPurpose, InMaintenance
	}
	if to.Kind.people() && !admit(toldKey(to, owner), row, s.Now) {
		return NoPurpose, RateLimited
	}
	return Tell, Sending
}

// reaches says whether a target leads to an owner.
func reaches(s *Snapshot, to Target, owner string) bool {
	if !to.Kind.people() {
		return true
	}
	if s.Contract == nil {
		return false
	}
	o := s.Contract.Owners[owner]
	return o != nil && (to.Kind == PagerDuty && o.PagerDutyKey.Set() || to.Kind == Slack && o.Slack != "")
}

// maintained says whether the owner is in maintenance. A target that tells nobody in particular is held back while every owner is.
func maintained(s *Snapshot, row *Row, to Target, owner string) bool {
	if to.Kind.perOwner() {
		return inMaintenance(s, owner) != nil
	}
	for _, o := range row.Owners {
		if inMaintenance(s, o) == nil {
			return false
		}
	}
	return len(row.Owners) > 0
}

func inMaintenance(s *Snapshot, owner string) *slo.Maintenance {
	if s.Contract == nil || owner == "" {
		return nil
	}
	for i := range s.Contract.Maintenance {
		if m := &s.Contract.Maintenance[i]; m.Owner == owner && m.From <= s.Now && s.Now < m.To {
			return m
		}
	}
	return nil
}

// rate bounds how many new alerts people are sent. What is beyond is not silent: a summary says how many more there are.
type rate struct {
	admitted   map[string]admission // by alert
	summarised event.Time
}

type admission struct{ at, episode event.Time }

// admit says whether a row may be told now. What has been admitted stays so until it is delivered.
func (a *Alerts) admit(key string, row *Row, now event.Time) bool {
	r := a.rates[key]
	if r == nil {
		r = &rate{admitted: map[string]admission{}}
		a.rates[key] = r
	}
	for id, one := range r.admitted {
		if now-one.at >= event.Time(a.cfg.RateWindow) {
			delete(r.admitted, id)
		}
	}
	if !a.admits(key, row, now) {
		return false
	}
	if one := r.admitted[row.ID]; one.episode != row.Starts {
		r.admitted[row.ID] = admission{at: now, episode: row.Starts}
	}
	return true
}

// admits is admit without counting the row.
func (a *Alerts) admits(key string, row *Row, _ event.Time) bool {
	r := a.rates[key]
	return r == nil || r.admitted[row.ID].episode == row.Starts || len(r.admitted) < a.cfg.Burst
}

// summary is the row that says which alerts were not sent one by one.
func (a *Alerts) summary(s *Snapshot, owner string, rows []*Row) *Row {
	names := make([]string, 0, 10)
	out := &Row{ID: id("Summary", owner), Name: "Summary", Status: Firing, Owner: owner, Owners: []string{owner}, Starts: s.Now, Sequence: 1, Labels: map[string]string{}}
	for _, r := range rows {
		out.Severity = max(out.Severity, r.Severity)
		if len(names) < cap(names) {
			names = append(names, r.ID)
		}
	}
	what := count(int64(len(rows)), "more alert") + " " + fires(len(rows)) + " for " + owner + " that " + have(int64(len(rows))) + " not been sent one by one: " + strings.Join(names, ", ")
	if len(rows) > len(names) {
		what += ", …"
	}
	out.Annotations = map[string]string{"summary": what, "description": what + "\n\nAll of them: freshet alerts"}
	return out
}

func fires(n int) string {
	if n == 1 {
		return "fires"
	}
	return "fire"
}
