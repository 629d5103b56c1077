package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/topology"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers of a copy: where and when the original was.
const (
	OriginTopic     = "freshet-origin-topic"
	OriginPartition = "freshet-origin-partition"
	OriginOffset    = "freshet-origin-offset"
	OriginTime      = "freshet-origin-time" // its Kafka timestamp, in ms
)

// Plan says what a group's inputs carry and where copies and dead letters go. It is read-only.
type Plan struct {
	inputs      []input
	byName      map[string]*topology.Topic
	partitioner topology.Partitioner
	partitions  int32
	copies      string           // topic for copies of records that lie elsewhere
	letters     map[string]int32 // dead-letter topics: their partitions
	fallback    string           // of them, the one for what has no origin
}

type input struct {
	name       string
	category   event.Category
	deadLetter string
	copies     bool // a topic of copies
	events     [5]prometheus.Counter
}

const (
	applied = iota
	duplicate
	rerouted
	deadLetter
	late
)

// NewPlan returns the plan of a group whose keys are spread over partitions by the graph's partitioner.
func NewPlan(g *topology.Graph, group topology.Group, copies string, partitions int32, m *metrics.Metrics) *Plan {
	p := &Plan{byName: map[string]*topology.Topic{}, partitioner: g.Partitioner, partitions: partitions, copies: copies, letters: map[string]int32{}, fallback: g.DeadLetters}
	for i := range g.Inputs {
		p.byName[g.Inputs[i].Name] = &g.Inputs[i]
	}
	for i := range g.Outputs {
		p.letters[g.Outputs[i].Name] = g.Outputs[i].Partitions
	}
	for _, name := range group.Inputs {
		t, _ := g.Topic(name)
		in := input{name: name, category: t.Category, deadLetter: t.DeadLetter, copies: t.Role == topology.Rekeyed}
		for i, result := range []string{metrics.Applied, metrics.Duplicate, metrics.Rerouted, metrics.DeadLetter, metrics.Late} {
			in.events[i] = m.Events.WithLabelValues(name, result)
		}
		p.inputs = append(p.inputs, in)
	}
	return p
}

// Intake takes the records of one partition.
type Intake struct {
	plan    *Plan
	p       *gateway.Partition
	decoder *event.Decoder
	m       *metrics.Metrics
	record  event.Record
	headers []event.Header
	letters string // where the record's dead letter goes
	hear    func(of string, c Clock)
}

type origin struct {
	topic     *topology.Topic
	partition int32
	offset    int64
	time      event.Time
}

// New returns the intake of a partition.
func New(plan *Plan, p *gateway.Partition, cfg event.Config, m *metrics.Metrics) *Intake {
	return &Intake{plan: plan, p: p, decoder: event.NewDecoder(cfg), m: m}
}

// OnClock says who is told of the clocks that lie among copies: each is applied when the unit that reads it is.
func (k *Intake) OnClock(hear func(of string, c Clock)) { k.hear = hear }

// Take decodes a record into e and returns where it lies (the original, if it is a copy). It returns false when the record is done with:
// it went to the dead letters, or a copy of it to its own partition.
func (k *Intake) Take(in *gateway.In, e *event.Event) (at freshness.Position, ok bool) {
	t := &k.plan.inputs[in.Topic]
	if t.copies && k.clock(in) {
		return at, false
	}
	if at, ok = k.decode(in, e); !ok {
		return at, false
	}
	if !t.copies && k.elsewhere(e, in.Msg) {
		t.events[rerouted].Inc()
		return at, false
	}
	if e.BadRefs > 0 { // of a copy that is sent on, they are found where it arrives
		k.letter(event.BadRef, at)
	}
	return at, true
}

// decode decodes a record, or sends it to the dead letters.
func (k *Intake) decode(in *gateway.In, e *event.Event) (at freshness.Position, ok bool) {
	t := &k.plan.inputs[in.Topic]
	m := in.Msg
	at = freshness.Position{Topic: t.name, Partition: m.Partition, Offset: m.Offset}
	k.record = event.Record{Key: m.Key, Value: m.Value, Time: event.Of(m.Timestamp), Category: t.category}
	k.headers = k.headers[:0]
	for _, h := range m.Headers {
		k.headers = append(k.headers, event.Header{Key: h.Key, Value: h.Value})
	}
	k.letters = t.deadLetter
	if t.copies {
		if o, found := k.originOf(); found {
			at = freshness.Position{Topic: o.topic.Name, Partition: o.partition, Offset: o.offset}
			k.record.Time, k.record.Category, k.letters = o.time, o.topic.Category, o.topic.DeadLetter
		} else {
			k.letters = k.plan.fallback
			k.letter(event.WrongTopic, at)
			t.events[deadLetter].Inc()
			return at, false
		}
	}
	k.record.Headers = k.headers
	reason := k.decoder.Decode(&k.record, e)
	if reason != event.OK {
		k.letter(reason, at)
		t.events[deadLetter].Inc()
		return at, false
	}
	return at, true
}

