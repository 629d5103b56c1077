package freshness

import (
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
)

// Detection is a stale item that an open workflow holds, or held: from the instant its bound was crossed until something ended it.
type Detection struct {
	Kind, Key string
	Version   string
	Seq       int64 // valid if HasSeq
	HasSeq    bool
	Bound     Reason // which bound was crossed at Since: one reason of a stale item
	Since     event.Time
	Firm      event.Time // from when it was stale for more than a retraction, valid if HasFirm: nothing but the workflow changes that
	HasFirm   bool
	Until     event.Time // valid if ClosedBy
	ClosedBy  Closing

	Revision   int32 // of its records, 0: nothing has been said of it
	DetectedAt event.Time
	Grouped    bool // it is said in the record of its group, not in one of its own
}

// Closing says what ended a detection.
type Closing uint8

const (
	NotClosed     Closing = iota
	ByReload              // the workflow loaded the item again
	ByDrop                // it dropped it
	ByEnd                 // it ended, or was abandoned
	ByCorrection          // what is known of the item's source says that it is not stale, or is not any more
	ByNewContract         // the contract that came into force has other bounds
)

// Open says whether the detection is open.
func (d *Detection) Open() bool { return d.ClosedBy == NotClosed }

// firm says whether it was stale for more than a retraction before an instant.
func (d *Detection) firm(x event.Time) bool { return d.HasFirm && d.Firm < x }

// same says whether two detections of an item are of the same used version.
func (d *Detection) same(iv *ItemVerdict) bool {
	return d.HasSeq == iv.HasSeq && (d.HasSeq && d.Seq == iv.Seq || !d.HasSeq && d.Version == iv.Version)
}

// History is the contracts that have been in force.
type History interface {
	// At returns the contract in force at an instant.
	At(t event.Time) *Contract
	// After returns when the first contract after an instant came into force.
	After(t event.Time) (event.Time, bool)
}

// Detector finds the detections of workflows. It reuses its memory, and is not for concurrent use.
//
// What an item is at an instant is what Ask says of it, under the workflow's bounds of no class, with two differences: an item that is stale
// for staleness, versions or age stays so until it is loaded again or dropped, even where its history is then truncated; and a load of the
// same version that is stale as well goes on with the detection that is there.
type Detector struct {
	Sources   Sources
	Contracts History
	Idle      Duration // without events for so long a workflow is abandoned; 0: never

	verdict Verdict
	spans   []span
	found   []Detection // of one item
	changed []DetectionChange
}

// Unsettled says whether an item that Detect looked at last could not be resolved, or its version or source is not known: any change of that
// item may change what was said, whatever its times.
func (d *Detector) Unsettled() bool { return d.verdict.unsettled }

// DetectionChange is a detection of a workflow that is another one than before.
type DetectionChange struct {
	At  int       // in the workflow's Detections
	Was Detection // its zero value: there was none
}

// span is a time in which a workflow is open: from ≤ x < until.
type span struct{ from, until event.Time }

// Detect brings a workflow's detections up to date: those that began or ended from an instant on. Before that they are taken to be right.
// Through says up to which instant what is known of an item is complete. It returns what has changed, until the next call, and the next
// instant at which time alone, or an event that is known already, changes anything; ok is false if there is none.
func (d *Detector) Detect(w *Workflow, from event.Time, through func(kind, key string) event.Time) (changed []DetectionChange, next event.Time, ok bool) {
	d.changed, next = d.changed[:0], forever
	from = max(from, w.Forgotten)
	d.spans = w.openSpans(d.spans[:0], d.Idle)
	if len(d.spans) == 0 && len(w.Detections) == 0 {
		return nil, next, false
	}
	was := w.Detections
	d.verdict.unsettled = false
	for i := range w.Items {
		h := &w.Items[i]
		upTo := through(h.Kind, h.Key)
		at, began := d.item(w, h, from, upTo), d.before(w, h, from)
		if began < from {
			at = d.item(w, h, began, upTo)
		}
		next = min(next, at)
		d.merge(w, h.Kind, h.Key, began)
	}
	// What a limit has left out of the workflow is not known to be held.
	for i := 0; i < len(was) && len(w.Detections) > 0; i++ {
		if w.Holding(was[i].Kind, was[i].Key) == nil {
			d.found = d.found[:0]
			d.merge(w, was[i].Kind, was[i].Key, from)
		}
	}
	d.locate(w)
	return d.changed, next, next < forever
}

