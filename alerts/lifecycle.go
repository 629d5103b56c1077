package alerts

import (
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
)

// Limits of what one row says.
const (
	mostEvidence = 3
	mostShares   = 9
	mostOwners   = 16
)

// Alerts holds the rows and moves them along. It belongs to one goroutine at a time.
type Alerts struct {
	cfg  Config
	text *Text
	rows map[string]*Row

	rates map[string]*rate // by target and owner

	// Of the last tick: what it was given, and what it saw.
	last *Snapshot
	to   []Target
	seen []*condition
}

// New returns an Alerts without rows.
func New(cfg Config, text *Text) *Alerts {
	return &Alerts{cfg: cfg.Defaults(), text: text, rows: map[string]*Row{}, rates: map[string]*rate{}}
}

// Outcome is what a tick has led to.
type Outcome struct {
	Changed []*Row   // what is published of them has changed
	Saved   []*Row   // what is kept of them has changed, those of Changed among them
	Gone    []string // ids of rows that are given up
	Due     []Notification
	Dropped int // conditions that found no room
}

// Restore replaces the rows by those that are stored. What this process knows besides stays: what has been acknowledged since, and
// that the engine is blind, which is said from memory when nothing can be stored.
func (a *Alerts) Restore(now event.Time, rows []*Row) {
	old := a.rows
	a.rows = make(map[string]*Row, len(rows))
	for _, r := range rows {
		r.seen, r.refreshed = now, now
		a.rows[r.ID] = r
		was := old[r.ID]
		if was == nil || was.Starts != r.Starts {
			continue
		}
		r.seen, r.refreshed = was.seen, was.refreshed
		for key, told := range was.Told {
			if told.At > r.Told[key].At {
				r.tell(key, told)
			}
		}
	}
	if was := old[EngineBlind]; was != nil && was.Sequence > 0 {
		if is := a.rows[EngineBlind]; is == nil || is.Starts < was.Starts || is.Starts == was.Starts && is.Status == Firing && was.Status == Resolved {
			was.unsaved = true
			if is != nil {
				was.Sequence = max(was.Sequence, is.Sequence+1)
			}
			a.rows[EngineBlind] = was
		}
	}
}

// Owes says of an alert that only memory knows whether it fires, or somebody may have been told so and has not acknowledged that it is
// over.
func (a *Alerts) Owes(id string) bool {
	row := a.rows[id]
	if row == nil || !row.unsaved {
		return false
	}
	for _, t := range row.Told {
		if t.owed(row) {
			return true
		}
	}
	return row.Status == Firing
}

// tell notes an acknowledgement, to be kept with the row.
func (r *Row) tell(key string, t Told) {
	if r.Told == nil {
		r.Told = map[string]Told{}
	}
	before := r.Told[key]
	r.Told[key] = t
	if before.Episode != t.Episode || (before.At == 0) != (t.At == 0) || before.Severity != t.Severity || before.Resolved != t.Resolved {
		r.unsaved = true // a repetition is not worth a record
	}
}

// Rows returns copies of all rows, by id.
func (a *Alerts) Rows() []*Row {
	all := make([]*Row, 0, len(a.rows))
	for _, id := range slices.Sorted(maps.Keys(a.rows)) {
		all = append(all, a.rows[id].clone())
	}
	return all
}

// Tick moves every row to what the snapshot shows.
func (a *Alerts) Tick(s *Snapshot, to []Target, acks []Ack) Outcome {
	conditions, grouped := a.conditions(s)
	a.last, a.to, a.seen = s, to, conditions
	return a.move(s, conditions, grouped, acks, func(string) bool { return true })
}

// Alone is a tick without the other parts of the engine, when nothing can be stored: it knows the clocks of this process, and says only
// that the engine is blind, and that it still watches.
func (a *Alerts) Alone(s *Snapshot, to []Target, acks []Ack) Outcome {
	a.to = to
	out := a.move(s, []*condition{a.blind(s), a.watchdog(s)}, nil, acks, func(id string) bool { return id == EngineBlind || id == Watchdog })
	for _, r := range out.Saved { // nothing is
		a.rows[r.ID].unsaved = true
	}
	return out
}

func (a *Alerts) move(s *Snapshot, conditions []*condition, grouped map[string]bool, acks []Ack, mine func(id string) bool) Outcome {
	a.acknowledge(acks)
	var out Outcome
	changed := map[string]bool{}
	for _, c := range conditions {
		if !c.fires {
			continue
		}
		if row := a.rows[c.id]; row != nil && row.Status == Firing {
			row.seen = s.Now
			if a.goOn(s, row, c) {
				changed[c.id] = true
			}
		} else if a.gate(s, c.name, c.rests) == Unclear {
			if row == nil && !vital(c.name) && !a.room() {
				out.Dropped++
				continue
			}
			a.fire(s, c)
			changed[c.id] = true
		}
	}
	for id, row := range a.rows {
		if mine(id) && row.Status == Firing && a.over(s, row, grouped) {
			row.Status, row.Ends = Resolved, s.Now
			row.Sequence++
			changed[id] = true
		}
	}
	out.Due = a.due(s, mine)
	for _, id := range slices.Sorted(maps.Keys(a.rows)) {
		row := a.rows[id]
		if changed[id] {
			out.Changed = append(out.Changed, row.clone())
		}
		if changed[id] || row.unsaved && mine(id) {
			out.Saved = append(out.Saved, row.clone())
			row.unsaved = false
		}
	}
	out.Gone = a.forget(s.Now)
	return out
}

