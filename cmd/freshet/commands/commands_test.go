package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/programs"
	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/topology"
)

var rewrite = flag.Bool("rewrite", false, "write docs/commands.md anew")

const golden = "../../../testdata/golden/"

// said is what a command has said.
type said struct {
	status   int
	out, err string
}

// freshet runs a command line, with a deadline that only a hanging one meets.
func freshet(t *testing.T, in string, args ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var out, err bytes.Buffer
	status := New().Main(ctx, args, &cli.Stdio{In: strings.NewReader(in), Out: &out, Err: &err, Getenv: func(string) (string, bool) { return "", false }})
	return said{status, out.String(), err.String()}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// cluster is a broker without topics.
func cluster(t *testing.T) (brokers string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return strings.Join(c.ListenAddrs(), ",")
}

func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../../docs/commands.md"
	want := New().Markdown("go test ./cmd/freshet/commands -run Reference -rewrite")
	if *rewrite {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the code says; go test ./cmd/freshet/commands -run Reference -rewrite", file)
	}
}

func TestEveryCommandSaysWhatItIs(t *testing.T) {
	for _, c := range New().Commands {
		if c.Name == "" || c.Summary == "" || strings.HasSuffix(c.Summary, ".") || c.Example == "" || c.Run == nil {
			t.Errorf("command %q: name, summary without full stop, example and run are needed", c.Name)
		}
		for _, line := range strings.Split(c.Example, "\n") {
			if !strings.Contains(line, "freshet "+c.Name) {
				t.Errorf("command %s: example %q is of something else", c.Name, line)
			}
		}
	}
}

// No two flags share an environment variable, and every flag says something.
func TestEveryFlagHasAnEnvironmentVariable(t *testing.T) {
	owner := map[string]string{}
	for _, c := range New().Commands {
		fs := flag.NewFlagSet(c.Name, flag.ContinueOnError)
		c.Flags(fs)
		fs.VisitAll(func(f *flag.Flag) {
			if was, ok := owner[cli.EnvName(f.Name)]; ok && was != f.Name {
				t.Errorf("-%s and -%s are both %s", was, f.Name, cli.EnvName(f.Name))
			}
			owner[cli.EnvName(f.Name)] = f.Name
			if f.Usage == "" {
				t.Errorf("%s: -%s says nothing", c.Name, f.Name)
			}
		})
	}
}

