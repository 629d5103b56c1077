package committed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/internal/access"
)

// Reader reads topics from their start. It sees what is committed only.
type Reader struct {
	client *kgo.Client
	topics []string
	next   map[string]map[int32]int64 // what has been read, control records included
}

// patience is how long brokers may give nothing although there is something to read.
const patience = 30 * time.Second

// NewReader returns a reader of topics.
func NewReader(ctx context.Context, cluster access.Cluster, topics ...string) (*Reader, error) {
	seed, err := kgo.NewClient(cluster.Kgo()...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cluster, err)
	}
	defer seed.Close()
	starts, err := kadm.NewClient(seed).ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: %w", strings.Join(topics, ", "), cluster, err)
	}
	r := &Reader{topics: topics, next: map[string]map[int32]int64{}}
	from := map[string]map[int32]kgo.Offset{}
	for _, t := range topics {
		r.next[t], from[t] = map[int32]int64{}, map[int32]kgo.Offset{}
	}
	starts.Each(func(o kadm.ListedOffset) {
		r.next[o.Topic][o.Partition] = o.Offset
		from[o.Topic][o.Partition] = kgo.NewOffset().At(o.Offset)
	})
	r.client, err = kgo.NewClient(cluster.Kgo(
		kgo.ConsumePartitions(from),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // a topic ends with a transaction's marker: only who sees it knows that nothing is left
		kgo.FetchMaxWait(250*time.Millisecond),
	)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cluster, err)
	}
	return r, nil
}

// Close ends the reader.
func (r *Reader) Close() { r.client.Close() }

// ToEnd hands every record that was committed when it was called to each.
func (r *Reader) ToEnd(ctx context.Context, each func(*kgo.Record) error) error {
	ends, err := kadm.NewClient(r.client).ListCommittedOffsets(ctx, r.topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("find the end of %s: %w", strings.Join(r.topics, ", "), err)
	}
	missing := func() int64 {
		var n int64
		ends.Each(func(o kadm.ListedOffset) { n += max(0, o.Offset-r.next[o.Topic][o.Partition]) })
		return n
	}
	for missing() > 0 {
		wait, cancel := context.WithTimeout(ctx, patience)
		err := r.poll(wait, each)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return fmt.Errorf("read %s: the brokers have given nothing for %v, and %d offsets are missing", strings.Join(r.topics, ", "), patience, missing())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Follow hands every record that becomes readable to each, until ctx ends.
func (r *Reader) Follow(ctx context.Context, each func(*kgo.Record) error) error {
	for {
		if err := r.poll(ctx, each); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

func (r *Reader) poll(ctx context.Context, each func(*kgo.Record) error) error {
	fetches := r.client.PollFetches(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if errs := fetches.Errors(); len(errs) > 0 {
		return fmt.Errorf("read partition %d of %s: %w", errs[0].Partition, errs[0].Topic, errs[0].Err)
	}
	for it := fetches.RecordIter(); !it.Done(); {
		rec := it.Next()
		r.next[rec.Topic][rec.Partition] = rec.Offset + 1
		if rec.Attrs.IsControl() {
			continue
		}
		if err := each(rec); err != nil {
			return err
		}
	}
	return nil
}
