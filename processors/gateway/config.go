package gateway

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/internal/await"
)

// Config says how a group commits. The zero value is not valid; RegisterFlags sets the defaults.
type Config struct {
	Interval       time.Duration // longest time between two transactions while there is work
	Backlog        time.Duration // the same while a backlog is read: rows are written less often
	MinGap         time.Duration // shortest
	MaxRecords     int           // a transaction is cut at so many changelog and output records
	MaxBytes       int           // or so many bytes of output
	TxnTimeout     time.Duration
	SessionTimeout time.Duration
	Batch          int // most records of a unit
	Queue          int // records queued per claim before it is paused
	FetchBytes     int
	CachedRows     int // clean decoded rows kept per instance and group
}

// RegisterFlags declares the flags with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.DurationVar(&c.Interval, "commit.interval", 100*time.Millisecond, "Longest time between two transactions while there is work.")
	f.DurationVar(&c.Backlog, "commit.backlog-interval", 3*time.Second, "Longest time between two transactions while a backlog is being read.")
	f.DurationVar(&c.MinGap, "commit.min-gap", 10*time.Millisecond, "Shortest time between two transactions.")
	f.IntVar(&c.MaxRecords, "commit.max-records", 80000, "Records at which a transaction is cut; at four times as many, input waits.")
	f.IntVar(&c.MaxBytes, "commit.max-bytes", 32<<20, "Bytes of output at which a transaction is cut; at four times as many, input waits.")
	f.DurationVar(&c.TxnTimeout, "commit.transaction-timeout", 10*time.Second, "transaction.timeout.ms of the producer; a transaction is open for milliseconds.")
	f.DurationVar(&c.SessionTimeout, "group.session-timeout", 10*time.Second, "Time after which a silent instance loses its partitions.")
	f.IntVar(&c.Batch, "input.batch", 1024, "Most records that are processed as one unit.")
	f.IntVar(&c.Queue, "input.queue", 4096, "Records queued of one topic partition before its fetching is paused.")
	f.IntVar(&c.FetchBytes, "input.fetch-bytes", 256<<10, "Bytes fetched of a partition at once.")
	f.IntVar(&c.CachedRows, "state.cached-rows", 100000, "Clean rows each group keeps decoded in memory.")
}

// Validate names the flag, the value and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	positive := func(flag string, v int64) {
		if v <= 0 {
			errs = append(errs, fmt.Errorf("-%s %d: must be greater than 0", flag, v))
		}
	}
	positive("commit.interval", int64(c.Interval))
	positive("commit.max-records", int64(c.MaxRecords))
	positive("commit.max-bytes", int64(c.MaxBytes))
	positive("commit.transaction-timeout", int64(c.TxnTimeout))
	positive("group.session-timeout", int64(c.SessionTimeout))
	positive("input.batch", int64(c.Batch))
	positive("input.queue", int64(c.Queue))
	positive("input.fetch-bytes", int64(c.FetchBytes))
	positive("state.cached-rows", int64(c.CachedRows))
	if c.Backlog < c.Interval {
		errs = append(errs, fmt.Errorf("-commit.backlog-interval %v: must not be less than -commit.interval %v", c.Backlog, c.Interval))
	}
	if c.MinGap < 0 || c.MinGap > c.Interval {
		errs = append(errs, fmt.Errorf("-commit.min-gap %v: must be between 0 and -commit.interval %v", c.MinGap, c.Interval))
	}
	return errors.Join(errs...)
}

// heartbeat is how soon a member hears that partitions are to be shared anew: so long those of one that has left lie idle.
const heartbeat = 100 * time.Millisecond

// Sarama returns the configuration of everything that reads: committed records only, from the oldest where nothing is committed.
func (c *Config) Sarama(cluster access.Cluster, instance string) (*sarama.Config, error) {
	s := goka.DefaultConfig()
	s.Version = sarama.V3_0_0_0
	s.ChannelBufferSize = 1024
	s.Consumer.IsolationLevel = sarama.ReadCommitted
	if await.Off(await.CommittedRule) {
		s.Consumer.IsolationLevel = sarama.ReadUncommitted
	}
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	s.Consumer.Offsets.AutoCommit.Enable = false
	s.Consumer.Fetch.Default = int32(c.FetchBytes)
	s.Metadata.Retry.Max, s.Metadata.Retry.Backoff = 8, 100*time.Millisecond // also of offsets that a transaction of the dead still holds
	s.Consumer.MaxWaitTime = 100 * time.Millisecond
	s.Consumer.MaxProcessingTime = time.Minute // claims are drained at once; a slow one is paused, not abandoned
	s.Consumer.Group.Session.Timeout = c.SessionTimeout
	s.Consumer.Group.Heartbeat.Interval = min(heartbeat, c.SessionTimeout/4)
	s.Consumer.Group.Rebalance.Timeout = 30 * time.Second
	s.Consumer.Group.InstanceId = instance
	return s, cluster.Sarama(s)
}
