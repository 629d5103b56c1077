package commands

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/query/client"
)

// asking is what the commands have in common that show what the server knows.
type asking struct {
	server serverFlags
	format cli.Format
}

func (a *asking) register(f *flag.FlagSet) {
	a.server.register(f)
	a.format.RegisterFlags(f)
}

// get reads a path of the server into v. As JSON it is written as the server has said it, and table is not called.
func (a *asking) get(ctx context.Context, path string, v any, stdio *cli.Stdio, header []string, table func(*cli.Results) error) error {
	c, err := a.server.client()
	if err != nil {
		return err
	}
	b, err := c.Get(ctx, path)
	if err != nil {
		return a.server.asked(err)
	}
	results := a.format.Results(stdio, header...)
	if results.JSON() {
		return results.Add(json.RawMessage(b))
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read the answer of %s: %w", a.server.server, err)
	}
	if err := table(results); err != nil {
		return err
	}
	if len(header) > 0 && results.Empty() {
		fmt.Fprintln(stdio.Err, "none")
	}
	return results.Flush()
}

// explained is what of GET /v1/decisions is shown.
type explained struct {
	Workflow string `json:"workflow"`
	Decision string `json:"decision_id"`
	Uses     []struct {
		Verdict explainedVerdict `json:"verdict"`
		Final   bool             `json:"final"`
		By      []supersedingBy  `json:"superseded_by"`
		Now     struct {
			Verdict string   `json:"verdict"`
			Reasons []string `json:"reasons"`
		} `json:"now"`
	} `json:"uses"`
	Evidence  []explainedEvent `json:"evidence"`
	Approvals []explainedEvent `json:"approvals"`
	Tools     []explainedEvent `json:"tools"`
	Override  *explainedEvent  `json:"override"`
	Revisions []struct {
		Use      string    `json:"use"`
		Revision int       `json:"revision"`
		Verdict  string    `json:"verdict"`
		JudgedAt time.Time `json:"judged_at"`
	} `json:"revisions"`
	Completeness json.RawMessage `json:"completeness"`
}

// supersedingBy is the version that superseded an item of a use.
type supersedingBy struct {
	Kind    string `json:"kind"`
	Key     string `json:"key"`
	Used    *int64 `json:"used_seq"`
	Version struct {
		Version *string `json:"version"`
		Seq     int64   `json:"seq"`
	} `json:"version"`
	AvailableAt *time.Time `json:"available_at"`
}

// by is what is said of what superseded an item.
func by(all []supersedingBy, it *client.Item) string {
	for _, s := range all {
		if s.Kind != it.Kind || s.Key != it.Key || s.Used == nil || it.Used.Seq == nil || *s.Used != *it.Used.Seq {
			continue
		}
		said := " by " + versionCell(s.Version.Version, &s.Version.Seq)
		if s.AvailableAt != nil {
			said += ", served from " + stamp(*s.AvailableAt)
		}
		return said
	}
	return ""
}

type explainedVerdict struct {
	Use       string          `json:"use"`
	UsedAt    time.Time       `json:"used_at"`
	Verdict   string          `json:"verdict"`
	Reasons   []string        `json:"reasons"`
	Revision  int             `json:"revision"`
	Staleness *client.Seconds `json:"staleness_s"`
	Cause     *string         `json:"cause"`
	Owner     *string         `json:"owner"`
	Items     []client.Item   `json:"items"`
	Check     *struct {
		Verdict    string `json:"verdict"`
		Superseded *bool  `json:"superseded_since"`
	} `json:"check"`
}

type explainedEvent struct {
	Time time.Time       `json:"time"`
	Type string          `json:"type"`
	At   client.Position `json:"at"`
	Gone bool            `json:"gone"`
	Data json.RawMessage `json:"data"`
}

func explainCommand() *cli.Command {
	a := &asking{}
	return &cli.Command{
		Name:    "explain",
		Summary: "show why a decision has the verdict it has",
		Usage:   "WORKFLOW DECISION",
		About:   "The evidence as a timeline, with the Kafka record of each event, the causes of what was stale as a bar, and what has been said before.",
		Example: "freshet explain wf-7f3 d1",
		Flags:   a.register,
		Run: func(ctx context.Context, args []string, stdio *cli.Stdio) error {
			if len(args) != 2 {
				return cli.Usagef("name a workflow and a decision")
			}
			var e explained
			path := client.Path("v1", "decisions", args[0], args[1])
			return a.get(ctx, path, &e, stdio, nil, func(*cli.Results) error {
				_, err := fmt.Fprint(stdio.Out, e.text())
				return err
			})
		},
	}
}