// Found returns an instant that the clock had passed when the workflow's detections were found, as far as they tell.
func (w *Workflow) Found() event.Time {
	last := beginning
	for i := range w.Detections {
		last = max(last, w.Detections[i].Since, w.Detections[i].Until)
	}
	return last
}

// openSpans appends when a workflow is open: from its start to its end, without the times in which it is abandoned.
func (w *Workflow) openSpans(spans []span, idle Duration) []span {
	if !w.Begun.Set || w.Over.Set && w.Over.Time <= w.Begun.Time {
		return spans
	}
	s := span{from: w.Begun.Time, until: forever}
	if w.Over.Set {
		s.until = w.Over.Time
	}
	if idle <= 0 {
		return append(spans, s)
	}
	last := min(max(s.from, w.Last), s.until)
	if Duration(w.Last-s.from) >= idle { // else there is no room for a gap
		if last = s.from; len(w.Lines) > 0 {
			last = max(last, w.Lines[0].Time) // of what lies before it nothing is known
		}
		for i := range w.Lines {
			t := w.Lines[i].Time
			if t <= last {
				continue
			}
			if t >= s.until {
				break
			}
			if Duration(t-last) > idle {
				spans = append(spans, span{from: s.from, until: last + event.Time(idle)})
				s.from = t
			}
			last = t
		}
	}
	s.until = min(s.until, last+event.Time(idle))
	return append(spans, s)
}

// item finds the detections of one item, from an instant on, and returns when to look again.
func (d *Detector) item(w *Workflow, h *Holding, from, through event.Time) event.Time {
	d.found = d.found[:0]
	next := forever
	for _, s := range d.spans {
		if s.until < from {
			continue
		}
		x, open := s.from, -1
		if from > x {
			x, open = from, d.resume(w, h, from)
		}
		for x <= through && x < s.until {
			at, again := d.ahead(h, x)
			if open >= 0 && d.found[open].firm(x) && !again {
				x = at
				continue
			}
			j := judging{w: w, src: d.Sources, v: &d.verdict, t: x}
			iv, crossing := d.judge(&j, h)
			at = min(at, crossing)
			stale := iv != nil && iv.Verdict == IsStale
			if open >= 0 && (!stale || !d.found[open].same(iv)) {
				d.found[open].Until, d.found[open].ClosedBy = x, d.why(h, iv, x)
				open = -1
			}
			if stale && open < 0 {
				open = len(d.found)
				d.found = append(d.found, Detection{Kind: h.Kind, Key: h.Key, Version: iv.Version, Seq: iv.Seq, HasSeq: iv.HasSeq,
					Bound: iv.Reasons.first(), Since: x})
			}
			if stale && iv.Reasons != RetractedVersion && !d.found[open].firm(x) {
				d.found[open].Firm, d.found[open].HasFirm = x, true
			}
			x = at
		}
		if open >= 0 && s.until <= through {
			d.found[open].Until, d.found[open].ClosedBy = s.until, ByEnd
			continue
		}
		var now *Detection
		if open >= 0 {
			now = &d.found[open]
		}
		next = min(next, d.peek(w, h, s, x, now))
	}
	return next
}

// before returns from where an item has to be looked at: not from where it has been if a detection was found to begin just there, and it was
// stale before that already. What has become known of its source is then to be looked for yet, and an event of the workflow came first: the
// detection does not begin where that happens to be.
func (d *Detector) before(w *Workflow, h *Holding, from event.Time) event.Time {
	if len(d.found) == 0 || d.found[0].Since != from || from <= w.Forgotten {
		return from
	}
	for _, s := range d.spans {
		if s.from >= from || s.until < from {
			continue
		}
		j := judging{w: w, src: d.Sources, v: &d.verdict, t: from - 1}
		if iv, _ := d.judge(&j, h); iv != nil && iv.Verdict == IsStale {
			return max(s.from, h.boundary(from-1), w.Forgotten)
		}
	}
	return from
}

