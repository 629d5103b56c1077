package topology

import (
	"flag"
	"fmt"
)

// Config is what the operator decides of the graph; everything else of it follows from the contract.
type Config struct {
	Prefix            string `yaml:"prefix"`
	Partitions        int    `yaml:"partitions"`
	SourcePartitions  int    `yaml:"source_partitions"`
	Replication       int    `yaml:"replication"`
	MinInsyncReplicas int    `yaml:"min_insync_replicas"`
	MaxMessageBytes   int    `yaml:"max_message_bytes"`
}

const (
	defaultPartitions      = 8
	defaultMaxMessageBytes = 1048588 // Kafka's own default
	maxPartitions          = 10000
)

// RegisterFlags adds the -topics.* flags to f and sets the defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Prefix, "topics.prefix", "", "Put before every topic and group name, so that several installations can share a cluster.")
	f.IntVar(&c.Partitions, "topics.partitions", defaultPartitions, "Partitions of the workflow topics, and of what Freshet writes by workflow. Cannot be changed later.")
	f.IntVar(&c.SourcePartitions, "topics.source-partitions", 0, "Partitions of the source topics. 0: as -topics.partitions. Cannot be changed later.")
	f.IntVar(&c.Replication, "topics.replication", 0, "Replicas of the topics that are created. 0: the broker's default.replication.factor.")
	f.IntVar(&c.MinInsyncReplicas, "topics.min-insync-replicas", 0, "min.insync.replicas of the topics that are created. 0: one less than -topics.replication if that is 3 or more, else the broker's default.")
	f.IntVar(&c.MaxMessageBytes, "topics.max-message-bytes", defaultMaxMessageBytes, "max.message.bytes of the input topics that are created.")
}

// Validate says which flag has a value it cannot have.
func (c *Config) Validate() error {
	if c.Prefix != "" {
		if err := checkName(c.Prefix); err != nil {
			return fmt.Errorf("-topics.prefix: %w", err)
		}
	}
	within := func(flag string, v, low, high int) error {
		if v < low || v > high {
			return fmt.Errorf("%s is %d: allowed are %d to %d", flag, v, low, high)
		}
		return nil
	}
	if err := within("-topics.partitions", c.Partitions, 1, maxPartitions); err != nil {
		return err
	}
	if err := within("-topics.source-partitions", c.SourcePartitions, 0, maxPartitions); err != nil {
		return err
	}
	if err := within("-topics.replication", c.Replication, 0, 32); err != nil {
		return err
	}
	if err := within("-topics.min-insync-replicas", c.MinInsyncReplicas, 0, 32); err != nil {
		return err
	}
	if c.Replication > 0 && c.MinInsyncReplicas > c.Replication {
		return fmt.Errorf("-topics.min-insync-replicas is %d: no write can succeed with -topics.replication %d", c.MinInsyncReplicas, c.Replication)
	}
	return within("-topics.max-message-bytes", c.MaxMessageBytes, 1024, 256<<20)
}

func (c *Config) sourcePartitions() int {
	if c.SourcePartitions == 0 {
		return c.Partitions
	}
	return c.SourcePartitions
}

// minInsync is the min.insync.replicas to set on a topic that is created, 0 to leave it to the broker.
func (c *Config) minInsync() int {
	if c.MinInsyncReplicas == 0 && c.Replication >= 3 {
		return c.Replication - 1
	}
	return c.MinInsyncReplicas
}

const maxTopicName = 249

// checkName says why Kafka would not take s as (a part of) a topic's name.
func checkName(s string) error {
	if s == "" || s == "." || s == ".." {
		return fmt.Errorf("%q cannot be a topic's name", s)
	}
	if len(s) > maxTopicName {
		return fmt.Errorf("%q is longer than the %d bytes a topic's name can have", s, maxTopicName)
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("%q has %q in it: topic names are made of letters, digits, '.', '_' and '-'", s, c)
		}
	}
	return nil
}