func TestJudgeMatchesTheGoldenSets(t *testing.T) {
	sets, err := filepath.Glob(golden + "*.events.ndjson.gz")
	if err != nil || len(sets) == 0 {
		t.Fatalf("golden sets: %v, %d", err, len(sets))
	}
	for _, events := range sets {
		set := strings.TrimSuffix(events, ".events.ndjson.gz")
		t.Run(filepath.Base(set), func(t *testing.T) {
			got := freshet(t, "", "judge", "-contracts.file", set+".contracts.yaml", events)
			if got.status != 0 || got.err != "" {
				t.Fatalf("status %d: %s", got.status, got.err)
			}
			if want := string(testfile.Read(t, set+".verdicts.ndjson.gz")); got.out != want {
				t.Errorf("the verdicts differ: %s", firstDifference(got.out, want))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "\ngot  " + g[i] + "\nwant " + w[i]
		}
	}
	return "one has more lines"
}

func TestJudgeReadsStandardInputAndNamesWhatIsNoEvent(t *testing.T) {
	text := string(testfile.Read(t, golden+"adversarial-1.events.ndjson.gz"))
	want := string(testfile.Read(t, golden+"adversarial-1.verdicts.ndjson.gz"))
	contract := golden + "adversarial-1.contracts.yaml"
	if got := freshet(t, text, "judge", "-contracts.file", contract, "-"); got.status != 0 || got.out != want {
		t.Errorf("status %d: %s", got.status, got.err)
	}
	got := freshet(t, "{}\n\nnonsense\n"+text, "judge", "-", "-contracts.file", contract)
	if got.status != cli.ExitNo || got.out != want {
		t.Errorf("with two lines that are none: status %d, %s", got.status, firstDifference(got.out, want))
	}
	for _, want := range []string{"-:1: not_cloudevent", "-:3: ", "2 lines are no events"} {
		if !strings.Contains(got.err, want) {
			t.Errorf("%q is missing in %q", want, got.err)
		}
	}
}

func TestWrongCommandLinesAreUsage(t *testing.T) {
	bad := write(t, "contracts.yaml", "version: 1\nowner: {}\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"judge", "-contracts.file", golden + "adversarial-1.contracts.yaml"}, "name the files"},
		{[]string{"judge", "x.ndjson"}, "no such file"},
		{[]string{"judge", golden + "adversarial-1.events.ndjson.gz"}, "-contracts.file is required"},
		{[]string{"judge", "-contracts.file", bad, golden + "adversarial-1.events.ndjson.gz"}, "contracts.yaml:2"},
		{[]string{"judge", "-contracts.file", "none.yaml", golden + "adversarial-1.events.ndjson.gz"}, "-contracts.file: open none.yaml"},
		{[]string{"load", "-", "-"}, "stands twice"},
		{[]string{"load", "."}, "is a directory"},
		{[]string{"load", "-speed", "-1", "-"}, "-speed -1"},
		{[]string{"load", "-partitioner", "md5", "-"}, "-partitioner"},
		{[]string{"load", "-kafka.brokers", "nowhere", "-"}, `"nowhere" is not host:port`},
		{[]string{"load", "-topics.partitions", "0", "-"}, "-topics.partitions is 0"},
		{[]string{"verdicts", "x"}, "takes no arguments"},
		{[]string{"verdicts", "-kafka.brokers", ","}, "names no broker"},
		{[]string{"topics", "plan", "x"}, "takes no arguments"},
		{[]string{"version", "x"}, "takes no arguments"},
		{[]string{"run", "-log.level", "loud"}, `-log.level "loud"`},
		{[]string{"run", "-log.format", "xml"}, `-log.format "xml"`},
		{[]string{"run"}, "-contracts.file is required"},
		{[]string{"run", "-contracts.file", bad}, "contracts.yaml:2"},
		{[]string{"demo", "-for", "1s"}, "-for 1s"},
		{[]string{"bench", "ingest", "-workload.refs", "0"}, "-workload.refs 0"},
		{[]string{"contracts", "check"}, "name the contract files"},
		{[]string{"contracts", "check", "none.yaml"}, "none.yaml"},
	} {
		got := freshet(t, "", c.args...)
		if got.status != cli.ExitUsage || !strings.Contains(got.err, c.want) || got.out != "" {
			t.Errorf("%v: status %d, stdout %q, stderr %q; want %d and %q", c.args, got.status, got.out, got.err, cli.ExitUsage, c.want)
		}
	}
}

func TestNoBrokerIsNotPossible(t *testing.T) {
	gone, err := programs.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"topics", "verify"}, {"verdicts"}, {"load", "-"}} {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond) // less than a command's own patience
		var out, err bytes.Buffer
		status := New().Main(ctx, append(args, "-kafka.brokers", gone), &cli.Stdio{In: strings.NewReader(""), Out: &out, Err: &err, Getenv: func(string) (string, bool) { return "", false }})
		cancel()
		if status != cli.ExitUnavailable || out.Len() > 0 {
			t.Errorf("%v: status %d, %q, %q", args, status, out.String(), err.String())
		}
	}
}

func TestContractsCheck(t *testing.T) {
	good := golden + "adversarial-1.contracts.yaml"
	if got := freshet(t, "", "contracts", "check", good); got.status != 0 || got.out != "" || !strings.Contains(got.err, "in order, sha256:") {
		t.Errorf("a good file: %+v", got)
	}
	bad := write(t, "contracts.yaml", "version: 1\nowner: {}\n")
	got := freshet(t, "", "contracts", "check", good, bad)
	if got.status != cli.ExitNo {
		t.Errorf("a bad file: status %d", got.status)
	}
	var e contractError
	if err := json.Unmarshal([]byte(strings.Split(got.out, "\n")[0]), &e); err != nil || e.Line != 2 || e.Column != 1 || e.File != bad {
		t.Errorf("%+v (%v) from %q", e, err, got.out)
	}
}

func TestVersion(t *testing.T) {
	got := freshet(t, "", "version")
	var v struct{ Version, Goversion string }
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || v.Version == "" || !strings.HasPrefix(v.Goversion, "go1.") {
		t.Errorf("%q: %v", got.out, err)
	}
}