// peek returns the first instant, x or later, at which an item is no longer what it is now, by what is known already; forever if there is
// none. Now is its open detection, if there is one.
func (d *Detector) peek(w *Workflow, h *Holding, s span, x event.Time, now *Detection) event.Time {
	for x < s.until {
		at, again := d.ahead(h, x)
		if now != nil && now.firm(x) && !again {
			x = at
			continue
		}
		j := judging{w: w, src: d.Sources, v: &d.verdict, t: x}
		iv, crossing := d.judge(&j, h)
		if stale := iv != nil && iv.Verdict == IsStale; stale != (now != nil) || stale && !now.same(iv) {
			return x
		}
		x = min(at, crossing)
	}
	if now != nil {
		return s.until
	}
	return forever
}

// resume takes over the detection of an item that reaches to x, or beyond, from before.
func (d *Detector) resume(w *Workflow, h *Holding, x event.Time) int {
	for i := range w.Detections {
		o := &w.Detections[i]
		if o.Kind == h.Kind && o.Key == h.Key && o.Since < x && (o.Open() || o.Until >= x && o.Until > o.Since) {
			d.found = append(d.found, *o)
			d.found[0].Until, d.found[0].ClosedBy = 0, NotClosed
			return 0
		}
	}
	return -1
}

// boundary returns the last instant, x or earlier, at which an item was loaded or dropped.
func (h *Holding) boundary(x event.Time) event.Time {
	last := beginning
	if n := h.loadsUpTo(x); n > 0 {
		last = h.Loads[n-1].Time
	}
	if n := h.dropsUpTo(x); n > 0 {
		last = max(last, h.Drops[n-1].Time)
	}
	return last
}

// ahead returns the next instant at which an item is loaded or dropped, or another contract comes into force. Now says that one is at x.
func (d *Detector) ahead(h *Holding, x event.Time) (at event.Time, now bool) {
	at = forever
	if n := h.loadsUpTo(x); n < len(h.Loads) {
		at = h.Loads[n].Time
	}
	if n := h.dropsUpTo(x); n < len(h.Drops) {
		at = min(at, h.Drops[n].Time)
	}
	if t, ok := d.Contracts.After(x); ok {
		at = min(at, t)
	}
	return at, h.boundary(x) == x || d.Contracts.At(x-1) != d.Contracts.At(x)
}

// judge judges an item that the workflow may hold at an instant; nil if it does not, or the item is not judged. Crossing is the first
// instant after it at which time may turn it.
func (d *Detector) judge(j *judging, h *Holding) (iv *ItemVerdict, crossing event.Time) {
	c, v := d.Contracts.At(j.t), j.v
	if c == nil || j.w.Type.Name == "" {
		return nil, forever
	}
	rules := c.Rules(j.w.Type.Name, "")
	if rules == nil {
		return nil, forever
	}
	v.Items = v.Items[:0]
	if v.plan.rules != rules || v.plan.contract != c {
		v.plan = plan{contract: c, rules: rules, kinds: v.plan.kinds[:0]}
	}
	p := v.plan.of(h.Kind)
	if !p.judged {
		return nil, forever
	}
	iv, seen := j.held(h, p)
	if iv == nil || iv.Verdict == IsStale && iv.Reasons != RetractedVersion {
		return iv, forever
	}
	crossing = seen.crossing(iv, &p.bounds)
	if iv.HasSeq && h.contested(j.t) {
		crossing = min(crossing, seen.slips(iv.Seq, p.history))
	}
	return iv, crossing
}

// contested says whether several loads of the latest instant, t or earlier, compete, and one of them goes by a version string: which of them
// is in use may then change with time.
func (h *Holding) contested(t event.Time) bool {
	n := h.loadsUpTo(t)
	if n < 2 || h.Loads[n-2].Time != h.Loads[n-1].Time {
		return false
	}
	for i := n - 1; i >= 0 && h.Loads[i].Time == h.Loads[n-1].Time; i-- {
		if !h.Loads[i].Ref.HasSeq {
			return true
		}
	}
	return false
}

