package commands

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/query/client"
)

func workflowsCommand() *cli.Command {
	a := &asking{}
	var state, verdict, kind, cursor string
	var limit int
	return &cli.Command{
		Name:    "workflows",
		Summary: "list workflows with their state and live verdict, or show one",
		Usage:   "[WORKFLOW]",
		Example: `freshet workflows -state open -verdict stale
freshet workflows wf-7f3`,
		Flags: func(f *flag.FlagSet) {
			a.register(f)
			f.StringVar(&state, "state", "", "Only those in this state: `open|ended|abandoned|seen`.")
			f.StringVar(&verdict, "verdict", "", "Only those whose live verdict is this: `fresh|stale|unknown`.")
			f.StringVar(&kind, "type", "", "Only those of this workflow type.")
			f.IntVar(&limit, "limit", 0, "How many at most. 0: as many as the server gives.")
			f.StringVar(&cursor, "cursor", "", "Where to go on: what the last list said is next.")
		},
		Run: func(ctx context.Context, args []string, stdio *cli.Stdio) error {
			switch len(args) {
			case 0:
				q := url.Values{}
				for name, v := range map[string]string{"state": state, "verdict": verdict, "type": kind, "cursor": cursor} {
					if v != "" {
						q.Set(name, v)
					}
				}
				if limit != 0 {
					q.Set("limit", strconv.Itoa(limit))
				}
				return a.workflows(ctx, q, stdio)
			case 1:
				return a.workflow(ctx, args[0], stdio)
			}
			return cli.Usagef("name one workflow, or none to list them")
		},
	}
}

