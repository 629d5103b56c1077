package commands

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/backtest"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

type sloBacktest struct {
	judge
	page, drawing string
	step          time.Duration
	format        cli.Format
}

func sloBacktestCommand() *cli.Command {
	c := &sloBacktest{judge: judge{now: time.Now}}
	return &cli.Command{
		Name:    "slo backtest",
		Summary: "say what objectives would have shown and paged on recorded events",
		Usage:   "EVENTS… | -",
		About: `Judges the events as freshet judge does and evaluates every objective of the contract at each step of event time. Writes what would have
alerted: since when, for how long, by which rule, whose it was; on stderr how each objective stood. With -html or -svg it also draws the
uses, the error budget and the alerts over time. Change the objective, the windows or the bounds in the contract and run it again.`,
		Example: "freshet slo backtest -contracts.file contracts.yaml -html report.html events.ndjson.gz",
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&c.contracts, "contracts.file", "", "The contract with the objectives. Required.")
			f.StringVar(&c.page, "html", "", "File for the report with its drawing.")
			f.StringVar(&c.drawing, "svg", "", "File for the drawing alone.")
			f.DurationVar(&c.step, "step", time.Minute, "How far apart the instants are at which the objectives are evaluated.")
			c.format.RegisterFlags(f)
		},
		Run: c.run,
	}
}

// standing is how an objective stood, as JSON.
type standing struct {
	SLO       string   `json:"slo"`
	Good      int64    `json:"good"`
	Bad       int64    `json:"bad"`
	Unknown   int64    `json:"unknown"`
	Ratio     *float64 `json:"good_ratio"`
	Objective float64  `json:"objective"`
	Least     float64  `json:"least_budget_remaining_ratio"`
	Left      float64  `json:"budget_remaining_ratio"`
	Pages     int      `json:"pages"`
	Tickets   int      `json:"tickets"`
}

func (c *sloBacktest) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if c.step < time.Millisecond {
		return cli.Usagef("-step %v: it is 1ms or longer", c.step)
	}
	in, err := openInputs(args, stdio)
	if err != nil {
		return err
	}
	contract, err := readContract(c.contracts)
	if err != nil {
		return err
	}
	if len(contract.SLOs) == 0 {
		return cli.Usagef("%s has no slos: there is nothing to test", c.contracts)
	}
	batch := freshness.NewBatch(contract.Contract(), freshness.DefaultLimits())
	refused, events, err := c.fold(ctx, in, batch, stdio)
	if err != nil {
		return err
	}
	reports, err := backtest.Run(contract, batch, freshness.Duration(c.step.Milliseconds()))
	if err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	if err := c.show(reports, stdio); err != nil {
		return err
	}
	for path, write := range map[string]func(io.Writer) error{
		c.page:    func(w io.Writer) error { return backtest.Page(w, contract.Hash(), events, c.step.String(), reports) },
		c.drawing: func(w io.Writer) error { return backtest.SVG(w, reports) },
	} {
		if err := toFile(path, write); err != nil {
			return err
		}
	}
	if refused > 0 {
		return cli.Nof("%d lines are no events and were not judged", refused)
	}
	return nil
}

// show writes how the objectives stood and what would have alerted.
func (c *sloBacktest) show(reports []backtest.Report, stdio *cli.Stdio) error {
	results := c.format.Results(stdio, "SLO", "SEVERITY", "FROM", "FOR", "RULE", "BURN", "BAD USES", "OWNER", "CAUSES")
	for i := range reports {
		rep := &reports[i]
		rows := rep.Rows()
		if results.JSON() {
			st := standing{SLO: rep.SLO.Name, Good: rep.Counts.Good, Bad: rep.Counts.Bad, Unknown: rep.Counts.Unknown, Objective: rep.SLO.Objective,
				Least: rep.Least, Left: rep.Left, Pages: rep.Count(slo.Page), Tickets: rep.Count(slo.Ticket)}
			if ratio := rep.Ratio(); !math.IsNaN(ratio) {
				st.Ratio = &ratio
			}
			if err := results.Add(st); err != nil {
				return err
			}
		}
		for _, r := range rows {
			if err := results.Add(r, r.SLO, r.Severity, r.From, r.For, r.Rule, strconv.FormatFloat(r.Burn, 'f', 1, 64), strconv.FormatInt(r.Decisions, 10), r.Owner, r.Causes); err != nil {
				return err
			}
		}
		fmt.Fprintf(stdio.Err, "%s: %s; the error budget was never below %.1f%%\n", rep.SLO.Name, rep.Summary(), 100*rep.Least)
		if !results.JSON() {
			fmt.Fprintln(stdio.Err, rep.TimeLine())
		}
	}
	return results.Flush()
}

// toFile writes a file, if one is named.
func toFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return cli.Usage(err)
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
