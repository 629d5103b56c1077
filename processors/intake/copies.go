package intake

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/processors/gateway"
)

// Forward sends a copy of a record to the partition that its subject belongs to, or the record to the dead letters.
func (k *Intake) Forward(in *gateway.In, e *event.Event) {
	at, ok := k.decode(in, e)
	if !ok {
		return
	}
	k.reroute(in, e, k.plan.partitioner.PartitionString(e.Subject, k.plan.partitions), at)
}
