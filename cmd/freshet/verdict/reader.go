package verdict

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reader reads the topic from its start. It sees what is committed only.
type Reader struct {
	client *kgo.Client
	topic  string
	next   map[int32]int64 // what has been read, control records included
}

// patience is how long brokers may give nothing although there is something to read.
const patience = 30 * time.Second

// NewReader returns a reader of a topic. Options say where the brokers are; the client belongs to the reader.
func NewReader(ctx context.Context, brokers []string, topic string) (*Reader, error) {
	seed, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", strings.Join(brokers, ","), err)
	}
	defer seed.Close()
	starts, err := kadm.NewClient(seed).ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: %w", topic, strings.Join(brokers, ","), err)
	}
	r := &Reader{topic: topic, next: map[int32]int64{}}
	from := map[int32]kgo.Offset{}
	starts.Each(func(o kadm.ListedOffset) {
		r.next[o.Partition] = o.Offset
		from[o.Partition] = kgo.NewOffset().At(o.Offset)
	})
	r.client, err = kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the topic ends with a transaction's marker: only who sees it knows that nothing is left
		kgo.FetchMaxWait(250*time.Millisecond),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", strings.Join(brokers, ","), err)
	}
	return r, nil
}

// Close ends the reader.
func (r *Reader) Close() { r.client.Close() }

// ToEnd hands every record that was committed when it was called to each.
func (r *Reader) ToEnd(ctx context.Context, each func(*kgo.Record) error) error {
	ends, err := kadm.NewClient(r.client).ListCommittedOffsets(ctx, r.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("find the end of %s: %w", r.topic, err)
	}
	missing := func() int64 {
		var n int64
		ends.Each(func(o kadm.ListedOffset) { n += max(0, o.Offset-r.next[o.Partition]) })
		return n
	}
	for missing() > 0 {
		wait, cancel := context.WithTimeout(ctx, patience)
		err := r.poll(wait, each)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return fmt.Errorf("read %s: the brokers have given nothing for %v, and %d offsets are missing", r.topic, patience, missing())
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
		return fmt.Errorf("read partition %d of %s: %w", errs[0].Partition, r.topic, errs[0].Err)
	}
	for it := fetches.RecordIter(); !it.Done(); {
		rec := it.Next()
		r.next[rec.Partition] = rec.Offset + 1
		if rec.Attrs.IsControl() {
			continue
		}
		if err := each(rec); err != nil {
			return err
		}
	}
	return nil
}

// Last keeps the last revision of every use.
type Last struct {
	uses map[useName]Revision
}

type useName struct{ workflow, decision, use string }

// Revision is one revision of a verdict, with its data as read.
type Revision struct {
	*Record
	Data []byte
}

// NewLast returns a Last that has seen nothing.
func NewLast() *Last { return &Last{uses: map[useName]Revision{}} }

// Add takes a revision; an earlier one than is there, or the same again, changes nothing and returns false.
func (l *Last) Add(r *Record, data []byte) bool {
	name := useName{r.Workflow, r.DecisionID, r.Use}
	if was, ok := l.uses[name]; ok && was.Revision >= r.Revision {
		return false
	}
	l.uses[name] = Revision{r, data}
	return true
}

// Was returns the verdict that a use has so far, "" if none has been seen.
func (l *Last) Was(r *Record) string {
	if was, ok := l.uses[useName{r.Workflow, r.DecisionID, r.Use}]; ok {
		return was.Verdict
	}
	return ""
}

// Sorted returns the last revisions by workflow, decision id, use.
func (l *Last) Sorted() []Revision {
	all := make([]Revision, 0, len(l.uses))
	for _, r := range l.uses {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Revision) int {
		return slices.Compare([]string{a.Workflow, a.DecisionID, a.Use}, []string{b.Workflow, b.DecisionID, b.Use})
	})
	return all
}
