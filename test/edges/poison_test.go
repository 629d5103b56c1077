package edges

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// poison is a record that cannot be used.
type poison struct {
	name   string
	reason event.Reason
	record *kgo.Record
	stub   bool // too large for the dead letters
}

// bottle makes poison: each method adds some.
type bottle struct {
	*kit
	rng  *rand.Rand
	past time.Time
	all  []poison
}

// largeInput is max.message.bytes of the decision topic in this test: more than the dead letters and copies have room for.
const largeInput = 12 << 20

// add takes a record that was good and what was done to it. It lies in the next partition in turn.
func (b *bottle) add(name string, reason event.Reason, r *kgo.Record, spoil func(r *kgo.Record)) *poison {
	if spoil != nil {
		spoil(r)
	}
	r.Partition = int32(len(b.all) % partitions)
	b.all = append(b.all, poison{name: name, reason: reason, record: r})
	return &b.all[len(b.all)-1]
}

// good returns a usable record of each category's topic.
func (b *bottle) good(topic string) *kgo.Record {
	subject := b.named("poisoned", int32(len(b.all)%partitions))
	switch topic {
	case "workflow.control":
		return b.event(topic, "task.started", subject, b.past, "")
	case "workflow.context":
		return b.loaded(subject, b.past, ref("policy", "p", 1))
	case "workflow.tool":
		return b.event(topic, "tool.called", subject, b.past, `{"call_id":"c","tool":"t"}`)
	case "context.source":
		return b.updated(b.named("policy/poisoned", int32(len(b.all)%partitions)), 1, b.past)
	}
	return b.proposed(subject, "d", b.past)
}

var topics = []string{"workflow.control", "workflow.context", "workflow.tool", "workflow.decision", "context.source"}

func value(v string) func(*kgo.Record) { return func(r *kgo.Record) { r.Value = []byte(v) } }

func with(key string, values ...string) func(*kgo.Record) {
	return func(r *kgo.Record) { header(r, key, values...) }
}

