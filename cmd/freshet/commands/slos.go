package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

func slosCommand() *cli.Command {
	a := &asking{}
	return &cli.Command{
		Name:    "slos",
		Summary: "show how the objectives stand: good ratio, burn rates, what is left of the error budget",
		Example: "freshet slos -o json",
		Flags:   a.register,
		Run: func(ctx context.Context, args []string, stdio *cli.Stdio) error {
			if len(args) > 0 {
				return cli.Usagef("%q: it takes no arguments", args[0])
			}
			return a.slos(ctx, stdio)
		},
	}
}

// objective is what of GET /v1/slos is shown.
type objective struct {
	SLO       string   `json:"slo"`
	Objective float64  `json:"objective"`
	Window    string   `json:"window"`
	Remaining *float64 `json:"budget_remaining_ratio"`
	Coverage  *float64 `json:"coverage_ratio"`
	Windows   []struct {
		Window string   `json:"window"`
		Good   *float64 `json:"good_ratio"`
		Burn   *float64 `json:"burn_rate"`
	} `json:"windows"`
	Rules []struct {
		Severity string  `json:"severity"`
		Burn     float64 `json:"burn"`
		Long     string  `json:"long"`
		Short    string  `json:"short"`
		Holds    bool    `json:"holds"`
	} `json:"rules"`
}

func (a *asking) slos(ctx context.Context, stdio *cli.Stdio) error {
	var list struct {
		SLOs []objective `json:"slos"`
	}
	return a.get(ctx, "/v1/slos", &list, stdio, []string{"SLO", "OBJECTIVE", "GOOD", "BURN RATES", "BUDGET LEFT", "COVERAGE", "RULES THAT HOLD"}, func(r *cli.Results) error {
		for i := range list.SLOs {
			o := &list.SLOs[i]
			good, burns := o.burns()
			share := strconv.FormatFloat(o.Objective*100, 'g', 10, 64) + "%"
			if err := r.Add(nil, o.SLO, share, percentCell(good, 3), dash(burns), percentCell(o.Remaining, 1), percentCell(o.Coverage, 1), dash(o.holding())); err != nil {
				return err
			}
		}
		return nil
	})
}

// burns returns the ratio of good uses over the objective's own window, and the burn rate over each.
func (o *objective) burns() (good *float64, burns string) {
	all := make([]string, 0, len(o.Windows))
	for _, w := range o.Windows {
		if w.Window == o.Window {
			good = w.Good
		}
		burn := "-"
		if w.Burn != nil {
			burn = strconv.FormatFloat(*w.Burn, 'f', 2, 64)
		}
		all = append(all, w.Window+" "+burn)
	}
	return good, strings.Join(all, ", ")
}

// holding names the rules that hold.
func (o *objective) holding() string {
	var all []string
	for _, r := range o.Rules {
		if r.Holds {
			all = append(all, fmt.Sprintf("%s burn %g over %s and %s", r.Severity, r.Burn, r.Long, r.Short))
		}
	}
	return strings.Join(all, ", ")
}

func percentCell(ratio *float64, digits int) string {
	if ratio == nil {
		return "-"
	}
	return strconv.FormatFloat(*ratio*100, 'f', digits, 64) + "%"
}
