package alerts

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

var seed = flag.Uint64("seed", 0, "of the random histories; 0: another one each time")

const randomContract = `
version: 1
owners:
  a: {slack: "#a"}
  b: {slack: "#b"}
contexts:
  k: {owner: a, max_silence: 10s}
workflows:
  w: {owner: b, bounds: {k: {max_staleness: 1s}}}
slos:
  - {name: s, workflow: w, use: action.executed, objective: 0.99, window: 30d}
detections:
  - {name: d, workflow: w, for: 1s}
maintenance:
  - {owner: a, from: 2026-01-03T17:05:00Z, to: 2026-01-03T17:06:00Z, reason: x}
`

// world is a random history: what goes on, and what the people at the destinations have seen.
type world struct {
	t      *testing.T
	r      *rand.Rand
	s      *script
	stored map[string][]byte
	acks   []Ack // delivered, not yet given to a tick
	stale  []Ack // delivered, not yet stored

	held    map[string]event.Time // by alert: held last
	open    map[string]event.Time // by alert, target and owner: told, and not yet told that it is over
	excused map[string]bool       // may be told again: it was delivered to a process that was killed before it could store that
	tried   map[string]bool       // was to be told, and could not
	bytes   map[string]string     // by id and sequence: what was published
}

// Whatever happens, in whatever order: nobody is told of an episode twice (unless a process died between delivery and storing it), nothing
// ends that held a moment ago, nothing is told in maintenance, and everybody who was told that it fires is told that it is over.
func TestRandomHistories(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	for n := range uint64(40) {
		t.Run(fmt.Sprint(*seed+n), func(t *testing.T) {
			t.Logf("go test ./alerts -run TestRandomHistories -seed %d", *seed+n)
			history(t, *seed+n)
		})
	}
}

func history(t *testing.T, seed uint64) {
	f, err := slo.Parse([]byte(randomContract), "contracts.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 1)), s: newScript(), stored: map[string][]byte{}, held: map[string]event.Time{},
		open: map[string]event.Time{}, excused: map[string]bool{}, tried: map[string]bool{}, bytes: map[string]string{}}
	w.s.reset(f)
	w.s.cfg = Config{Group: 2, Burst: 1000}
	w.s.a = w.s.make()
	w.s.to = []Target{{"am", Alertmanager}, {"hook", Webhook}, {"slack", Slack}}
	w.must("live p/0 p/1")
	for sec := 0; sec < 900; sec++ {
		if w.r.IntN(5) == 0 {
			w.happen()
		}
		w.tick(at(float64(sec)))
	}
	// Calm: everything is well again, for long enough.
	for _, f := range []string{"live p/0 p/1", "known burns holdings sources", "hears am hook slack", "burn s page no"} {
		w.must(f)
	}
	w.s.snap.Holdings, w.s.snap.Sources = nil, nil
	for sec := 900; sec < 1100; sec++ {
		w.tick(at(float64(sec)))
	}
	for key, episode := range w.open {
		if !strings.HasPrefix(key, Watchdog) {
			t.Errorf("%s was told at %s and never that it is over", key, ago(episode))
		}
	}
}

