package demo

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/freshet-io/freshet/cmd/freshet/verdict"
)

const (
	before = "2026-11-20T07:50:07.000Z"
	begins = 1_795_161_008_000 // 07:50:08
	after  = "2026-11-20T07:50:09.250Z"
)

func rev(decision, verdictIs, usedAt string, n int64) judged {
	cause, owner, behind := "serving_stale", "agents", int64(2)
	s := verdict.Seconds(75_000)
	r := &verdict.Record{Workflow: "0276a600-2f22-4d2b", DecisionID: decision, Use: "action.executed", UsedAt: usedAt, Revision: n, Verdict: verdictIs}
	if verdictIs == "stale" {
		r.Cause, r.Owner = &cause, &owner
		small := verdict.Seconds(1000)
		r.Items = []verdict.Item{{Key: "a.go", Verdict: "stale", Staleness: &small}, {Key: "b.go", Verdict: "stale", Staleness: &s, VersionsBehind: &behind}, {Key: "c.go", Verdict: "fresh"}}
	}
	if verdictIs == "unknown" {
		r.Reasons = []string{"no_context"}
	}
	return judged{verdict.Revision{Record: r}}
}

func board() *Board {
	b := NewBoard()
	b.Take(phase("Playing"))
	b.Take(rev("old", "stale", before, 1))
	b.Take(began{begins})
	b.Take(where{"127.0.0.1:1", "127.0.0.1:2"})
	b.Take(status{applied: 12345, rate: 99, behind: 1500 * time.Millisecond, live: 3, parts: 4, left: 9 * time.Second})
	return b
}

func TestTheBoardCountsTheLastVerdictOfEachUse(t *testing.T) {
	b := board()
	for _, c := range []struct {
		m    judged
		live bool
	}{
		{rev("d1", "fresh", after, 1), true}, {rev("d1", "fresh", after, 1), false}, // again: nothing new
		{rev("d2", "unknown", after, 1), true}, {rev("d2", "stale", after, 2), true}, {rev("d2", "unknown", after, 1), false},
		{rev("old", "fresh", before, 2), false}, // history is counted and not shown
	} {
		if _, live := b.Take(c.m); live != c.live {
			t.Errorf("%s %s/%d: shown %v, want %v", c.m.DecisionID, c.m.Verdict, c.m.Record.Revision, live, c.live)
		}
	}
	if b.live != (counts{fresh: 1, stale: 1}) || b.past != (counts{fresh: 1}) {
		t.Errorf("live %+v, past %+v", b.live, b.past)
	}
	want := "12,345 events applied, 3 decisions judged: 1 from history, 2 live (1 fresh, 1 stale, 0 unknown).\nMost stale ones were so because of serving_stale.\n"
	if got := b.Summary(); !strings.HasPrefix(got, want) {
		t.Errorf("summary %q, want %q first", got, want)
	}
}

func TestARowShowsTheItemThatDecides(t *testing.T) {
	r, _ := board().Take(rev("d", "stale", after, 1))
	if got, want := r.line()[len("15:04:05.000"):], "  stale             0276a600  b.go  (75.0s stale, 2 behind)  serving_stale → agents"; got != want {
		t.Errorf("row %q, want %q", got, want)
	}
	r, _ = board().Take(rev("d", "unknown", after, 1))
	if !strings.HasSuffix(r.line(), "(no_context)") {
		t.Errorf("row %q", r.line())
	}
}

// What there is to try names a decision that was stale: the first, and of those only one that a shell takes as it is.
func TestWhatToTryNamesAStaleDecision(t *testing.T) {
	b := board()
	tries := func() string { return strings.Join(b.try(), "\n") }
	for _, m := range []judged{rev("fresh", "fresh", after, 1), rev("x; rm -rf", "stale", after, 1)} {
		b.Take(m)
	}
	if !strings.Contains(tries(), "WORKFLOW DECISION") || strings.Contains(tries(), "rm -rf") {
		t.Errorf("before:\n%s", tries())
	}
	b.Take(rev("d1", "stale", after, 1))
	b.Take(rev("d2", "stale", after, 1))
	if !strings.Contains(tries(), "explain -server http://127.0.0.1:2 \\\n  0276a600-2f22-4d2b d1\n") {
		t.Errorf("then:\n%s", tries())
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0ms", 999 * time.Millisecond: "999ms", 1500 * time.Millisecond: "1.5s", 5 * time.Minute: "5m", 3 * time.Hour: "3h", 72 * time.Hour: "3d"} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

// Whatever the size of the terminal, the view fits into it and shows what matters.
func TestTheViewFitsTheTerminal(t *testing.T) {
	b := board()
	for _, size := range [][2]int{{80, 24}, {200, 60}, {40, 12}, {0, 0}} {
		for range 50 {
			b.Take(rev(strings.Repeat("x", len(b.recent)), "stale", after, 1))
			out := b.render(size[0], size[1])
			w, h := size[0], size[1]
			if w == 0 {
				w, h = 80, 24
			}
			lines := strings.Split(out, "\n")
			if len(lines) > h {
				t.Fatalf("%v: %d lines", size, len(lines))
			}
			for _, l := range lines {
				if lipgloss.Width(l) > w {
					t.Fatalf("%v: a line of %d: %q", size, lipgloss.Width(l), l)
				}
			}
			for _, want := range []string{"Stale decisions", "Verdicts as they become final", "freshet verdicts", "freshet check -server http://127.0.0.1:2 \\", "freshet explain", "/ui/"} {
				if !strings.Contains(out, want) && (h >= roomForHints || !strings.Contains(want, "freshet ") && want != "/ui/") {
					t.Fatalf("%v: %q is missing in\n%s", size, want, out)
				}
			}
		}
	}
}

func TestTheViewEndsTheDemoOnQ(t *testing.T) {
	ended := 0
	v := &view{board: NewBoard(), quit: func() { ended++ }}
	v.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
	v.Update(tea.KeyPressMsg{Code: 'x', Text: "x"})
	v.Update(tea.KeyPressMsg{Code: 'q', Text: "q"})
	if ended != 1 {
		t.Errorf("ended %d times, want once", ended)
	}
	if v.width != 100 || !v.View().AltScreen {
		t.Errorf("width %d, view %+v", v.width, v.View())
	}
	if _, cmd := v.Update(finished{}); cmd == nil {
		t.Error("the view goes on although the demo has finished")
	}
}
