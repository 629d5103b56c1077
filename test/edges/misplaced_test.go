package edges

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scatter puts records into partitions at random, takes the key from some and writes some in structured mode. It returns how many do not
// lie where their subject says.
func (k *kit) scatter(rng *rand.Rand, lines [][]byte, records []*kgo.Record) (misplaced int) {
	for i, r := range records {
		subject := string(r.Key)
		switch rng.IntN(4) {
		case 0:
			r.Key = nil
		case 1:
			header(r, "ce_subject") // the key is the subject
		}
		if rng.IntN(5) == 0 {
			structured(r, lines[i])
		}
		r.Partition = int32(rng.IntN(k.Graph().Config.Partitions))
		if r.Partition != k.place(subject) {
			misplaced++
		}
	}
	return misplaced
}

// TestMisplaced loads the golden set into partitions that nobody's partitioner would have chosen.
func TestMisplaced(t *testing.T) {
	for _, partitioner := range []topology.Partitioner{topology.Murmur2, topology.CRC32, topology.FNV1a} {
		t.Run(partitioner.String(), func(t *testing.T) {
			ctx, rng := within(t), random(t)
			k := newKit(t, goldenContract(t, "partitioner: "+partitioner.String()+"\n"), harness.Options{Partitions: 5})
			if got := k.Graph().Partitioner; got != partitioner {
				t.Fatalf("the graph's partitioner is %s", got)
			}
			lines := goldenLines(t)
			records := k.Records(ctx, lines)
			misplaced := k.scatter(rng, lines, records)
			if misplaced < len(records)/2 {
				t.Fatalf("only %d of %d records are misplaced", misplaced, len(records))
			}
			half := len(records) / 2
			k.Produce(ctx, records[:half]...)
			k.Start(ctx)
			k.Produce(ctx, records[half:]...) // into the running engine
			k.AwaitNow(ctx)
			verdicts := k.Verdicts()
			verdicts.Compare(ctx, goldenVerdicts(t))
			if got := k.Counted("freshet_events_total", map[string]string{"result": "rerouted"}); got != float64(misplaced) {
				t.Errorf("%v records were rerouted; %d are misplaced", got, misplaced)
			}
			if got := k.Counted("freshet_events_total", map[string]string{"topic": k.Graph().RekeyedWorkflows}); got != 0 {
				t.Errorf("%v events are counted under the topic of copies", got)
			}
			applied := k.Counted("freshet_events_total", map[string]string{"result": "applied"}) + k.Counted("freshet_events_total", map[string]string{"result": "duplicate"})
			if late := k.Counted("freshet_events_total", map[string]string{"result": "late"}); applied+late != float64(len(records)) {
				t.Errorf("%v records were applied, %v late; want all of %d once", applied, late, len(records))
			}
			if got := k.Counted("freshet_dead_letters_total", nil); got != 0 {
				t.Errorf("%v dead letters", got)
			}
			k.checkEvidence(ctx, verdicts, topics...)
		})
	}
}

// checkEvidence reads the records that verdicts name and holds them against what the verdicts say of them.
func (k *kit) checkEvidence(ctx context.Context, verdicts *harness.Verdicts, inputs ...string) {
	k.t.Helper()
	var names []string
	for _, name := range inputs {
		names = append(names, k.Name(name))
	}
	lies := map[harness.Position]*kgo.Record{}
	for _, r := range k.ReadAll(ctx, names...) {
		lies[harness.PositionOf(r)] = r
	}
	d := event.NewDecoder(event.Config{MaxSkew: 1000 * time.Hour})
	decisions, loads, currents, wrong := 0, 0, 0, 0
	hold := func(what string, at any, fits func(e *event.Event) bool) bool {
		position, named := positionIn(at)
		if !named {
			return false
		}
		r := lies[position]
		if r != nil {
			e := k.binary(d, r)
			if fits(&e) {
				return true
			}
		}
		if wrong++; wrong <= 5 {
			k.t.Errorf("%s names %v; there is %+v", what, position, r)
		}
		return false
	}
	for use, v := range verdicts.Last {
		workflow, _ := v.Data["workflow"].(string)
		if hold(use, v.Data["at"], func(e *event.Event) bool {
			return e.Subject == workflow && e.DecisionID == v.Data["decision_id"] && e.Type.String() == v.Data["use"] && stamp(e.Time.Go()) == v.Data["used_at"]
		}) {
			decisions++
		}
		for _, it := range v.Data["items"].([]any) {
			it := it.(map[string]any)
			kind, key := it["kind"].(string), it["key"].(string)
			used := it["used"].(map[string]any)
			if hold(use+" "+kind+"/"+key, used["at"], func(e *event.Event) bool {
				return e.Subject == workflow && stamp(e.Time.Go()) == used["loaded_at"] && slices.ContainsFunc(e.Refs, func(r event.Ref) bool {
					return r.Kind == kind && r.Key == key && (!r.HasSeq || float64(r.Seq) == used["seq"])
				})
			}) {
				loads++
			}
			current, ok := it["current"].(map[string]any)
			if ok && hold(use+" current "+kind+"/"+key, current["at"], func(e *event.Event) bool {
				return e.Type == event.SourceUpdated && e.Kind == kind && e.Key == key && float64(e.Seq) == current["seq"] && e.Version == current["version"]
			}) {
				currents++
			}
		}
	}
	if decisions != len(verdicts.Last) || loads == 0 || currents == 0 || wrong > 0 {
		k.t.Errorf("%d verdicts: the evidence of %d decisions, %d loads and %d current versions holds, that of %d does not", len(verdicts.Last), decisions, loads, currents, wrong)
	}
}