// why says what ended a detection at an instant.
func (d *Detector) why(h *Holding, iv *ItemVerdict, x event.Time) Closing {
	switch {
	case iv != nil && iv.LoadedAt == x:
		return ByReload
	case iv == nil && h.boundary(x) == x:
		return ByDrop
	case d.Contracts.At(x-1) != d.Contracts.At(x):
		return ByNewContract
	}
	return ByCorrection
}

// merge takes what has been found of an item from an instant on into the workflow.
func (d *Detector) merge(w *Workflow, kind, key string, from event.Time) {
	for i := range w.Detections {
		o := &w.Detections[i]
		if o.Kind != kind || o.Key != key || !o.Open() && o.Until < from {
			continue
		}
		was := *o
		at := slices.IndexFunc(d.found, func(n Detection) bool { return n.Since == o.Since })
		if at < 0 {
			if o.ClosedBy == ByCorrection && o.Until == o.Since {
				continue // it has been taken back already
			}
			o.Until, o.ClosedBy = o.Since, ByCorrection
		} else {
			n := &d.found[at]
			o.Version, o.Seq, o.HasSeq, o.Bound = n.Version, n.Seq, n.HasSeq, n.Bound
			o.Firm, o.HasFirm, o.Until, o.ClosedBy = n.Firm, n.HasFirm, n.Until, n.ClosedBy
			d.found = slices.Delete(d.found, at, at+1)
		}
		if *o != was {
			d.changed = append(d.changed, DetectionChange{Was: was})
		}
	}
	for i := range d.found {
		n := d.found[i]
		if !n.Open() && n.Until <= w.Forgotten {
			continue // it was said, or would have been, before what is kept
		}
		var added bool
		w.Detections, _, added = add(w.Detections, n, compareDetections)
		if added {
			d.changed = append(d.changed, DetectionChange{Was: Detection{Kind: n.Kind, Key: n.Key, Since: n.Since}})
		}
	}
}

// locate says of every change where its detection is now.
func (d *Detector) locate(w *Workflow) {
	for i := range d.changed {
		c := &d.changed[i]
		c.At, _ = slices.BinarySearchFunc(w.Detections, c.Was, func(a, b Detection) int { return compareDetections(&a, &b) })
		if c.Was.Revision == 0 && c.Was.Bound == 0 {
			c.Was = Detection{}
		}
	}
}

// compareDetections orders the detections of a workflow. An item has one at a time.
func compareDetections(a, b *Detection) int {
	if c := strings.Compare(a.Kind, b.Kind); c != 0 {
		return c
	}
	if c := strings.Compare(a.Key, b.Key); c != 0 {
		return c
	}
	return compareTime(a.Since, b.Since)
}

// Forget lets go of detections that ended by an instant, and of the earliest closed ones beyond a limit. It returns how many the limit
// has cost.
func (w *Workflow) Forget(before event.Time, limit int) (over int) {
	closed := 0
	for i := range w.Detections {
		if !w.Detections[i].Open() {
			closed++
		}
	}
	if closed > limit {
		ends := make([]event.Time, 0, closed)
		for i := range w.Detections {
			if d := &w.Detections[i]; !d.Open() {
				ends = append(ends, d.Until)
			}
		}
		slices.Sort(ends)
		if last := ends[closed-limit-1]; last > before {
			before, over = last, closed-limit
		}
	}
	w.Forgotten = max(w.Forgotten, before)
	kept := w.Detections[:0]
	for _, d := range w.Detections {
		if !d.Open() && d.Until <= before {
			continue
		}
		kept = append(kept, d)
	}
	clear(w.Detections[len(kept):])
	w.Detections = kept
	return over
}

// first returns the first reason of a set.
func (r Reason) first() Reason { return r & -r }

// crossing returns the first instant after the view's at which time, and what the item's source is known to have published, may turn the
// item from what it is. What it is may have been used since before: an instant that is past is none.
func (w *view) crossing(iv *ItemVerdict, b *Bounds) event.Time {
	next := forever
	note := func(t event.Time) {
		if t > w.at {
			next = min(next, t)
		}
	}
	if b.HasAge && iv.HasAge {
		note(after(iv.AsOf, b.MaxAge))
	}
	if !iv.HasSeq || w.item.Len() == 0 {
		return next
	}
	if b.HasStaleness {
		if star := w.superseding(iv.Seq); star != nil {
			note(after(star.b[w.basis], b.MaxStaleness))
		}
	}
	if b.HasVersions {
		if at := w.nth(iv.Seq, b.MaxVersionsBehind+1); at < forever {
			note(at + 1)
		}
	}
	if w.item.retractsAbove(w.floor(iv.Seq)) {
		if at := w.item.nextForce(w.basis, w.at); at < forever {
			note(at + 1)
		}
	}
	return next
}

