package deadletter

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/event"
)

// Obstacle says why a dead letter is not sent back. The zero value is that nothing is in the way.
type Obstacle string

const (
	None     Obstacle = ""
	IsStub   Obstacle = "stub"      // its value was too large to be kept
	WasUsed  Obstacle = "used"      // bad_ref: the event was used, without that REF
	CameBack Obstacle = "came_back" // it has been sent back already and is a dead letter again: that one stands for it
	TooOften Obstacle = "too_often" // it has been sent back as often as is allowed
	NoInput  Obstacle = "no_input"  // where it was read is no input any more
)

// Redrive decides which dead letters are sent back. It has to be given all that there are, in the order of each partition.
type Redrive struct {
	Limit int                     // how often a record is sent back at most
	Input func(topic string) bool // says whether a topic is an input
	back  map[Place]bool          // letters of which a later one says that it was them
}

// See tells it of a letter.
func (d *Redrive) See(l *Letter) {
	if from, ok := l.from(); ok {
		if d.back == nil {
			d.back = map[Place]bool{}
		}
		d.back[from] = true
	}
}

// Obstacle returns what is in the way of a letter. It is asked once all have been seen.
func (d *Redrive) Obstacle(l *Letter) Obstacle {
	switch {
	case l.Reason == event.BadRef:
		return WasUsed
	case l.Stub:
		return IsStub
	case d.back[l.At]:
		return CameBack
	case l.Redriven >= d.Limit:
		return TooOften
	case !d.Input(l.Topic):
		return NoInput
	}
	return None
}

// Sent returns the record that a letter is sent back as: byte for byte as it was received, with the mark that keeps it from going round for
// ever. Its Kafka timestamp is that of the sending: the dead letter does not know the first one.
func (l *Letter) Sent() *kgo.Record {
	r := &kgo.Record{Topic: l.Topic, Partition: l.Partition, Key: l.Record.Key, Value: l.Record.Value}
	for _, h := range event.Resent(headers(l.Record)) {
		if name := string(h.Key); name != HeaderRedriven && name != HeaderFrom {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: h.Value})
		}
	}
	r.Headers = append(r.Headers,
		kgo.RecordHeader{Key: HeaderRedriven, Value: strconv.AppendInt(nil, int64(l.Redriven)+1, 10)},
		kgo.RecordHeader{Key: HeaderFrom, Value: []byte(l.At.String())})
	return r
}