// text is the explanation for a person.
func (e *explained) text() string {
	var b strings.Builder
	for i := range e.Uses {
		u := &e.Uses[i]
		v := &u.Verdict
		said := fmt.Sprintf("revision %d", v.Revision)
		if !u.Final {
			said = "provisional"
		}
		fmt.Fprintf(&b, "%s  %s %s, %s at %s (%s)\n", strings.ToUpper(v.Verdict), e.Workflow, e.Decision, v.Use, stamp(v.UsedAt), said)
		if len(v.Reasons) > 0 {
			fmt.Fprintf(&b, "  because of %s\n", strings.Join(v.Reasons, ", "))
		}
		if v.Cause != nil && v.Owner != nil {
			fmt.Fprintf(&b, "  cause %s, owner %s, stale for %s\n", *v.Cause, *v.Owner, spanCell(v.Staleness))
		}
		if v.Check != nil {
			fmt.Fprintf(&b, "  had asked, and was told %s", v.Check.Verdict)
			if v.Check.Superseded != nil && *v.Check.Superseded {
				b.WriteString("; superseded between asking and acting")
			}
			b.WriteByte('\n')
		}
		for j := range v.Items {
			itemText(&b, &v.Items[j], by(u.By, &v.Items[j]))
		}
		if now := u.Now; now.Verdict != "" && now.Verdict != v.Verdict {
			fmt.Fprintf(&b, "  now it would be %s (%s)\n", now.Verdict, strings.Join(now.Reasons, ", "))
		}
		b.WriteByte('\n')
	}
	b.WriteString("What happened\n")
	for _, ev := range e.timeline() {
		where := fmt.Sprintf("%s/%d/%d", ev.At.Topic, ev.At.Partition, ev.At.Offset)
		if ev.Gone {
			where += " (gone)"
		}
		fmt.Fprintf(&b, "  %s  %-24s %-32s %s\n", stamp(ev.Time), lastTwo(ev.Type), where, oneLine(ev.Data))
	}
	if len(e.Revisions) > len(e.Uses) {
		b.WriteString("\nWhat was said\n")
		for _, r := range e.Revisions {
			fmt.Fprintf(&b, "  %s  %s revision %d: %s\n", stamp(r.JudgedAt), r.Use, r.Revision, r.Verdict)
		}
	}
	return b.String()
}

// timeline is all that is known to have happened, each record once, in order.
func (e *explained) timeline() []explainedEvent {
	all := slices.Concat(e.Evidence, e.Approvals, e.Tools)
	if e.Override != nil {
		all = append(all, *e.Override)
	}
	slices.SortStableFunc(all, func(a, b explainedEvent) int { return a.Time.Compare(b.Time) })
	seen := map[client.Position]bool{}
	return slices.DeleteFunc(all, func(ev explainedEvent) bool {
		again := seen[ev.At]
		seen[ev.At] = true
		return again
	})
}

const barWidth = 40

// itemText appends an item, with what superseded it and its causes as a bar.
func itemText(b *strings.Builder, it *client.Item, by string) {
	fmt.Fprintf(b, "  %s/%s %s: used %s", it.Kind, it.Key, it.Verdict, versionCell(it.Used.Version, it.Used.Seq))
	if it.Current != nil {
		fmt.Fprintf(b, ", in force %s", versionCell(it.Current.Version, &it.Current.Seq))
	}
	if it.SupersededAt != nil {
		fmt.Fprintf(b, ", superseded at %s%s", stamp(*it.SupersededAt), by)
	}
	b.WriteByte('\n')
	var total client.Seconds
	for _, s := range it.Causes {
		total += s.For
	}
	for _, s := range it.Causes {
		n := 0
		if total > 0 {
			n = max(1, int(int64(s.For)*barWidth/int64(total)))
		}
		fmt.Fprintf(b, "    %-14s %-*s %10s  %s\n", s.Cause, barWidth, strings.Repeat("█", n), time.Duration(s.For), s.Owner)
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// lastTwo is an event's type without its producer's prefix.
func lastTwo(t string) string {
	parts := strings.Split(t, ".")
	return strings.Join(parts[max(0, len(parts)-2):], ".")
}

const longestData = 100

// oneLine is data as it fits behind an event.
func oneLine(data json.RawMessage) string {
	s := string(data)
	if s == "{}" || s == "null" {
		return ""
	}
	if len(s) > longestData {
		s = strings.ToValidUTF8(s[:longestData], "") + "…"
	}
	return s
}