// everywhere is what each topic gets.
func (b *bottle) everywhere(topic string) {
	noise := make([]byte, 1+b.rng.IntN(4096))
	for i := range noise {
		noise[i] = byte(b.rng.Uint32())
	}
	bare := func(r *kgo.Record) { r.Key, r.Value, r.Headers = nil, nil, nil }
	b.add("nothing at all", event.NotCloudEvent, b.good(topic), bare)
	b.add("empty, not absent", event.NotCloudEvent, b.good(topic), func(r *kgo.Record) { r.Key, r.Value, r.Headers = []byte{}, []byte{}, nil })
	b.add("noise", event.NotCloudEvent, b.good(topic), func(r *kgo.Record) { bare(r); r.Key, r.Value = noise[:len(noise)/2], noise })
	b.add("noise as data", event.BadJSON, b.good(topic), value("\xff"+string(noise)))
	b.add("noise in headers", event.NotCloudEvent, b.good(topic), func(r *kgo.Record) {
		bare(r)
		r.Headers = []kgo.RecordHeader{{Key: string(noise[:len(noise)/3]), Value: noise}, {Key: "", Value: nil}, {Key: "", Value: []byte{}}, {Key: "ce_", Value: nil}}
	})
	b.add("a megabyte of noise", event.NotCloudEvent, b.good(topic), func(r *kgo.Record) { bare(r); r.Value = bytes.Repeat(noise, 1<<20/len(noise)) })
	b.add("other version", event.NotCloudEvent, b.good(topic), with("ce_specversion", "0.3"))
	b.add("contradiction", event.NotCloudEvent, b.good(topic), with("ce_id", "one", "another"))
	b.add("id that is no text", event.NotCloudEvent, b.good(topic), with("ce_id", "\xc3\x28"))
	b.add("batch", event.NotCloudEvent, b.good(topic), func(r *kgo.Record) {
		r.Value, r.Headers = []byte(`[{"specversion":"1.0"}]`), headers("content-type", "application/cloudevents-batch+json")
	})
	b.add("list in structured mode", event.NotCloudEvent, b.good(topic), func(r *kgo.Record) {
		r.Value, r.Headers = []byte(`[{"specversion":"1.0"}]`), headers("content-type", "application/cloudevents+json")
	})
	b.add("structured mode without a value", event.BadJSON, b.good(topic), func(r *kgo.Record) {
		r.Value, r.Headers = []byte{}, headers("content-type", "application/cloudevents+json")
	})
	b.add("Avro", event.NotCloudEvent, b.good(topic), func(r *kgo.Record) { r.Value = []byte{0, 0, 0, 0, 7, 2}; header(r, "content-type", "application/avro") })
	b.add("cut short", event.BadJSON, b.good(topic), value(`{"decision_id":"d","refs":[{"kind"`))
	b.add("lone surrogate", event.BadJSON, b.good(topic), value(`{"decision_id":"\ud800","call_id":"c","refs":[]}`))
	b.add("more behind", event.BadJSON, b.good(topic), value(`{"decision_id":"d","call_id":"c","refs":[]} {}`))
	b.add("too deep", event.BadJSON, b.good(topic), value(strings.Repeat(`{"a":`, 1000)+"1"+strings.Repeat("}", 1000)))
	for _, name := range []string{"id", "source", "type", "time"} {
		b.add("no "+name, event.MissingAttribute, b.good(topic), with("ce_"+name))
	}
	b.add("no subject", event.MissingAttribute, b.good(topic), func(r *kgo.Record) { header(r, "ce_subject"); r.Key = nil })
	for _, at := range []string{"yesterday", "2026-02-30T00:00:00Z", "2026-11-20", "99999-01-01T00:00:00Z"} {
		b.add("time "+at, event.BadTime, b.good(topic), with("ce_time", at))
	}
	b.add("recorded at no time", event.BadTime, b.good(topic), with("ce_recordedtime", "soon"))
	b.add("other key", event.KeyMismatch, b.good(topic), func(r *kgo.Record) { r.Key = []byte("another") })
	b.add("control row's key", event.KeyMismatch, b.good(topic), func(r *kgo.Record) {
		r.Key = []byte("\x00clock/0")
		header(r, "ce_subject", "\x00clock/0")
	})
	b.add("cursor's key", event.KeyMismatch, b.good(topic), func(r *kgo.Record) { r.Key = []byte("\x00cursor/1"); header(r, "ce_subject") })
	b.add("chunk's key", event.KeyMismatch, b.good(topic), func(r *kgo.Record) { r.Key = []byte("\x00v\x00\x00\x00\x00policy/p"); header(r, "ce_subject") })
	b.add("key that is no text", event.KeyMismatch, b.good(topic), func(r *kgo.Record) { r.Key = []byte("\xff\xfe/\x80"); header(r, "ce_subject") })
	b.add("long id", event.TooLarge, b.good(topic), with("ce_id", strings.Repeat("i", 1025)))
	b.add("long subject", event.TooLarge, b.good(topic), func(r *kgo.Record) {
		r.Key = []byte("policy/" + strings.Repeat("s", 1025))
		header(r, "ce_subject", string(r.Key))
	})
	b.add("from the future", event.FutureDated, b.good(topic), func(r *kgo.Record) { r.Timestamp = b.past.Add(-5*time.Minute - time.Millisecond) })
	for _, other := range topics {
		if other != topic {
			b.add("from "+other, event.WrongTopic, b.good(other), func(r *kgo.Record) { r.Topic = b.Name(topic) })
		}
	}
}

