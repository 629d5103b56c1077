//go:build unix

package torture

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/test/kafka"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kgo"
)

// inputs are the names of the workflow and source topics.
func (w *world) inputs() []string {
	var all []string
	for i := range w.graph.Inputs {
		all = append(all, w.graph.Inputs[i].Name)
	}
	return all
}

// Records of the inputs are deleted below what has been committed, as retention does, also those of an instance whose rows are lost.
func TestDeletedRecords(t *testing.T) {
	notShort(t)
	onKafka(t)
	ctx, r := within(t), random(t)
	w, i := alone(ctx, t, cluster, kafka.Start(t, kafka.Options{}), r)
	w.quiet(ctx)
	for _, bare := range []bool{false, true} {
		i.stop()
		w.deleteAll(ctx)
		if bare {
			i.data += "-bare"
		}
		i.start("")
		n := 1
		if bare {
			n = 2
		}
		if err := w.load(ctx, w.part(n, 3)); err != nil {
			t.Fatal(err)
		}
		w.quiet(ctx)
	}
	w.settled(ctx)
}

// quiet waits until every clock has passed what has been loaded.
func (w *world) quiet(ctx context.Context) {
	w.t.Helper()
	now := time.Now()
	w.until(ctx, func() string { return w.behind(ctx, now) })
}