// originOf takes the origin out of the headers of a copy.
func (k *Intake) originOf() (origin, bool) {
	var o origin
	found := 0
	own := k.headers[:0]
	for _, h := range k.headers {
		name, isOrigin := strings.CutPrefix(string(h.Key), "freshet-origin-")
		if !isOrigin {
			own = append(own, h)
			continue
		}
		n, err := strconv.ParseInt(string(h.Value), 10, 64)
		switch {
		case name == "topic":
			o.topic = k.plan.byName[string(h.Value)]
			if o.topic != nil {
				found++
			}
			continue
		case err != nil:
			continue
		case name == "partition":
			o.partition = int32(n)
		case name == "offset":
			o.offset = n
		case name == "time":
			o.time = event.Time(n)
		default:
			continue
		}
		found++
	}
	k.headers = own
	return o, found == 4
}

// elsewhere sends a copy of a record that lies in another partition than its subject says to the one it says.
func (k *Intake) elsewhere(e *event.Event, m *sarama.ConsumerMessage) bool {
	to := k.plan.partitioner.PartitionString(e.Subject, k.plan.partitions)
	if to == m.Partition {
		return false
	}
	k.p.Emit(Copy(k.plan.copies, to, e.Subject, m, k.headers))
	return true
}

// Copy returns a copy of a record for the topic of copies, with its origin.
func Copy(topic string, partition int32, subject string, m *sarama.ConsumerMessage, headers []event.Header) *kgo.Record {
	r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(subject), Value: m.Value, Timestamp: m.Timestamp}
	for _, h := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	r.Headers = append(r.Headers,
		kgo.RecordHeader{Key: OriginTopic, Value: []byte(m.Topic)},
		kgo.RecordHeader{Key: OriginPartition, Value: strconv.AppendInt(nil, int64(m.Partition), 10)},
		kgo.RecordHeader{Key: OriginOffset, Value: strconv.AppendInt(nil, m.Offset, 10)},
		kgo.RecordHeader{Key: OriginTime, Value: strconv.AppendInt(nil, m.Timestamp.UnixMilli(), 10)})
	return r
}

// maxLetter is the largest value that goes to the dead letters whole: more than any input's largest record by default.
const maxLetter = 1<<20 + 48<<10

// letter sends the record that is being taken to the dead letters, byte for byte.
func (k *Intake) letter(reason event.Reason, at freshness.Position) {
	topic := k.letters
	k.m.DeadLetters.WithLabelValues(at.Topic, reason.String()).Inc()
	n := max(1, k.plan.letters[topic])
	r := &kgo.Record{Topic: topic, Partition: k.p.ID % n, Key: k.record.Key, Value: k.record.Value}
	for _, h := range k.headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	if size := len(r.Key) + len(r.Value); size > maxLetter {
		sum := sha256.Sum256(r.Value)
		r.Key, r.Value, r.Headers = nil, nil, []kgo.RecordHeader{
			{Key: "freshet-sha256", Value: []byte(hex.EncodeToString(sum[:]))},
			{Key: "freshet-size", Value: strconv.AppendInt(nil, int64(len(k.record.Value)), 10)},
		}
	}
	letter := event.DeadLetter{Reason: reason, Topic: at.Topic, Partition: at.Partition, Offset: at.Offset}
	for _, h := range letter.Headers() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	k.p.Emit(r)
}

// Applied counts a record that was folded in; known says that it had been already.
func (k *Intake) Applied(in *gateway.In, known bool) {
	if known {
		k.plan.inputs[in.Topic].events[duplicate].Inc()
		return
	}
	k.plan.inputs[in.Topic].events[applied].Inc()
}

// Late counts a record that has no effect because it came too late.
func (k *Intake) Late(in *gateway.In) { k.plan.inputs[in.Topic].events[late].Inc() }