// nth returns when the nth version after a seq comes into force, or, where that is not in order, when the next one does.
func (w *view) nth(seq, n int64) event.Time {
	it, by := w.item, w.basis
	if !it.byBasis[by] {
		return it.nextForce(by, w.at)
	}
	p, i := it.above(w.floor(seq))
	for ; p < len(it.blocks); p, i = p+1, 0 {
		left := int64(len(it.blocks[p].entries) - i)
		if n <= left {
			return it.blocks[p].entries[i+int(n)-1].b[by]
		}
		n -= left
	}
	return forever
}

// slips returns the first instant after the view's at which a version string that means a seq may mean it no longer: once as many newer versions
// as the history has room for are in force, or, for one that came into force after the load only, once the history leaves the first version
// out. From then on it means none, so that no other load of the instant can come to be the one in use before.
func (w *view) slips(seq int64, history int) event.Time {
	if history <= 0 {
		history = DefaultHistory
	}
	next := forever
	if w.item.Len() <= history {
		return next
	}
	for _, above := range [...]int64{seq, w.item.blocks[0].entries[0].seq} {
		if at := w.nth(above, int64(history)); at < forever && at >= w.at {
			next = min(next, at+1)
		}
	}
	return next
}

// retractsAbove says whether a version after a seq is a retraction.
func (it *Item) retractsAbove(seq int64) bool {
	p, i := it.above(seq)
	for ; p < len(it.blocks); p, i = p+1, 0 {
		b := it.blocks[p]
		if !b.retracts {
			continue
		}
		for ; i < len(b.entries); i++ {
			if b.entries[i].v.Change == event.Retracted {
				return true
			}
		}
	}
	return false
}

// NextCrossing returns the first instant after x at which holders of a seq of the item (or, without one, of any of its versions by name) may
// become stale, or cease to be, for the versions that are known, whatever the type of the workflow; forever if there is none.
func (it *Item) NextCrossing(c *Contract, seq int64, hasSeq bool, x event.Time) (event.Time, bool) {
	next := forever
	for _, classes := range c.Classes {
		rules := classes[""]
		if rules == nil {
			continue
		}
		b, ok := rules.Kinds[it.kind]
		if !ok {
			b = rules.Kinds["*"]
		}
		if !b.Judged {
			continue
		}
		said := c.ContextOf(it.kind, rules.Owner)
		if hasSeq {
			w := look(it, said.Basis, x, said.History)
			next = min(next, w.crossing(&ItemVerdict{Seq: seq, HasSeq: true}, &b.Bounds))
			continue
		}
		note := func(d Duration) {
			if at := it.nextForce(said.Basis, x-event.Time(d)); at < forever {
				next = min(next, after(at, d))
			}
		}
		note(0)
		if b.Bounds.HasStaleness {
			note(b.Bounds.MaxStaleness)
		}
	}
	return next, next < forever
}

// Evidence judges a workflow as it was when a detection began, and returns its item, nil if it is not to be found any more. It holds until
// the detector is used again.
func (d *Detector) Evidence(w *Workflow, o *Detection) *ItemVerdict {
	c := d.Contracts.At(o.Since)
	if c == nil {
		return nil
	}
	w.JudgeAt(o.Since, "", d.Sources, c, &d.verdict)
	for i := range d.verdict.Items {
		if iv := &d.verdict.Items[i]; iv.Kind == o.Kind && iv.Key == o.Key {
			return iv
		}
	}
	return nil
}

// Largest returns the largest of an item's shares; ok is false if there is none.
func (iv *ItemVerdict) Largest() (most Share, ok bool) {
	for _, s := range iv.Causes {
		if s.For > most.For {
			most, ok = s, true
		}
	}
	return most, ok
}
