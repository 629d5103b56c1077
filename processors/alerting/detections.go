package alerting

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

// Detections holds the open detections. It is safe for concurrent use.
//
// There may be several of each open workflow, and all of them are in memory: what many have in common is kept once, and nothing is kept of a
// record that alerts do not need.
type Detections struct {
	place func(workflow string) string // name of the partition that a workflow lives in

	mu       sync.Mutex
	open     map[string]*detection
	subjects map[subject]*shared
	known    bool
	in       record // what is read, again and again
}

// NewDetections returns a Detections that holds none and knows of none.
func NewDetections(place func(workflow string) string) *Detections {
	return &Detections{place: place, open: map[string]*detection{}, subjects: map[subject]*shared{}}
}

// subject is what many detections have in common.
type subject struct {
	workflowType, kind, key string
	owner, cause            string
	used, current           string // topics where it was loaded, and what superseded it was published; "": not known
	traffic                 event.TrafficClass
	rests                   string
	group                   bool
}

// shared is a subject that some detections have.
type shared struct {
	subject
	detections int
}

// detection is what is kept of a record.
type detection struct {
	*shared
	workflows []string
	facts
}

// facts is what one record says that it has not in common with many.
type facts struct {
	count      int64
	since      event.Time
	seq        int64 // of the current version
	usedOffset int64
	currOffset int64
	usedPart   int32
	currPart   int32
}

// Apply takes a record: nil data, or a detection that is closed, is one that is gone. Nothing of data is kept.
func (d *Detections) Apply(key string, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	in := &d.in
	in.open = false
	if data != nil && !in.read(data) {
		return fmt.Errorf("detection %s: it is not what a record of a detection is", key)
	}
	if was := d.open[key]; was != nil {
		delete(d.open, key)
		if was.shared.detections--; was.shared.detections == 0 {
			delete(d.subjects, was.subject)
		}
	}
	if in.open && len(in.workflows) > 0 {
		d.open[key] = d.keep(key, in)
	}
	return nil
}

// keep returns what is kept of a record.
func (d *Detections) keep(key string, in *record) *detection {
	of := in.subject
	of.rests = d.place(in.workflows[0])
	one := &detection{workflows: make([]string, len(in.workflows)), facts: in.facts}
	for i, id := range in.workflows {
		if strings.HasPrefix(key, id) { // as it is in a detection's id, unless it had to be encoded there
			one.workflows[i] = key[:len(id)]
		} else {
			one.workflows[i] = strings.Clone(id)
		}
	}
	if one.shared = d.subjects[of]; one.shared == nil {
		of.own()
		one.shared = &shared{subject: of}
		d.subjects[of] = one.shared
	}
	one.shared.detections++
	return one
}

// Caught says that what there was at the start has been applied.
func (d *Detections) Caught() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = true
}

// Open returns how many open workflows of a type hold something stale.
func (d *Detections) Open(workflowType string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := map[string]bool{}
	var groups int64
	for _, one := range d.open {
		switch {
		case one.workflowType != workflowType:
		case one.group:
			groups = max(groups, one.count)
		default:
			seen[one.workflows[0]] = true
		}
	}
	return max(int64(len(seen)), groups)
}

// stale is one stale version of an item, under one entry of the contract.
type stale struct {
	detection, kind, key string
	seq                  int64
	traffic              bool // live
}

// Fill adds what open workflows hold to a snapshot.
func (d *Detections) Fill(s *alerts.Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.HoldingsKnown = d.known && s.Contract != nil; !s.HoldingsKnown {
		return
	}
	entries := map[string][]*slo.Detection{}
	for i := range s.Contract.Detections {
		e := &s.Contract.Detections[i]
		entries[e.Workflow] = append(entries[e.Workflow], e)
	}
	held := map[stale][]*detection{}
	for _, one := range d.open {
		for _, e := range entries[one.workflowType] {
			k := stale{detection: e.Name, kind: one.kind, key: one.key, seq: one.seq, traffic: one.traffic == event.Live}
			held[k] = append(held[k], one)
		}
	}
	for k, all := range held {
		for i := range s.Contract.Detections {
			if e := &s.Contract.Detections[i]; e.Name == k.detection && e.Workflow == all[0].workflowType {
				s.Holdings = append(s.Holdings, holding(s.Now, e, k, all))
			}
		}
	}
	slices.SortFunc(s.Holdings, func(a, b alerts.Holding) int {
		return cmp.Or(strings.Compare(a.Detection, b.Detection), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Key, b.Key), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Traffic, b.Traffic))
	})
}

// mostNamed is how many workflows and pieces of evidence a holding names.
const mostNamed = 5

// holding adds up the detections of one stale version.
func holding(now event.Time, e *slo.Detection, k stale, all []*detection) alerts.Holding {
	slices.SortFunc(all, func(a, b *detection) int {
		return cmp.Or(cmp.Compare(a.since, b.since), strings.Compare(a.workflows[0], b.workflows[0]))
	})
	h := alerts.Holding{Detection: e.Name, Workflow: e.Workflow, Kind: k.kind, Key: k.key, Seq: k.seq, Since: all[0].since, Traffic: all[0].traffic}
	shares := map[[2]string]int64{}
	for _, one := range all {
		if now-one.since <= event.Time(e.For) {
			h.Waiting += one.count
			continue
		}
		h.Count += one.count
		h.Rests = append(h.Rests, one.rests)
		if one.cause != "" {
			shares[[2]string{one.cause, one.owner}] += one.count
		}
		if len(h.Workflows) < mostNamed {
			h.Workflows = append(h.Workflows, one.workflows[:min(len(one.workflows), mostNamed-len(h.Workflows))]...)
			h.Evidence = append(h.Evidence, one.evidence()...)
		}
	}
	for c, n := range shares {
		h.Causes = append(h.Causes, alerts.Share{Cause: c[0], Owner: c[1], Parts: n * 1_000_000})
	}
	slices.SortFunc(h.Causes, func(a, b alerts.Share) int {
		return cmp.Or(-cmp.Compare(a.Parts, b.Parts), strings.Compare(a.Cause, b.Cause), strings.Compare(a.Owner, b.Owner))
	})
	slices.Sort(h.Rests)
	h.Rests = slices.Compact(h.Rests)
	return h
}

// evidence is where it was loaded, and, for the first, what it was superseded by.
func (one *detection) evidence() []alerts.Evidence {
	var all []alerts.Evidence
	if one.used != "" {
		all = append(all, alerts.Evidence{Topic: one.used, Partition: one.usedPart, Offset: one.usedOffset, Workflow: one.workflows[0]})
	}
	if one.current != "" {
		all = append(all, alerts.Evidence{Topic: one.current, Partition: one.currPart, Offset: one.currOffset})
	}
	return all
}
