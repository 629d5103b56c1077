package topology

import (
	"fmt"

	"github.com/freshet-io/freshet/slo"
)

// FromContract makes the graph of a contract file.
func FromContract(cfg Config, f *slo.File) (*Graph, error) {
	by, err := ParsePartitioner(f.PartitionerName())
	if err != nil {
		return nil, fmt.Errorf("partitioner: %w", err)
	}
	in := Spec{DecisionRetention: f.DecisionRetention(), Partitioner: by}
	for _, t := range f.TopicSet() {
		in.Topics = append(in.Topics, InputTopic(t))
	}
	return New(cfg, in)
}