// Drowsy says that the process was not run until a moment ago: its clocks are old, and its rows may be.
func (a *Alerts) Drowsy(s *Snapshot) bool { return s.Now-s.Woken < event.Time(a.cfg.WakeAfter) }

// gate says what keeps a condition from becoming an alert; Unclear if nothing does.
func (a *Alerts) gate(s *Snapshot, name string, rests []string) Reason {
	switch name {
	case Watchdog:
		return Unclear
	case EngineBlind: // a process that was frozen sees old clocks first: others may have gone on meanwhile
		if a.Drowsy(s) {
			return NotYet
		}
		return Unclear
	}
	if rests == nil && len(s.Partitions) == 0 {
		return NotLive
	}
	held := Unclear
	for i := range s.Partitions {
		p := &s.Partitions[i]
		switch {
		case rests != nil && !slices.Contains(rests, p.Name):
		case !p.Live:
			return NotLive
		case a.isBlind(s, p):
			held = HeldByBlind
		}
	}
	return held
}

// fire begins an episode.
func (a *Alerts) fire(s *Snapshot, c *condition) {
	row := a.rows[c.id]
	if row == nil {
		row = &Row{ID: c.id, Name: c.name}
		a.rows[c.id] = row
	}
	// Who has not acknowledged the end of the episode before hears of the end of this one; what the others acknowledged is over.
	for key, told := range row.Told {
		if told.owed(row) {
			row.Told[key] = Told{Episode: s.Now}
		} else {
			delete(row.Told, key)
		}
	}
	row.Status, row.Starts, row.Ends, row.Owner = Firing, s.Now, 0, c.owner
	row.Owners = nil
	row.seen, row.Group = s.Now, c.group
	for _, owner := range append([]string{c.owner}, c.also...) {
		row.add(owner)
	}
	row.Severity = c.severity
	row.Labels = map[string]string{} // fixed for the episode: an Alertmanager knows an alert by its labels
	maps.Copy(row.Labels, c.labels)
	a.describe(s, row, c)
	row.Sequence++
}

// add adds somebody who is told.
func (r *Row) add(owner string) bool {
	if owner == "" || slices.Contains(r.Owners, owner) || len(r.Owners) >= mostOwners {
		return false
	}
	r.Owners = append(r.Owners, owner)
	return true
}

// goOn brings a firing row up to date. The owner of the episode stays; one who becomes responsible later is added. Facts are looked at
// anew as often as the alert is repeated, so that a row is not written at every tick.
func (a *Alerts) goOn(s *Snapshot, row *Row, c *condition) bool {
	changed := false
	if a.gate(s, c.name, c.rests) == Unclear {
		for _, owner := range append([]string{c.owner}, c.also...) {
			changed = row.add(owner) || changed
		}
		if c.severity > row.Severity {
			row.Severity, changed = c.severity, true
		}
	}
	if !changed && s.Now-row.refreshed < event.Time(a.cfg.Repeat) {
		return false
	}
	before := string(row.JSON())
	a.describe(s, row, c)
	if changed || before != string(row.JSON()) {
		row.Sequence++
		return true
	}
	return false
}

// over says whether a firing row's episode has ended: it has not held for a while, and what says so can be believed.
func (a *Alerts) over(s *Snapshot, row *Row, grouped map[string]bool) bool {
	if row.seen == s.Now {
		return false
	}
	if grouped[row.Group] {
		return true // another row stands for it
	}
	known := map[string]bool{FreshnessSLOBurn: s.BurnsKnown, StaleContextHeld: s.HoldingsKnown, SourceSilent: s.SourcesKnown, EngineBlind: true, Watchdog: true}
	believed := known[row.Name] && (s.Contract != nil || row.Name == EngineBlind) && a.gate(s, row.Name, row.Rests) == Unclear
	if row.Name == EngineBlind { // a partition that catches up after a restart is not seeing yet
		for i := range s.Partitions {
			believed = believed && s.Partitions[i].Live
		}
		believed = believed && len(s.Partitions) > 0
	}
	if !believed {
		row.seen = s.Now // the while begins when it can be believed
		return false
	}
	return s.Now-row.seen >= event.Time(a.cfg.ResolveAfter)
}

// vital says of an alert that there is room for it whatever else fires: it says of the others whether they can be believed.
func vital(name string) bool { return name == EngineBlind || name == Watchdog }

// room says whether there is room for one more row. Rows that are over make room, the oldest first.
func (a *Alerts) room() bool {
	firing := 0
	for _, r := range a.rows {
		if r.Status == Firing {
			firing++
		}
	}
	return firing < a.cfg.MaxRows
}

// forget gives up rows that have been over for long, and those of which there are too many.
func (a *Alerts) forget(now event.Time) []string {
	var over []*Row
	for _, r := range a.rows {
		if r.Status != Firing {
			over = append(over, r)
		}
	}
	slices.SortFunc(over, func(x, y *Row) int {
		if x.Ends != y.Ends {
			return int(min(max(x.Ends-y.Ends, -1), 1))
		}
		return strings.Compare(x.ID, y.ID)
	})
	var gone []string
	for _, r := range over {
		if now-r.Ends >= event.Time(a.cfg.KeepResolved) || len(a.rows) > a.cfg.MaxRows {
			delete(a.rows, r.ID)
			gone = append(gone, r.ID)
		}
	}
	return gone
}