// TestMisplacedForget forgets an item by a record in the wrong partition.
func TestMisplacedForget(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds, harness.Options{})
	at := time.Now().Add(-time.Hour)
	forget := &kgo.Record{Topic: k.Name("context.source"), Key: []byte("policy/p"), Partition: (k.place("policy/p") + 1) % partitions}
	k.Start(ctx)
	k.Produce(ctx, k.updated("policy/p", 1, at), k.loaded("w", at, ref("policy", "p", 1)), k.proposed("w", "d", at.Add(time.Second)))
	v := k.Verdicts()
	k.expect(ctx, v, "w", "d", "fresh; policy/p@1 fresh")
	k.Produce(ctx, forget)
	k.expect(ctx, v, "w", "d", "unknown unknown_source; policy/p@1 unknown unknown_source")
}

// rekeyTopics replaces two of the topics by others with keys and partitions of their own.
const rekeyTopics = `topics:
  legacy.tools: {category: tool, owner: pay, rekey: true}
  cdc.policies: {category: source, owner: risk, rekey: true}
  context.source: {category: source, owner: risk}
`

// TestRekey sends the golden set's tool events and half of its source events through topics that are rekeyed.
func TestRekey(t *testing.T) {
	ctx, rng := within(t), random(t)
	rekeyed := map[string]int32{"legacy.tools": 3, "cdc.policies": 7}
	k := newKit(t, goldenContract(t, rekeyTopics), harness.Options{Rekeyed: rekeyed, HTTP: true})
	records := k.Records(ctx, goldenLines(t))
	through := 0
	for _, r := range records {
		topic := strings.TrimPrefix(r.Topic, k.Graph().Config.Prefix)
		if topic == "context.source" && rng.IntN(2) == 0 {
			topic = "cdc.policies"
			r.Topic = k.Name(topic)
		}
		n, ok := rekeyed[topic]
		if !ok {
			continue
		}
		through++
		r.Partition = int32(rng.IntN(int(n)))
		switch rng.IntN(3) {
		case 0:
			r.Key = nil
		case 1:
			r.Key = []byte("call-17") // keyed by something else
		}
	}
	half := len(records) / 2
	k.Produce(ctx, records[:half]...)
	k.Start(ctx)
	k.Produce(ctx, records[half:]...)
	k.awaitReady(ctx)
	k.AwaitNow(ctx)
	verdicts := k.Verdicts()
	verdicts.Compare(ctx, goldenVerdicts(t))
	for topic := range rekeyed {
		if k.Counted("freshet_events_total", map[string]string{"topic": k.Name(topic), "result": "rerouted"}) == 0 {
			t.Errorf("nothing was copied from %s", topic)
		}
	}
	if got := k.Counted("freshet_events_total", map[string]string{"result": "rerouted"}); got != float64(through) {
		t.Errorf("%v records were copied; %d were to be", got, through)
	}
	k.checkEvidence(ctx, verdicts, "workflow.control", "workflow.context", "legacy.tools", "workflow.decision", "context.source", "cdc.policies")
}

