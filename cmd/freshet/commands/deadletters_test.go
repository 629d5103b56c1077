package commands

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/event"
)

// A record that could not be used is listed, sent back, comes back, and goes round no more often than is allowed.
func TestDeadLettersAreListedAndSentBack(t *testing.T) {
	brokers := cluster(t)
	if got := freshet(t, "", "topics", "apply", "-kafka.brokers", brokers, "-topics.partitions", "2"); got.status != cli.ExitOK {
		t.Fatalf("%+v", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"workflow.tool": {1: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	bury := func(value string, own []kgo.RecordHeader, reason event.Reason) {
		t.Helper()
		r := &kgo.Record{Topic: "freshet.dead-letter", Key: []byte("wf-1"), Value: []byte(value), Headers: own}
		for _, h := range (event.DeadLetter{Reason: reason, Topic: "workflow.tool", Partition: 1, Offset: 5}).Headers() {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
		}
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	list := func(args ...string) []letterLine {
		t.Helper()
		got := freshet(t, "", append([]string{"deadletters", "list", "-kafka.brokers", brokers, "-o", "json"}, args...)...)
		if got.status != cli.ExitOK {
			t.Fatalf("%+v", got)
		}
		var all []letterLine
		for line := range strings.Lines(got.out) {
			var l letterLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		return all
	}
	redrive := func(args ...string) string {
		t.Helper()
		got := freshet(t, "", append([]string{"deadletters", "redrive", "-kafka.brokers", brokers}, args...)...)
		if got.status != cli.ExitOK {
			t.Fatalf("%+v", got)
		}
		return strings.TrimSpace(got.err)
	}

	bury("one", []kgo.RecordHeader{{Key: "ce_type", Value: []byte("tool.called")}, {Key: "ce_source", Value: []byte("/tools")}}, event.FutureDated)
	bury("two", nil, event.BadRef)
	all := list()
	if len(all) != 2 || all[0].Reason != "future_dated" || all[0].Producer != "/tools" || all[0].Partition != 1 || all[0].Obstacle != "" || all[1].Obstacle != "used" {
		t.Fatalf("listed %+v", all)
	}
	if got := list("-reason", "bad_ref"); len(got) != 1 || got[0].Reason != "bad_ref" {
		t.Errorf("of a reason: %+v", got)
	}
	if got := redrive("-dry-run"); got != "1 sent back, 1 not" {
		t.Errorf("dry run: %s", got)
	}
	for round := 1; round <= 2; round++ {
		if got := redrive("-limit", "2", "-reason", "future_dated"); !strings.HasPrefix(got, "1 sent back") {
			t.Fatalf("round %d: %s", round, got)
		}
		back := client.PollRecords(ctx, 1).Records()
		if len(back) != 1 || string(back[0].Value) != "one" || string(back[0].Key) != "wf-1" {
			t.Fatalf("round %d: sent back %v", round, back)
		}
		bury("one", back[0].Headers, event.FutureDated)
	}
	if got := redrive("-limit", "2"); got != "0 sent back, 4 not" {
		t.Errorf("after two rounds: %s", got)
	}
	var obstacles []string
	for _, l := range list("-reason", "future_dated") {
		obstacles = append(obstacles, string(l.Obstacle))
	}
	if got := strings.Join(obstacles, " "); got != "came_back came_back " {
		t.Errorf("obstacles %q", got)
	}
}

func TestDeadLettersRefusesWhatItCannotMean(t *testing.T) {
	for _, args := range [][]string{{"-reason", "no_such"}, {"-reason", "ok"}, {"-letter", "here"}, {"extra"}} {
		got := freshet(t, "", append([]string{"deadletters", "list"}, args...)...)
		if got.status != cli.ExitUsage || !strings.Contains(got.err, args[len(args)-1]) {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := freshet(t, "", "deadletters", "redrive", "-limit", "0"); got.status != cli.ExitUsage {
		t.Errorf("-limit 0: %+v", got)
	}
}

func TestACLsAsLinesOfKafkasTool(t *testing.T) {
	got := freshet(t, "", "topics", "acls", "-commands", "-topics.prefix", "stage.")
	want := "kafka-acls.sh --add --allow-principal 'User:freshet' --operation Write --resource-pattern-type prefixed --transactional-id 'stage.freshet-workflows/'\n"
	if got.status != cli.ExitOK || !strings.Contains(got.out, want) {
		t.Errorf("no %q in\n%s", want, got.out)
	}
	got = freshet(t, "", "topics", "acls", "-principal.per-group", "-o", "json")
	if !strings.Contains(got.out, `{"principal":"User:freshet-freshet-sources","resource":"group","pattern":"literal","name":"freshet-sources","operation":"Read"`) {
		t.Errorf("by group:\n%s", got.out)
	}
}
