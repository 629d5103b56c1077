//go:build unix

package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/freshet-io/freshet/test/buckets"
	lines "github.com/freshet-io/freshet/test/golden"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ledger is what the verdicts topic says, read from its start by a reader of committed records.
type ledger struct {
	t        *testing.T
	strict   bool // nothing may come twice
	belated  bool // versions became known after they had come into force: what was final before is amended by right
	last     map[string]map[string]any
	verdicts map[string]buckets.Verdict // the same, whole
	revision map[string]int64
	content  map[string]string // record id → its bytes
	repeats  int
	client   *kgo.Client
	faults   int
}

func (w *world) ledger() *ledger {
	w.t.Helper()
	l := &ledger{t: w.t, strict: w.at == cluster, belated: w.played && w.set == seeded, last: map[string]map[string]any{}, verdicts: map[string]buckets.Verdict{}, revision: map[string]int64{}, content: map[string]string{}}
	l.client = w.client(kgo.ConsumeTopics(w.graph.Verdicts), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	return l
}

// poll takes what has been read by now, and says how many records that is.
func (l *ledger) poll(ctx context.Context) int {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	fetches := l.client.PollFetches(ctx)
	fetches.EachRecord(l.take)
	return fetches.NumRecords()
}

// mostFaults is how many are reported one by one.
const mostFaults = 10

func (l *ledger) fault(format string, args ...any) {
	l.t.Helper()
	if l.faults++; l.faults <= mostFaults {
		l.t.Errorf(format, args...)
	}
}

func (l *ledger) take(r *kgo.Record) {
	l.t.Helper()
	var id string
	for _, h := range r.Headers {
		if h.Key == "ce_id" {
			id = string(h.Value)
		}
	}
	var d map[string]any
	if err := json.Unmarshal(r.Value, &d); err != nil {
		l.fault("verdict at %s/%d/%d: %v", r.Topic, r.Partition, r.Offset, err)
		return
	}
	use, revision := harness.UseOf(d), int64(d["revision"].(float64))
	if before, known := l.content[id]; known {
		switch {
		case before != string(r.Value):
			l.fault("id %s names two contents:\n%s\n%s", id, before, r.Value)
		case l.strict:
			l.fault("%s, revision %d comes twice, the second time at %s/%d/%d", use, revision, r.Topic, r.Partition, r.Offset)
		}
		l.repeats++
		return
	}
	l.content[id] = string(r.Value)
	if before := l.revision[use]; revision != before+1 {
		l.fault("%s: revision %d after %d at %s/%d/%d", use, revision, before, r.Topic, r.Partition, r.Offset)
	}
	l.revision[use] = revision
	l.last[use] = lines.Of(d)
	l.verdicts[use] = buckets.Verdict{Partition: r.Partition, Data: d}
}

// differs says what the last revisions lack to be the golden lines, "" if nothing.
func (l *ledger) differs(want map[string]map[string]any) string {
	missing, wrong, extra := 0, 0, 0
	var example string
	for use, line := range want {
		switch got, ok := l.last[use]; {
		case !ok:
			missing++
			if example == "" {
				example = "missing: " + use
			}
		case !reflect.DeepEqual(got, line):
			wrong++
			g, _ := json.Marshal(got)
			w, _ := json.Marshal(line)
			example = fmt.Sprintf("%s, revision %d:\n got  %s\n want %s", use, l.revision[use], g, w)
		}
	}
	for use := range l.last {
		if want[use] == nil {
			extra++
			example = "additional: " + use
		}
	}
	if missing+wrong+extra == 0 {
		return ""
	}
	return fmt.Sprintf("%d verdicts expected: %d missing, %d wrong, %d additional; %s", len(want), missing, wrong, extra, example)
}

// settlePatience is how long the engine may take to have said everything. Machines that test are slow.
const settlePatience = 3 * time.Minute

// settled waits until the last revisions are the golden lines and every clock has passed what was loaded: nothing more can come then. It
// returns what it has read.
func (w *world) settled(ctx context.Context) *ledger {
	w.t.Helper()
	loaded := time.Now()
	l := w.ledger()
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	late := w.behind(ctx, loaded)
	for ctx.Err() == nil && (l.differs(w.want) != "" || late != "") {
		l.poll(ctx)
		if late != "" {
			late = w.behind(ctx, loaded)
		}
	}
	// One more look, past the next tick of the clocks: it has to stay so.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 1500*time.Millisecond)
	defer cancel()
	for after.Err() == nil {
		l.poll(after)
	}
	if missing := l.differs(w.want); missing != "" {
		w.t.Errorf("%s; %s", missing, w.states())
	}
	if late != "" {
		w.t.Errorf("%s; %s", late, w.states())
	}
	if l.faults > mostFaults {
		w.t.Errorf("%d faults in all", l.faults)
	}
	w.t.Logf("%d verdicts, %d revisions, %d repeated", len(l.last), len(l.content), l.repeats)
	w.countedRight(context.WithoutCancel(ctx), l)
	return l
}

// behind says what partitions have not applied what was acknowledged before an instant, "" if all have.
func (w *world) behind(ctx context.Context, at time.Time) string {
	through := map[string]bool{}
	for _, i := range w.running() {
		for partition, v := range i.clocks(ctx) {
			if v > float64(at.UnixMilli())/1000 {
				through[partition] = true
			}
		}
	}
	if len(through) >= 2*w.partitions {
		return ""
	}
	return fmt.Sprintf("%d of %d partitions have applied what was loaded", len(through), 2*w.partitions)
}

// sameUses fails the test if the revisions of a verdict are not of the same use: what a workflow does is known in time, whatever becomes known
// of what it used.
func (l *ledger) sameUses() {
	l.t.Helper()
	type use struct{ kind, at any }
	first := map[string]use{}
	for _, content := range l.content {
		var d map[string]any
		if err := json.Unmarshal([]byte(content), &d); err != nil {
			l.t.Fatal(err)
		}
		of, u := harness.UseOf(d), use{d["workflow_type"], d["used_at"]}
		if before, ok := first[of]; ok && before != u {
			l.fault("%s is of %v in one revision and of %v in another, though every event came in time", of, before, u)
		}
		first[of] = u
	}
}

// neverTakenBack fails the test if a verdict was amended: where every event comes in time, what is final is right. But for the seeded set,
// of which a version's event may happen long after the version came into force, and after the uses that it supersedes.
func (l *ledger) neverTakenBack() {
	l.t.Helper()
	n := 0
	for use, revision := range l.revision {
		if revision > 1 {
			if n++; n == 1 && !l.belated {
				l.t.Errorf("%s was judged and amended, though every event came in time:", use)
				for _, content := range l.content {
					var d map[string]any
					if json.Unmarshal([]byte(content), &d) == nil && harness.UseOf(d) == use {
						l.t.Errorf("%s", content)
					}
				}
			}
		}
	}
	switch {
	case l.belated:
		l.sameUses()
		l.t.Logf("%d of %d verdicts were amended: versions became known after they had come into force", n, len(l.revision))
	case n > 0:
		l.t.Errorf("%d of %d verdicts were amended, though every event came in time", n, len(l.revision))
	}
}
