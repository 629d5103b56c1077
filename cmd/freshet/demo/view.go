package demo

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

// view is the board on a terminal.
type view struct {
	board         *Board
	width, height int
	quit          func() // ends the demo
}

// finished ends the view.
type finished struct{}

func (v *view) Init() tea.Cmd { return nil }

func (v *view) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case tea.WindowSizeMsg:
		v.width, v.height = m.Width, m.Height
	case tea.KeyPressMsg:
		switch m.String() {
		case "q", "ctrl+c", "esc":
			v.quit()
		}
	case finished:
		return v, tea.Quit
	default:
		v.board.Take(m)
	}
	return v, nil
}

func (v *view) View() tea.View {
	out := tea.NewView(v.board.render(v.width, v.height))
	out.AltScreen = true
	out.WindowTitle = "freshet demo"
	return out
}

// palette is chosen from the terminal's own sixteen colours, so that it fits dark and light ones.
func colour(verdict string) lipgloss.Style {
	s := lipgloss.NewStyle()
	switch verdict {
	case "fresh":
		return s.Foreground(lipgloss.Green)
	case "stale":
		return s.Foreground(lipgloss.Red).Bold(true)
	}
	return s.Foreground(lipgloss.Yellow)
}

// roomForHints is the height below which the board shows verdicts instead of what to try.
const roomForHints = 22

// render draws the board. Lines are cut to the width; what does not fit the height is left out from the lists.
func (b *Board) render(width, height int) string {
	if width < 20 {
		width = 80
	}
	if height < 12 {
		height = 24
	}
	bold, dim := lipgloss.NewStyle().Bold(true), lipgloss.NewStyle().Faint(true)
	lines := []string{
		bold.Render("freshet demo") + dim.Render("  was the context still true when it was used?"),
		b.statusLine(),
		b.countLine(),
		"",
	}
	foot := []string{"", bold.Render("Try it in another terminal") + dim.Render("  (q ends the demo)")}
	for _, t := range b.try() {
		foot = append(foot, "  "+t)
	}
	if height < roomForHints {
		foot = nil
	}
	room := max(4, height-len(lines)-len(foot)-3)
	stale := min(len(b.stale), max(2, room/2))
	lines = append(lines, bold.Render("Stale decisions"))
	if stale == 0 {
		lines = append(lines, dim.Render("  none yet"))
	}
	for _, r := range b.stale[:stale] {
		lines = append(lines, "  "+r.staleLine())
	}
	lines = append(lines, "", bold.Render("Verdicts as they become final"))
	for _, r := range b.recent[:min(len(b.recent), max(1, room-max(1, stale)))] {
		lines = append(lines, "  "+r.coloured())
	}
	lines = append(lines, foot...)
	cut := lipgloss.NewStyle().MaxWidth(width)
	for i := range lines {
		lines[i] = cut.Render(lines[i])
	}
	return strings.Join(lines[:min(len(lines), height)], "\n")
}

func (b *Board) statusLine() string {
	s := b.status
	text := b.phase
	if s.parts > 0 {
		text += fmt.Sprintf("  ·  %s events applied, %s/s  ·  complete through %s ago  ·  %d of %d partitions live",
			cli.Count(s.applied), cli.Count(int64(s.rate)), span(s.behind), s.live, s.parts)
	}
	if s.left > 0 {
		text += fmt.Sprintf("  ·  %.0fs left", s.left.Seconds())
	}
	return text
}

func (b *Board) countLine() string {
	text := fmt.Sprintf("History: %s decisions judged", cli.Count(int64(b.past.all())))
	if b.liveFrom > 0 {
		text += fmt.Sprintf("  ·  live: %s  %s  %s", colour("fresh").Render(fmt.Sprintf("%d fresh", b.live.fresh)),
			colour("stale").Render(fmt.Sprintf("%d stale", b.live.stale)), colour("unknown").Render(fmt.Sprintf("%d unknown", b.live.unknown)))
	}
	return text
}

func (r row) coloured() string {
	rest := strings.TrimPrefix(r.line(), r.at.Format("15:04:05.000")+"  "+fmt.Sprintf("%-7s", r.verdict))
	return r.at.Format("15:04:05.000") + "  " + colour(r.verdict).Render(fmt.Sprintf("%-7s", r.verdict)) + rest
}

func (r row) staleLine() string {
	return fmt.Sprintf("%s  %-8s %s  %s  %s → %s", r.at.Format("15:04:05"), r.class, r.what, colour("stale").Render(r.detail), r.cause, r.owner)
}