// deleteAll deletes every record of the inputs.
func (w *world) deleteAll(ctx context.Context) {
	w.t.Helper()
	ends, err := w.admin().ListEndOffsets(ctx, w.inputs()...)
	if err == nil {
		_, err = w.admin().DeleteRecords(ctx, ends.Offsets())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// Somebody deletes all topics and makes them anew, and an instance comes with the rows of before. It refuses them, or throws them away; what
// it says is of the new topics only.
func TestTopicsMadeAnew(t *testing.T) {
	notShort(t)
	onKafka(t)
	ctx, r := within(t), random(t)
	w, i := alone(ctx, t, cluster, kafka.Start(t, kafka.Options{}), r)
	w.quiet(ctx)
	i.stop()
	all, err := w.admin().ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names, groups []string
	for _, d := range all {
		if strings.HasPrefix(d.Topic, w.prefix) {
			names = append(names, d.Topic)
		}
	}
	for _, g := range w.graph.Groups {
		groups = append(groups, g.Name)
	}
	if _, err := w.admin().DeleteTopics(ctx, names...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin().DeleteGroups(ctx, groups...); err != nil {
		t.Fatal(err)
	}
	w.until(ctx, func() string {
		left, err := w.admin().ListTopics(ctx)
		for _, n := range names {
			if err != nil || left.Has(n) {
				return fmt.Sprintf("%s is still there: %v", n, err)
			}
		}
		return ""
	})
	w.freshet("topics", append([]string{"apply"}, w.topicFlags()...)...)
	i.start("")
	if err := w.load(ctx, w.lines); err != nil {
		t.Fatal(err)
	}
	select {
	case <-i.done:
		if !strings.Contains(i.said(), i.data) {
			t.Errorf("the error does not name the directory: %s", i.lastWords())
		}
		i.data += "-new"
		i.start("")
	case <-time.After(30 * time.Second):
		t.Fatalf("it runs on the rows of topics that are gone: %s", i.state())
	}
	w.settled(ctx)
}

// While the engine runs, a topic is deleted and made anew, or gets more partitions. Its offsets mean nothing any more, and keys lie
// elsewhere: the engine says so, naming the topic, its clocks stand still or it ends, and it says nothing new. Started again, it reads an
// input that was made anew from its start.
func TestTopicChangesUnderTheEngine(t *testing.T) {
	notShort(t)
	onKafka(t)
	c := kafka.Start(t, kafka.Options{})
	r := random(t)
	for _, role := range []struct{ name, topic string }{
		{"decisions", "workflow.decision"}, {"sources", "context.source"}, {"table", topology.WorkflowsGroup + "-table"},
	} {
		t.Run(role.name+"/again", func(t *testing.T) {
			ctx := within(t)
			w, i := alone(ctx, t, cluster, c, r)
			w.quiet(ctx)
			topic := w.prefix + role.topic
			if _, err := w.admin().DeleteTopics(ctx, topic); err != nil {
				t.Fatal(err)
			}
			w.until(ctx, func() string {
				resp, err := w.admin().CreateTopic(ctx, int32(w.partitions), 1, nil, topic)
				if err != nil || resp.Err != nil {
					return fmt.Sprintf("create %s: %v %v", topic, err, resp.Err)
				}
				return ""
			})
			if role.name == "table" {
				w.refusesTopic(ctx, i, topic)
				return
			}
			// The new one is at once longer than the old one was: what an instance commits that has not seen it yet are offsets of another topic.
			f := w.feed(ctx, w.lines)
			w.refusesTopic(ctx, i, topic)
			i.start("")
			f.await(w)
			w.settled(ctx)
			i.stop()
		})
		t.Run(role.name+"/more", func(t *testing.T) {
			ctx := within(t)
			w, i := alone(ctx, t, cluster, c, r)
			w.quiet(ctx)
			topic := w.prefix + role.topic
			if _, err := w.admin().CreatePartitions(ctx, 2, topic); err != nil {
				t.Fatal(err)
			}
			w.refusesTopic(ctx, i, topic)
		})
	}
}

// blindPatience is how long the engine may take to see that a topic has changed: it looks at its topics now and then.
const blindPatience = 60 * time.Second

// refusesTopic waits until the instance has named the topic, as the reason why it has ended or is not ready.
func (w *world) refusesTopic(ctx context.Context, i *instance, topic string) {
	w.t.Helper()
	waiting, cancel := context.WithTimeout(ctx, blindPatience)
	defer cancel()
	named := func() bool {
		if !i.runs() {
			return strings.Contains(i.lastWords(), topic)
		}
		return strings.Contains(i.ready(), topic)
	}
	for !named() {
		select {
		case <-waiting.Done():
			w.t.Fatalf("%s has changed, and nothing is said of it: %s; it said last: %s", topic, i.state(), i.lastWords())
		case <-time.After(100 * time.Millisecond):
		}
	}
	w.t.Logf("it says: %s", i.state())
	pause(w.t, 2*time.Second)
	if i.runs() && i.ready() == "" {
		w.t.Errorf("it was ready again")
	}
	i.kill()
}

// Producers that use transactions abort some of them: what they wrote there never happened. One of them leaves its transaction open until
// it times out.
func TestAbortedRecords(t *testing.T) {
	notShort(t)
	onBoth(t, func(t *testing.T, at where) {
		var c *kafka.Cluster
		if at == cluster {
			c = kafka.Start(t, kafka.Options{Properties: map[string]string{"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"}})
		}
		ctx, r := within(t), random(t)
		w := newWorld(t, setup{at: at, cluster: c, set: anySet(r), partitions: 4})
		w.shuffle(r)
		w.instance("i0").start("")
		w.instances[0].awaitReady(ctx)
		client := w.client(kgo.TransactionalID(w.prefix+"producer"), kgo.TransactionTimeout(10*time.Second))
		l, err := loader.Open(ctx, access.Open(w.brokers...), w.graph)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		aborted := 0
		for rest := w.lines; len(rest) > 0; {
			n := min(len(rest), 1+r.IntN(200))
			how := kgo.TryCommit
			if r.IntN(3) == 0 {
				how, aborted = kgo.TryAbort, aborted+1
			}
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			var records []*kgo.Record
			for _, line := range rest[:n] {
				if how == kgo.TryAbort { // another event, at the same place
					line = bytes.Replace(line, []byte(`"seq":`), []byte(`"seq":9`), 1)
				}
				record, reason := l.Record(line)
				if reason != event.OK {
					t.Fatalf("%s: %s", reason, line)
				}
				records = append(records, record)
			}
			if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := client.EndTransaction(ctx, how); err != nil {
				t.Fatal(err)
			}
			if how == kgo.TryCommit {
				rest = rest[n:]
			}
		}
		if at == cluster {
			open := w.client(kgo.TransactionalID(w.prefix+"open"), kgo.TransactionTimeout(4*time.Second))
			if err := open.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			record, _ := l.Record(bytes.Replace(w.lines[0], []byte(`"id":"`), []byte(`"id":"never-`), 1))
			if err := open.ProduceSync(ctx, record).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		w.settled(ctx)
		t.Logf("%d transactions were aborted", aborted)
	})
}
