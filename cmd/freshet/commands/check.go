package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/deadletter"
	"github.com/freshet-io/freshet/query/client"
	"github.com/freshet-io/freshet/slo"
)

type check struct {
	server  serverFlags
	request client.Request
	at      string
	maxLag  time.Duration
	format  cli.Format
}

func checkCommand() *cli.Command {
	c := &check{}
	return &cli.Command{
		Name:    "check",
		Summary: "ask whether the context of a workflow still holds",
		Usage:   "WORKFLOW",
		About: `Exit status 0 if it is fresh, 1 if it is stale or not known, 3 if no server answers. With -item the items named are judged instead of
what the workflow has loaded. Bounds tighten those of the contract and never loosen them.`,
		Example: `freshet check wf-7f3
freshet check wf-7f3 -class refund-large -item policy/refund@17 -bound feature.max_age=5s
freshet check wf-7f3 && ./act`,
		Flags: func(f *flag.FlagSet) {
			c.request = client.Request{}
			c.server.register(f)
			f.StringVar(&c.request.Class, "class", "", "Decision class.")
			f.Func("item", "An item to judge, `KIND/KEY@SEQ` or KIND/KEY for one without a seq; may be given several times.", c.item)
			f.Func("bound", "A bound, `KIND.NAME=VALUE`, as in policy.max_staleness=60s, policy.max_versions_behind=0, feature.max_age=5s; may be given several times.", c.bound)
			f.Func("at-least", "A record that must have been applied, `TOPIC/PARTITION/OFFSET`; may be given several times.", c.atLeast)
			f.DurationVar(&c.request.Wait, "wait", 0, "How long to wait for -at-least.")
			f.DurationVar(&c.maxLag, "max-engine-lag", 0, "How far the engine may be behind a fresh answer. 0: as far as the server says.")
			f.StringVar(&c.at, "at", "", "Judge at this earlier instant (RFC 3339) instead of now.")
			c.format.RegisterFlags(f)
		},
		Run: c.run,
	}
}

func (c *check) item(s string) error {
	kind, rest, ok := strings.Cut(s, "/")
	if !ok || kind == "" || rest == "" {
		return errors.New("must be KIND/KEY@SEQ")
	}
	r := client.Ref{Kind: kind, Key: rest}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		if seq, err := strconv.ParseInt(rest[i+1:], 10, 64); err == nil {
			r.Key, r.Seq = rest[:i], &seq
		}
	}
	c.request.Items = append(c.request.Items, r)
	return nil
}

func (c *check) bound(s string) error {
	name, value, ok := strings.Cut(s, "=")
	dot := strings.LastIndexByte(name, '.')
	if !ok || dot <= 0 {
		return errors.New("must be KIND.NAME=VALUE")
	}
	if c.request.Bounds == nil {
		c.request.Bounds = map[string]client.Bounds{}
	}
	b := c.request.Bounds[name[:dot]]
	span := func() (*client.Seconds, error) {
		d, err := slo.ParseDuration(value)
		seconds := client.Seconds(time.Duration(d) * time.Millisecond)
		return &seconds, err
	}
	var err error
	switch name[dot+1:] {
	case "max_staleness":
		b.MaxStaleness, err = span()
	case "max_age":
		b.MaxAge, err = span()
	case "max_versions_behind":
		var n int64
		n, err = strconv.ParseInt(value, 10, 64)
		b.MaxVersionsBehind = &n
	default:
		err = fmt.Errorf("%q is no bound: use max_staleness, max_versions_behind or max_age", name[dot+1:])
	}
	c.request.Bounds[name[:dot]] = b
	return err
}

func (c *check) atLeast(s string) error {
	p, err := deadletter.ParsePlace(s)
	if err == nil {
		c.request.AtLeast = append(c.request.AtLeast, client.Position(p))
	}
	return err
}

func (c *check) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) != 1 {
		return cli.Usagef("name one workflow")
	}
	c.request.Workflow, c.request.MaxEngineLag = args[0], c.maxLag
	if c.at != "" {
		var err error
		if c.request.At, err = time.Parse(time.RFC3339Nano, c.at); err != nil {
			return cli.Usagef("-at %q: must be an instant, as in 2026-03-01T10:00:00Z", c.at)
		}
	}
	asking, err := c.server.client()
	if err != nil {
		return err
	}
	a, err := asking.Check(ctx, c.request)
	if err != nil {
		return c.server.asked(err)
	}
	if err := c.show(a, stdio); err != nil {
		return err
	}
	if a.Verdict != client.Fresh {
		return cli.Nof("%s is %s", a.Workflow, a.Verdict)
	}
	return nil
}

func (c *check) show(a client.Answer, stdio *cli.Stdio) error {
	results := c.format.Results(stdio, "KIND", "KEY", "VERDICT", "REASONS", "STALENESS", "AGE", "BEHIND", "USED", "CURRENT", "SUPERSEDED AT")
	if results.JSON() {
		return results.Add(a)
	}
	fmt.Fprint(stdio.Out, headline(a))
	for i := range a.Items {
		it := &a.Items[i]
		current := "-"
		if it.Current != nil {
			current = versionCell(it.Current.Version, &it.Current.Seq)
		}
		if err := results.Add(nil, it.Kind, it.Key, string(it.Verdict), dash(strings.Join(it.Reasons, ",")), spanCell(it.Staleness), spanCell(it.Age), countCell(it.VersionsBehind),
			versionCell(it.Used.Version, it.Used.Seq), current, instantCell(it.SupersededAt)); err != nil {
			return err
		}
	}
	return results.Flush()
}

// headline says in two or three lines what the answer is, what to do, and how much it can be relied on.
func headline(a client.Answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s at %s: %s", strings.ToUpper(string(a.Verdict)), a.Workflow, a.At.Format(time.RFC3339Nano), a.Action)
	if len(a.Reasons) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(a.Reasons, ", "))
	}
	if a.Cause != nil && a.Owner != nil {
		fmt.Fprintf(&b, "\ncause %s, owner %s", *a.Cause, *a.Owner)
	}
	stale := "how stale is not known"
	if a.Staleness != nil {
		stale = fmt.Sprintf("stale for %s, at most %s", spanCell(a.Staleness), spanCell(a.StalenessUpper))
	}
	fmt.Fprintf(&b, "\n%s; applied through %s, %s behind", stale, instantCell(a.AppliedThrough), spanCell(a.EngineLag))
	if a.ValidUntil != nil {
		fmt.Fprintf(&b, "; holds until %s unless something changes", instantCell(a.ValidUntil))
	}
	b.WriteByte('\n')
	return b.String()
}

func spanCell(s *client.Seconds) string {
	if s == nil {
		return "-"
	}
	return time.Duration(*s).String()
}

func instantCell(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format(time.RFC3339Nano)
}

// longestVersion is how much of a version's name is shown: hashes are told apart by less than all of them.
const longestVersion = 16

func versionCell(name *string, seq *int64) string {
	shown := ""
	if name != nil {
		shown = *name
	}
	if r := []rune(shown); len(r) > longestVersion {
		shown = string(r[:longestVersion-1]) + "…"
	}
	if seq == nil {
		return dash(shown)
	}
	return shown + "@" + strconv.FormatInt(*seq, 10)
}