// TestRekeyHoldsTheClocks lets records of a rekeyed topic lie behind an open transaction, acknowledged but not to be read: no decision is
// final before they are copied.
func TestRekeyHoldsTheClocks(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds+"topics:\n  legacy.tools: {category: tool, owner: pay, rekey: true}\n", harness.Options{Rekeyed: map[string]int32{"legacy.tools": 3}})
	tool := func(workflow string, at time.Time) *kgo.Record {
		r := k.event("legacy.tools", "tool.result", workflow, at, `{"call_id":"c","status":"ok","refs":[`+ref("feature", "score", 1)+`]}`)
		r.Partition = 2
		return r
	}
	k.Start(ctx)
	k.AwaitNow(ctx)
	open := k.openTransaction(ctx, k.Name("legacy.tools"), 2)
	at := time.Now().Truncate(time.Millisecond)
	workflows := make([]string, partitions)
	records := []*kgo.Record{k.updated("feature/score", 1, at.Add(-time.Hour))}
	for p := range workflows {
		workflows[p] = k.named("w", int32(p))
		records = append(records, k.event("workflow.control", "task.started", workflows[p], at, ""), tool(workflows[p], at), k.proposed(workflows[p], "d", at.Add(time.Millisecond)))
	}
	k.Produce(ctx, records...)
	applied := func(group string) (least event.Time, n int) {
		least = event.Of(at.Add(24 * time.Hour))
		for _, p := range k.App.Partitions() {
			if p.Group == group {
				least = min(least, p.CompleteThrough)
				n++
			}
		}
		return least, n
	}
	// The sources are told by their clock that seconds have passed; were the clocks of the workflows not held, they would have, too.
	k.Until(ctx, func() string {
		if through, n := applied(k.Graph().Sources.Name); n < partitions || through < event.Of(at.Add(2*time.Second)) {
			return "the sources are not complete through what was loaded"
		}
		return ""
	})
	if through, n := applied(k.Graph().Workflows.Name); n != partitions || through >= event.Of(at) {
		t.Errorf("workflows are complete through %v on %d partitions, but what happened at %v is not copied", through, n, at)
	}
	if said := k.ReadAll(ctx, k.Graph().Verdicts); len(said) != 0 {
		t.Errorf("%d verdicts before what they rest on was copied: %s", len(said), said[0].Value)
	}
	open.abort(ctx)
	v := k.Verdicts()
	for _, workflow := range workflows {
		k.expect(ctx, v, workflow, "d", "fresh; feature/score@1 fresh")
	}
	k.AwaitNow(ctx)
	v.ReadEnd(ctx)
	for _, workflow := range workflows {
		if got := v.Last[workflow+" d decision.proposed"]; got.Revision != 1 || got.Data["complete_through"].(string) < stamp(at.Add(time.Millisecond)) {
			d, _ := json.Marshal(got.Data)
			t.Errorf("revision %d: the first one was made too early: %s", got.Revision, d)
		}
	}
}

// TestMisplacedHoldsTheClocks lets records of all partitions lie in one, behind an open transaction, acknowledged but not to be read: no
// decision of any partition is final before their copies are applied, whichever instance has to make them.
func TestMisplacedHoldsTheClocks(t *testing.T) {
	for _, instances := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d instances", instances), func(t *testing.T) {
			ctx := within(t)
			k := newKit(t, refunds, harness.Options{})
			k.Start(ctx)
			k.AwaitNow(ctx)
			engines := []*harness.Engine{k.Engine}
			if instances == 2 {
				engines = append(engines, k.second(ctx))
			}
			testHeldBack(ctx, k, engines)
		})
	}
}

// second starts another engine beside the kit's and waits until they share the work.
func (k *kit) second(ctx context.Context) *harness.Engine {
	k.t.Helper()
	path := file(k.t, k.contract)
	other := harness.New(k.t, harness.Options{Contract: path, Partitions: k.Graph().Config.Partitions, Brokers: strings.Join(k.Brokers(), ","), Instance: "second"})
	other.Start(ctx)
	shared := func(e *harness.Engine) bool {
		n := map[string]int{}
		for _, p := range e.App.Partitions() {
			if p.Live {
				n[p.Group]++
			}
		}
		return n[k.Graph().Sources.Name] > 0 && n[k.Graph().Workflows.Name] > 0
	}
	k.Until(ctx, func() string {
		if shared(k.Engine) && shared(other) {
			return ""
		}
		return "two engines do not share the partitions"
	})
	return other
}

// standing returns the least complete through of a group's partitions on all engines, and how many there are.
func standing(group string, engines []*harness.Engine) (least event.Time, n int) {
	least = event.Time(1<<63 - 1)
	for _, e := range engines {
		for _, p := range e.App.Partitions() {
			if p.Group == group {
				least = min(least, p.CompleteThrough)
				n++
			}
		}
	}
	return least, n
}

