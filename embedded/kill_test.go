package embedded

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	killDir        = "FRESHET_TEST_KILL_DIR"
	killPartitions = 4
)

var kills = flag.Int("kills", 4, "how often TestKill kills the broker")

// TestMain is the process that TestKill kills, if it is started as such.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := commitUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// commitUntilKilled runs a broker and commits transactions on it: number i puts i into every partition and commits offset i. It prints
// a number before it commits it, and after.
func commitUntilKilled(dir string) error {
	ctx := context.Background()
	b, err := New(Config{Listen: "127.0.0.1:0", Dir: dir, MaxMessageBytes: 1 << 20}, log.NewNopLogger())
	if err != nil {
		return err
	}
	if err := services.StartAndAwaitRunning(ctx, b); err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	from, err := strconv.Atoi(os.Getenv(killDir + "_FROM"))
	if err != nil {
		return err
	}
	for i := from; ; i++ {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		var batch []*kgo.Record
		for p := range int32(killPartitions) {
			batch = append(batch, &kgo.Record{Topic: "t", Partition: p, Key: []byte("k"), Value: []byte(strconv.Itoa(i))})
		}
		if err := cl.ProduceSync(ctx, batch...).FirstErr(); err != nil {
			return err
		}
		if err := stageOffset(ctx, cl, "x", int64(i)); err != nil {
			return err
		}
		fmt.Println(i)
		if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// TestKill kills a process at random moments of its commits. Afterwards every partition and the group have the same transactions, all
// that were acknowledged among them.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", killPartitions)
	stop(t, b)
	next, whole := 1, 0
	for range *kills {
		begun, done := killOnce(t, dir, next, time.Duration(rnd.IntN(40000))*time.Microsecond)
		b := start(t, dir)
		if !b.Unclean() {
			t.Error("killed, and not unclean")
		}
		first := contentsOf(t, b, "t", 0)
		for p := range int32(killPartitions) {
			if got := values(contentsOf(t, b, "t", p)); got != values(first) {
				t.Fatalf("partition %d has %s, partition 0 has %s", p, got, values(first))
			}
		}
		last := 0
		if len(first) > 0 {
			_, v, _ := strings.Cut(first[len(first)-1], "=")
			n, err := strconv.Atoi(v)
			if err != nil {
				t.Fatal(err)
			}
			last = n
		}
		if at := max(0, committed(t, b, "g", "t", 0)); at != int64(last) {
			t.Fatalf("the partitions end with %d, the group with %d", last, at)
		}
		if last < done || last > max(begun, done) {
			t.Fatalf("%d was acknowledged and %d begun; there is %d", done, begun, last)
		}
		if len(first) != last {
			t.Fatalf("%d transactions, the last is number %d", len(first), last)
		}
		next, whole = last+1, last
		stop(t, b)
	}
	t.Logf("%d kills, %d transactions", *kills, whole)
	if whole == 0 {
		t.Error("nothing was committed")
	}
}

// values are the values of "offset key=value" lines.
func values(lines []string) string {
	var v []string
	for _, l := range lines {
		_, value, _ := strings.Cut(l, "=")
		v = append(v, value)
	}
	return strings.Join(v, " ")
}

// killOnce runs commitUntilKilled from a number on and kills it some time after its first commit. It returns the last number that was
// begun to be committed, and the last that was acknowledged.
func killOnce(t *testing.T, dir string, from int, after time.Duration) (begun, done int) {
	t.Helper()
	cmd := exec.CommandContext(within(t), os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir, killDir+"_FROM="+strconv.Itoa(from))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done = from - 1
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
		if n == begun {
			done = n
		}
		if begun == 0 {
			time.AfterFunc(after, func() {
				if err := cmd.Process.Kill(); err != nil {
					t.Errorf("kill: %v", err)
				}
			})
		}
		begun = n
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return begun, done
}
