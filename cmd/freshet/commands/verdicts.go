package commands

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/committed"
	"github.com/freshet-io/freshet/cmd/freshet/verdict"
	"github.com/freshet-io/freshet/topology"
)

type verdicts struct {
	kafka  kafkaFlags
	prefix string
	follow bool
	golden bool
	format cli.Format
}

func verdictsCommand() *cli.Command {
	v := &verdicts{}
	return &cli.Command{
		Name:    "verdicts",
		Summary: "show the last revision of every verdict",
		About: `Reads freshet.verdicts from its start to its end, committed records only, and writes the last revision of each use, sorted by
workflow, decision_id and use: as JSON the record's data as it stands. With -golden in the form of the golden lines, equal byte for byte
with what freshet judge says of the same events. With -follow it goes on and writes every revision as it comes.`,
		Example: `freshet verdicts
freshet verdicts -golden > verdicts.ndjson
freshet verdicts -follow -o json | jq 'select(.verdict == "stale")'`,
		Flags: func(f *flag.FlagSet) {
			v.kafka.register(f)
			f.StringVar(&v.prefix, "topics.prefix", "", "Prefix of the topics.")
			f.BoolVar(&v.follow, "follow", false, "Go on with what comes, until interrupted.")
			f.BoolVar(&v.golden, "golden", false, "Golden lines: what was judged, without evidence and instants.")
			v.format.RegisterFlags(f)
		},
		Run: v.run,
	}
}

func (v *verdicts) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) > 0 {
		return cli.Usagef("%q: verdicts takes no arguments", args[0])
	}
	cluster, err := v.kafka.cluster()
	if err != nil {
		return err
	}
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	r, err := committed.NewReader(connecting, cluster, v.prefix+topology.VerdictsTopic)
	if err != nil {
		return cli.Unavailable(err)
	}
	defer r.Close()

	last := verdict.NewLast()
	if err := r.ToEnd(ctx, func(k *kgo.Record) error {
		_, err := add(last, k, stdio)
		return err
	}); err != nil {
		return err
	}
	results := v.format.Results(stdio, "USED AT", "WORKFLOW", "DECISION", "USE", "REV", "VERDICT", "REASONS", "STALENESS", "AGE", "BEHIND", "CAUSE", "OWNER")
	out := bufio.NewWriterSize(stdio.Out, 256<<10)
	for _, one := range last.Sorted() {
		if err := v.show(one, results, out); err != nil {
			return err
		}
	}
	if err := errors.Join(out.Flush(), results.Flush()); err != nil || !v.follow {
		return err
	}
	return r.Follow(ctx, func(k *kgo.Record) error {
		one, err := add(last, k, stdio)
		if err != nil || one.Record == nil {
			return err
		}
		return errors.Join(v.show(one, results, out), out.Flush(), results.Flush())
	})
}

// add hands a record to last and returns the revision, or an empty one if it changes nothing. A record that is no verdict is named and
// left out: the topic may be written by a later release.
func add(last *verdict.Last, k *kgo.Record, stdio *cli.Stdio) (verdict.Revision, error) {
	one, err := verdict.Parse(k.Value)
	if err != nil {
		fmt.Fprintf(stdio.Err, "partition %d of %s, offset %d: %v\n", k.Partition, k.Topic, k.Offset, err)
		return verdict.Revision{}, nil
	}
	if !last.Add(one, k.Value) {
		return verdict.Revision{}, nil
	}
	return verdict.Revision{Record: one, Data: k.Value}, nil
}

func (v *verdicts) show(one verdict.Revision, results *cli.Results, out *bufio.Writer) error {
	switch {
	case v.golden:
		_, err := out.Write(append(one.AppendGolden(nil), '\n'))
		return err
	case results.JSON():
		_, err := out.Write(append(one.Data[:len(one.Data):len(one.Data)], '\n'))
		return err
	}
	return results.Add(nil, one.UsedAt, one.Workflow, one.DecisionID, one.Use, fmt.Sprint(one.Revision), one.Verdict,
		dash(strings.Join(one.Reasons, ",")), secondsCell(one.Staleness), secondsCell(one.Age), countCell(one.VersionsBehind), nameCell(one.Cause), nameCell(one.Owner))
}

func secondsCell(s *verdict.Seconds) string {
	if s == nil {
		return "-"
	}
	return s.String() + "s"
}

func countCell(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func nameCell(s *string) string {
	if s == nil {
		return "-"
	}
	return dash(*s)
}