// here is what one topic alone can get.
func (b *bottle) here() {
	for _, data := range []string{`{"decision_id":17}`, `{"decision_id":"d","based_on":"all"}`, `"d"`, `[]`} {
		b.add("data "+data, event.BadJSON, b.good("workflow.decision"), value(data))
	}
	for _, data := range []string{`{}`, `null`, ``, `{"decision_id":""}`, `{"decision_id":null}`} {
		b.add("data "+data, event.MissingAttribute, b.good("workflow.decision"), value(data))
	}
	b.add("no refs", event.MissingAttribute, b.good("workflow.context"), value(`{"refs":null}`))
	b.add("no call", event.MissingAttribute, b.good("workflow.tool"), value(`{"tool":"t"}`))
	for _, seq := range []string{`"1"`, `1.5`, `1e400`, `9223372036854775808`, `NaN`} {
		b.add("seq "+seq, event.BadJSON, b.good("context.source"), value(`{"kind":"policy","key":"p","seq":`+seq+`}`))
	}
	b.add("effective at no time", event.BadTime, b.good("context.source"), func(r *kgo.Record) {
		kind, key, _ := strings.Cut(string(r.Key), "/")
		r.Value = fmt.Appendf(nil, `{"kind":%q,"key":%q,"seq":1,"effective_at":"never"}`, kind, key)
	})
	b.add("other item", event.KeyMismatch, b.good("context.source"), value(`{"kind":"policy","key":"another","seq":1}`))
	forget := func(key string) func(*kgo.Record) {
		return func(r *kgo.Record) { r.Key, r.Value, r.Headers = []byte(key), nil, nil }
	}
	for _, key := range []string{"policy", "policy/", "/p", "\x00clock/0", "\x00v\x00\x00\x00\x00policy/p", "policy/\xff"} {
		b.add(fmt.Sprintf("forget %q", key), event.KeyMismatch, b.good("context.source"), forget(key))
	}
	b.add("forget a workflow", event.NotCloudEvent, b.good("workflow.control"), forget("w"))
	b.add("forget with an attribute", event.NotCloudEvent, b.good("context.source"), func(r *kgo.Record) { r.Value, r.Headers = nil, headers("CE_ID", "x") })
	b.add("forget with a long key", event.TooLarge, b.good("context.source"), forget("policy/"+strings.Repeat("k", 1025)))
	for _, topic := range []string{"freshet.rekeyed.workflows", "freshet.rekeyed.sources"} {
		own := func(r *kgo.Record) { r.Topic = b.Name(topic) }
		b.add("copy without an origin", event.WrongTopic, b.good("workflow.decision"), own)
		b.add("copy with half an origin", event.WrongTopic, b.good("workflow.decision"), func(r *kgo.Record) {
			own(r)
			r.Headers = append(r.Headers, headers("freshet-origin-topic", b.Name("workflow.decision"), "freshet-origin-partition", "0", "freshet-origin-offset", "x", "freshet-origin-time", "0")...)
		})
		b.add("copy from nowhere", event.WrongTopic, b.good("workflow.decision"), func(r *kgo.Record) {
			own(r)
			r.Headers = append(r.Headers, headers("freshet-origin-topic", "nowhere", "freshet-origin-partition", "0", "freshet-origin-offset", "0", "freshet-origin-time", "0")...)
		})
		b.add("no clock", event.WrongTopic, b.good("workflow.decision"), func(r *kgo.Record) {
			own(r)
			r.Key, r.Value, r.Headers = []byte("\x00clock/0"), []byte{1, 1, 0xff}, headers("freshet-clock-of", "workflow.tool/0")
		})
	}
}

// large is what does not fit.
func (b *bottle) large() {
	sized := func(n int) func(*kgo.Record) {
		return func(r *kgo.Record) {
			r.Value = []byte(`{"decision_id":"d","more":"` + strings.Repeat("x", n) + `"}`)
		}
	}
	b.add("more than the engine takes", event.TooLarge, b.good("workflow.decision"), sized(1<<20))
	b.add("much more", event.TooLarge, b.good("workflow.decision"), sized(4<<20))
	b.add("more than the dead letters take", event.TooLarge, b.good("workflow.decision"), sized(9<<20)).stub = true
	b.add("so do its headers", event.MissingAttribute, b.good("workflow.decision"), func(r *kgo.Record) {
		header(r, "ce_id")
		header(r, "x-more", strings.Repeat("x", 9<<20))
	}).stub = true
	p := b.add("too large for a copy", event.TooLarge, b.good("workflow.decision"), with("x-more", strings.Repeat("x", 9<<20)))
	p.stub = true
	p.record.Partition = (p.record.Partition + 1) % partitions
}