func (w *world) must(fact string) {
	if err := w.s.fact(strings.Fields(fact)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) happen() {
	pick := func(of ...string) string { return of[w.r.IntN(len(of))] }
	key, p := pick("x", "y", "z"), pick("p/0", "p/1")
	switch w.r.IntN(9) {
	case 0:
		w.must("burn s page " + pick("holds", "holds", "few", "no") + " causes=hold_tool:" + pick("a", "b") + ":3:5 burn=20 bad=3")
	case 1:
		w.must("held d k/" + key + " seq=1 since=0 count=" + pick("0", "1", "2") + " on=" + p)
	case 2:
		w.must("free d k/" + key + " seq=1")
	case 3:
		w.must("heard k/" + key)
		w.must("silent k/" + key + " on=" + p)
	case 4:
		w.must("heard k/" + key)
	case 5:
		w.must(pick("live "+p, "live "+p, "catching-up "+p, fmt.Sprintf("stands %s at=%s", p, ago(w.s.snap.Now))))
	case 6:
		w.must(pick("known", "known", "unknown") + " " + pick("burns", "holdings", "sources"))
	case 7:
		w.must(pick("deaf", "hears", "hears") + " " + pick("am", "hook", "slack"))
	case 8:
		w.end(w.r.IntN(2) == 0)
	}
}

// end is a process that is killed, or a session that ends within a process.
func (w *world) end(killed bool) {
	var rows []*Row
	for _, b := range w.stored {
		r, err := Decode(b)
		if err != nil {
			w.t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if killed {
		for _, a := range append(w.acks, w.stale...) {
			w.excused[a.Alert+" "+toldKey(a.To, a.Owner)] = true
		}
		w.acks, w.stale = nil, nil
		w.s.a = w.s.make()
	}
	w.s.a.Restore(w.s.snap.Now, rows)
}

func (w *world) tick(now event.Time) {
	snap := &w.s.snap
	snap.Now = now
	for i := range snap.Partitions {
		if w.s.follow[snap.Partitions[i].Name] {
			snap.Partitions[i].Applied = now
		}
	}
	copied := *snap
	acks := w.acks
	w.acks, w.stale = nil, append(w.stale, acks...)
	conditions, _ := w.s.a.conditions(&copied)
	for _, c := range conditions {
		if c.fires {
			w.held[c.id] = now
		}
	}
	out := w.s.a.Tick(&copied, w.s.to, acks)
	if w.r.IntN(20) == 0 { // the transaction is aborted: nothing is stored, nothing sent
		w.end(false)
		return
	}
	w.stale = nil
	for _, r := range out.Changed {
		w.published(r, now)
	}
	for _, r := range out.Saved {
		w.stored[r.ID] = r.Encode(nil)
	}
	for _, id := range out.Gone {
		delete(w.stored, id)
	}
	for i := range out.Due {
		n := &out.Due[i]
		if !w.s.deaf[n.To.ID] {
			w.deliver(n, now)
		} else if n.Purpose == Tell {
			w.tried[n.Row.ID+" "+toldKey(n.To, n.Owner)] = true
		}
	}
}

func (w *world) published(r *Row, now event.Time) {
	key := fmt.Sprintf("%s/%d", r.ID, r.Sequence)
	if old, ok := w.bytes[key]; ok && old != string(r.JSON()) {
		w.t.Errorf("%s was published twice, with different content:\n%s\n%s", key, old, r.JSON())
	}
	w.bytes[key] = string(r.JSON())
	if r.Status == Resolved && r.Group == "" && now-w.held[r.ID] < 59_000 {
		w.t.Errorf("%s ended at %s; it held at %s", r.ID, ago(now), ago(w.held[r.ID]))
	}
}

func (w *world) deliver(n *Notification, now event.Time) {
	key := n.Row.ID + " " + toldKey(n.To, n.Owner)
	told, open := w.open[key]
	switch n.Purpose {
	case Tell:
		if open && told == n.Row.Starts && !w.excused[key] {
			w.t.Errorf("%s: told twice of the episode of %s, at %s", key, ago(told), ago(now))
		}
		delete(w.excused, key)
		w.open[key] = n.Row.Starts
		if m := inMaintenance(&w.s.snap, n.Owner); m != nil {
			w.t.Errorf("%s: told in maintenance, at %s", key, ago(now))
		}
	case Repeat:
		if n.To.Kind == Slack || !open {
			w.t.Errorf("%s: repeated at %s", key, ago(now))
		}
	case Resolve:
		if !open && !w.tried[key] && !w.excused[key] {
			w.t.Errorf("%s: over at %s, and never told", key, ago(now))
		}
		delete(w.open, key)
		delete(w.tried, key)
	}
	if !slices.Contains([]Purpose{Tell, Repeat, Resolve}, n.Purpose) {
		w.t.Errorf("%s: %s", key, n.Purpose)
	}
	w.acks = append(w.acks, AckOf(n, now))
}

// Every value of an enum has a name of its own, and one that is none has the name of the first.
func TestNames(t *testing.T) {
	for _, names := range [][]string{
		{Unknown.String(), Inactive.String(), Pending.String(), Firing.String(), Resolved.String()},
		{NoKind.String(), Alertmanager.String(), Webhook.String(), PagerDuty.String(), Slack.String()},
		{NoPurpose.String(), Tell.String(), Repeat.String(), Resolve.String(), Summarise.String(), Try.String()},
		{Unclear.String(), NotHolding.String(), MinEvents.String(), TrafficClass.String(), NotYet.String(), NotKnown.String(), NotLive.String(),
			HeldByBlind.String(), InMaintenance.String(), NoDestination.String(), RateLimited.String(), Sending.String(), IsTold.String()},
	} {
		seen := map[string]bool{}
		for _, n := range names {
			if n == "" || seen[n] {
				t.Errorf("%q twice in %q", n, names)
			}
			seen[n] = true
		}
	}
	if Status(99).String() != Unknown.String() || Kind(99).String() != NoKind.String() || Purpose(99).String() != NoPurpose.String() || Reason(99).String() != Unclear.String() {
		t.Error("a value that is none has a name")
	}
}
