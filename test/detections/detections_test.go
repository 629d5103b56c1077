package detections

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/checkid"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/go-kit/log"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	seed    = flag.Uint64("detections.seed", 0, "seed of what is random; 0 takes one from the clock and prints it")
	verbose = flag.Bool("detections.log", false, "print the engine's log")
)

func options(contract string) harness.Options {
	o := harness.Options{Contract: contract, Partitions: 4, Logger: log.NewNopLogger()}
	if *verbose {
		o.Logger = log.NewLogfmtLogger(log.NewSyncWriter(os.Stderr))
	}
	return o
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// record is the data of a detection record.
type record struct {
	ID       string   `json:"detection_id"`
	Status   string   `json:"status"`
	Workflow *string  `json:"workflow"`
	Type     string   `json:"workflow_type"`
	Count    int      `json:"count"`
	Of       []string `json:"workflows"`
	Kind     string   `json:"kind"`
	Key      string   `json:"key"`
	Used     *struct {
		Version string `json:"version"`
		Seq     *int64 `json:"seq"`
	} `json:"used"`
	Current *struct {
		Seq int64 `json:"seq"`
	} `json:"current"`
	Bound      string      `json:"bound"`
	Since      event.Time  `json:"since"`
	DetectedAt event.Time  `json:"detected_at"`
	ClosedAt   *event.Time `json:"closed_at"`
	ClosedBy   *string     `json:"closed_by"`
	Owner      *string     `json:"owner"`
	Cause      *string     `json:"cause"`
	Traffic    string      `json:"traffic_class"`
}

// line is what of a detection is a function of the set of events.
func (r *record) line() string {
	seq, at, by := "?"+r.Used.Version, "", ""
	if r.Used.Seq != nil {
		seq = fmt.Sprint(*r.Used.Seq)
	}
	if r.ClosedAt != nil {
		at, by = r.ClosedAt.String(), *r.ClosedBy
	}
	return fmt.Sprintf("%s seq %s %s %s %s %s", r.ID, seq, r.Bound, r.Status, at, by)
}

// last reads the topic: the last record of every detection. No id may name two contents.
func last(ctx context.Context, t *testing.T, e *harness.Engine) map[string]*record {
	t.Helper()
	detections := map[string]*record{}
	contents := map[string]string{}
	for _, r := range e.ReadAll(ctx, e.Name("freshet.detections")) {
		d := &record{}
		if err := json.Unmarshal(r.Value, d); err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		id := header(r, "ce_id")
		if before, ok := contents[id]; ok && before != string(r.Value) {
			t.Errorf("id %s has two contents:\n%s\n%s", id, before, r.Value)
		}
		contents[id] = string(r.Value)
		if string(r.Key) != d.ID || header(r, "ce_type") != "freshet.detection" || !strings.HasPrefix(id, d.ID+"/") {
			t.Errorf("key %s, id %s, type %s of %s", r.Key, id, header(r, "ce_type"), r.Value)
		}
		detections[d.ID] = d
	}
	return detections
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// holds returns what holds of the detections in the end: without those that were taken back.
func holds(all map[string]*record) []string {
	var lines []string
	for _, d := range all {
		if d.ClosedBy != nil && *d.ClosedBy == "corrected" && *d.ClosedAt == d.Since {
			continue
		}
		lines = append(lines, d.line())
	}
	slices.Sort(lines)
	return lines
}

const golden = "../../testdata/golden"

// always is a contract that has always been in force.
type always struct{ c *freshness.Contract }

func (a always) At(event.Time) *freshness.Contract   { return a.c }
func (a always) After(event.Time) (event.Time, bool) { return 0, false }

// batch returns the detections of a complete set of events, computed at once.
func batch(t *testing.T, set string, lines [][]byte, through event.Time) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(golden, set+".contracts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := slo.Parse(text, set, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := freshness.NewBatch(f.Contract(), freshness.DefaultLimits())
	d := event.NewDecoder(event.Config{MaxSkew: 1 << 60})
	ids := map[string]bool{}
	for _, line := range lines {
		var e event.Event
		// The loader gives records that say nothing else the event's time.
		if reason := d.DecodeStructured(line, 0, &e); reason != event.OK {
			t.Fatalf("%s: %s", reason, line)
		}
		if !e.HasRecorded {
			e.Appended = e.Time
		}
		b.Add(&e, freshness.Position{})
		if e.Type.Category() != event.Source {
			ids[strings.Clone(e.Subject)] = true
		}
	}
	detector := freshness.Detector{Sources: b.Facts(), Contracts: always{f.Contract()}, Idle: f.WorkflowIdle()}
	var all []string
	for id := range ids {
		w := b.Workflow(id)
		detector.Detect(w, -1<<62, func(string, string) event.Time { return through })
		for i := range w.Detections {
			x := &w.Detections[i]
			seq, status, at, by := "?"+x.Version, "open", "", ""
			if x.HasSeq {
				seq = fmt.Sprint(x.Seq)
			}
			if !x.Open() {
				status, at, by = "closed", x.Until.String(), x.ClosedBy.String()
			}
			all = append(all, fmt.Sprintf("%s/%s/%s/%s seq %s %s %s %s %s", id, x.Kind, x.Key, x.Since, seq, x.Bound.Bound(), status, at, by))
		}
	}
	slices.Sort(all)
	return all
}

// TestInAnyOrder loads a golden set in a random order, with restarts and a lost store on the way: what is said of detections in the end is
// what they are by the complete set of events.
func TestInAnyOrder(t *testing.T) {
	for _, set := range []string{"adversarial-1", "adversarial-3"} {
		t.Run(set, func(t *testing.T) {
			ctx := within(t, 4*time.Minute)
			s := *seed
			if s == 0 {
				s = uint64(time.Now().UnixNano())
			}
			t.Logf("repeat with: go test ./test/detections -run '^%s$' -detections.seed=%d", t.Name(), s)
			r := rand.New(rand.NewPCG(s, 1))
			lines := testfile.Lines(t, filepath.Join(golden, set+".events.ndjson.gz"))
			want := batch(t, set, lines, event.Of(time.Now()))
			if len(want) < 50 {
				t.Fatalf("the set has %d detections: they show nothing", len(want))
			}
			r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
			e := harness.New(t, options(filepath.Join(golden, set+".contracts.yaml")))
			e.Load(ctx, lines[:len(lines)/3])
			e.Start(ctx)
			e.AwaitNow(ctx)
			e.Load(ctx, lines[len(lines)/3:len(lines)*2/3])
			e.Stop()
			if r.IntN(2) == 0 {
				e.LoseRows()
			}
			e.Start(ctx)
			e.Load(ctx, lines[len(lines)*2/3:])
			e.AwaitNow(ctx)
			var got []string
			e.Until(ctx, func() string {
				got = holds(last(ctx, t, e))
				for i := range max(len(got), len(want)) {
					switch {
					case i == len(got):
						return "missing: " + want[i]
					case i == len(want):
						return "too many: " + got[i]
					case got[i] != want[i]:
						return fmt.Sprintf("%d of %d:\n got %s\nwant %s", len(got), len(want), got[i], want[i])
					}
				}
				return ""
			})
		})
	}
}

// refunds is a contract under which v1 is stale two seconds after v2 is in force.
const refunds = `version: 1
owners: {pay: {slack: "#pay"}, risk: {slack: "#risk"}}
contexts:
  policy: {owner: risk}
workflows:
  refund:
    owner: pay
    bounds: {policy: {max_staleness: 2s}}
detections: [{name: held, workflow: refund, for: 1s, severity: ticket, limit: 3}]
lateness: {default: 100ms}
`

// world makes events of workflows and sources.
type world struct {
	*harness.Engine
	t *testing.T
	n int
}

func newWorld(t *testing.T, contract string) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(path, []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	return &world{Engine: harness.New(t, options(path)), t: t}
}

func (w *world) say(kind, subject string, at time.Time, data string) []byte {
	w.n++
	return fmt.Appendf(nil, `{"specversion":"1.0","id":"e%d","source":"/t","type":%q,"time":%q,"subject":%q,"workflowtype":"refund","data":%s}`,
		w.n, kind, event.Of(at).String(), subject, data)
}

func (w *world) started(id string, at time.Time) []byte { return w.say("task.started", id, at, `{}`) }

func (w *world) loaded(id string, at time.Time, key string, seq int) []byte {
	return w.say("context.loaded", id, at, fmt.Sprintf(`{"refs":[{"kind":"policy","key":%q,"seq":%d}]}`, key, seq))
}

func (w *world) updated(key string, seq int, at time.Time) []byte {
	return w.say("source.updated", "policy/"+key, at, fmt.Sprintf(`{"kind":"policy","key":%q,"seq":%d,"version":"v%d"}`, key, seq, seq))
}

// expect waits until the detections of the topic are as said, one a line: workflow, key, status, what closed it.
func (w *world) expect(ctx context.Context, want ...string) map[string]*record {
	w.t.Helper()
	slices.Sort(want)
	var all map[string]*record
	w.Until(ctx, func() string {
		all = last(ctx, w.t, w.Engine)
		var got []string
		for _, d := range all {
			name := fmt.Sprintf("group of %d", d.Count)
			if d.Workflow != nil {
				name = *d.Workflow
			}
			line := fmt.Sprintf("%s %s %s", name, d.Key, d.Status)
			if d.ClosedBy != nil {
				line += " " + *d.ClosedBy
			}
			got = append(got, line)
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return ""
		}
		return fmt.Sprintf("got %q, want %q", got, want)
	})
	return all
}

// TestFoundWithoutAnyEvent lets time pass: the detection comes at the instant at which the bound is crossed, whichever came first, the load
// or the version that supersedes it. Then reload, drop and end close it, and a reload that had happened before leaves none behind.
func TestFoundWithoutAnyEvent(t *testing.T) {
	ctx := within(t, 4*time.Minute)
	w := newWorld(t, refunds)
	w.Start(ctx)
	w.AwaitNow(ctx)
	now := time.Now()
	before := now.Add(-time.Minute)
	w.Load(ctx, [][]byte{w.updated("p", 1, before), w.started("held", before), w.loaded("held", before, "p", 1), w.started("dropped", before), w.loaded("dropped", before, "p", 1),
		w.started("ended", before), w.loaded("ended", before, "p", 1), w.started("reloaded", before), w.loaded("reloaded", before, "p", 1)})
	w.AwaitNow(ctx)
	superseded := time.Now()
	w.Load(ctx, [][]byte{w.updated("p", 2, superseded), w.loaded("reloaded", superseded.Add(500*time.Millisecond), "p", 2),
		w.started("later", superseded), w.loaded("later", superseded, "p", 1)})
	all := w.expect(ctx, "held p open", "dropped p open", "ended p open", "later p open")
	since := event.Of(superseded) + 2001
	for id, d := range all {
		if d.Since != since || d.Bound != "max_staleness" || *d.Used.Seq != 1 || d.Current.Seq != 2 || d.Count != 1 || d.Of[0] != *d.Workflow || d.Type != "refund" ||
			d.Traffic != "live" || d.Owner == nil || d.Cause == nil {
			t.Errorf("%s: %+v, want since %s", id, d, since)
		}
		if late := d.DetectedAt - since; late < 100 {
			t.Errorf("%s was found %d ms after it began: before the clock had passed it", id, late)
		}
	}
	gauge := func() float64 {
		return w.Counted("freshet_stale_holdings", map[string]string{"workflow_type": "refund", "kind": "policy", "owner": "risk"})
	}
	shown := func(want float64) { // what is committed is in the topic before it is in the store and shown
		t.Helper()
		w.Until(ctx, func() string {
			if n := gauge(); n != want {
				return fmt.Sprintf("%v stale holdings are shown, want %v", n, want)
			}
			return ""
		})
	}
	shown(4)
	at := time.Now()
	w.Load(ctx, [][]byte{w.say("context.dropped", "dropped", at, `{"refs":[{"kind":"policy","key":"p"}]}`), w.say("task.completed", "ended", at, `{}`), w.loaded("later", at, "p", 2)})
	w.expect(ctx, "held p open", "dropped p closed drop", "ended p closed end", "later p closed reload")
	shown(1)
	// What is known comes out of the changelog, and is not said again.
	was := len(w.ReadAll(ctx, w.Name("freshet.detections")))
	w.Stop()
	w.LoseRows()
	w.Start(ctx)
	w.AwaitNow(ctx)
	shown(1)
	// An event that comes late takes back what was said.
	w.Load(ctx, [][]byte{w.loaded("held", superseded.Add(time.Second), "p", 2)})
	w.expect(ctx, "held p closed corrected", "dropped p closed drop", "ended p closed end", "later p closed reload")
	if is := len(w.ReadAll(ctx, w.Name("freshet.detections"))); is != was+1 {
		t.Errorf("%d records, want one more than %d", is, was)
	}
}

// TestAboveTheLimitOneRecordSpeaks has more workflows of a partition hold a stale version than the contract lets have records of their own:
// there is one for all of them, and when enough have gone on the rest have theirs again.
func TestAboveTheLimitOneRecordSpeaks(t *testing.T) {
	ctx := within(t, 4*time.Minute)
	w := newWorld(t, refunds)
	w.Start(ctx)
	w.AwaitNow(ctx)
	before := time.Now().Add(-time.Minute)
	var ids []string
	for i := 0; len(ids) < 5; i++ { // of one partition
		if id := fmt.Sprintf("wf-%d", i); w.Graph().Partitioner.PartitionString(id, 4) == 2 {
			ids = append(ids, id)
		}
	}
	hold := func(id string) [][]byte { return [][]byte{w.started(id, before), w.loaded(id, before, "p", 1)} }
	w.Load(ctx, slices.Concat([][]byte{w.updated("p", 1, before), w.updated("p", 2, before.Add(time.Second))}, hold(ids[0]), hold(ids[1]), hold(ids[2])))
	w.expect(ctx, ids[0]+" p open", ids[1]+" p open", ids[2]+" p open")
	w.Load(ctx, slices.Concat(hold(ids[3]), hold(ids[4])))
	all := w.expect(ctx, ids[0]+" p closed grouped", ids[1]+" p closed grouped", ids[2]+" p closed grouped", "group of 5 p open")
	sorted := slices.Sorted(slices.Values(ids))
	for id, d := range all {
		if d.Workflow == nil && (!slices.Equal(d.Of, sorted) || d.Since != event.Of(before.Add(3*time.Second))+1 || d.Current.Seq != 2 || *d.Used.Seq != 1 || *d.Owner != "risk") {
			t.Errorf("%s: %+v", id, d)
		}
	}
	w.Stop()
	w.LoseRows()
	w.Start(ctx)
	at := time.Now()
	w.Load(ctx, [][]byte{w.loaded(ids[0], at, "p", 2)})
	w.expect(ctx, ids[0]+" p closed grouped", ids[1]+" p closed grouped", ids[2]+" p closed grouped", "group of 4 p open")
	w.Load(ctx, [][]byte{w.say("task.failed", ids[4], at, `{}`)})
	w.expect(ctx, ids[0]+" p closed grouped", ids[1]+" p open", ids[2]+" p open", ids[3]+" p open", "group of 4 p closed end")
}

// TestAnActSaysWhatItWasChecked: the verdict record of an act says what the check said whose id it carries, and whether what was checked has
// been superseded since.
func TestAnActSaysWhatItWasChecked(t *testing.T) {
	ctx := within(t, 4*time.Minute)
	w := newWorld(t, refunds)
	w.Start(ctx)
	at := time.Now().Add(-time.Minute)
	id := func(workflow string, after time.Duration) string {
		return checkid.Encode(nil, checkid.Check{Workflow: workflow, At: event.Of(at.Add(after)), Verdict: freshness.IsFresh})
	}
	act := func(decision, check string) []byte {
		return w.say("action.executed", "w", at.Add(10*time.Second), fmt.Sprintf(`{"decision_id":%q,"check_id":%q}`, decision, check))
	}
	w.Load(ctx, [][]byte{w.updated("p", 1, at), w.started("w", at), w.loaded("w", at, "p", 1), w.updated("p", 2, at.Add(5*time.Second)),
		act("before", id("w", 4*time.Second)), act("after", id("w", 6*time.Second)), act("foreign", id("v", 6*time.Second)), act("broken", "x"), act("none", "")})
	v := w.Verdicts()
	for decision, want := range map[string]string{
		"before":  fmt.Sprintf("map[at:%s superseded_since:true verdict:fresh]", event.Of(at.Add(4*time.Second))),
		"after":   fmt.Sprintf("map[at:%s superseded_since:false verdict:fresh]", event.Of(at.Add(6*time.Second))),
		"foreign": "map[verdict:invalid]", "broken": "map[verdict:invalid]", "none": "<nil>",
	} {
		v.Until(ctx, func() string {
			d := v.Last["w "+decision+" action.executed"].Data
			if d == nil {
				return decision + " is not judged"
			}
			if got := fmt.Sprint(d["check"]); got != want {
				return fmt.Sprintf("%s: %s, want %s", decision, got, want)
			}
			return ""
		})
	}
	for check, want := range map[string]float64{"fresh": 2, "invalid": 2, "none": 1} {
		if n := w.Counted("freshet_acts_total", map[string]string{"check": check, "workflow_type": "refund"}); n != want {
			t.Errorf("%v acts with check %s are counted, want %v", n, check, want)
		}
	}
}
