package backtest

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"

	"github.com/freshet-io/freshet/slo"
)

// The drawing: for each objective its uses, what is left of its error budget, and when it would have alerted.
const (
	width  = 960
	margin = 60 // left, for the numbers
	right  = 20
	top    = 46 // for the title
	bars   = 64
	line   = 64
	bands  = 22
	gap    = 10
	axis   = 22
	panel  = top + bars + gap + line + gap + bands + axis
)

// style serves light and dark pages alike.
const style = `
text { font: 12px system-ui, sans-serif; fill: #333; }
.title { font-size: 15px; font-weight: 600; }
.small { font-size: 11px; fill: #666; }
.back { fill: #fff; } .grid { stroke: #ddd; } .zero { stroke: #b00; stroke-dasharray: 4 3; }
.good { fill: #4c9f70; } .bad { fill: #d1495b; } .unknown { fill: #9aa0a6; }
.left { fill: none; stroke: #2f6fde; stroke-width: 1.6; }
.page { fill: #d1495b; } .ticket { fill: #e9a23b; }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd; } .small { fill: #aaa; } .back { fill: #1b1d21; } .grid { stroke: #3a3d42; }
}
`

// SVG draws the reports, one below the other.
func SVG(w io.Writer, reports []Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img"><style>%s</style><rect class="back" width="100%%" height="100%%"/>`, width, panel*max(1, len(reports)), style)
	for i := range reports {
		fmt.Fprintf(&b, `<g transform="translate(0 %d)">`, i*panel)
		reports[i].draw(&b)
		b.WriteString("</g>")
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	if err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return nil
}

func (rep *Report) draw(b *strings.Builder) {
	s := rep.SLO
	fmt.Fprintf(b, `<text class="title" x="%d" y="20">%s</text><text class="small" x="%d" y="37">%s</text>`, margin, html.EscapeString(s.Name), margin, html.EscapeString(rep.Summary()))
	rep.drawUses(b, top)
	rep.drawBudget(b, top+bars+gap)
	rep.drawAlerts(b, top+bars+gap+line+gap)
	rep.drawAxis(b, top+bars+gap+line+gap+bands)
}

// Summary says in one line how the objective stood.
func (rep *Report) Summary() string {
	s := rep.SLO
	_, counted := rep.Counts.Against(s.OnUnknown)
	return fmt.Sprintf("%s of %s were good, %s promised over %s · %d stale, %d unknown (%s) · %s, %s",
		percent(rep.Ratio()), plural(counted, "use"), percent(s.Objective), slo.FormatDuration(s.Window), rep.Counts.Bad, rep.Counts.Unknown, s.OnUnknown,
		plural(int64(rep.Count(slo.Page)), "page"), plural(int64(rep.Count(slo.Ticket)), "ticket"))
}

func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func percent(x float64) string {
	if math.IsNaN(x) {
		return "none"
	}
	return fmt.Sprintf("%.4g%%", x*100)
}

// x is where a column begins.
func x(column int) float64 { return margin + float64(column)*(width-margin-right)/columns }

func (rep *Report) drawUses(b *strings.Builder, y int) {
	most := int64(1)
	for i := range rep.Columns {
		most = max(most, rep.Columns[i].Counts.All())
	}
	label(b, y+10, "uses")
	label(b, y+24, fmt.Sprint("max ", most))
	for i := range rep.Columns {
		c := rep.Columns[i].Counts
		bottom := float64(y + bars)
		for _, part := range []struct {
			class string
			n     int64
		}{{"good", c.Good}, {"bad", c.Bad}, {"unknown", c.Unknown}} {
			if part.n > 0 {
				h := float64(part.n) * bars / float64(most)
				bottom -= h
				fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, part.class, x(i), bottom, x(1)-x(0), h)
			}
		}
	}
}

func (rep *Report) drawBudget(b *strings.Builder, y int) {
	low := min(rep.Least, 0)
	low = max(low, -4) // what is below is overspent, by how much does not matter to the eye
	at := func(left float64) float64 { return float64(y) + (1-max(left, low))/(1-low)*line }
	label(b, y+10, "budget")
	for _, mark := range []float64{1, 0, low} {
		class := "grid"
		if mark == 0 {
			class = "zero"
		}
		fmt.Fprintf(b, `<line class="%s" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, class, margin, width-right, at(mark), at(mark))
	}
	fmt.Fprintf(b, `<text class="small" x="%d" y="%.1f" text-anchor="end">0</text>`, margin-6, at(0)+4)
	b.WriteString(`<polyline class="left" points="`)
	for i := range rep.Columns {
		fmt.Fprintf(b, "%.1f,%.1f ", x(i), at(rep.Columns[i].Left))
	}
	b.WriteString(`"/>`)
}

func (rep *Report) drawAlerts(b *strings.Builder, y int) {
	label(b, y+8, "page")
	label(b, y+20, "ticket")
	for i := range rep.Columns {
		if rep.Columns[i].Page {
			fmt.Fprintf(b, `<rect class="page" x="%.1f" y="%d" width="%.1f" height="9"/>`, x(i), y, x(1)-x(0)+0.3)
		}
		if rep.Columns[i].Ticket {
			fmt.Fprintf(b, `<rect class="ticket" x="%.1f" y="%d" width="%.1f" height="9"/>`, x(i), y+12, x(1)-x(0)+0.3)
		}
	}
}

func (rep *Report) drawAxis(b *strings.Builder, y int) {
	const marks = 6
	long := rep.Columns[columns-1].From.Go().Sub(rep.From.Go()) > 3*24*time.Hour
	layout := "2 Jan 15:04"
	if long {
		layout = "2 Jan 2006"
	}
	for i := range marks {
		c := i * (columns - 1) / (marks - 1)
		anchor := "middle"
		if i == 0 {
			anchor = "start"
		} else if i == marks-1 {
			anchor = "end"
		}
		fmt.Fprintf(b, `<text class="small" x="%.1f" y="%d" text-anchor="%s">%s</text>`, x(c), y+15, anchor, rep.Columns[c].From.Go().Format(layout))
	}
}

func label(b *strings.Builder, y int, text string) {
	fmt.Fprintf(b, `<text class="small" x="4" y="%d">%s</text>`, y, html.EscapeString(text))
}

// lineColumns is how many characters a time line in text has.
const lineColumns = 80

// TimeLine shows the record in one line of text: how full the error budget was, and where something alerted.
func (rep *Report) TimeLine() string {
	levels := []rune("▁▂▃▄▅▆▇█")
	var b, alerted strings.Builder
	for i := range lineColumns {
		left, page, ticket := 1.0, false, false
		for _, c := range rep.Columns[i*columns/lineColumns : (i+1)*columns/lineColumns] {
			left, page, ticket = min(left, c.Left), page || c.Page, ticket || c.Ticket
		}
		b.WriteRune(levels[int(max(0, min(1, left))*float64(len(levels)-1))])
		switch {
		case page:
			alerted.WriteByte('P')
		case ticket:
			alerted.WriteByte('t')
		default:
			alerted.WriteByte(' ')
		}
	}
	const day = "2006-01-02 15:04"
	return fmt.Sprintf("  budget  %s\n  alerts  %s  P page, t ticket\n          %-64s%s", b.String(), alerted.String(), rep.From.Go().Format(day), rep.To.Go().Format(day))
}