func TestTopicsPlanApplyVerify(t *testing.T) {
	brokers := cluster(t)
	flags := []string{"-kafka.brokers", brokers, "-topics.partitions", "4", "-topics.prefix", "staging."}
	topics := func(what string, more ...string) said {
		return freshet(t, "", slices.Concat([]string{"topics", what}, flags, more)...)
	}
	plan := topics("plan")
	if plan.status != 0 || !strings.Contains(plan.out, `{"action":"create","topic":"staging.workflow.control"`) {
		t.Fatalf("plan: %+v", plan)
	}
	if v := topics("verify"); v.status != cli.ExitNo || v.out != plan.out {
		t.Errorf("verify before: %+v", v)
	}
	if a := topics("apply"); a.status != 0 || a.out != plan.out {
		t.Errorf("apply: %+v", a)
	}
	if v := topics("verify"); v.status != 0 || v.out != "" {
		t.Errorf("verify after: %+v", v)
	}
	if a := topics("apply", "-topics.partitions", "6"); a.status != cli.ExitNo || !strings.Contains(a.out, `"refuse"`) {
		t.Errorf("apply with other partitions: %+v", a)
	}
}

// What load writes is what the file said, where the partitioner says, at the time it was recorded.
func TestLoadWritesEveryEventIntoItsTopic(t *testing.T) {
	brokers := cluster(t)
	flags := []string{"-kafka.brokers", brokers, "-topics.partitions", "3", "-partitioner", "crc32"}
	if a := freshet(t, "", slices.Concat([]string{"topics", "apply"}, flags)...); a.status != 0 {
		t.Fatal(a)
	}
	text := string(testfile.Read(t, golden+"adversarial-1.events.ndjson.gz"))
	got := freshet(t, text+`{"specversion":"1.0","id":"x","source":"/s","type":"com.acme.lunch.eaten","time":"2026-11-20T07:50:07Z","subject":"wf"}`+"\n{}\n",
		slices.Concat([]string{"load"}, flags, []string{"-"})...)
	if got.status != cli.ExitNo || !strings.Contains(got.err, "-:7768: not_cloudevent") {
		t.Fatalf("status %d: %s", got.status, got.err)
	}
	counts := map[string]int64{}
	for line := range strings.Lines(got.out) {
		var c struct {
			Topic   string
			Records int64
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		counts[c.Topic] = c.Records
	}
	if counts["context.source"] != 1076+402+41 || counts["workflow.decision"] != 1067+914 {
		t.Errorf("counts %v", counts)
	}
	want := map[string]int{}
	decoder, e := event.NewDecoder(event.Config{}), event.Event{}
	for line := range strings.Lines(text) {
		if decoder.DecodeStructured([]byte(line), 0, &e) == event.OK {
			want[contentOf(&e)]++
		}
	}
	total := int64(0)
	for topic, n := range counts {
		total += n
		for _, r := range readAll(t, brokers, topic, n) {
			in := event.Record{Key: r.Key, Value: r.Value, Time: event.Of(r.Timestamp), Category: categoryOf(topic)}
			for _, h := range r.Headers {
				in.Headers = append(in.Headers, event.Header{Key: []byte(h.Key), Value: h.Value})
			}
			if reason := decoder.Decode(&in, &e); reason != event.OK {
				t.Fatalf("%s: %v", r.Key, reason)
			}
			if p := topology.CRC32.Partition(r.Key, 3); p != r.Partition {
				t.Fatalf("%s lies in %d, not %d", r.Key, r.Partition, p)
			}
			if e.Type != event.Other {
				want[contentOf(&e)]--
			} else if topic != "workflow.control" {
				t.Errorf("an unknown type lies in %s", topic)
			}
		}
	}
	if total != 7767 {
		t.Errorf("%d records, want 7767", total)
	}
	for content, n := range want {
		if n != 0 {
			t.Errorf("%d too few of %s", n, content)
		}
	}
}

func contentOf(e *event.Event) string {
	return strings.Join([]string{e.ID, e.Source, e.TypeName, e.Time.String(), e.Appended.String(), e.Data, e.WorkflowType, e.Traffic.String()}, "|")
}

func categoryOf(topic string) event.Category {
	_, name, _ := strings.Cut(topic, ".")
	c, _ := event.ParseCategory(name)
	return c
}

func readAll(t *testing.T, brokers, topic string, n int64) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var all []*kgo.Record
	for int64(len(all)) < n {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("read %s: %d of %d: %v", topic, len(all), n, err)
		}
		all = append(all, f.Records()...)
	}
	return all
}