func testHeldBack(ctx context.Context, k *kit, engines []*harness.Engine) {
	t := k.t
	const lies = 1
	tool := func(workflow string, at time.Time) *kgo.Record {
		r := k.event("workflow.tool", "tool.result", workflow, at, `{"call_id":"c","status":"ok","refs":[`+ref("feature", "score", 1)+`]}`)
		r.Partition = lies
		return r
	}
	open := k.openTransaction(ctx, k.Name("workflow.tool"), lies)
	at := time.Now().Truncate(time.Millisecond)
	workflows := make([]string, partitions)
	records := []*kgo.Record{k.updated("feature/score", 1, at.Add(-time.Hour))}
	for p := range workflows {
		workflows[p] = k.named("w", int32(p))
		records = append(records, k.event("workflow.control", "task.started", workflows[p], at, ""), tool(workflows[p], at), k.proposed(workflows[p], "d", at.Add(time.Millisecond)))
	}
	k.Produce(ctx, records...)
	// Records of a later time must not move the clocks either.
	var later []*kgo.Record
	for p := range workflows {
		later = append(later, k.event("workflow.control", "task.started", k.named("later", int32(p)), at.Add(20*time.Second), ""))
	}
	k.Produce(ctx, later...)
	k.Until(ctx, func() string {
		if through, n := standing(k.Graph().Sources.Name, engines); n < partitions || through < event.Of(at.Add(2*time.Second)) {
			return "the sources are not complete through what was loaded"
		}
		return ""
	})
	if through, n := standing(k.Graph().Workflows.Name, engines); n != partitions || through >= event.Of(at) {
		t.Errorf("workflows are complete through %v on %d partitions, but what happened at %v is not copied", through, n, at)
	}
	if said := k.ReadAll(ctx, k.Graph().Verdicts); len(said) != 0 {
		t.Errorf("%d verdicts before what they rest on was copied: %s", len(said), said[0].Value)
	}
	open.abort(ctx)
	v := k.Verdicts()
	for _, workflow := range workflows {
		k.expect(ctx, v, workflow, "d", "fresh; feature/score@1 fresh")
		if got := v.Last[workflow+" d decision.proposed"]; got.Revision != 1 {
			t.Errorf("%s: revision %d; the first one was made too early", workflow, got.Revision)
		}
	}
}

// TestMisplacedSourcesHoldTheClocks does the same with the version that makes a decision stale.
func TestMisplacedSourcesHoldTheClocks(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds, harness.Options{})
	const item = "policy/p"
	lies := (k.place(item) + 1) % partitions
	at := time.Now().Truncate(time.Millisecond)
	k.Produce(ctx, k.updated(item, 1, at.Add(-time.Hour)))
	k.Start(ctx)
	k.AwaitNow(ctx)
	open := k.openTransaction(ctx, k.Name("context.source"), lies)
	at = time.Now().Truncate(time.Millisecond)
	newer := k.updated(item, 2, at)
	newer.Partition = lies
	k.Produce(ctx, newer, k.loaded("w", at, ref("policy", "p", 1)), k.proposed("w", "d", at.Add(time.Millisecond)))
	engines := []*harness.Engine{k.Engine}
	k.Until(ctx, func() string {
		if through, n := standing(k.Graph().Workflows.Name, engines); n < partitions || through < event.Of(at.Add(2*time.Second)) {
			return "the workflows are not complete through what was loaded"
		}
		return ""
	})
	if said := k.ReadAll(ctx, k.Graph().Verdicts); len(said) != 0 {
		t.Errorf("%d verdicts before the version that they rest on was copied: %s", len(said), said[0].Value)
	}
	open.abort(ctx)
	v := k.Verdicts()
	k.expect(ctx, v, "w", "d", "stale versions; policy/p@1 stale versions")
	if got := v.Last["w d decision.proposed"]; got.Revision != 1 {
		t.Errorf("revision %d; the first one was made too early", got.Revision)
	}
}

// TestMisplacedAndLarge puts records into wrong partitions that are larger than a row may be: their topics take them, so do the copies.
func TestMisplacedAndLarge(t *testing.T) {
	ctx := within(t)
	const size = 12 << 20
	k := newKit(t, refunds, harness.Options{Config: func(c *app.Config) { c.Topics.MaxMessageBytes = size + 1<<20 }})
	at := time.Now().Add(-time.Hour)
	padding := `,"padding":"` + strings.Repeat("x", size) + `"}`
	large := func(r *kgo.Record) *kgo.Record {
		r.Value = append(r.Value[:len(r.Value)-1], padding...)
		r.Partition = (r.Partition + 1) % partitions
		return r
	}
	k.Start(ctx)
	k.Produce(ctx, large(k.updated("policy/p", 1, at)))
	k.Produce(ctx, large(k.loaded("w", at, ref("policy", "p", 1))))
	k.Produce(ctx, large(k.event("workflow.decision", "decision.proposed", "w", at.Add(time.Second), `{"decision_id":"d"}`)))
	k.expect(ctx, k.Verdicts(), "w", "d", "fresh; policy/p@1 fresh")
	if got := k.Counted("freshet_dead_letters_total", nil); got != 0 {
		t.Errorf("%v dead letters", got)
	}
	if got := k.Counted("freshet_events_total", map[string]string{"result": "rerouted"}); got != 3 {
		t.Errorf("%v records were rerouted; want 3", got)
	}
}
