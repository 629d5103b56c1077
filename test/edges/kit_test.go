package edges

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

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/go-kit/log"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	seed    = flag.Uint64("edges.seed", 0, "seed of what is random; 0 takes one from the clock and prints it")
	verbose = flag.Bool("edges.log", false, "print the engine's log")
)

const (
	golden     = "../../testdata/golden"
	set        = "adversarial-1"
	partitions = 4
)

// random returns the test's source of chance, and says how to repeat it.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./test/edges -run '^%s$' -edges.seed=%d", t.Name(), s)
	return rand.New(rand.NewPCG(s, 1))
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// kit is an engine and what makes events for it.
type kit struct {
	*harness.Engine
	t        *testing.T
	contract string // its text
	path     string // of its file
	n        int    // events made
}

// newKit makes an engine for the text of a contract.
func newKit(t *testing.T, contract string, o harness.Options) *kit {
	t.Helper()
	o.Contract = file(t, contract)
	if o.Partitions == 0 {
		o.Partitions = partitions
	}
	o.Logger = log.NewNopLogger()
	if *verbose {
		o.Logger = log.NewLogfmtLogger(log.NewSyncWriter(os.Stderr))
	}
	return &kit{Engine: harness.New(t, o), t: t, contract: contract, path: o.Contract}
}

func file(t *testing.T, contract string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(path, []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// goldenContract is the golden set's contract with more entries.
func goldenContract(t *testing.T, more string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(golden, set+".contracts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + more
}

func goldenLines(t *testing.T) [][]byte {
	return testfile.Lines(t, filepath.Join(golden, set+".events.ndjson.gz"))
}

func goldenVerdicts(t *testing.T) map[string]map[string]any {
	return harness.Golden(t, filepath.Join(golden, set+".verdicts.ndjson.gz"))
}

// refunds is a contract of few words: a version behind is one too many.
const refunds = `version: 1
owners: {pay: {slack: "#pay"}, risk: {slack: "#risk"}}
contexts:
  policy: {owner: risk}
  feature: {owner: risk}
workflows:
  refund:
    owner: pay
    bounds: {policy: {max_versions_behind: 0}, feature: {max_versions_behind: 0}}
lateness: {default: 100ms}
`

// place returns the partition that a key belongs in.
func (k *kit) place(key string) int32 {
	return k.Graph().Partitioner.PartitionString(key, int32(k.Graph().Config.Partitions))
}

// event makes a record in binary mode, in the partition that its subject says, appended when it happened.
func (k *kit) event(topic, typ, subject string, at time.Time, data string) *kgo.Record {
	k.n++
	r := &kgo.Record{
		Topic: k.Name(topic), Partition: k.place(subject), Key: []byte(subject), Timestamp: at,
		Headers: headers("ce_specversion", "1.0", "ce_id", fmt.Sprintf("e%d", k.n), "ce_source", "/edges", "ce_type", "io.freshet."+typ,
			"ce_time", stamp(at), "ce_subject", subject, "ce_workflowtype", "refund", "content-type", "application/json"),
	}
	if data != "" {
		r.Value = []byte(data)
	}
	return r
}

func headers(pairs ...string) []kgo.RecordHeader {
	var all []kgo.RecordHeader
	for pair := range slices.Chunk(pairs, 2) {
		all = append(all, kgo.RecordHeader{Key: pair[0], Value: []byte(pair[1])})
	}
	return all
}

// header sets a header of a record; without a value it is taken away.
func header(r *kgo.Record, key string, value ...string) *kgo.Record {
	r.Headers = slices.DeleteFunc(slices.Clone(r.Headers), func(h kgo.RecordHeader) bool { return h.Key == key })
	for _, v := range value {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(v)})
	}
	return r
}

func stamp(t time.Time) string { return event.Of(t).String() }

func ref(kind, key string, seq int) string {
	return fmt.Sprintf(`{"kind":%q,"key":%q,"seq":%d}`, kind, key, seq)
}

func (k *kit) updated(item string, seq int, at time.Time) *kgo.Record {
	kind, key, _ := strings.Cut(item, "/")
	return k.event("context.source", "source.updated", item, at, fmt.Sprintf(`{"kind":%q,"key":%q,"seq":%d,"version":"v%d"}`, kind, key, seq, seq))
}

func (k *kit) loaded(workflow string, at time.Time, refs ...string) *kgo.Record {
	return k.event("workflow.context", "context.loaded", workflow, at, `{"refs":[`+strings.Join(refs, ",")+`]}`)
}

func (k *kit) proposed(workflow, decision string, at time.Time) *kgo.Record {
	return k.event("workflow.decision", "decision.proposed", workflow, at, fmt.Sprintf(`{"decision_id":%q}`, decision))
}

// named returns a name that begins so and belongs in a partition.
func (k *kit) named(prefix string, partition int32) string {
	for i := 0; ; i++ {
		if name := fmt.Sprintf("%s-%d", prefix, i); k.place(name) == partition {
			return name
		}
	}
}

// said returns the last verdict of a proposed decision, in few words: its verdict and reasons, and its items with theirs. It is "" before
// there is one.
func said(v *harness.Verdicts, workflow, decision string) string {
	d := v.Last[workflow+" "+decision+" decision.proposed"].Data
	if d == nil {
		return ""
	}
	s := word(d)
	for _, it := range d["items"].([]any) {
		it := it.(map[string]any)
		s += fmt.Sprintf("; %v/%v@%v %s", it["kind"], it["key"], it["used"].(map[string]any)["seq"], word(it))
	}
	return s
}

func word(d map[string]any) string {
	s := fmt.Sprint(d["verdict"])
	for _, r := range d["reasons"].([]any) {
		s += fmt.Sprintf(" %v", r)
	}
	return s
}

// expect waits until the last verdict of a proposed decision is as said.
func (k *kit) expect(ctx context.Context, v *harness.Verdicts, workflow, decision, want string) {
	k.t.Helper()
	v.Until(ctx, func() string {
		if got := said(v, workflow, decision); got != want {
			return fmt.Sprintf("%s %s: %q; want %q", workflow, decision, got, want)
		}
		return ""
	})
}

// binary decodes what a record lying in a topic of the graph says.
func (k *kit) binary(d *event.Decoder, r *kgo.Record) event.Event {
	k.t.Helper()
	in := event.Record{Key: r.Key, Value: r.Value, Time: event.Of(r.Timestamp), Category: k.Graph().CategoryOf(r.Topic)}
	for _, h := range r.Headers {
		in.Headers = append(in.Headers, event.Header{Key: []byte(h.Key), Value: h.Value})
	}
	if t, ok := k.Graph().Topic(r.Topic); ok && t.Rekey {
		in.Key = nil
	}
	var e event.Event
	if reason := d.Decode(&in, &e); reason != event.OK {
		k.t.Fatalf("%s/%d@%d: %s", r.Topic, r.Partition, r.Offset, reason)
	}
	return e
}

// structured turns a record around that Engine.Records has made of a line: the line is its value.
func structured(r *kgo.Record, line []byte) {
	r.Value = line
	r.Headers = headers("content-type", "application/cloudevents+json; charset=utf-8")
}

// positionIn reads a position out of the data of a verdict record.
func positionIn(v any) (harness.Position, bool) {
	var p struct {
		Topic     string
		Partition int32
		Offset    int64
	}
	b, err := json.Marshal(v)
	if v == nil || err != nil || json.Unmarshal(b, &p) != nil {
		return harness.Position{}, false
	}
	return harness.Position(p), true
}
