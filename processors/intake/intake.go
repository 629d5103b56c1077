package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

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
	OriginKey       = "freshet-origin-key"  // its key, if that is not the subject; without a value for a record without a key
)

// Plan says what a group's inputs carry and where copies and dead letters go. It is read-only.
type Plan struct {
	inputs      []input
	byName      map[string]*topology.Topic
	events      map[string]*results // of inputs, and of the topics that copies come from
	partitioner topology.Partitioner
	partitions  int32
	copies      string                 // topic for copies of records that lie elsewhere
	largestCopy int                    // in bytes
	letters     map[string]letterTopic // dead-letter topics
	fallback    string                 // of them, the one for what has no origin
}

type letterTopic struct {
	partitions int32
	largest    int // record in bytes
}

type input struct {
	name       string
	category   event.Category
	deadLetter string
	copies     bool // a topic of copies
	anyKey     bool // its records are not keyed by their subject
	events     *results
}

// results counts what became of a topic's records.
type results [5]prometheus.Counter

const (
	applied = iota
	duplicate
	rerouted
	deadLetter
	late
)

// NewPlan returns the plan of a group whose keys are spread over partitions by the graph's partitioner.
func NewPlan(g *topology.Graph, group topology.Group, copies string, partitions int32, m *metrics.Metrics) *Plan {
	p := &Plan{byName: map[string]*topology.Topic{}, events: map[string]*results{}, partitioner: g.Partitioner, partitions: partitions, copies: copies, letters: map[string]letterTopic{}, fallback: g.DeadLetters}
	for i := range g.Inputs {
		p.byName[g.Inputs[i].Name] = &g.Inputs[i]
		p.results(g.Inputs[i].Name, m)
	}
	for i := range g.Outputs {
		p.letters[g.Outputs[i].Name] = letterTopic{g.Outputs[i].Partitions, largestRecord(g, &g.Outputs[i])}
	}
	if t, ok := g.Topic(copies); ok {
		p.largestCopy = largestRecord(g, t)
	}
	for _, name := range group.Inputs {
		t, _ := g.Topic(name)
		in := input{name: name, category: t.Category, deadLetter: t.DeadLetter, copies: t.Role == topology.Rekeyed, anyKey: t.Rekey}
		in.events = p.results(name, m)
		p.inputs = append(p.inputs, in)
	}
	return p
}

func (p *Plan) results(topic string, m *metrics.Metrics) *results {
	if p.events[topic] == nil {
		r := &results{}
		for i, result := range []string{metrics.Applied, metrics.Duplicate, metrics.Rerouted, metrics.DeadLetter, metrics.Late} {
			r[i] = m.Events.WithLabelValues(topic, result)
		}
		p.events[topic] = r
	}
	return p.events[topic]
}

// largestRecord is what may be written to a topic as one record: the topic takes it, and so does a batch of the producer.
func largestRecord(g *topology.Graph, t *topology.Topic) int {
	const batch = 256 // what a batch has besides its only record, and that besides its key, value and headers
	return int(min(t.MaxMessageBytes, g.BatchBytes())) - batch
}

// size returns the bytes of a record.
func size(r *kgo.Record) int {
	const lengths = 10 // of a header's key and value, at most
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value) + lengths
	}
	return n
}

// Intake takes the records of one partition.
type Intake struct {
	plan    *Plan
	p       *gateway.Partition
	config  func() event.Config // as the contract in force says
	decoder *event.Decoder
	m       *metrics.Metrics
	record  event.Record
	key     []byte   // of the original
	events  *results // of its topic
	headers []event.Header
	letters string // where the record's dead letter goes
	shown   metrics.Pace
}

type origin struct {
	topic     *topology.Topic
	partition int32
	offset    int64
	time      event.Time
}

// New returns the intake of a partition. What events says of how far ahead an event may be is followed at once, the rest is not.
func New(plan *Plan, p *gateway.Partition, events func() event.Config, m *metrics.Metrics) *Intake {
	return &Intake{plan: plan, p: p, config: events, decoder: event.NewDecoder(events()), m: m}
}