// badRefs are events that are used without some of their REFs.
func (b *bottle) badRefs() (workflows []string) {
	for i, bad := range []string{`{"kind":"policy"}`, `5`, `{"key":"p","seq":1}`, `{"kind":"policy","key":"p","seq":"1"}`, `{"kind":"policy","key":"p","as_of":"never"}`, `{"kind":"a/b","key":"p"}`, `{"kind":"\u0000v","key":"p"}`} {
		workflow := b.named(fmt.Sprintf("bad-ref-%d", i), int32(len(b.all)%partitions))
		r := b.loaded(workflow, b.past, ref("policy", "known", 1), bad)
		b.add("ref "+bad, event.BadRef, r, nil)
		workflows = append(workflows, workflow)
	}
	// One that lies elsewhere and has no key: the letter is the original, not the copy.
	workflow := b.named("bad-ref-elsewhere", 0)
	p := b.add("ref in a copy", event.BadRef, b.loaded(workflow, b.past, ref("policy", "known", 1), `{}`), func(r *kgo.Record) {
		r.Key = nil
		r.Headers = append(r.Headers, headers("freshet-origin-topic", "mine", "freshet-origin-key", "mine")...)
	})
	p.record.Partition = 1
	return append(workflows, workflow)
}

// probe is a workflow that needs every topic's partition to go on.
func (b *bottle) probe(n int, partition int32) (workflow string, records []*kgo.Record, want string) {
	workflow = b.named(fmt.Sprintf("probe-%d", n), partition)
	policy := b.named(fmt.Sprintf("policy/probe-%d", n), partition)
	_, key, _ := strings.Cut(policy, "/")
	started := b.event("workflow.control", "task.started", workflow, b.past, "")
	loaded := header(b.loaded(workflow, b.past.Add(time.Second), ref("policy", key, 1)), "ce_workflowtype")
	result := header(b.event("workflow.tool", "tool.result", workflow, b.past.Add(2*time.Second), `{"call_id":"c","status":"ok","refs":[`+ref("feature", "score", 1)+`]}`), "ce_workflowtype")
	proposed := header(b.proposed(workflow, "d", b.past.Add(3*time.Second)), "ce_workflowtype")
	return workflow, []*kgo.Record{started, loaded, result, proposed, b.updated(policy, 1, b.past.Add(-time.Second))},
		"fresh; feature/score@1 fresh; policy/" + key + "@1 fresh"
}

func TestPoison(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds+"topics:\n  workflow.tool: {category: tool, owner: pay, dead_letter: tools.dead}\n", harness.Options{})
	b := &bottle{kit: k, rng: random(t), past: time.Now().Add(-time.Hour).Truncate(time.Millisecond)}
	size := strconv.Itoa(largeInput)
	if _, err := k.Admin().AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &size}}, k.Name("workflow.decision")); err != nil {
		t.Fatal(err)
	}
	k.ApplyTopics(ctx)
	for _, topic := range topics {
		b.everywhere(topic)
	}
	b.here()
	b.large()
	spared := b.badRefs()
	k.Start(ctx)
	k.AwaitNow(ctx)
	k.Produce(ctx, k.updated("policy/known", 1, b.past.Add(-time.Second)), k.updated("feature/score", 1, b.past.Add(-time.Second)))
	probes := map[string]string{}
	var records []*kgo.Record
	for i := range b.all {
		workflow, probe, want := b.probe(i, b.all[i].record.Partition)
		probes[workflow] = want
		records = append(append(records, b.all[i].record), probe...)
	}
	for _, workflow := range spared {
		probes[workflow] = "fresh; policy/known@1 fresh"
		records = append(records, b.proposed(workflow, "d", b.past.Add(time.Second)))
	}
	k.Produce(ctx, records...)
	verdicts := k.Verdicts()
	verdicts.Until(ctx, func() string {
		for workflow, want := range probes {
			if got := said(verdicts, workflow, "d"); got != want {
				return fmt.Sprintf("%s: %q; want %q", workflow, got, want)
			}
		}
		return ""
	})
	k.AwaitNow(ctx)
	b.checkLetters(ctx)
	b.checkCounters()
	for _, group := range k.Graph().Groups {
		if n := k.Counted("freshet_sessions_total", map[string]string{"group": group.Name}); n != 1 {
			t.Errorf("group %s was started %v times", group.Name, n)
		}
	}
	t.Logf("%d poisonous records among %d", len(b.all), len(records))
}

