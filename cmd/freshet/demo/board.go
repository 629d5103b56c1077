package demo

import (
	"fmt"
	"regexp"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/verdict"
	"github.com/freshet-io/freshet/event"
)

// Board is what the demo shows: a fold over what happens, without a terminal. It belongs to one goroutine.
type Board struct {
	phase    string
	status   status
	where    where
	past     counts // verdicts of uses before the live stretch
	live     counts
	liveFrom event.Time // 0: it has not begun
	recent   []row      // newest first
	stale    []row      // newest first
	seen     *verdict.Last
	causes   map[string]int
	shown    [2]string // workflow and decision in what to try: the first stale ones
}

// counts are uses by their last verdict.
type counts struct{ fresh, stale, unknown int }

func (c *counts) all() int { return c.fresh + c.stale + c.unknown }

// of returns the count of a verdict.
func (c *counts) of(verdict string) *int {
	switch verdict {
	case "fresh":
		return &c.fresh
	case "stale":
		return &c.stale
	}
	return &c.unknown
}

// row is a verdict as it is shown.
type row struct {
	at                                     time.Time
	verdict, class, workflow, what, detail string
	cause, owner                           string
}

// What happens, as messages to the board.
type (
	// phase says what the demo is doing.
	phase string
	// where says where others reach the engine.
	where struct{ brokers, http string }
	// began says that the live stretch begins.
	began struct{ at event.Time }
	// status is how the engine stands.
	status struct {
		applied int64         // events
		rate    float64       // events a second
		behind  time.Duration // of complete through, behind the wall clock
		live    int           // partitions whose clocks are live
		parts   int
		left    time.Duration // of the demo
	}
	// judged is a revision of a verdict.
	judged struct{ verdict.Revision }
)

const kept = 40

// NewBoard returns a board on which nothing has happened.
func NewBoard() *Board {
	return &Board{seen: verdict.NewLast(), causes: map[string]int{}, shown: nowhere()}
}

// nowhere stands for a workflow and a decision until there is one that was stale.
func nowhere() [2]string { return [2]string{"WORKFLOW", "DECISION"} }

// Take folds a message in, and returns the row of a verdict that was added to the live ones.
func (b *Board) Take(m any) (row, bool) {
	switch m := m.(type) {
	case phase:
		b.phase = string(m)
	case where:
		b.where = m
	case began:
		b.liveFrom = m.at
	case status:
		b.status = m
	case judged:
		return b.judged(m.Revision)
	}
	return row{}, false
}

func (b *Board) judged(r verdict.Revision) (row, bool) {
	was := b.seen.Was(r.Record)
	if !b.seen.Add(r.Record, nil) {
		return row{}, false
	}
	at, _ := event.ParseTime(r.UsedAt)
	isLive := b.liveFrom > 0 && at >= b.liveFrom
	c := &b.past
	if isLive {
		c = &b.live
	}
	if was != "" {
		*c.of(was)--
	}
	*c.of(r.Verdict)++
	if !isLive {
		return row{}, false
	}
	out := rowOf(r.Record, at)
	b.recent = push(b.recent, out)
	if r.Verdict == "stale" {
		b.stale = push(b.stale, out)
		b.causes[out.cause]++
		if b.shown == nowhere() && plain.MatchString(r.Workflow) && plain.MatchString(r.DecisionID) {
			b.shown = [2]string{r.Workflow, r.DecisionID}
		}
	}
	return out, true
}

func push(rows []row, r row) []row {
	rows = append([]row{r}, rows...)
	return rows[:min(len(rows), kept)]
}

// rowOf picks what a person wants to see of a verdict: the item that decides it, and why.
func rowOf(r *verdict.Record, at event.Time) row {
	out := row{at: at.Go().Local(), verdict: r.Verdict, workflow: short(r.Workflow, 8), cause: name(r.Cause), owner: name(r.Owner)}
	out.class = name(r.Class)
	if r.Use == "decision.proposed" {
		out.class += "?"
	}
	var worst *verdict.Item
	for i := range r.Items {
		it := &r.Items[i]
		if it.Verdict == r.Verdict && (worst == nil || seconds(it.Staleness) > seconds(worst.Staleness)) {
			worst = it
		}
	}
	if worst != nil {
		out.what = worst.Key
		if s := seconds(worst.Staleness); s > 0 {
			out.detail = span(s) + " stale"
		}
		if n := worst.VersionsBehind; n != nil && *n > 0 {
			out.detail += fmt.Sprintf(", %d behind", *n)
		}
	}
	if r.Verdict == "unknown" && len(r.Reasons) > 0 {
		out.detail = r.Reasons[0]
	}
	return out
}

func seconds(s *verdict.Seconds) time.Duration {
	if s == nil {
		return 0
	}
	return time.Duration(*s) * time.Millisecond
}

// span writes a length of time so that it can be taken in at a glance.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0fd", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.0fh", d.Hours())
	case d >= 2*time.Minute:
		return fmt.Sprintf("%.0fm", d.Minutes())
	case d >= time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

func name(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// line is a row as plain text.
func (r row) line() string {
	text := fmt.Sprintf("%s  %-7s  %-8s %-8s  %s", r.at.Format("15:04:05.000"), r.verdict, r.class, r.workflow, r.what)
	if r.detail != "" {
		text += "  (" + r.detail + ")"
	}
	if r.cause != "" {
		text += "  " + r.cause + " → " + r.owner
	}
	return text
}

// Summary says what the demo has shown.
func (b *Board) Summary() string {
	all := b.past.all() + b.live.all()
	text := fmt.Sprintf("%s events applied, %s decisions judged: %s from history, %s live (%d fresh, %d stale, %d unknown).\n",
		cli.Count(b.status.applied), cli.Count(int64(all)), cli.Count(int64(b.past.all())), cli.Count(int64(b.live.all())), b.live.fresh, b.live.stale, b.live.unknown)
	if cause, n := b.topCause(); n > 0 {
		text += fmt.Sprintf("Most stale ones were so because of %s.\n", cause)
	}
	return text + `Next: freshet run -contracts.file contracts.yaml   the engine on this machine, with its own broker
      freshet help                                what else there is
`
}

func (b *Board) topCause() (string, int) {
	best, n := "", 0
	for c, count := range b.causes {
		if count > n || count == n && c < best {
			best, n = c, count
		}
	}
	return best, n
}

// try is what to try while the demo runs.
func (b *Board) try() []string {
	if b.where.brokers == "" {
		return nil
	}
	lines := []string{
		"freshet verdicts -kafka.brokers " + b.where.brokers + " -follow",
		"kcat -b " + b.where.brokers + " -t freshet.verdicts -C -o -5 -e",
	}
	if b.where.http != "" {
		server := " -server http://" + b.where.http
		lines = append(lines,
			"freshet check"+server+" \\", "  "+b.shown[0], // one line would not fit a terminal of 80 columns
			"freshet explain"+server+" \\", "  "+b.shown[0]+" "+b.shown[1],
			"http://"+b.where.http+"/ui/")
	}
	return lines
}

// plain are ids that a shell takes as they are.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:/-]*$`)