// Take decodes a record into e and returns where it lies (the original, if it is a copy). It returns false when the record is done with:
// it went to the dead letters, or a copy of it to its own partition.
func (k *Intake) Take(in *gateway.In, e *event.Event) (at freshness.Position, ok bool) {
	t := &k.plan.inputs[in.Topic]
	if at, ok = k.decode(in, e); !ok {
		return at, false
	}
	if to := k.plan.partitioner.PartitionString(e.Subject, k.plan.partitions); !t.copies && to != in.Msg.Partition {
		k.reroute(in, e, to, at)
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
	k.letters, k.key, k.events = t.deadLetter, m.Key, t.events
	if t.anyKey && k.hasSubject() {
		k.record.Key = nil
	}
	if t.copies {
		if o, found := k.originOf(); found {
			at = freshness.Position{Topic: o.topic.Name, Partition: o.partition, Offset: o.offset}
			k.record.Time, k.record.Category, k.letters, k.events = o.time, o.topic.Category, o.topic.DeadLetter, k.plan.events[o.topic.Name]
		} else {
			k.letters = k.plan.fallback
			k.letter(event.WrongTopic, at)
			t.events[deadLetter].Inc()
			return at, false
		}
	}
	k.record.Headers = k.headers
	if skew := k.config().MaxSkew; skew != 0 {
		k.decoder.SetMaxSkew(skew)
	}
	reason := k.decoder.Decode(&k.record, e)
	if reason != event.OK {
		k.letter(reason, at)
		k.events[deadLetter].Inc()
		return at, false
	}
	return at, true
}

// hasSubject says whether a record says itself what it is about; only if it does not, its key does.
func (k *Intake) hasSubject() bool {
	for i := range k.headers {
		h := &k.headers[i]
		if string(h.Key) == "ce_subject" && len(h.Value) > 0 {
			return true
		}
		if strings.EqualFold(string(h.Key), "content-type") && strings.HasPrefix(strings.ToLower(string(h.Value)), "application/cloudevents") {
			return true
		}
	}
	return false
}

// originOf takes the origin out of the headers of a copy: the last ones, in the order in which Copy writes them. Whatever headers of the
// same names the original has are its own.
func (k *Intake) originOf() (origin, bool) {
	var o origin
	own := k.headers
	last := func(name string) (string, bool) {
		n := len(own) - 1
		if n < 0 || string(own[n].Key) != name {
			return "", false
		}
		v := string(own[n].Value)
		own = own[:n]
		return v, true
	}
	number := func(name string) (int64, bool) {
		v, _ := last(name)
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	}
	key := k.record.Key
	if n := len(own) - 1; n >= 0 && string(own[n].Key) == OriginKey {
		key, own = own[n].Value, own[:n]
	}
	ms, hasTime := number(OriginTime)
	offset, hasOffset := number(OriginOffset)
	partition, hasPartition := number(OriginPartition)
	topic, _ := last(OriginTopic)
	if o.topic = k.plan.byName[topic]; o.topic == nil || !hasTime || !hasOffset || !hasPartition {
		return o, false
	}
	o.partition, o.offset, o.time = int32(partition), offset, event.Time(ms)
	k.headers, k.key = own, key
	return o, true
}

// reroute sends a copy of a record to the partition that its subject says. One that is too large to be copied goes to the dead letters.
func (k *Intake) reroute(in *gateway.In, e *event.Event, to int32, at freshness.Position) {
	t := &k.plan.inputs[in.Topic]
	r := Copy(k.plan.copies, to, e.Subject, in.Msg, k.headers)
	if size(r) > k.plan.largestCopy {
		k.letter(event.TooLarge, at)
		t.events[deadLetter].Inc()
		return
	}
	k.p.Emit(r)
	t.events[rerouted].Inc()
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
	if string(m.Key) != subject {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: OriginKey, Value: m.Key})
	}
	return r
}

// letter sends the record that is being taken to the dead letters, byte for byte. One that is larger than their topic takes leaves a stub.
func (k *Intake) letter(reason event.Reason, at freshness.Position) {
	topic := k.plan.letters[k.letters]
	k.m.DeadLetters.WithLabelValues(at.Topic, reason.String()).Inc()
	r := &kgo.Record{Topic: k.letters, Partition: k.p.ID % max(1, topic.partitions), Key: k.key, Value: k.record.Value}
	for _, h := range k.headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	own := len(r.Headers)
	letter := event.DeadLetter{Reason: reason, Topic: at.Topic, Partition: at.Partition, Offset: at.Offset}
	for _, h := range letter.Headers() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	if size(r) > topic.largest {
		sum := sha256.Sum256(r.Value)
		r.Key, r.Value = nil, nil
		r.Headers = append(r.Headers[own:],
			kgo.RecordHeader{Key: "freshet-sha256", Value: []byte(hex.EncodeToString(sum[:]))},
			kgo.RecordHeader{Key: "freshet-size", Value: strconv.AppendInt(nil, int64(len(k.record.Value)), 10)})
	}
	k.p.Emit(r)
}

// Applied counts the record taken last, which was folded in, under the topic that it was written to, and how long ago that was; known says
// that it had been folded in already.
func (k *Intake) Applied(known bool, about metrics.Trail, now time.Time) {
	metrics.Observe(k.m.EngineLag, now.Sub(k.record.Time.Go()).Seconds(), k.shown.Exemplar(about, now))
	if known {
		k.events[duplicate].Inc()
		return
	}
	k.events[applied].Inc()
}

// Late counts the record taken last, which has no effect because it came too late.
func (k *Intake) Late() { k.events[late].Inc() }
