//go:build unix

package torture

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/cmd/freshet/retime"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/test/harness"
)

// live turns the set into one that happens now, within so much time from its beginning: hours become seconds, and uses wait for the
// clocks. What it comes to is what freshet judge says of it.
func (w *world) live(begin time.Time, within time.Duration) {
	w.t.Helper()
	first, last := event.Time(1<<62), event.Time(0)
	d, e := event.NewDecoder(event.Config{}), event.Event{}
	for _, line := range w.lines {
		if reason := d.DecodeStructured(line, 0, &e); reason != event.OK {
			w.t.Fatalf("%s: %s", reason, line)
		}
		first, last = min(first, e.Time), max(last, e.Time)
	}
	from, span := event.Of(begin), float64(last-first)
	move := func(t event.Time) event.Time {
		return from + event.Time(float64(t-first)/span*float64(within.Milliseconds()))
	}
	var all bytes.Buffer
	at := map[string]event.Time{}
	for i, line := range w.lines {
		moved, err := retime.Append(nil, line, move)
		if err == nil {
			at[string(moved)], err = happens(moved)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.lines[i] = moved
		all.Write(append(moved, '\n'))
	}
	slices.SortStableFunc(w.lines, func(a, b []byte) int { return cmp.Compare(at[string(a)], at[string(b)]) })
	file := filepath.Join(w.dir, "live.ndjson")
	if err := os.WriteFile(file, all.Bytes(), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.want = map[string]map[string]any{}
	for line := range bytes.Lines(w.freshet("judge", "-contracts.file", w.contract, file)) {
		var g map[string]any
		if err := json.Unmarshal(line, &g); err != nil {
			w.t.Fatal(err)
		}
		w.want[harness.UseOf(g)] = g
	}
}

// playGap is how often what is due is written.
const playGap = 100 * time.Millisecond

// play loads each event when its time has come, in the background.
func (w *world) play(ctx context.Context) *feeder {
	w.played = true
	f := &feeder{done: make(chan error, 1)}
	go func() { f.done <- w.playAll(ctx) }()
	return f
}

func (w *world) playAll(ctx context.Context) error {
	tick := time.NewTicker(playGap)
	defer tick.Stop()
	var to *loader.Loader
	defer func() {
		if to != nil {
			to.Close()
		}
	}()
	for rest := w.lines; len(rest) > 0; {
		n, err := w.due(rest)
		if err != nil {
			return err
		}
		for n > 0 && ctx.Err() == nil {
			if to == nil {
				to, err = loader.Open(ctx, access.Open(w.brokers...), w.graph)
			}
			if err == nil {
				err = put(ctx, to, rest[:n])
			}
			if err == nil {
				break
			}
			if to != nil {
				to.Close()
				to = nil
			}
			<-tick.C
		}
		rest = rest[n:]
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d events could not be loaded: %w", len(rest), ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// due returns how many of the events, which are in the order in which they happen, have happened.
func (w *world) due(lines [][]byte) (int, error) {
	now := event.Of(time.Now())
	for n, line := range lines {
		at, err := happens(line)
		if err != nil {
			return 0, err
		}
		if at > now {
			return n, nil
		}
	}
	return len(lines), nil
}

// happens says when an event is there to be written.
func happens(line []byte) (event.Time, error) {
	var head struct{ Time, RecordedTime string }
	if err := json.Unmarshal(line, &head); err != nil {
		return 0, err
	}
	at, _ := event.ParseTime(head.Time)
	if recorded, ok := event.ParseTime(head.RecordedTime); ok {
		at = max(at, recorded)
	}
	return at, nil
}

func put(ctx context.Context, l *loader.Loader, lines [][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, l.Close)() // a record that may have been sent is not given up otherwise
	for _, line := range lines {
		r, reason := l.Record(line)
		if reason != event.OK {
			return fmt.Errorf("%s: %s", reason, line)
		}
		if err := l.Produce(ctx, r); err != nil {
			return err
		}
	}
	return l.Finish(ctx)
}