func TestLoadMovesTheLastEventToNow(t *testing.T) {
	brokers := cluster(t)
	if a := freshet(t, "", "topics", "apply", "-kafka.brokers", brokers, "-topics.partitions", "1"); a.status != 0 {
		t.Fatal(a)
	}
	const events = `{"specversion":"1.0","id":"2","source":"/s","type":"context.loaded","time":"2026-01-01T00:01:00Z","subject":"w","data":{"refs":[{"kind":"k","key":"a","as_of":"2026-01-01T00:00:30Z"}]}}
{"specversion":"1.0","id":"1","source":"/s","type":"source.heartbeat","time":"2026-01-01T00:00:00Z","subject":"k/","data":{"kind":"k","through":"2026-01-01T00:00:00Z"}}
`
	before := event.Of(time.Now())
	for name, args := range map[string][]string{"file": {write(t, "e.ndjson", events)}, "stdin": {"-"}} {
		got := freshet(t, events, slices.Concat([]string{"load", "-kafka.brokers", brokers, "-shift-to-now", "-speed", "1e6"}, args)...)
		if got.status != 0 {
			t.Fatalf("%s: %+v", name, got)
		}
	}
	after := event.Of(time.Now())
	var e event.Event
	decoder := event.NewDecoder(event.Config{})
	for _, r := range readAll(t, brokers, "workflow.context", 2) {
		if at := event.Of(r.Timestamp); at < before || at > after {
			t.Errorf("the last event is at %v, now is %v", at, after)
		}
		in := event.Record{Key: r.Key, Value: r.Value, Time: event.Of(r.Timestamp), Category: event.Context}
		for _, h := range r.Headers {
			in.Headers = append(in.Headers, event.Header{Key: []byte(h.Key), Value: h.Value})
		}
		if reason := decoder.Decode(&in, &e); reason != event.OK || e.Time-e.Refs[0].AsOf != 30_000 {
			t.Errorf("%v: as_of %v of an event at %v", reason, e.Refs, e.Time)
		}
	}
	for _, r := range readAll(t, brokers, "context.source", 2) {
		if !bytes.Contains(r.Value, []byte(event.Of(r.Timestamp).String())) {
			t.Errorf("through has not moved with the event: %s at %v", r.Value, event.Of(r.Timestamp))
		}
	}
}

func TestLoadNeedsTheTopics(t *testing.T) {
	got := freshet(t, "", "load", "-kafka.brokers", cluster(t), "-")
	if got.status != cli.ExitUnavailable || !strings.Contains(got.err, "freshet topics apply") {
		t.Errorf("%+v", got)
	}
}

// The last revisions of the topic, as golden lines, are the golden file, whatever earlier revisions and repetitions there are.
func TestVerdictsInGoldenForm(t *testing.T) {
	brokers := cluster(t)
	if a := freshet(t, "", "topics", "apply", "-kafka.brokers", brokers, "-topics.partitions", "2"); a.status != 0 {
		t.Fatal(a)
	}
	want := string(testfile.Read(t, golden+"adversarial-2.verdicts.ndjson.gz"))
	producer, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	ctx := context.Background()
	lines := slices.Collect(strings.Lines(want))
	slices.Reverse(lines)
	produce := func(line string, revision int, verdict string) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		v["class"], v["revision"] = v["cls"], revision
		if verdict != "" {
			v["verdict"] = verdict
		}
		for _, i := range v["items"].([]any) {
			item := i.(map[string]any)
			item["used"] = map[string]any{"seq": item["seq"]}
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		producer.Produce(ctx, &kgo.Record{Topic: topology.VerdictsTopic, Key: []byte(v["workflow"].(string)), Value: data}, nil)
	}
	for i, line := range lines {
		if i%3 == 0 {
			produce(line, 1, "unknown")
		}
		produce(line, 2, "")
		if i%5 == 0 {
			produce(line, 2, "")
		}
	}
	producer.Produce(ctx, &kgo.Record{Topic: topology.VerdictsTopic, Value: []byte("nonsense")}, nil)
	if err := producer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	got := freshet(t, "", "verdicts", "-kafka.brokers", brokers, "-golden")
	if got.status != 0 || got.out != want {
		t.Errorf("status %d: %s", got.status, firstDifference(got.out, want))
	}
	if !strings.Contains(got.err, "read a verdict record") {
		t.Errorf("what is no verdict is not named: %q", got.err)
	}
	asJSON := freshet(t, "", "verdicts", "-kafka.brokers", brokers, "-o", "json")
	if n := strings.Count(asJSON.out, "\n"); n != len(lines) || !strings.Contains(asJSON.out, `"revision":2`) {
		t.Errorf("%d lines of JSON, want %d", n, len(lines))
	}
	table := freshet(t, "", "verdicts", "-kafka.brokers", brokers, "-o", "table")
	if n := strings.Count(table.out, "\n"); n != len(lines)+1 || !strings.HasPrefix(table.out, "USED AT") {
		t.Errorf("a table of %d lines, want %d", n, len(lines)+1)
	}
}
