package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// What brokers that are slow or gone leave unanswered is asked again; what they answer holds.
func TestAnswered(t *testing.T) {
	slow := &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{slow, false},
		{fmt.Errorf("describe: %w", &kadm.ShardErrors{Name: "DescribeConfigs", Errs: []kadm.ShardError{{Err: slow}}}), false},
		{io.EOF, false},
		{context.DeadlineExceeded, false},
		{fmt.Errorf("list: %w", kerr.CoordinatorLoadInProgress), false},
		{kerr.TopicAuthorizationFailed, true},
		{&topology.DiffersError{}, true},
		{errors.New("the schema does not exist"), true},
	} {
		if got := answered(c.err); got != c.want {
			t.Errorf("%v is an answer: %v", c.err, got)
		}
	}
}

func TestUntilAnswered(t *testing.T) {
	a := &App{logger: log.NewNopLogger(), cluster: access.Open("127.0.0.1:1")}
	refused, asked := errors.New("no"), 0
	err := a.untilAnswered(t.Context(), askFor, func(ctx context.Context) error {
		if _, limited := ctx.Deadline(); !limited {
			t.Error("an attempt may take for ever")
		}
		if asked++; asked < 3 {
			return io.EOF
		}
		if a.waits.of(clusterModule) == "" {
			t.Error("nobody is told what is waited for")
		}
		return refused
	}, answered)
	if !errors.Is(err, refused) || asked != 3 || a.waits.of(clusterModule) != "" {
		t.Errorf("asked %d times, %v, waits for %q", asked, err, a.waits.of(clusterModule))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.untilAnswered(ctx, askFor, func(context.Context) error { return io.EOF }, answered); !errors.Is(err, context.Canceled) {
		t.Errorf("asked to stop: %v", err)
	}
}
