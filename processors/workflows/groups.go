package workflows

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log/level"
)

// groups count the open detections of a partition by stale version of an item and type of workflow. Where there are more than the contract's
// limit, one record speaks for all of them, and their own are closed. What is said in the end depends on the detections that are open, not on
// the order in which they came.
type groups struct {
	pt     *partition
	counts map[uint64]int64
	wide   map[uint64]*wideGroup
}

// staleVersion is what a group has in common.
type staleVersion struct {
	workflow, kind, key, version string
	seq                          int64
	hasSeq                       bool
	traffic                      event.TrafficClass
}

func versionOf(w *freshness.Workflow, d *freshness.Detection) staleVersion {
	v := staleVersion{workflow: w.Type.Name, traffic: w.Traffic, kind: d.Kind, key: d.Key, seq: d.Seq, hasSeq: d.HasSeq}
	if !d.HasSeq {
		v.version = d.Version
	}
	return v
}

func (v *staleVersion) hash() uint64 { return xxhash.Sum64(v.append(nil)) }

func (v *staleVersion) append(b []byte) []byte {
	for _, s := range []string{v.workflow, v.kind, v.key, v.version} {
		b = appendText(b, s)
	}
	b = binary.AppendVarint(b, v.seq)
	if v.hasSeq {
		return append(b, 1, byte(v.traffic))
	}
	return append(b, 0, byte(v.traffic))
}

// wideGroup is a group above the limit, or one of which the record has still to be closed.
type wideGroup struct {
	staleVersion
	on      bool // its members have no records of their own
	barrier uint64
	dirty   bool // its record may be another one once the barrier is committed
	members bool // its members' own records may be others once the barrier is committed
	asked   time.Time
	busy    bool // the index is being read for it

	said  groupRecord
	bound freshness.Reason
	last  freshness.Detection // the one that was closed last
}

// groupRecord is what the last record of a group said.
type groupRecord struct {
	revision   int32
	open       bool
	since      event.Time
	detectedAt event.Time
	count      int64
	examples   uint64 // hash
}

const (
	groupExamples = 100
	groupPace     = time.Second
	wideGroups    = 1024
)

// load counts what is open.
func (g *groups) load(pt *partition) error {
	g.pt, g.counts, g.wide = pt, map[uint64]int64{}, map[uint64]*wideGroup{}
	for _, w := range pt.cursor.groups {
		w.dirty, w.members = true, true
		g.wide[w.hash()] = w
	}
	return pt.g.DB.ScanIndex(state.Workflows, pt.p.ID, []byte{groupEntry}, []byte{groupEntry + 1}, func(key, _ []byte) bool {
		if len(key) > groupKeyLen {
			g.counts[binary.BigEndian.Uint64(key[1:])]++
		}
		return true
	})
}

// enter counts an open detection and says whether its group speaks for it.
func (g *groups) enter(v staleVersion) bool {
	h := v.hash()
	g.counts[h]++
	w := g.wide[h]
	if int(g.counts[h]) > g.pt.g.Contracts.DetectionLimit(v.workflow) && (w == nil || !w.on) {
		if w == nil {
			if len(g.wide) >= wideGroups {
				g.pt.g.Metrics.LimitReached.WithLabelValues("groups").Inc()
				return false
			}
			w = &wideGroup{staleVersion: v}
			g.wide[h] = w
		}
		w.on, w.members = true, true
	}
	g.touch(w)
	return w != nil && w.on
}

// leave counts a detection that is open no longer.
func (g *groups) leave(v staleVersion, closed *freshness.Detection) {
	h := v.hash()
	if g.counts[h]--; g.counts[h] <= 0 {
		delete(g.counts, h)
	}
	w := g.wide[h]
	if w == nil {
		return
	}
	if !closed.Open() {
		w.last = *closed
	}
	if w.on && int(g.counts[h]) <= g.pt.g.Contracts.DetectionLimit(v.workflow) {
		w.on, w.members = false, true
	}
	g.touch(w)
}

func (g *groups) touch(w *wideGroup) {
	if w != nil {
		w.dirty, w.barrier = true, g.pt.p.Barriers()
		g.pt.cursor.opened = true
	}
}

// speaks says whether a group speaks for a detection.
func (g *groups) speaks(of *freshness.Workflow, d *freshness.Detection) bool {
	v := versionOf(of, d)
	w := g.wide[v.hash()]
	return w != nil && w.on
}

// tick has the index read for the groups that have changed, once what has changed them is in it.
func (g *groups) tick() {
	now := g.pt.g.Now()
	for h, w := range g.wide {
		if !w.dirty || w.busy || w.barrier >= g.pt.due.barrier.Load() || now.Sub(w.asked) < groupPace {
			continue
		}
		members := w.members
		w.dirty, w.members, w.busy, w.asked = false, false, true, now
		g.pt.pace.searches.Go(func() { g.read(h, members) })
	}
}

// groupFound is the payload of a unit: what the index says of a group.
type groupFound struct {
	hash     uint64
	count    int64
	since    event.Time
	bound    freshness.Reason
	examples []string
}

