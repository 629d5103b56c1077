package tail

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrBroker is in every error that says a broker cannot do what the engine needs: trying again does not help.
var ErrBroker = errors.New("the broker cannot run transactional groups (Kafka 3.0 or later is needed)")

// need is one request the engine makes, with the versions of it that will do.
type need struct {
	key      kmsg.Key
	min, max int16
	why      string
}

// needs lists what tells a broker that will do from one that will not. A highest version is set for what this package asks for, which
// speaks Kafka 3.0's protocol.
func needs() []need {
	return []need{
		{kmsg.Fetch, 4, 12, "committed reads"},
		{kmsg.ListOffsets, 5, 7, "last stable offsets that outlive a change of leader"},
		{kmsg.OffsetFetch, 7, math.MaxInt16, "stable offsets of a group"},
		{kmsg.InitProducerID, 3, 4, "transactions that fence their owner's earlier life"},
		{kmsg.AddPartitionsToTxn, 0, math.MaxInt16, "transactions"},
		{kmsg.AddOffsetsToTxn, 0, math.MaxInt16, "offsets in transactions"},
		{kmsg.TxnOffsetCommit, 3, math.MaxInt16, "offsets in transactions, checked against the group's generation (KIP-447)"},
		{kmsg.EndTxn, 0, math.MaxInt16, "transactions"},
		{kmsg.DescribeProducers, 0, 0, "finding whose transaction is open on a partition (KIP-664)"},
		{kmsg.DescribeTransactions, 0, 0, "finding how long a transaction has been open (KIP-664)"},
		{kmsg.ListTransactions, 0, 0, "finding open transactions (KIP-664)"},
	}
}

// CheckBroker refuses a cluster in which a broker cannot do what the engine needs, and says what and why. Brokers that do not answer are
// passed over as long as one does: a cluster with a broker down is no reason not to start.
func CheckBroker(ctx context.Context, cl *kgo.Client) error {
	versions, err := kadm.NewClient(cl).ApiVersions(ctx)
	if err != nil {
		return fmt.Errorf("ask the brokers what they can do: %w", err)
	}
	var silent, refused []error
	for _, v := range versions.Sorted() {
		if v.Err != nil {
			// A broker that answers with an error to the first of all requests is too old; anything else is not an answer.
			if errors.Is(v.Err, kerr.UnsupportedVersion) {
				refused = append(refused, fmt.Errorf("broker %d: %w: it does not say what it can do: %w", v.NodeID, ErrBroker, v.Err))
				continue
			}
			silent = append(silent, fmt.Errorf("ask broker %d what it can do: %w", v.NodeID, v.Err))
			continue
		}
		if missing := missing(v.KeyVersions); len(missing) > 0 {
			refused = append(refused, fmt.Errorf("broker %d (it looks like Kafka %s): %w: it lacks %s",
				v.NodeID, strings.TrimPrefix(v.VersionGuess(), "v"), ErrBroker, strings.Join(missing, "; ")))
		}
	}
	if len(refused) > 0 {
		return errors.Join(refused...)
	}
	if len(silent) == len(versions) {
		return fmt.Errorf("ask the brokers what they can do: none of %d answered: %w", len(versions), errors.Join(silent...))
	}
	return nil
}

// missing says which needs a broker with these versions does not meet.
func missing(versions func(key int16) (lowest, highest int16, exists bool)) []string {
	var out []string
	for _, n := range needs() {
		lowest, highest, exists := versions(n.key.Int16())
		switch {
		case !exists:
			out = append(out, fmt.Sprintf("%s for %s", n.key.Name(), n.why))
		case highest < n.min || lowest > n.max:
			out = append(out, fmt.Sprintf("%s in a version from %d to %d (it has %d to %d) for %s", n.key.Name(), n.min, n.max, lowest, highest, n.why))
		}
	}
	return out
}
