package tail

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-kit/log"
	"github.com/grafana/dskit/backoff"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TopicPartition names one log.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String returns the partition as Kafka's own tools write it.
func (tp TopicPartition) String() string {
	return tp.Topic + "-" + strconv.Itoa(int(tp.Partition))
}

// Logs answers questions about the ends of logs. It is safe for concurrent use.
type Logs struct {
	cl     *kgo.Client
	opts   []kgo.Opt // of the client
	logger log.Logger
	fence  Fence
	now    func() time.Time
	until  context.Context // bounds the calls that come without a context of their own
}

// Fence says whose open transactions may be ended by others.
type Fence struct {
	// May tells whether the owner of a transactional id is gone for good. Ending a transaction makes its producer fail for ever, so a
	// live owner that is merely slow must be left alone. Nil: nobody's transaction is ended.
	May func(transactionalID string) bool
	// Grace is how long a transaction must have been open, or have been waited for, before it is ended.
	Grace time.Duration
}

// New returns Logs with a client of their own. The client never speaks a newer protocol than Kafka 3.0's, the oldest broker supported:
// every broker then takes the same path, and raw fetches can name topics by name. The options come last and win.
func New(seeds []string, logger log.Logger, opts ...kgo.Opt) (*Logs, error) {
	all := append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.MaxVersions(kversion.V3_0_0())}, opts...)
	cl, err := kgo.NewClient(all...)
	if err != nil {
		return nil, fmt.Errorf("make a client for the ends of logs on %v: %w", seeds, err)
	}
	return &Logs{cl: cl, opts: all, logger: logger, now: time.Now, until: context.Background()}, nil
}

// Close closes the client; calls that wait return with an error. It closes everything derived by Fencing and Until as well.
func (l *Logs) Close() { l.cl.Close() }

// Client returns the client, for requests that belong to the same connection (CheckBroker). It is not to be closed.
func (l *Logs) Client() *kgo.Client { return l.cl }

// Fencing returns Logs on the same client that end open transactions as f allows.
func (l *Logs) Fencing(f Fence) *Logs {
	c := *l
	c.fence = f
	return &c
}

// Until returns Logs on the same client whose TopicManager gives up waiting when ctx is done: goka's interface has no context.
func (l *Logs) Until(ctx context.Context) *Logs {
	c := *l
	c.until = ctx
	return &c
}

// retries bounds how long a request whose answer says "ask again" is repeated: about five seconds, a leader election's time.
func retries() backoff.Config {
	return backoff.Config{MinBackoff: 20 * time.Millisecond, MaxBackoff: time.Second, MaxRetries: 10}
}

// polls paces a wait for something that others bring about; its end is the context's.
func polls() backoff.Config {
	return backoff.Config{MinBackoff: 10 * time.Millisecond, MaxBackoff: 250 * time.Millisecond}
}

// retry calls f until it succeeds, fails for good, or has been called too often. From the second call on f is told to distrust what it
// has cached about leaders.
func retry(ctx context.Context, f func(fresh bool) error) error {
	wait := backoff.New(ctx, retries())
	var err error
	for wait.Ongoing() {
		if err = f(wait.NumRetries() > 0); err == nil || final(err) {
			return err
		}
		wait.Wait()
	}
	if err == nil {
		return wait.Err()
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w (last: %w)", cause, err)
	}
	return err
}

// final tells whether asking again cannot help.
func final(err error) bool {
	if ke, ok := errors.AsType[*kerr.Error](err); ok {
		return !ke.Retriable
	}
	return errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
