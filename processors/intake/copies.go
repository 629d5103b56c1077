package intake

import (
	"encoding/binary"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Forward sends a copy of a record to the partition that its subject belongs to, or the record to the dead letters.
func (k *Intake) Forward(in *gateway.In, e *event.Event) {
	at, ok := k.decode(in, e)
	if !ok {
		return
	}
	k.reroute(in, e, k.plan.partitioner.PartitionString(e.Subject, k.plan.partitions), at)
}

// Clock is the clock of a partition that copies come from.
type Clock struct {
	Applied event.Time // everything acknowledged before it has been copied, valid if Live
	Live    bool
	Newest  event.Time // greatest record time copied
	Asked   event.Time // when it was read
}

const (
	clockName    = "clock"
	clockOrigin  = "freshet-clock-of"
	clockVersion = 1
)

// SendClock sends the clock of this partition behind its copies, to every partition they go to.
func (k *Intake) SendClock(c Clock) {
	flag := byte(0)
	if c.Live {
		flag = 1
	}
	value := []byte{clockVersion, flag}
	for _, t := range []event.Time{c.Applied, c.Newest, c.Asked} {
		value = binary.AppendVarint(value, int64(t))
	}
	of := []byte(ClockName(k.plan.inputs[0].name, k.p.ID))
	for to := range k.plan.partitions {
		k.p.Emit(&kgo.Record{Topic: k.plan.copies, Partition: to, Key: []byte(topology.ControlKey(clockName, to)), Value: value,
			Headers: []kgo.RecordHeader{{Key: clockOrigin, Value: of}}})
	}
}

// ClockName is what the clock of a partition of a topic is called.
func ClockName(topic string, partition int32) string {
	return topology.ControlKey(topic, partition)[1:]
}

// clock passes on a clock that lies among copies. It returns false if the record is none.
func (k *Intake) clock(in *gateway.In) bool {
	if !strings.HasPrefix(string(in.Msg.Key), topology.ControlPrefix) {
		return false
	}
	var of string
	for _, h := range in.Msg.Headers {
		if string(h.Key) == clockOrigin {
			of = string(h.Value)
		}
	}
	v := in.Msg.Value
	if of == "" || len(v) < 2 || v[0] != clockVersion {
		return false
	}
	c := Clock{Live: v[1] == 1}
	v = v[2:]
	for _, t := range []*event.Time{&c.Applied, &c.Newest, &c.Asked} {
		n, size := binary.Varint(v)
		if size <= 0 {
			return false
		}
		*t, v = event.Time(n), v[size:]
	}
	if k.hear != nil {
		k.hear(of, c)
	}
	return true
}