func (a *asking) workflows(ctx context.Context, q url.Values, stdio *cli.Stdio) error {
	var list struct {
		Next      *string `json:"next"`
		Workflows []struct {
			Workflow string     `json:"workflow"`
			Type     *string    `json:"workflow_type"`
			State    string     `json:"state"`
			Verdict  string     `json:"verdict"`
			Reasons  []string   `json:"reasons"`
			Cause    *string    `json:"cause"`
			Owner    *string    `json:"owner"`
			Items    int        `json:"items"`
			Uses     int        `json:"decisions"`
			Last     *time.Time `json:"last_event_at"`
		} `json:"workflows"`
	}
	err := a.get(ctx, "/v1/workflows?"+q.Encode(), &list, stdio, []string{"WORKFLOW", "TYPE", "STATE", "VERDICT", "REASONS", "CAUSE", "OWNER", "ITEMS", "DECISIONS", "LAST EVENT"}, func(r *cli.Results) error {
		for _, w := range list.Workflows {
			if err := r.Add(nil, w.Workflow, nameCell(w.Type), w.State, w.Verdict, dash(strings.Join(w.Reasons, ",")), nameCell(w.Cause), nameCell(w.Owner), strconv.Itoa(w.Items), strconv.Itoa(w.Uses), instantCell(w.Last)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && list.Next != nil {
		fmt.Fprintf(stdio.Err, "there are more: -cursor %s\n", *list.Next)
	}
	return err
}

func (a *asking) workflow(ctx context.Context, id string, stdio *cli.Stdio) error {
	var one struct {
		Type      *string       `json:"workflow_type"`
		State     string        `json:"state"`
		Events    int           `json:"events"`
		Live      client.Answer `json:"live"`
		Decisions []struct {
			ID       string    `json:"decision_id"`
			Use      string    `json:"use"`
			UsedAt   time.Time `json:"used_at"`
			Verdict  *string   `json:"verdict"`
			Revision int       `json:"revision"`
		} `json:"decisions"`
	}
	return a.get(ctx, client.Path("v1", "workflows", id), &one, stdio, []string{"USED AT", "DECISION", "USE", "REV", "VERDICT"}, func(r *cli.Results) error {
		var b strings.Builder
		fmt.Fprintf(&b, "%s, %s, %s, %d events\n%s", id, nameCell(one.Type), one.State, one.Events, headline(one.Live))
		for i := range one.Live.Items {
			itemText(&b, &one.Live.Items[i], "")
		}
		fmt.Fprint(stdio.Out, b.String())
		for _, d := range one.Decisions {
			verdict := "provisional"
			if d.Verdict != nil {
				verdict = *d.Verdict
			}
			if err := r.Add(nil, stamp(d.UsedAt), d.ID, d.Use, strconv.Itoa(d.Revision), verdict); err != nil {
				return err
			}
		}
		return nil
	})
}

func sourcesCommand() *cli.Command {
	a := &asking{}
	var users bool
	var seq int64
	return &cli.Command{
		Name:    "sources",
		Summary: "show the versions of an item and who holds which, or who used one after it was superseded",
		Usage:   "KIND/KEY",
		Example: `freshet sources policy/refund
freshet sources policy/refund -users -seq 17`,
		Flags: func(f *flag.FlagSet) {
			a.register(f)
			f.BoolVar(&users, "users", false, "The decisions that used it after it was superseded.")
			f.Int64Var(&seq, "seq", 0, "With -users: only those that used this version. 0: any.")
		},
		Run: func(ctx context.Context, args []string, stdio *cli.Stdio) error {
			if len(args) != 1 {
				return cli.Usagef("name one item, as KIND/KEY")
			}
			kind, key, ok := strings.Cut(args[0], "/")
			if !ok || kind == "" || key == "" {
				return cli.Usagef("%q: must be KIND/KEY", args[0])
			}
			path := client.Path("v1", "sources", kind, key)
			if users {
				if path += "/users"; seq != 0 {
					path += "?seq=" + strconv.FormatInt(seq, 10)
				}
				return a.users(ctx, path, stdio)
			}
			return a.source(ctx, path, stdio)
		},
	}
}

func (a *asking) source(ctx context.Context, path string, stdio *cli.Stdio) error {
	var item struct {
		Silent   bool       `json:"silent"`
		LastLife *time.Time `json:"last_life"`
		Total    int        `json:"versions_total"`
		Versions []struct {
			Version     *string         `json:"version"`
			Seq         int64           `json:"seq"`
			EffectiveAt time.Time       `json:"effective_at"`
			PublishedAt time.Time       `json:"published_at"`
			Change      string          `json:"change"`
			At          client.Position `json:"at"`
		} `json:"versions"`
		Holders []struct {
			Seq       *int64   `json:"seq"`
			Workflows int      `json:"workflows"`
			First     []string `json:"first"`
		} `json:"holders"`
	}
	return a.get(ctx, path, &item, stdio, []string{"VERSION", "EFFECTIVE AT", "PUBLISHED AT", "CHANGE", "RECORD", "HELD BY", "FIRST OF THEM"}, func(r *cli.Results) error {
		silent := ""
		if item.Silent {
			silent = ", SILENT"
		}
		fmt.Fprintf(stdio.Out, "%d versions, last sign of life %s%s\n", item.Total, instantCell(item.LastLife), silent)
		for _, v := range item.Versions {
			held, first := "-", "-"
			for _, h := range item.Holders {
				if h.Seq != nil && *h.Seq == v.Seq {
					held, first = strconv.Itoa(h.Workflows), dash(strings.Join(h.First[:min(3, len(h.First))], ","))
				}
			}
			where := fmt.Sprintf("%s/%d/%d", v.At.Topic, v.At.Partition, v.At.Offset)
			if err := r.Add(nil, versionCell(v.Version, &v.Seq), stamp(v.EffectiveAt), stamp(v.PublishedAt), v.Change, where, held, first); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *asking) users(ctx context.Context, path string, stdio *cli.Stdio) error {
	var list struct {
		Users []struct {
			Workflow     string          `json:"workflow"`
			DecisionID   string          `json:"decision_id"`
			Use          string          `json:"use"`
			UsedAt       time.Time       `json:"used_at"`
			Seq          *int64          `json:"seq"`
			SupersededAt *time.Time      `json:"superseded_at"`
			Staleness    *client.Seconds `json:"staleness_s"`
			Verdict      *string         `json:"verdict"`
		} `json:"users"`
	}
	return a.get(ctx, path, &list, stdio, []string{"USED AT", "WORKFLOW", "DECISION", "USE", "VERSION", "SUPERSEDED AT", "STALENESS", "VERDICT"}, func(r *cli.Results) error {
		for _, u := range list.Users {
			if err := r.Add(nil, stamp(u.UsedAt), u.Workflow, u.DecisionID, u.Use, versionCell(nil, u.Seq), instantCell(u.SupersededAt), spanCell(u.Staleness), nameCell(u.Verdict)); err != nil {
				return err
			}
		}
		return nil
	})
}

func statusCommand() *cli.Command {
	a := &asking{}
	return &cli.Command{
		Name:    "status",
		Summary: "show how the engine stands: partitions, owners, clocks, lag",
		About:   "Exit status 1 if it is not ready.",
		Example: "freshet status -server http://freshet-1:8080",
		Flags:   a.register,
		Run: func(ctx context.Context, args []string, stdio *cli.Stdio) error {
			if len(args) > 0 {
				return cli.Usagef("%q: it takes no arguments", args[0])
			}
			return a.status(ctx, stdio)
		},
	}
}

func (a *asking) status(ctx context.Context, stdio *cli.Stdio) error {
	s := struct {
		Instance   string `json:"instance"`
		Version    string `json:"version"`
		Contract   string `json:"contract"`
		Ready      bool   `json:"ready"`
		Why        string `json:"why"`
		Partitions []struct {
			Group     string          `json:"group"`
			Partition int32           `json:"partition"`
			Owner     *string         `json:"owner"`
			Live      bool            `json:"live"`
			Applied   *time.Time      `json:"applied_through"`
			Lag       *client.Seconds `json:"lag_s"`
			Behind    int64           `json:"records_behind"`
			HeldBy    string          `json:"held_by"`
			HeldWhy   string          `json:"held_why"`
		} `json:"partitions"`
	}{Ready: true}
	err := a.get(ctx, "/v1/status", &s, stdio, []string{"GROUP", "PARTITION", "OWNER", "LIVE", "APPLIED THROUGH", "LAG", "RECORDS BEHIND", "WAITS FOR"}, func(r *cli.Results) error {
		fmt.Fprintf(stdio.Out, "%s, version %s, contract %s\n", s.Instance, s.Version, s.Contract)
		if !s.Ready {
			fmt.Fprintf(stdio.Out, "NOT READY: %s\n", s.Why)
		}
		for _, p := range s.Partitions {
			if err := r.Add(nil, p.Group, fmt.Sprint(p.Partition), nameCell(p.Owner), strconv.FormatBool(p.Live), instantCell(p.Applied), spanCell(p.Lag), fmt.Sprint(p.Behind),
				dash(strings.TrimSpace(p.HeldBy+" "+p.HeldWhy))); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !s.Ready {
		return cli.Nof("not ready: %s", s.Why)
	}
	return err
}
