package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Progress says on a terminal how far long work has come, with rate and time left. Elsewhere it says nothing. It belongs to one
// goroutine.
type Progress struct {
	out     io.Writer
	unit    string
	began   time.Time
	said    time.Time
	width   int
	enabled bool
}

const progressEvery = 200 * time.Millisecond

// Progress begins a piece of work that is counted in units such as "events".
func (s *Stdio) Progress(unit string, now time.Time) *Progress {
	return &Progress{out: s.Err, unit: unit, began: now, said: now, enabled: s.ErrTerminal}
}

// Say shows that n units are done and which share of the work that is (negative: not known), at most five times a second.
func (p *Progress) Say(n int64, share float64, now time.Time) {
	if !p.enabled || now.Sub(p.said) < progressEvery {
		return
	}
	p.said = now
	p.line(progressText(n, p.unit, share, now.Sub(p.began)))
}

// Clear removes what was shown.
func (p *Progress) Clear() {
	if p.enabled && p.width > 0 {
		p.line("")
	}
}

func (p *Progress) line(text string) {
	pad := max(0, p.width-len([]rune(text)))
	p.width = len([]rune(text))
	fmt.Fprintf(p.out, "\r%s%s\r%s", text, strings.Repeat(" ", pad), text)
}

func progressText(n int64, unit string, share float64, took time.Duration) string {
	text := fmt.Sprintf("%s %s", Count(n), unit)
	if s := took.Seconds(); s > 0 {
		text += fmt.Sprintf(" · %s/s", Count(int64(float64(n)/s)))
	}
	if share > 0 && share <= 1 {
		left := time.Duration(float64(took) * (1 - share) / share)
		text += fmt.Sprintf(" · %.0f %% · %s left", 100*share, left.Round(time.Second))
	}
	return text
}

// Count writes a number with its thousands apart.
func Count(n int64) string {
	s := fmt.Sprint(n)
	from := 0
	if n < 0 {
		from = 1
	}
	for i := len(s) - 3; i > from; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
