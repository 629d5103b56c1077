package edges

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/test/harness"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kcat runs librdkafka's command line client.
func (k *kit) kcat(ctx context.Context, stdin string, args ...string) string {
	k.t.Helper()
	cmd := exec.CommandContext(ctx, "kcat", append([]string{"-b", strings.Join(k.Brokers(), ",")}, args...)...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &problems
	if err := cmd.Run(); err != nil {
		k.t.Fatalf("kcat %q: %v: %s", args, err, problems.String())
	}
	return out.String()
}

// TestKcat produces with librdkafka, which places keys by itself, and consumes with it.
func TestKcat(t *testing.T) {
	if _, err := exec.LookPath("kcat"); errors.Is(err, exec.ErrNotFound) {
		t.Skip("NOT TESTED: librdkafka as a client, for kcat is not installed (apt-get install kcat)")
	}
	for _, c := range []struct {
		partitioner topology.Partitioner
		args        []string
	}{
		{topology.CRC32, nil}, // librdkafka's own: consistent_random
		{topology.Murmur2, []string{"-X", "partitioner=murmur2"}},
	} {
		t.Run(c.partitioner.String(), func(t *testing.T) {
			ctx := within(t)
			k := newKit(t, refunds+"partitioner: "+c.partitioner.String()+"\n", harness.Options{Partitions: 12})
			k.Start(ctx)
			produce := func(r *kgo.Record) {
				args := append([]string{"-P", "-t", r.Topic, "-k", string(r.Key)}, c.args...)
				for _, h := range r.Headers {
					args = append(args, "-H", h.Key+"="+string(h.Value))
				}
				k.kcat(ctx, string(r.Value), args...)
			}
			at := time.Now().Add(-time.Hour)
			want := map[string]bool{}
			produce(k.updated("policy/p", 1, at))
			for i := range 6 {
				workflow := fmt.Sprintf("kcat-%d", i)
				produce(k.event("workflow.control", "task.started", workflow, at, "{}"))
				produce(k.loaded(workflow, at, ref("policy", "p", 1)))
				produce(k.proposed(workflow, "d", at.Add(time.Minute)))
				want[workflow+" fresh"] = true
			}
			k.AwaitNow(ctx)
			got := map[string]bool{}
			k.Until(ctx, func() string {
				clear(got)
				out := k.kcat(ctx, "", "-C", "-e", "-q", "-o", "beginning", "-t", k.Graph().Verdicts, "-X", "isolation.level=read_committed", "-f", `%k|%h|%s\n`)
				for line := range strings.Lines(out) {
					key, rest, _ := strings.Cut(line, "|")
					attributes, data, _ := strings.Cut(rest, "|")
					var d map[string]any
					if err := json.Unmarshal([]byte(data), &d); err != nil || d["workflow"] != key {
						t.Fatalf("verdict %q: %v", line, err)
					}
					if !strings.Contains(attributes, "ce_specversion=1.0,ce_id="+key+"/d/decision.proposed/") || !strings.Contains(attributes, "ce_type=freshet.verdict") {
						t.Fatalf("the headers of the verdict are %q", attributes)
					}
					got[key+" "+word(d)] = true
				}
				for verdict := range want {
					if !got[verdict] {
						return fmt.Sprintf("kcat read %v; want %v", got, want)
					}
				}
				return ""
			})
			for _, result := range []string{"rerouted", "dead_letter"} {
				if n := k.Counted("freshet_events_total", map[string]string{"result": result}); n != 0 {
					t.Errorf("%v records are counted as %s: librdkafka's %s is not the contract's", n, result, c.partitioner)
				}
			}
		})
	}
}
