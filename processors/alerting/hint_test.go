package alerting

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/slo"
)

// ticker is a gateway that notes when it is asked for a tick; the tick takes some time.
type ticker struct {
	g       *Group
	cost    event.Time
	once    bool // only the first one
	waiting bool
	lag     event.Time // of the clock
	dead    bool       // there is none yet
	at      []time.Duration
	begin   time.Time
}

func (t *ticker) Running() bool { return true }

func (t *ticker) Partition(int32) *gateway.Partition {
	t.at = append(t.at, time.Since(t.begin))
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	t.g.ticked, t.g.costs, t.g.waiting = t.g.Now(), [2]event.Time{t.cost, t.g.costs[0]}, t.waiting
	if t.once {
		t.cost = 0
	}
	return nil
}

// ticks returns when a group ticks in the first so long, if it is given hints at some instants.
func ticks(t *testing.T, every, long time.Duration, tick ticker, hints ...time.Duration) (at []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		var cfg Config
		rows, err := cfg.New()
		if err != nil {
			t.Fatal(err)
		}
		now := func() event.Time { return event.Of(time.Now()) }
		tick.g = New(Deps{Alerts: rows, Dispatcher: &sink{now: now}, Metrics: metrics.New(nil), Now: now, Logger: log.NewNopLogger(), Clocks: func() []alerts.Partition {
			return []alerts.Partition{{Live: true, Applied: now()}, {Live: !tick.dead, Applied: now() - tick.lag}}
		}})
		tick.begin = time.Now()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tick.g.Run(ctx, &tick, every) }()
		for _, hint := range hints {
			<-time.After(hint - time.Since(tick.begin))
			tick.g.Hint()
		}
		<-time.After(long - time.Since(tick.begin))
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return tick.at
}

func TestAHintBringsTheTickForward(t *testing.T) {
	const ms = time.Millisecond
	var all []time.Duration
	for at := ms; at < 2000*ms; at += ms {
		all = append(all, at)
	}
	for what, c := range map[string]struct {
		tick  ticker
		hints []time.Duration
		want  []time.Duration
	}{
		"none":                                  {want: []time.Duration{1000 * ms, 2000 * ms}},
		"one":                                   {hints: []time.Duration{500 * ms}, want: []time.Duration{520 * ms, 1000 * ms, 2000 * ms}},
		"some together":                         {hints: []time.Duration{500 * ms, 510 * ms, 519 * ms}, want: []time.Duration{520 * ms, 1000 * ms, 2000 * ms}},
		"soon after a tick":                     {hints: []time.Duration{1010 * ms}, want: []time.Duration{1000 * ms, 1250 * ms, 2000 * ms}},
		"just before a tick":                    {hints: []time.Duration{990 * ms}, want: []time.Duration{1000 * ms, 2000 * ms}},
		"all the time":                          {hints: all[:1740], want: []time.Duration{21 * ms, 271 * ms, 521 * ms, 771 * ms, 1000 * ms, 1250 * ms, 1500 * ms, 1750 * ms, 2000 * ms}},
		"ticks that cost much":                  {tick: ticker{cost: 15}, hints: all, want: []time.Duration{21 * ms, 271 * ms, 871 * ms, 1000 * ms, 1600 * ms, 2000 * ms}},
		"a tick that is not stored yet":         {tick: ticker{waiting: true}, hints: []time.Duration{100 * ms, 400 * ms}, want: []time.Duration{120 * ms, 1000 * ms, 2000 * ms}},
		"a tick that is not stored for long":    {tick: ticker{waiting: true}, hints: all, want: []time.Duration{21 * ms, 1000 * ms, 2000 * ms}},
		"of a partition that is late":           {tick: ticker{lag: 5_001}, hints: all, want: []time.Duration{1000 * ms, 2000 * ms}},
		"of one that is not live yet":           {tick: ticker{dead: true}, hints: all, want: []time.Duration{1000 * ms, 2000 * ms}},
		"of one that is a little late":          {tick: ticker{lag: 5_000}, hints: []time.Duration{500 * ms}, want: []time.Duration{520 * ms, 1000 * ms, 2000 * ms}},
		"ticks that cost more than they may":    {tick: ticker{cost: 100}, hints: all, want: []time.Duration{21 * ms, 271 * ms, 1000 * ms, 2000 * ms}},
		"a tick that was held up":               {tick: ticker{cost: 100, once: true}, hints: all[:700], want: []time.Duration{21 * ms, 271 * ms, 521 * ms, 771 * ms, 1000 * ms, 2000 * ms}},
		"while it waits, and after it has come": {hints: []time.Duration{500 * ms, 600 * ms, 700 * ms}, want: []time.Duration{520 * ms, 770 * ms, 1000 * ms, 2000 * ms}},
	} {
		t.Run(what, func(t *testing.T) {
			got := ticks(t, time.Second, 2500*ms, c.tick, c.hints...)
			if len(got) != len(c.want) {
				t.Fatalf("ticks at %v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Fatalf("ticks at %v, want %v", got, c.want)
				}
			}
		})
	}
}

