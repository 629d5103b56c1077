package edges

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/commands"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/test/harness"
)

const counted = `slos:
  - {name: proposals, workflow: refund, use: decision.proposed, objective: 0.9, window: 30d}
`

// TestErase has workflows erased by the command, beside others of the same partitions that stay: with one instance and with two, of which
// one leaves, with a store that is lost, and with a request that lies in a wrong partition.
func TestErase(t *testing.T) {
	for _, instances := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d instances", instances), func(t *testing.T) {
			for _, ahead := range []time.Duration{20 * time.Second, 2 * time.Minute} { // what a machine that is slow does not do before it does again
				ctx := within(t)
				k := &erasing{kit: newKit(t, refunds+counted, harness.Options{HTTP: true})}
				k.Start(ctx)
				k.AwaitNow(ctx)
				k.engines = []*harness.Engine{k.Engine}
				if instances == 2 {
					k.engines = append(k.engines, k.second(ctx))
				}
				k.soon = time.Now().Add(ahead)
				if k.test(ctx) {
					return
				}
				for _, e := range k.engines {
					e.Stop()
				}
			}
			t.Fatal("nothing is done in time")
		})
	}
}

// erasing is a kit with two workflows in each partition, of which one is erased.
type erasing struct {
	*kit
	engines     []*harness.Engine
	gone, stays []string
	soon        time.Time // of decisions that are to come
	verdicts    *harness.Verdicts
}

// late says whether the decisions that are to come have.
func (k *erasing) late() bool { return !time.Now().Before(k.soon) }

// test says whether everything was done before the decisions that are to come; otherwise it proves nothing.
func (k *erasing) test(ctx context.Context) bool {
	t := k.t
	k.prepare(ctx)
	before := k.compacted(ctx)
	if k.late() {
		return false
	}
	if before.named(k.gone) != 4*partitions || before.named(k.stays) != 4*partitions { // row, detection, bucket, and the bucket's row
		t.Fatalf("%d records name what is to be erased, %d what is to stay", before.named(k.gone), before.named(k.stays))
	}
	k.sum(ctx, "freshet_stale_holdings", 2*partitions)
	k.sum(ctx, "freshet_open_workflows", 2*partitions)

	for i, workflow := range k.gone {
		if i == 0 { // the request lies in a wrong partition
			r := request(k.Name("workflow.tool"), workflow)
			r.Partition = (k.place(workflow) + 1) % partitions
			k.Produce(ctx, r)
			continue
		}
		k.command(ctx, workflow)
	}
	k.sum(ctx, "freshet_workflows_erased_total", partitions)
	k.sum(ctx, "freshet_open_workflows", partitions)
	k.sum(ctx, "freshet_stale_holdings", partitions)
	if !k.check(ctx, before) {
		return false
	}
	for _, workflow := range append([]string{"nobody"}, k.gone...) {
		k.command(ctx, workflow) // of what nobody knows, or no longer
	}
	k.sum(ctx, "freshet_workflows_erased_total", partitions)
	k.sum(ctx, "freshet_dead_letters_total", 0)

	for i := len(k.engines) - 1; i >= 0; i-- { // whoever takes over knows nothing of it, with the store or without
		k.engines[i].Stop()
	}
	k.engines = k.engines[:1]
	k.LoseRows()
	k.Start(ctx)
	k.AwaitNow(ctx)
	k.sum(ctx, "freshet_open_workflows", partitions)
	k.sum(ctx, "freshet_stale_holdings", partitions)
	if !k.check(ctx, before) {
		return false
	}

	at := time.Now().Add(-time.Minute)
	var again []*kgo.Record
	for _, workflow := range append(k.gone, k.stays...) {
		again = append(again, k.proposed(workflow, "again", at))
	}
	k.Produce(ctx, again...)
	for i := range k.gone {
		k.expect(ctx, k.verdicts, k.gone[i], "again", "unknown no_context")
		k.expect(ctx, k.verdicts, k.stays[i], "again", "stale versions; policy/p@1 stale versions")
		k.expect(ctx, k.verdicts, k.stays[i], "soon", "stale versions; policy/p@1 stale versions")
		if got := said(k.verdicts, k.gone[i], "soon"); got != "" {
			t.Errorf("a decision of %s that was erased before its time is said to be %s", k.gone[i], got)
		}
	}
	return true
}

