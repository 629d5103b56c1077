package commands

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

type alertsAsk struct {
	server serverFlags
	owner  string
	status string
	format cli.Format
}

func alertsCommand() *cli.Command {
	a := &alertsAsk{}
	return &cli.Command{
		Name:    "alerts",
		Summary: "list the alerts: what is the matter, since when, and whose it is",
		Example: `freshet alerts
freshet alerts -status firing -o json`,
		Flags: func(f *flag.FlagSet) {
			a.server.register(f)
			f.StringVar(&a.status, "status", "", "Only those that are firing, or resolved. Empty: all.")
			a.format.RegisterFlags(f)
		},
		Run: a.list,
	}
}

func alertsTestCommand() *cli.Command {
	a := &alertsAsk{}
	return &cli.Command{
		Name:    "alerts test",
		Summary: "send a marked test page to everywhere that alerts for an owner go",
		About:   `Exit status 1 if it did not arrive anywhere, or did not where the owner's entry in the contract leads.`,
		Example: `freshet alerts test -owner payments`,
		Flags: func(f *flag.FlagSet) {
			a.server.register(f)
			f.StringVar(&a.owner, "owner", "", "Owner of the contract. Required.")
			a.format.RegisterFlags(f)
		},
		Run: a.test,
	}
}

func alertsWhyCommand() *cli.Command {
	a := &alertsAsk{}
	return &cli.Command{
		Name:    "alerts why",
		Summary: "say why an alert does or does not page now: rule, counts, maintenance, inhibition, destinations",
		Usage:   "NAME",
		About:   "NAME is one of " + strings.Join(alerts.Names(), ", ") + ".",
		Example: `freshet alerts why FreshnessSLOBurn`,
		Flags: func(f *flag.FlagSet) {
			a.server.register(f)
			a.format.RegisterFlags(f)
		},
		Run: a.why,
	}
}

func (a *alertsAsk) ask(ctx context.Context, path string, post bool, into any) error {
	c, err := a.server.client()
	if err != nil {
		return err
	}
	var b []byte
	if post {
		b, err = c.Post(ctx, path, nil)
	} else {
		b, err = c.Get(ctx, path)
	}
	if err != nil {
		return a.server.asked(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return cli.Unavailable(fmt.Errorf("read the answer of %s: %w", a.server.server, err))
	}
	return nil
}

func (a *alertsAsk) list(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) > 0 {
		return cli.Usagef("%q: it takes no arguments", args[0])
	}
	if a.status != "" && a.status != "firing" && a.status != "resolved" {
		return cli.Usagef("-status %q: must be firing or resolved", a.status)
	}
	var answer struct {
		Alerts []json.RawMessage `json:"alerts"`
	}
	if err := a.ask(ctx, "/v1/alerts?status="+a.status, false, &answer); err != nil {
		return err
	}
	results := a.format.Results(stdio, "STATUS", "SEVERITY", "OWNER", "SINCE", "ALERT", "WHAT")
	for _, raw := range answer.Alerts {
		var row struct {
			ID          string            `json:"alert_id"`
			Status      string            `json:"status"`
			Severity    string            `json:"severity"`
			Owners      []string          `json:"owners"`
			Starts      string            `json:"starts_at"`
			Annotations map[string]string `json:"annotations"`
		}
		if err := json.Unmarshal(raw, &row); err != nil {
			return cli.Unavailable(fmt.Errorf("read the answer of %s: %w", a.server.server, err))
		}
		if err := results.Add(raw, row.Status, row.Severity, strings.Join(row.Owners, " "), row.Starts, row.ID, row.Annotations["summary"]); err != nil {
			return err
		}
	}
	if results.Empty() {
		fmt.Fprintln(stdio.Err, "none")
	}
	return results.Flush()
}

func (a *alertsAsk) test(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) > 0 || a.owner == "" {
		return cli.Usagef("-owner is required, and nothing else")
	}
	var answer struct {
		Results []struct {
			Destination string `json:"destination"`
			Target      string `json:"target"`
			Delivered   bool   `json:"delivered"`
			Detail      string `json:"detail"`
			Leads       bool   `json:"leads"`
		} `json:"results"`
	}
	if err := a.ask(ctx, "/v1/alerts/test?owner="+url.QueryEscape(a.owner), true, &answer); err != nil {
		return err
	}
	results := a.format.Results(stdio, "DESTINATION", "TARGET", "DELIVERED", "DETAIL")
	arrived, failed := false, false
	for _, r := range answer.Results {
		arrived = arrived || r.Delivered
		failed = failed || r.Leads && !r.Delivered
		if err := results.Add(r, r.Destination, r.Target, fmt.Sprint(r.Delivered), r.Detail); err != nil {
			return err
		}
	}
	if err := results.Flush(); err != nil {
		return err
	}
	switch {
	case failed:
		return cli.Nof("the test page did not arrive everywhere")
	case !arrived:
		return cli.Nof("nothing leads to %s: name destinations with the -alerts… flags of run, and the owner's in the contract", a.owner)
	}
	return nil
}

func (a *alertsAsk) why(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) != 1 || !slices.Contains(alerts.Names(), args[0]) {
		return cli.Usagef("NAME must be one of %s", strings.Join(alerts.Names(), ", "))
	}
	var answer struct {
		Findings []json.RawMessage `json:"findings"`
	}
	if err := a.ask(ctx, "/v1/alerts/why?name="+args[0], false, &answer); err != nil {
		return err
	}
	results := a.format.Results(stdio, "ALERT", "STATUS", "WHY", "DETAIL", "RULE", "TOLD")
	for _, raw := range answer.Findings {
		var f struct {
			Alert, Status, Why, Detail, Rule string
			ID                               string `json:"alert_id"`
			Owners                           []struct{ Owner, Destination, Why string }
		}
		if err := json.Unmarshal(raw, &f); err != nil {
			return cli.Unavailable(fmt.Errorf("read the answer of %s: %w", a.server.server, err))
		}
		var told []string
		for _, o := range f.Owners {
			told = append(told, strings.TrimSpace(o.Owner+" "+o.Destination)+": "+o.Why)
		}
		if err := results.Add(raw, f.ID, f.Status, f.Why, f.Detail, f.Rule, strings.Join(told, ", ")); err != nil {
			return err
		}
	}
	if results.Empty() {
		fmt.Fprintln(stdio.Err, "nothing of that name holds or has held")
	}
	return results.Flush()
}
