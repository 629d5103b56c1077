package topology

import "github.com/freshet-io/freshet/slo"

// FromContract makes the graph of a contract file.
func FromContract(cfg Config, f *slo.File) (*Graph, error) {
	spec := Spec{DecisionRetention: f.DecisionRetention()}
	var err error
	if spec.Partitioner, err = ParsePartitioner(f.PartitionerName()); err != nil {
		return nil, err
	}
	for _, t := range f.TopicSet() {
		spec.Topics = append(spec.Topics, InputTopic{
			Name: t.Name, Category: t.Category, Owner: t.Owner, Rekey: t.Rekey, DeadLetter: t.DeadLetter, Retention: t.Retention,
			Lateness: t.Lateness, Writers: t.Writers, Readers: t.Readers, Schema: t.Schema,
		})
	}
	return New(cfg, spec)
}