// read reads the index of a group. Members have it their own records checked.
func (g *groups) read(h uint64, members bool) {
	f := groupFound{hash: h, since: never}
	batch := recheck{}
	ended := false
	lower := binary.BigEndian.AppendUint64([]byte{groupEntry}, h)
	upper := binary.BigEndian.AppendUint64([]byte{groupEntry}, h+1)
	if h == 1<<64-1 {
		upper = []byte{groupEntry + 1}
	}
	err := g.pt.g.DB.ScanIndex(state.Workflows, g.pt.p.ID, lower, upper, func(key, value []byte) bool {
		if len(key) <= groupKeyLen || len(value) < 9 {
			return true
		}
		workflow := string(key[groupKeyLen:])
		f.count++
		if at := fromSortable(value); at < f.since {
			f.since, f.bound = at, freshness.Reason(value[8])
		}
		if len(f.examples) < groupExamples {
			f.examples = append(f.examples, workflow)
		}
		if members {
			batch.keys, batch.changes = append(batch.keys, workflow), append(batch.changes, change{uses: never, held: never, group: true})
			if len(batch.keys) == recheckUnit {
				ended = !g.pt.pace.send(batch)
				batch = recheck{}
			}
		}
		return !ended && !g.pt.pace.over()
	})
	ended = ended || g.pt.pace.over()
	if err != nil {
		_ = level.Error(g.pt.g.Logger).Log("msg", "index of workflows cannot be searched", "partition", g.pt.p.ID, "err", err)
		return
	}
	if len(batch.keys) > 0 && !g.pt.pace.send(batch) || ended {
		return
	}
	g.pt.p.Send(topology.SourceInput, f, false)
}

// say makes a group's record part of the transaction, if it says something else than the last one.
func (g *groups) say(f groupFound) {
	w := g.wide[f.hash]
	if w == nil {
		return
	}
	w.busy = false
	on := w.on && f.count > 0
	if w.said.open && (!on || f.since != w.said.since) {
		w.said.open = false
		g.emit(w, nil)
	}
	examples := xxhash.Sum64String(strings.Join(f.examples, "\x00"))
	if on && (!w.said.open || f.count != w.said.count || examples != w.said.examples) {
		if !w.said.open {
			w.said.detectedAt = event.Of(g.pt.g.Now())
		}
		w.said.open, w.said.since, w.said.count, w.said.examples, w.bound = true, f.since, f.count, examples, f.bound
		g.emit(w, f.examples)
	}
	if !w.on && !w.dirty && !w.said.open {
		delete(g.wide, f.hash)
	}
	g.pt.cursor.opened = true
}

// emit writes a group's record.
func (g *groups) emit(w *wideGroup, examples []string) {
	pt, now := g.pt, event.Of(g.pt.g.Now())
	w.said.revision++
	pt.key = g.appendID(pt.key[:0], w)
	d := freshness.Detection{Kind: w.kind, Key: w.key, Version: w.version, Seq: w.seq, HasSeq: w.hasSeq, Bound: w.bound, Since: w.said.since, DetectedAt: w.said.detectedAt}
	status, closed := "open", ""
	if !w.said.open {
		status, closed = "closed", freshness.ByCorrection.String()
		if d.Until = max(w.last.Until, d.Since); !w.last.Open() {
			closed = w.last.ClosedBy.String()
		}
	}
	b := freshness.AppendString(append(pt.buf[:0], `{"detection_id":`...), string(pt.key))
	b = append(append(append(b, `,"status":"`...), status...), `","workflow":null,"workflow_type":`...)
	b = freshness.AppendName(b, w.workflow)
	b = strconv.AppendInt(append(b, `,"count":`...), w.said.count, 10)
	b = append(b, `,"workflows":[`...)
	for i, id := range examples {
		if i > 0 {
			b = append(b, ',')
		}
		b = freshness.AppendString(b, id)
	}
	b = append(b, ']')
	b = pt.appendHeldItem(b, nil, &d, nil, closed)
	pt.buf = append(append(append(b, `,"traffic_class":"`...), w.traffic.String()...), `"}`...)
	pt.emitDetection(string(pt.key), w.said.revision, now)
}

// appendID appends */<partition>/<type>/<kind>/<key>/<version>/<since>, with the class of traffic that is not live before the type: no workflow's id
// is encoded as *.
func (g *groups) appendID(b []byte, w *wideGroup) []byte {
	b = append(strconv.AppendInt(append(b, "*/"...), int64(g.pt.p.ID), 10), '/')
	if w.traffic != event.Live {
		b = append(append(b, w.traffic.String()...), '/')
	}
	for _, s := range []string{w.workflow, w.kind, w.key} {
		b = append(appendPercent(b, s), '/')
	}
	if w.hasSeq {
		b = strconv.AppendInt(b, w.seq, 10)
	} else {
		b = appendPercent(append(b, '~'), w.version)
	}
	return w.said.since.Append(append(b, '/'))
}

// regroup gives a workflow's open detections records of their own, or closes those, as their groups are now.
func (pt *partition) regroup(r *row) {
	now := event.Of(pt.g.Now())
	for i := range r.w.Detections {
		d := &r.w.Detections[i]
		if !d.Open() {
			continue
		}
		speaks := pt.groups.speaks(r.w, d)
		switch {
		case speaks == d.Grouped:
			continue
		case speaks && d.Revision > 0:
			pt.sayGrouped(r, d, now)
		case !speaks:
			d.Grouped = false
			pt.sayDetection(r, d, now)
		}
		d.Grouped = speaks
		pt.p.Rows.Touch(r.w.ID)
	}
}

// list returns the groups that the cursor is to remember, in a fixed order.
func (g *groups) list() []*wideGroup {
	all := make([]*wideGroup, 0, len(g.wide))
	for _, w := range g.wide {
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b *wideGroup) int { return slices.Compare(a.append(nil), b.append(nil)) })
	return all
}
