//go:build torture

package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/state"
	"github.com/go-kit/log"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// victim is set in the processes that the test starts and that die: the broker's address, the directory, and how they commit.
const victim = "GATEWAY_TEST_VICTIM"

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(victim)); len(args) == 3 {
		if err := beVictim(args[0], args[1], args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func beVictim(addr, dir, how string) error {
	var cfg Config
	cfg.RegisterFlags(flag.NewFlagSet("gateway", flag.PanicOnError))
	logs, err := tail.New([]string{addr}, log.NewNopLogger())
	if err != nil {
		return err
	}
	db, err := state.Open(state.Config{Dir: dir, MemTableSize: 4 << 20, CacheSize: 4 << 20}, "test", log.NewNopLogger())
	if err != nil {
		return err
	}
	g := New(cfg, counters("a"), access.Open(addr), db, logs, &counter{output}, metrics.New(nil), testLogger())
	if how == "plain" {
		client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			return err
		}
		g.off.transaction = plain(client)
	}
	return g.Run(context.Background())
}

// plain sends what a transaction would, in the same order, without one.
func plain(client *kgo.Client) func(*session, context.Context, []taken) (map[int32]int64, error) {
	return func(s *session, ctx context.Context, all []taken) (map[int32]int64, error) {
		await.Point(await.BeforeProduce)
		a := &acks{table: s.g.spec.Table, ends: map[int32]int64{}}
		for i := range all {
			t := &all[i]
			done := a.of(t.p.ID)
			for _, w := range t.writes {
				a.wg.Add(1)
				client.Produce(ctx, &kgo.Record{Topic: a.table, Partition: t.p.ID, Key: []byte(w.Key), Value: w.Value}, done)
			}
			for _, r := range t.recs {
				a.wg.Add(1)
				client.Produce(ctx, r, done)
			}
		}
		a.wg.Wait()
		if err := a.err(); err != nil {
			return nil, err
		}
		await.Point(await.AfterProduce)
		if err := s.offsetsOnly(ctx, s.g.client.Load(), all); err != nil {
			return nil, err
		}
		await.Point(await.AfterOffsets)
		await.Point(await.AfterEnd)
		return a.ends, nil
	}
}

// TestKills kills an instance at every point of its work, again and again. Counts stay exact; without transactions they do not.
func TestKills(t *testing.T) {
	if broken := kills(t, "transactions"); broken != "" {
		t.Error(broken)
	}
	if broken := kills(t, "plain"); broken == "" {
		t.Error("the test does not see that there are no transactions")
	} else {
		t.Log(broken)
	}
}

func kills(t *testing.T, how string) (broken string) {
	t.Helper()
	const keys, each = 12, 25
	addr, dir := startBroker(t), t.TempDir()
	total := 0
	more := func() {
		produce(t, addr, keys, each)
		total += each
	}
	for _, point := range []string{await.Callback, await.BeforeProduce, await.AfterProduce, await.AfterOffsets, await.AfterEnd, await.Restore} {
		for pass := 1; pass <= 3; pass++ {
			more()
			if point == await.Restore {
				dir = t.TempDir()
			}
			at := fmt.Sprintf("%s:%d", point, pass)
			died := start(t, addr, dir, how, at)
			deadline := time.After(inTime)
			tick := time.NewTicker(200 * time.Millisecond)
			for alive := true; alive; {
				select {
				case <-died.done:
					alive = false
				case <-tick.C:
					if pass > 1 && point != await.Restore { // several passes need several transactions
						more()
					}
				case <-deadline:
					t.Fatalf("%s: nobody died", at)
				}
			}
			tick.Stop()
			if !died.killed() {
				t.Fatalf("%s: %v", at, died.err)
			}
		}
	}
	last := start(t, addr, dir, how, "")
	defer last.kill()
	return exactly(t, addr, uint64(total))
}

// exactly waits until all input has been committed, and then says where the outputs do not count every key from 1 to n.
func exactly(t *testing.T, addr string, n uint64) string {
	t.Helper()
	adm := kadm.NewClient(client(t, addr))
	if !until(t, inTime, func() bool {
		lags, err := adm.Lag(t.Context(), "counters")
		group := lags["counters"]
		return err == nil && group.Error() == nil && len(group.Lag) > 0 && group.Lag.Total() == 0
	}) {
		t.Fatal("the input is not read to its end")
	}
	for p := range int32(partitions) {
		last := map[string]uint64{}
		for _, r := range logOf(t, addr, output, p, kgo.ReadCommitted()) {
			if r.Attrs.IsControl() {
				continue
			}
			key, got := string(r.Key), binary.BigEndian.Uint64(r.Value)
			if got != last[key]+1 {
				return fmt.Sprintf("%s: %d after %d", key, got, last[key])
			}
			last[key] = got
		}
		for key, got := range last {
			if got != n {
				return fmt.Sprintf("%s was counted to %d, there are %d", key, got, n)
			}
		}
	}
	return ""
}

// process is a victim.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	kill func()
}

func (p *process) killed() bool {
	var exit *exec.ExitError
	return errors.As(p.err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

func start(t *testing.T, addr, dir, how, at string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), victim+"="+strings.Join([]string{addr, dir, how}, " "), await.Env+"="+at)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	p.kill = sync.OnceFunc(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	t.Cleanup(p.kill)
	return p
}
