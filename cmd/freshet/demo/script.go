package demo

import (
	"fmt"
	"sort"

	"github.com/freshet-io/freshet/cmd/freshet/retime"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Script is a recording with the stretch of it that plays live.
type Script struct {
	lines [][]byte
	times []event.Time // of lines, growing
	from  int          // first line that plays live
}

// longestGap is what is left of a silence when the recording plays: people slept between these sessions.
const longestGap = 20_000

// NewScript returns the script that plays lines[from:to] and has the earlier ones as history.
func NewScript(lines [][]byte, from, to int) (*Script, error) {
	if from <= 0 || from >= to || to > len(lines) {
		return nil, fmt.Errorf("a recording of %d events cannot play %d to %d", len(lines), from, to)
	}
	s := &Script{lines: lines[:to], times: make([]event.Time, to), from: from}
	decoder, e := event.NewDecoder(event.Config{}), event.Event{}
	for i, line := range s.lines {
		if reason := decoder.DecodeStructured(line, 0, &e); reason != event.OK {
			return nil, fmt.Errorf("event %d of the recording: %v", i, reason)
		}
		if s.times[i] = e.Time; i > 0 && e.Time < s.times[i-1] {
			return nil, fmt.Errorf("event %d of the recording goes back in time", i)
		}
	}
	for s.from < to-1 && s.times[s.from] == s.times[s.from-1] { // an instant is history or live, not both
		s.from++
	}
	if s.times[s.from] == s.times[s.from-1] {
		return nil, fmt.Errorf("all events of the recording from %d to %d are at one instant", from, to)
	}
	return s, nil
}

// History calls f with every event before the live stretch, moved so that the last of them is at now.
func (s *Script) History(now event.Time, f func(line []byte) error) error {
	move := retime.Shift(now - s.times[s.from-1])
	var line []byte
	for _, l := range s.lines[:s.from] {
		var err error
		if line, err = retime.Append(line[:0], l, move); err != nil {
			return err
		}
		if err := f(line); err != nil {
			return err
		}
	}
	return nil
}

// Live calls f with every event of the live stretch and the instant at which it happens, between begin and begin + length. What it says
// of history is moved as history was, by the now given there.
func (s *Script) Live(now, begin event.Time, length freshness.Duration, f func(at event.Time, line []byte) error) error {
	move := s.move(now, begin, length)
	for i, l := range s.lines[s.from:] {
		line, err := retime.Append(nil, l, move)
		if err != nil {
			return err
		}
		if err := f(move(s.times[s.from+i]), line); err != nil {
			return err
		}
	}
	return nil
}

// move maps the recording's time to the demo's: history is shifted, the live stretch runs with its silences cut and all gaps in
// proportion. It never goes back.
func (s *Script) move(now, begin event.Time, length freshness.Duration) func(event.Time) event.Time {
	live := s.times[s.from:]
	played := make([]event.Time, len(live)) // milliseconds of play before each event, before scaling
	for i := 1; i < len(live); i++ {
		played[i] = played[i-1] + min(live[i]-live[i-1], longestGap)
	}
	whole := max(1, played[len(played)-1])
	scale := func(p event.Time) event.Time { return begin + event.Time(int64(p)*int64(length)/int64(whole)) }
	last := s.times[s.from-1]
	return func(t event.Time) event.Time {
		if t <= last {
			return now + (t - last)
		}
		i := sort.Search(len(live), func(i int) bool { return live[i] > t }) - 1 // the last event not after t
		if i < 0 {
			return min(begin, now+(t-last))
		}
		return scale(played[i] + min(t-live[i], longestGap))
	}
}

// Events returns how many events there are before and in the live stretch.
func (s *Script) Events() (history, live int) { return s.from, len(s.lines) - s.from }