// checkLetters holds the dead letters against what was sent.
func (b *bottle) checkLetters(ctx context.Context) {
	b.t.Helper()
	want := map[harness.Position]poison{}
	for _, p := range b.all {
		want[harness.PositionOf(p.record)] = p
	}
	letters := b.ReadAll(ctx, b.Name("freshet.dead-letter"), b.Name("tools.dead"))
	for _, r := range letters {
		n := len(r.Headers)
		var said []event.Header
		for _, h := range r.Headers {
			said = append(said, event.Header{Key: []byte(h.Key), Value: h.Value})
		}
		l, ok := event.ParseDeadLetter(said)
		at := harness.Position{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset}
		p, sent := want[at]
		if !ok || !sent {
			b.t.Errorf("a letter of nothing that was sent, or a second one: %v, %+v", ok, l)
			continue
		}
		delete(want, at)
		if l.Reason != p.reason {
			b.t.Errorf("%s, %s: reason %s; want %s", at.Topic, p.name, l.Reason, p.reason)
		}
		if at.Topic == b.Name("workflow.tool") != (r.Topic == b.Name("tools.dead")) {
			b.t.Errorf("%s, %s: its letter went to %s", at.Topic, p.name, r.Topic)
		}
		if p.stub {
			b.checkStub(p, r)
			continue
		}
		if !same(r.Key, p.record.Key) || !same(r.Value, p.record.Value) {
			b.t.Errorf("%s, %s: key %.80q and %d bytes; want %.80q and %d bytes", at.Topic, p.name, r.Key, len(r.Value), p.record.Key, len(p.record.Value))
		}
		if !slices.EqualFunc(r.Headers[:n-4], p.record.Headers, func(x, y kgo.RecordHeader) bool { return x.Key == y.Key && same(x.Value, y.Value) }) {
			b.t.Errorf("%s, %s: headers %.200q; want %.200q", at.Topic, p.name, r.Headers, p.record.Headers)
		}
	}
	for at, p := range want {
		b.t.Errorf("%v, %s (%s): there is no letter", at, p.name, p.reason)
	}
}

// same says whether two slices are equal; what is empty is not what is absent.
func same(x, y []byte) bool { return bytes.Equal(x, y) && (x == nil) == (y == nil) }

func (b *bottle) checkStub(p poison, r *kgo.Record) {
	b.t.Helper()
	sum := sha256.Sum256(p.record.Value)
	told := map[string]string{}
	for _, h := range r.Headers {
		told[h.Key] = string(h.Value)
	}
	if r.Key != nil || r.Value != nil || len(told) != 6 || told["freshet-sha256"] != hex.EncodeToString(sum[:]) || told["freshet-size"] != strconv.Itoa(len(p.record.Value)) {
		b.t.Errorf("%s: the stub is %.80q: %d bytes, %.300q", p.name, r.Key, len(r.Value), told)
	}
}

// checkCounters holds the counters against what was sent.
func (b *bottle) checkCounters() {
	b.t.Helper()
	type why struct {
		topic  string
		reason event.Reason
	}
	letters, dropped := map[why]float64{}, map[string]float64{}
	for _, p := range b.all {
		letters[why{p.record.Topic, p.reason}]++
		if p.reason != event.BadRef {
			dropped[p.record.Topic]++
		}
	}
	all := append([]string{"freshet.rekeyed.workflows", "freshet.rekeyed.sources"}, topics...)
	for _, name := range all {
		topic := b.Name(name)
		for _, reason := range event.Reasons() {
			if got, want := b.Counted("freshet_dead_letters_total", map[string]string{"topic": topic, "reason": reason.String()}), letters[why{topic, reason}]; got != want {
				b.t.Errorf("freshet_dead_letters_total{topic=%q,reason=%q} is %v; want %v", topic, reason, got, want)
			}
		}
		if got, want := b.Counted("freshet_events_total", map[string]string{"topic": topic, "result": "dead_letter"}), dropped[topic]; got != want {
			b.t.Errorf("freshet_events_total{topic=%q,result=dead_letter} is %v; want %v", topic, got, want)
		}
	}
}
