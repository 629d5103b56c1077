package deadletter_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/deadletter"
	"github.com/freshet-io/freshet/event"
)

// letter is a record as Freshet leaves it: what was received, then why it is here.
func letter(offset int64, reason event.Reason, own ...kgo.RecordHeader) *kgo.Record {
	r := &kgo.Record{Topic: "freshet.dead-letter", Partition: 1, Offset: offset, Key: []byte("wf"), Value: []byte("{"), Headers: own}
	for _, h := range (event.DeadLetter{Reason: reason, Topic: "workflow.tool", Partition: 3, Offset: 40 + offset}).Headers() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	return r
}

func header(k, v string) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: []byte(v)} }

func parse(t *testing.T, r *kgo.Record) deadletter.Letter {
	t.Helper()
	l, ok := deadletter.Parse(r)
	if !ok {
		t.Fatalf("%v is no dead letter", r.Headers)
	}
	return l
}

func TestWhatIsSentBackIsWhatWasReceivedAndMarked(t *testing.T) {
	first := parse(t, letter(7, event.BadJSON, header("ce_id", "e1"), header("content-type", "application/json")))
	sent := first.Sent()
	if sent.Topic != "workflow.tool" || sent.Partition != 3 || string(sent.Key) != "wf" || string(sent.Value) != "{" || !sent.Timestamp.IsZero() {
		t.Errorf("sent to %s/%d: %q %q", sent.Topic, sent.Partition, sent.Key, sent.Value)
	}
	wantHeaders(t, sent, "ce_id=e1", "content-type=application/json", "freshet-redriven=1", "freshet-redriven-from=freshet.dead-letter/1/7")

	// It comes back, and is sent once more.
	second := parse(t, letter(9, event.BadJSON, sent.Headers...))
	if second.Redriven != 1 || second.Offset != 49 {
		t.Errorf("redriven %d times, read at offset %d", second.Redriven, second.Offset)
	}
	wantHeaders(t, second.Sent(), "ce_id=e1", "content-type=application/json", "freshet-redriven=2", "freshet-redriven-from=freshet.dead-letter/1/9")
}

func wantHeaders(t *testing.T, r *kgo.Record, want ...string) {
	t.Helper()
	if len(r.Headers) != len(want) {
		t.Fatalf("headers %v, want %v", r.Headers, want)
	}
	for i, h := range r.Headers {
		if got := h.Key + "=" + string(h.Value); got != want[i] {
			t.Errorf("header %d is %s, want %s", i, got, want[i])
		}
	}
}

func TestEveryObstacle(t *testing.T) {
	marked := []kgo.RecordHeader{header("freshet-redriven", "2"), header("freshet-redriven-from", "freshet.dead-letter/1/1")}
	foreign := letter(5, event.BadJSON)
	foreign.Headers[1].Value = []byte("left.long.ago")
	letters := map[deadletter.Obstacle]*kgo.Record{
		deadletter.None:     letter(0, event.BadJSON),
		deadletter.CameBack: letter(1, event.BadJSON),
		deadletter.TooOften: letter(2, event.BadJSON, marked...),
		deadletter.WasUsed:  letter(3, event.BadRef),
		deadletter.IsStub:   letter(4, event.TooLarge, header("freshet-size", "99000000")),
		deadletter.NoInput:  foreign,
	}
	d := &deadletter.Redrive{Limit: 2, Input: func(topic string) bool { return topic == "workflow.tool" }}
	for _, r := range letters {
		l := parse(t, r)
		d.See(&l)
	}
	for want, r := range letters {
		l := parse(t, r)
		if got := d.Obstacle(&l); got != want {
			t.Errorf("offset %d: obstacle %q, want %q", r.Offset, got, want)
		}
	}
}

func TestForeignRecordsAndPlaces(t *testing.T) {
	if _, ok := deadletter.Parse(&kgo.Record{Value: []byte("x")}); ok {
		t.Error("a record without a reason is taken for a dead letter")
	}
	for text, ok := range map[string]bool{"t/0/17": true, "": false, "t/0": false, "t/x/1": false, "t/0/-1": false, "/0/1": false, "t/0/1/2": false} {
		p, err := deadletter.ParsePlace(text)
		if (err == nil) != ok || ok && p.String() != text {
			t.Errorf("place %q: %v, %v", text, p, err)
		}
	}
}
