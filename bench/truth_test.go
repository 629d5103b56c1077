package bench_test

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

// The truth has a line for each use, fresh ones and stale ones, and a workload that is moved in time and stretched keeps its length.
func TestTheTruthOfAWorkload(t *testing.T) {
	w := small()
	begin := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	w.Begin, w.Rate = event.Of(begin), 500
	first, span := spanOf(t, w)
	if _, plain := spanOf(t, small()); first != w.Begin || span < 2*plain-2 || span > 2*plain+2 {
		t.Errorf("it begins at %s and takes %d ms, want %s and twice %d", first, span, w.Begin, plain)
	}
	file, err := slo.Parse([]byte(w.Contract()), "contract", func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	lines, err := bench.Truth(w, file.Contract())
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[string]int{}
	for l := range lines {
		_, rest, _ := strings.Cut(l, `,"verdict":"`)
		v, _, _ := strings.Cut(rest, `"`)
		verdicts[v]++
	}
	if int64(len(lines)) != w.Uses() || verdicts["fresh"] == 0 || verdicts["stale"] == 0 {
		t.Errorf("%d lines of %d uses: %v", len(lines), w.Uses(), verdicts)
	}
}

// spanOf returns the time of a workload's first record, and how long after it the last one is.
func spanOf(t *testing.T, w *bench.Workload) (first, span event.Time) {
	t.Helper()
	n := 0
	if err := w.Each(func(r *bench.Record) error {
		if n == 0 {
			first = r.Time
		}
		n, span = n+1, r.Time-first
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return first, span
}
