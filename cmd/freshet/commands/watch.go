package commands

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/query/client"
)

func watchCommand() *cli.Command {
	a := &asking{}
	var workflow, after string
	var bookmarks bool
	return &cli.Command{
		Name:    "watch",
		Summary: "show verdicts, detections and alerts as they come, until interrupted",
		About: `On a terminal a line for each: when, what, of which workflow, and why. As JSON (-o json) it is all that is said. With -workflow also its live verdict
whenever that changes, and verdicts that are not final.`,
		Example: "freshet watch -workflow wf-7f3",
		Flags: func(f *flag.FlagSet) {
			a.register(f)
			f.StringVar(&workflow, "workflow", "", "Only what is about this workflow.")
			f.StringVar(&after, "after", "", "Go on after the event with this id.")
			f.BoolVar(&bookmarks, "bookmarks", false, "Show the bookmarks, with the clocks, too.")
		},
		Run: func(ctx context.Context, args []string, stdio *cli.Stdio) error {
			if len(args) > 0 {
				return cli.Usagef("%q: it takes no arguments; -workflow names one", args[0])
			}
			c, err := a.server.client()
			if err != nil {
				return err
			}
			results := a.format.Results(stdio)
			if !results.JSON() {
				fmt.Fprintf(stdio.Err, "watching %s; Ctrl-C ends it\n", a.server.server)
			}
			return a.server.asked(c.Watch(ctx, workflow, after, func(e client.Event) error {
				if e.Name == "bookmark" && !bookmarks {
					return nil
				}
				if results.JSON() {
					return results.Add(watched{e.Name, e.ID, e.Data})
				}
				_, err := fmt.Fprintln(stdio.Out, watchLine(e))
				return err
			}))
		},
	}
}

// watched is an event of a watch as JSON.
type watched struct {
	Event string          `json:"event"`
	ID    string          `json:"id"`
	Data  json.RawMessage `json:"data"`
}

// watchLine is an event of a watch as a line for a person.
func watchLine(e client.Event) string {
	line := ""
	switch e.Name {
	case "verdict":
		line = saidVerdict(e.Data)
	case "detection":
		line = saidDetection(e.Data)
	case "alert":
		line = saidAlert(e.Data)
	case "bookmark":
		line = saidBookmark(e.Data)
	}
	if line == "" {
		return fmt.Sprintf("%s %s", e.Name, e.Data)
	}
	return line
}

func saidVerdict(data []byte) string {
	var v struct {
		Workflow    string          `json:"workflow"`
		Decision    string          `json:"decision_id"`
		Use         string          `json:"use"`
		UsedAt      time.Time       `json:"used_at"`
		Revision    int             `json:"revision"`
		Verdict     string          `json:"verdict"`
		Action      string          `json:"action"`
		Reasons     []string        `json:"reasons"`
		Staleness   *client.Seconds `json:"staleness_s"`
		Cause       *string         `json:"cause"`
		Owner       *string         `json:"owner"`
		Items       []client.Item   `json:"items"`
		Provisional bool            `json:"provisional"`
	}
	if json.Unmarshal(data, &v) != nil || v.Verdict == "" {
		return ""
	}
	what := fmt.Sprintf("%s, %s (revision %d)", v.Decision, v.Use, v.Revision)
	switch {
	case v.Decision == "":
		var live struct {
			At time.Time `json:"at"`
		}
		if json.Unmarshal(data, &live) != nil {
			return ""
		}
		what, v.UsedAt = "now: "+v.Action, live.At
	case v.Provisional:
		what = fmt.Sprintf("%s, %s (provisional)", v.Decision, v.Use)
	}
	line := fmt.Sprintf("%s  %-9s %s %s", stamp(v.UsedAt), strings.ToUpper(v.Verdict), v.Workflow, what)
	if len(v.Reasons) > 0 {
		line += ", because of " + strings.Join(v.Reasons, ", ")
	}
	if v.Cause != nil && v.Owner != nil {
		line += fmt.Sprintf("; stale for %s, cause %s, owner %s", spanCell(v.Staleness), *v.Cause, *v.Owner)
	}
	for i := range v.Items {
		if it := &v.Items[i]; string(it.Verdict) == v.Verdict && v.Verdict != string(client.Fresh) {
			return line + "; " + held(it)
		}
	}
	return line
}

// held says of an item which version was used, and which is in force.
func held(it *client.Item) string {
	s := fmt.Sprintf("%s/%s used %s", it.Kind, it.Key, versionCell(it.Used.Version, it.Used.Seq))
	if it.Current != nil {
		s += ", in force " + versionCell(it.Current.Version, &it.Current.Seq)
	}
	return s
}

func saidDetection(data []byte) string {
	var d struct {
		Status     string     `json:"status"`
		Workflow   *string    `json:"workflow"`
		Count      int        `json:"count"`
		Kind       string     `json:"kind"`
		Key        string     `json:"key"`
		Bound      string     `json:"bound"`
		Since      time.Time  `json:"since"`
		DetectedAt time.Time  `json:"detected_at"`
		ClosedAt   *time.Time `json:"closed_at"`
		ClosedBy   *string    `json:"closed_by"`
		Owner      *string    `json:"owner"`
	}
	if json.Unmarshal(data, &d) != nil || d.Status == "" {
		return ""
	}
	who, holds, no := fmt.Sprintf("%d workflows", d.Count), "hold", "no longer hold"
	if d.Workflow != nil {
		who, holds, no = *d.Workflow, "holds", "no longer holds"
	}
	if d.ClosedAt != nil {
		return fmt.Sprintf("%s  %-9s %s %s a stale %s/%s (%s)", stamp(*d.ClosedAt), "RELEASED", who, no, d.Kind, d.Key, nameCell(d.ClosedBy))
	}
	return fmt.Sprintf("%s  %-9s %s %s a stale %s/%s, beyond %s since %s, owner %s", stamp(d.DetectedAt), "HELD", who, holds, d.Kind, d.Key, d.Bound, stamp(d.Since), nameCell(d.Owner))
}

func saidAlert(data []byte) string {
	var a struct {
		ID          string            `json:"alert_id"`
		Status      string            `json:"status"`
		Severity    string            `json:"severity"`
		Owners      []string          `json:"owners"`
		Starts      time.Time         `json:"starts_at"`
		Ends        *time.Time        `json:"ends_at"`
		Annotations map[string]string `json:"annotations"`
	}
	if json.Unmarshal(data, &a) != nil || a.Status == "" {
		return ""
	}
	at := a.Starts
	if a.Ends != nil {
		at = *a.Ends
	}
	return strings.TrimRight(fmt.Sprintf("%s  %-9s %s to %s, %s: %s", stamp(at), strings.ToUpper(a.Status), a.Severity, dash(strings.Join(a.Owners, ", ")), a.ID, a.Annotations["summary"]), ": ")
}

func saidBookmark(data []byte) string {
	var b struct {
		At      time.Time       `json:"at"`
		Applied *time.Time      `json:"applied_through"`
		Lag     *client.Seconds `json:"engine_lag_s"`
	}
	if json.Unmarshal(data, &b) != nil || b.At.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s  %-9s applied through %s, %s behind", stamp(b.At), "clocks", instantCell(b.Applied), spanCell(b.Lag))
}
