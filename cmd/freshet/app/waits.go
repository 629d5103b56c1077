package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/freshet-io/freshet/processors/tail"
	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/backoff"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// waits is what modules that are starting wait for, in words.
type waits struct {
	mu  sync.Mutex
	why map[string]string
}

// set says what a module waits for, "" for nothing more.
func (w *waits) set(module, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why == nil {
		w.why = map[string]string{}
	}
	w.why[module] = why
	if why == "" {
		delete(w.why, module)
	}
}

func (w *waits) of(module string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why[module]
}

// starting says which modules do not run yet, and what those wait for that know it.
func (a *App) starting() string {
	var all []string
	for _, name := range sortedKeys(a.services) {
		switch state := a.services[name].State(); {
		case a.waits.of(name) != "":
			return name + " waits: " + a.waits.of(name) // the others wait for it
		case state == services.New || state == services.Starting:
			all = append(all, name)
		}
	}
	return "modules are starting: " + strings.Join(all, ", ")
}

const (
	firstAsk = 100 * time.Millisecond
	lastAsk  = 5 * time.Second
	askFor   = 5 * time.Second  // one attempt
	lookFor  = 30 * time.Second // one attempt to look at all topics
)

// awaitBrokers waits until a broker answers and can do what is needed: engine and brokers may be started in any order. One that answers
// and cannot, or does not let us in, is an error.
func (a *App) awaitBrokers(ctx context.Context) error {
	return a.untilAnswered(ctx, askFor, func(ctx context.Context) error { return tail.CheckBroker(ctx, a.logs.Client()) }, func(err error) bool {
		ke, ok := errors.AsType[*kerr.Error](err)
		return errors.Is(err, tail.ErrBroker) || ok && !ke.Retriable
	})
}

// untilAnswered asks the brokers a question until its answer counts: no error, or one that does. Others pass.
func (a *App) untilAnswered(ctx context.Context, within time.Duration, question func(context.Context) error, counts func(error) bool) error {
	began := time.Now()
	retry := backoff.New(ctx, backoff.Config{MinBackoff: firstAsk, MaxBackoff: lastAsk})
	for {
		attempt, cancel := context.WithTimeout(ctx, within)
		err := question(attempt)
		cancel()
		if err == nil || counts(err) {
			a.waits.set(clusterModule, "")
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the brokers: %w", context.Cause(ctx))
		}
		why := fmt.Sprintf("%s: no broker answers (asked %d times in %v): %v", a.cluster, retry.NumRetries()+1, time.Since(began).Round(time.Second), err)
		a.waits.set(clusterModule, why)
		_ = level.Warn(a.logger).Log("msg", "waiting for the brokers", "brokers", a.cluster, "for", time.Since(began).Round(time.Second), "err", err)
		retry.Wait()
	}
}

// answered says whether an error is an answer: brokers that are slow, or have just gone, give none, and may soon.
func answered(err error) bool {
	if ke, ok := errors.AsType[*kerr.Error](err); ok {
		return !ke.Retriable
	}
	_, network := errors.AsType[net.Error](err)
	return !network && !kgo.IsRetryableBrokerErr(err) && !errors.Is(err, io.EOF) && !errors.Is(err, context.DeadlineExceeded)
}

// awaitStopped returns when every module has stopped, or when they have been asked to for as long as they may take. What is not committed
// by then is done again by the next start: that is what transactions are for.
func (a *App) awaitStopped(ctx context.Context) error {
	stopped, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-stopped.Done():
		case <-time.After(a.stopIn):
			cancel(errStop)
		}
	})()
	err := a.manager.AwaitStopped(stopped)
	if err == nil {
		return nil
	}
	if !errors.Is(context.Cause(stopped), errStop) {
		return fmt.Errorf("stop modules: %w", err)
	}
	var left []string
	for _, name := range sortedKeys(a.services) {
		if state := a.services[name].State(); state != services.Terminated && state != services.Failed {
			left = append(left, name)
		}
	}
	return fmt.Errorf("%w within %v: %s; what is not committed is done again at the next start", errStop, a.stopIn, strings.Join(left, ", "))
}

// stopIn is how long an engine may take to stop: orchestrators kill it soon after.
const stopIn = 9 * time.Second

var errStop = errors.New("the engine did not stop")
