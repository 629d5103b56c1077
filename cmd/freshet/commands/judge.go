package commands

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

type judge struct {
	contracts string
	now       func() time.Time
}

func judgeCommand() *cli.Command {
	j := &judge{now: time.Now}
	return &cli.Command{
		Name:    "judge",
		Summary: "judge recorded events, without a broker",
		Usage:   "EVENTS… | -",
		About: `The batch truth: every use of context in the events, judged over all of them, whatever order they come in. Writes one JSON object a
line, sorted by workflow, decision_id and use; the last revisions of the engine are equal to it (freshet verdicts -golden).
Lines that are no events are named on stderr with the reason, and the exit status is then 1.`,
		Example: "freshet judge -contracts.file contracts.yaml events.ndjson.gz > verdicts.ndjson",
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&j.contracts, "contracts.file", "", "The contract to judge by. Required.")
		},
		Run: j.run,
	}
}

func (j *judge) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	in, err := openInputs(args, stdio)
	if err != nil {
		return err
	}
	contract, err := readContract(j.contracts)
	if err != nil {
		return err
	}
	batch := freshness.NewBatch(contract.Contract(), freshness.DefaultLimits())
	refused, _, err := j.fold(ctx, in, batch, stdio)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(stdio.Out, 256<<10)
	err = batch.Golden(func(line []byte) error {
		if _, err := out.Write(line); err != nil {
			return err
		}
		if err := out.WriteByte('\n'); err != nil {
			return err
		}
		return ctx.Err()
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("write verdicts: %w", err)
	}
	if refused > 0 {
		return cli.Nof("%d lines are no events and were not judged", refused)
	}
	return nil
}

// fold adds all events to the batch and returns how many lines were none, and how many there were.
func (j *judge) fold(ctx context.Context, in *inputs, batch *freshness.Batch, stdio *cli.Stdio) (refused, n int64, err error) {
	decoder, e := event.NewDecoder(event.Config{}), event.Event{}
	progress := stdio.Progress("events", j.now())
	err = in.each(func(at line) error {
		if reason := decoder.DecodeStructured(at.text, 0, &e); reason != event.OK {
			refused++
			progress.Clear()
			fmt.Fprintf(stdio.Err, "%s:%d: %s\n", at.file, at.n, reason)
			return nil
		}
		batch.Add(&e, freshness.Position{Topic: at.file, Offset: int64(at.n)})
		if n++; n%1024 == 0 {
			progress.Say(n, in.share(), j.now())
		}
		return ctx.Err()
	})
	progress.Clear()
	return refused, n, err
}