// prepare lets each workflow hold what is stale, have decided, and have a decision whose time is to come.
func (k *erasing) prepare(ctx context.Context) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	records := []*kgo.Record{k.updated("policy/p", 1, ago(time.Hour)), k.updated("policy/p", 2, ago(40*time.Minute))}
	for p := range int32(partitions) {
		k.gone, k.stays = append(k.gone, k.named("gone", p)), append(k.stays, k.named("stays", p))
		for _, w := range []string{k.gone[p], k.stays[p]} {
			records = append(records, k.event("workflow.control", "task.started", w, ago(50*time.Minute), ""), k.loaded(w, ago(50*time.Minute), ref("policy", "p", 1)),
				k.proposed(w, "d", ago(time.Duration(30+p)*time.Minute)), k.proposed(w, "soon", k.soon))
			records[len(records)-1].Timestamp = time.Now()
		}
	}
	k.Produce(ctx, records...)
	k.verdicts = k.Verdicts()
	for _, w := range append(k.gone, k.stays...) {
		k.expect(ctx, k.verdicts, w, "d", "stale versions; policy/p@1 stale versions")
	}
	k.sum(ctx, "freshet_stale_holdings", 2*partitions)
	for _, e := range k.engines {
		k.await(ctx, e)
	}
}

// await waits until the partitions of one of several engines have applied what is there now.
func (k *erasing) await(ctx context.Context, e *harness.Engine) {
	now := event.Of(time.Now())
	k.Until(ctx, func() string {
		for _, p := range e.App.Partitions() {
			if p.AppliedThrough <= now {
				return fmt.Sprintf("%+v", p)
			}
		}
		return ""
	})
}

// sum waits until the series of all engines add up to so much.
func (k *erasing) sum(ctx context.Context, series string, want float64) {
	k.t.Helper()
	k.Until(ctx, func() string {
		got := 0.0
		for _, e := range k.engines {
			got += e.Counted(series, nil)
		}
		if got != want {
			return fmt.Sprintf("%s is %v; want %v", series, got, want)
		}
		return ""
	})
}

// request is what the command writes.
func request(topic, workflow string) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(workflow), Headers: headers(event.EraseHeader, "test"), Timestamp: time.Now()}
}

func (k *erasing) command(ctx context.Context, workflow string) {
	k.t.Helper()
	var out, problems bytes.Buffer
	contract := file(k.t, k.contract)
	args := []string{"workflows", "erase", workflow, "-reason", "a test", "-kafka.brokers", strings.Join(k.Brokers(), ","), "-contracts.file", contract,
		"-topics.partitions", fmt.Sprint(partitions), "-o", "json"}
	if len(k.engines) == 1 { // the other one has no server that could be asked
		args = append(args, "-wait", "60s", "-server", "http://"+k.App.HTTPAddr())
	}
	status := commands.New().Main(ctx, args,
		&cli.Stdio{In: strings.NewReader(""), Out: &out, Err: &problems, Getenv: func(string) (string, bool) { return "", false }})
	var said struct {
		Workflow string
		Record   harness.Position
	}
	if err := json.Unmarshal(out.Bytes(), &said); err != nil || status != 0 || said.Workflow != workflow || said.Record.Partition != k.place(workflow) {
		k.t.Fatalf("status %d, %v: %s%s", status, err, out.String(), problems.String())
	}
}

// last is the last value of each key of the topics that are compacted.
type last map[string][]byte

func (k *erasing) compacted(ctx context.Context) last {
	all := last{}
	for _, r := range k.ReadAll(ctx, k.Graph().Workflows.Table, k.Graph().Detections, k.Graph().Buckets) {
		if name := r.Topic + " " + string(r.Key); r.Value == nil {
			delete(all, name)
		} else {
			all[name] = r.Value
		}
	}
	return all
}