// heard is what has been heard of the items of one kind.
type heard struct {
	kind  string
	beat  event.Time // of the whole kind, 0: never
	items map[string]*freshness.Item
}

func (h *heard) KindLife(string) (event.Time, bool) { return h.beat, h.beat > 0 }
func (h *heard) Item(_, key string) *freshness.Item { return h.items[key] }
func (h *heard) EachOf(_ string, f func(key string) bool) {
	for key := range h.items {
		if !f(key) {
			return
		}
	}
}

func (h *heard) speak(key string, at event.Time) {
	it := h.items[key]
	if it == nil {
		it = freshness.NewItem(h.kind, key)
	}
	h.items[key], _ = it.Apply(&event.Event{Type: event.SourceUpdated, Kind: h.kind, Key: key, Time: at, Appended: at, EffectiveAt: at, ID: key, Seq: int64(at)}, freshness.Position{}, 0)
}

// It is known between two looks that a source can have become silent, of items and of whole kinds.
func TestSilenceIsDueWhenTheFirstCanBeSilent(t *testing.T) {
	h := &heard{kind: "policy", items: map[string]*freshness.Item{}}
	complete, live, now := event.Time(10_000), true, event.Time(20_000)
	l := NewSilence(h, func() (event.Time, []string, bool) { return complete, nil, live }, func() event.Time { return 0 }, func() event.Time { return now },
		func(string, string) (int64, bool) { return 0, false })
	f := &slo.File{Contexts: map[string]*slo.Context{"policy": {Kind: "policy", MaxSilence: 1000}, "other": {Kind: "other"}}}
	look := func() int {
		var s alerts.Snapshot
		s.Contract = f
		l.Fill(&s)
		return len(s.Sources)
	}
	due := func(at event.Time, want bool) {
		t.Helper()
		if complete = at; l.Due() != want {
			t.Errorf("complete through %d: due is %v", at, !want)
		}
	}
	h.speak("a", 10_000)
	h.speak("b", 10_500)
	due(12_000, false) // nobody has looked yet
	complete = 10_600
	if n := look(); n != 0 {
		t.Fatalf("%d are silent", n)
	}
	due(11_000, false)
	due(11_001, true)
	live = false
	due(11_001, false)
	live = true
	if n := look(); n != 1 {
		t.Fatalf("%d are silent, want a", n)
	}
	due(11_001, false) // that is known
	due(11_500, false)
	due(11_501, true)
	h.beat = 11_400
	if n := look(); n != 0 {
		t.Fatalf("%d are silent though their kind is alive", n)
	}
	due(12_400, false)
	due(12_401, true)
	if n := look(); n != 2 {
		t.Fatalf("%d are silent, want both", n)
	}
	due(20_000, false)
}
