package edges

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/test/harness"
)

// released is a kit with the row of one workflow among those of the golden set.
type released struct {
	*kit
	lines    [][]byte
	want     map[string]map[string]any
	workflow string // the first of the set by its id
}

// briefly lets a group be empty soon after its members have ended.
func briefly(c *app.Config) { c.Gateway.SessionTimeout = 3 * time.Second }

func newReleased(t *testing.T) *released {
	t.Helper()
	r := &released{kit: newKit(t, goldenContract(t, ""), harness.Options{Config: briefly}), lines: goldenLines(t), want: goldenVerdicts(t)}
	d := event.NewDecoder(event.Config{})
	var e event.Event
	for _, line := range r.lines {
		if d.DecodeStructured(line, 0, &e) == event.OK && e.Type.Category() != event.Source && (r.workflow == "" || e.Subject < r.workflow) {
			r.workflow = strings.Clone(e.Subject)
		}
	}
	return r
}

// put writes the workflow's row into the changelog, as whoever had the partition before would have done.
func (r *released) put(ctx context.Context, row []byte) {
	r.t.Helper()
	r.Produce(ctx, &kgo.Record{Topic: r.Graph().Workflows.Table, Partition: r.place(r.workflow), Key: []byte(r.workflow), Value: row, Timestamp: time.Now()})
}

// row is the workflow's last row in the changelog.
func (r *released) row(ctx context.Context) (last []byte) {
	r.t.Helper()
	for _, rec := range r.ReadAll(ctx, r.Graph().Workflows.Table) {
		if string(rec.Key) == r.workflow {
			last = rec.Value
		}
	}
	return last
}

// TestRowOfTheReleaseBefore starts the engine on a changelog in which an earlier release has written the row of a workflow: its golden bytes,
// with decisions judged and published. The engine goes on with what the row says: all events of the workflow are nothing new, its decisions are
// amended to what they have to be, and the row is written anew as this release does.
func TestRowOfTheReleaseBefore(t *testing.T) {
	ctx := within(t)
	r := newReleased(t)
	text, err := os.ReadFile("../../state/testdata/workflow.v1.hex")
	if err != nil {
		t.Fatal(err)
	}
	old, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	r.put(ctx, old)
	r.Start(ctx)
	r.Load(ctx, r.lines)
	r.AwaitNow(ctx)
	v := r.Verdicts()
	v.Compare(ctx, r.want)
	amended := 0
	for use, verdict := range v.Last {
		if r.want[use]["workflow"] != r.workflow {
			continue
		}
		if amended++; verdict.First != 2 {
			t.Errorf("the first revision of %s is %d; want 2: the row says that revision 1 has been published", use, verdict.First)
		}
	}
	if amended == 0 {
		t.Errorf("%s has no decisions", r.workflow)
	}
	now := r.row(ctx)
	if len(now) == 0 || now[0] <= old[0] {
		t.Errorf("its last row begins with %v; it had been written as version %d", now[:min(1, len(now))], old[0])
	}
	said := v.Records
	r.Stop()
	r.LoseRows()
	r.Start(ctx)
	r.AwaitNow(ctx)
	if v.ReadEnd(ctx); v.Records != said {
		t.Errorf("%d verdict records after a restore; there were %d", v.Records, said)
	}
}

// TestRowOfTheReleaseAfter has an engine meet a row that a later release has written, as when an upgrade is taken back: it refuses it, says so
// by its version, judges nothing meanwhile, and leaves it as it is. The way back is the one of docs/operations.md: what is derived is made anew,
// and says the same.
func TestRowOfTheReleaseAfter(t *testing.T) {
	ctx := within(t)
	r := newReleased(t)
	r.Load(ctx, r.lines)
	r.Start(ctx)
	r.AwaitNow(ctx)
	v := r.Verdicts()
	v.Compare(ctx, r.want)
	r.Stop()
	mine := r.row(ctx)
	later := bytes.Clone(mine)
	later[0]++
	r.put(ctx, later)
	r.LoseRows()
	r.Start(ctx)
	version := fmt.Sprintf("version [%d]", later[0])
	r.Until(ctx, func() string {
		if err := r.App.Ready(); err == nil || !strings.Contains(err.Error(), version) {
			return fmt.Sprintf("ready: %v; want that it names %s", err, version)
		}
		return ""
	})
	for _, p := range r.App.Partitions() {
		if p.Group == r.Graph().Workflows.Name && p.ID == r.place(r.workflow) && p.Live {
			t.Errorf("%+v: the partition is live over a row that nobody can read", p)
		}
	}
	if got := r.row(ctx); !bytes.Equal(got, later) {
		t.Error("the row has been written over")
	}
	said := v.Records
	if v.ReadEnd(ctx); v.Records != said {
		t.Errorf("%d verdict records were written meanwhile", v.Records-said)
	}

	r.Stop()
	for _, command := range procedure(t) {
		if strings.Contains(command, " --alter ") {
			continue // the inputs stay as they are
		}
		command = strings.ReplaceAll(command, "-topics.partitions 12", fmt.Sprintf("-topics.partitions %d", partitions))
		r.Until(ctx, func() string {
			if status, said := r.operator(ctx, command); status != 0 {
				return fmt.Sprintf("%s: status %d: %s", command, status, said)
			}
			return ""
		})
	}
	r.LoseRows()
	r.Start(ctx)
	r.AwaitNow(ctx)
	r.Verdicts().Compare(ctx, r.want)
}
