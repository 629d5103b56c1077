package alerting

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

// Detections holds the open detections. It is safe for concurrent use.
type Detections struct {
	place func(workflow string) string // name of the partition that a workflow lives in

	mu    sync.Mutex
	open  map[string]*detection
	known bool
}

// NewDetections returns a Detections that holds none and knows of none.
func NewDetections(place func(workflow string) string) *Detections {
	return &Detections{place: place, open: map[string]*detection{}}
}

// position is where a record lies.
type position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// detection is what is kept of a record of freshet.detections.
type detection struct {
	Status    string     `json:"status"`
	Workflow  *string    `json:"workflow"` // null: a group
	Type      string     `json:"workflow_type"`
	Count     int64      `json:"count"`
	Workflows []string   `json:"workflows"`
	Kind      string     `json:"kind"`
	Key       string     `json:"key"`
	Since     event.Time `json:"since"`
	Owner     string     `json:"owner"`
	Cause     string     `json:"cause"`
	Traffic   string     `json:"traffic_class"`
	Used      *struct {
		At *position `json:"at"`
	} `json:"used"`
	Current *struct {
		Seq int64     `json:"seq"`
		At  *position `json:"at"`
	} `json:"current"`

	traffic event.TrafficClass
	rests   string
}

// Apply takes a record: nil data, or a detection that is closed, is one that is gone.
func (d *Detections) Apply(key string, data []byte) error {
	var in detection
	if data != nil {
		if err := json.Unmarshal(data, &in); err != nil {
			return fmt.Errorf("detection %s: %w", key, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if in.Status != "open" || len(in.Workflows) == 0 {
		delete(d.open, key)
		return nil
	}
	in.traffic, _ = event.ParseTrafficClass(in.Traffic)
	in.rests = d.place(in.Workflows[0])
	d.open[key] = &in
	return nil
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
		case one.Type != workflowType:
		case one.Workflow == nil:
			groups = max(groups, one.Count)
		default:
			seen[*one.Workflow] = true
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
		for _, e := range entries[one.Type] {
			k := stale{detection: e.Name, kind: one.Kind, key: one.Key, traffic: one.traffic == event.Live}
			if one.Current != nil {
				k.seq = one.Current.Seq
			}
			held[k] = append(held[k], one)
		}
	}
	for k, all := range held {
		for i := range s.Contract.Detections {
			if e := &s.Contract.Detections[i]; e.Name == k.detection && e.Workflow == all[0].Type {
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
		return cmp.Or(cmp.Compare(a.Since, b.Since), strings.Compare(a.Workflows[0], b.Workflows[0]))
	})
	h := alerts.Holding{Detection: e.Name, Workflow: e.Workflow, Kind: k.kind, Key: k.key, Seq: k.seq, Since: all[0].Since, Traffic: all[0].traffic}
	shares := map[[2]string]int64{}
	for _, one := range all {
		if now-one.Since <= event.Time(e.For) {
			h.Waiting += one.Count
			continue
		}
		h.Count += one.Count
		h.Rests = append(h.Rests, one.rests)
		if one.Cause != "" {
			shares[[2]string{one.Cause, one.Owner}] += one.Count
		}
		if len(h.Workflows) < mostNamed {
			h.Workflows = append(h.Workflows, one.Workflows[:min(len(one.Workflows), mostNamed-len(h.Workflows))]...)
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
	if one.Used != nil && one.Used.At != nil {
		at := one.Used.At
		all = append(all, alerts.Evidence{Topic: at.Topic, Partition: at.Partition, Offset: at.Offset, Workflow: one.Workflows[0]})
	}
	if one.Current != nil && one.Current.At != nil {
		at := one.Current.At
		all = append(all, alerts.Evidence{Topic: at.Topic, Partition: at.Partition, Offset: at.Offset})
	}
	return all
}