// named returns how many records name one of some workflows in key or value.
func (l last) named(workflows []string) (n int) {
	for key, value := range l {
		for _, w := range workflows {
			if strings.Contains(key, w) || bytes.Contains(value, []byte(w)) {
				n++
				break
			}
		}
	}
	return n
}

// check holds that nothing that is kept names what has been erased, that what was counted still is, and that a detection was closed before
// it went. It returns false if decisions that are to come have come meanwhile.
func (k *erasing) check(ctx context.Context, before last) bool {
	k.t.Helper()
	late := false
	k.Until(ctx, func() string {
		now := k.compacted(ctx)
		if late = k.late(); late {
			return ""
		}
		if n := now.named(k.gone); n > 0 {
			return fmt.Sprintf("%d records still name what has been erased", n)
		}
		if n := now.named(k.stays); n != before.named(k.stays) {
			return fmt.Sprintf("%d records name what stays; there were %d", n, before.named(k.stays))
		}
		if got, want := now.bad(k.t, k.Graph().Buckets), before.bad(k.t, k.Graph().Buckets); got != want || got != 2*partitions {
			return fmt.Sprintf("%v bad uses are counted; there were %v", got, want)
		}
		return ""
	})
	if late {
		return false
	}
	closed := map[string]string{}
	for _, r := range k.ReadAll(ctx, k.Graph().Detections) {
		if r.Value != nil {
			var d struct{ Status, Closed_by, Workflow string }
			if err := json.Unmarshal(r.Value, &d); err != nil {
				k.t.Fatal(err)
			}
			closed[d.Workflow] = d.Status + " " + d.Closed_by
		}
	}
	for i := range k.gone {
		if closed[k.gone[i]] != "closed end" || closed[k.stays[i]] != "open " {
			k.t.Errorf("the last that was said of detections: %q of what is gone, %q of what stays", closed[k.gone[i]], closed[k.stays[i]])
		}
	}
	return true
}

// bad adds up what is bad in the buckets.
func (l last) bad(t *testing.T, topic string) (n int) {
	for key, value := range l {
		if strings.HasPrefix(key, topic+" ") {
			var b struct{ Bad int }
			if err := json.Unmarshal(value, &b); err != nil {
				t.Fatal(err)
			}
			n += b.Bad
		}
	}
	return n
}

// TestEraseInABacklog reads events, the request and later events of a workflow in one go: of a topic, what came before is gone, and what
// comes later is all there is.
func TestEraseInABacklog(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds, harness.Options{})
	at := time.Now().Add(-time.Hour)
	erase := request(k.Name("workflow.decision"), "w")
	erase.Partition, erase.Timestamp = k.place("w"), at.Add(3*time.Second)
	k.Produce(ctx, k.updated("policy/p", 1, at), k.updated("policy/q", 1, at), k.loaded("w", at, ref("policy", "p", 1)), k.proposed("w", "before", at.Add(time.Second)), erase,
		k.event("workflow.decision", "decision.proposed", "w", at.Add(5*time.Second), `{"decision_id":"after","based_on":[`+ref("policy", "q", 1)+`]}`))
	k.Start(ctx)
	k.AwaitNow(ctx)
	v := k.Verdicts()
	k.expect(ctx, v, "w", "after", "fresh; policy/q@1 fresh")
	v.ReadEnd(ctx)
	if n := k.Counted("freshet_workflows_erased_total", nil); n != 1 {
		t.Errorf("%v workflows were erased", n)
	}
	// Without its header it is what it has always been.
	plain := request(k.Name("workflow.context"), "w")
	plain.Partition, plain.Headers = k.place("w"), nil
	k.Produce(ctx, plain)
	k.Until(ctx, func() string {
		if n := k.Counted("freshet_dead_letters_total", map[string]string{"reason": "not_cloudevent"}); n != 1 {
			return fmt.Sprintf("%v dead letters", n)
		}
		return ""
	})
}
