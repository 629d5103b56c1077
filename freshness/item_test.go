package freshness

import (
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"testing"

	"github.com/freshet-io/freshet/event"
)

// plainItem is an item as a list of versions: what every measure is by its words.
type plainItem struct {
	versions []*Version // by seq
	lives    []event.Time
	served   []Availability
}

func (p *plainItem) b(v *Version, by Basis) event.Time {
	if by == ByPublished {
		return v.Published
	}
	return v.Effective
}

// seen returns the versions that a use at t sees, and the cut.
func (p *plainItem) seen(by Basis, t event.Time, history int) (vs []*Version, cut int64, out bool) {
	n := 0
	for i := len(p.versions) - 1; i >= 0; i-- {
		v := p.versions[i]
		if p.b(v, by) >= t {
			vs = append(vs, v)
			continue
		}
		if n++; n <= history {
			vs, cut = append(vs, v), v.Seq
		} else {
			out = true
		}
	}
	slices.Reverse(vs)
	return vs, cut, out
}

// TestItemMeasures compares every measure with the plain way, on items of several blocks whose versions came in any order.
func TestItemMeasures(t *testing.T) {
	for seed := int64(1); seed <= 60; seed++ {
		r := rand.New(rand.NewSource(seed))
		it, p := NewItem("k", "x"), &plainItem{}
		n := 1 + r.Intn(400)
		disorder := []int{0, 3, 200}[r.Intn(3)]
		order := r.Perm(n)
		if r.Intn(2) == 0 {
			slices.Sort(order)
		}
		for _, i := range order {
			e := &event.Event{Type: event.SourceUpdated, Kind: "k", Key: "x", Seq: int64(2 * i), Version: fmt.Sprint("v", r.Intn(n/2+1)), ID: fmt.Sprint(i)}
			e.EffectiveAt = event.Time(10*i + r.Intn(10*disorder+1))
			e.Time = event.Time(10*i + r.Intn(10*disorder+1))
			e.Recorded, e.HasRecorded = e.EffectiveAt+event.Time(r.Intn(1+disorder)), true
			it, _ = it.Apply(e, Position{}, 0)
			p.versions = append(p.versions, &Version{Seq: e.Seq, Name: e.Version, Effective: e.EffectiveAt, Published: e.Recorded, Time: e.Time})
			p.lives = append(p.lives, e.Time)
			if r.Intn(3) == 0 {
				a := Availability{Seq: int64(r.Intn(2 * n)), Time: event.Time(r.Intn(10 * n))}
				it, _ = it.Apply(&event.Event{Type: event.SourceAvailable, Kind: "k", Key: "x", Seq: a.Seq, Time: a.Time}, Position{}, 0)
				p.served = append(p.served, a)
			}
		}
		slices.SortFunc(p.versions, func(a, b *Version) int { return int(a.Seq - b.Seq) })
		for range 200 {
			compareMeasures(t, r, it, p, n)
		}
	}
}

func compareMeasures(t *testing.T, r *rand.Rand, it *Item, p *plainItem, n int) {
	t.Helper()
	at, by, history := event.Time(r.Intn(10*n+40)), Basis(r.Intn(2)), 1+r.Intn(n+2)
	seq := int64(r.Intn(2*n+2) - 1)
	w := look(it, by, at, history)
	vs, cut, out := p.seen(by, at, history)
	if w.out != out || out && w.cut != cut {
		t.Fatalf("at %d, history %d: cut %d %v, want %d %v", at, history, w.cut, w.out, cut, out)
	}
	var star, current *Version
	var k int64
	for _, v := range vs {
		if b := p.b(v, by); v.Seq > seq {
			if star == nil || b < p.b(star, by) {
				star = v
			}
			if b < at {
				k++
			}
		}
		if p.b(v, by) < at {
			current = v
		}
	}
	got := w.superseding(seq)
	if (got == nil) != (star == nil) || got != nil && positive(at, got.b[by]) != positive(at, p.b(star, by)) {
		t.Fatalf("n* of %d at %d: %+v, want %+v", seq, at, got, star)
	}
	if got != nil && got.b[by] < at && got.seq != star.Seq {
		t.Fatalf("n* of %d at %d is %d, want %d", seq, at, got.seq, star.Seq)
	}
	if got := w.behind(seq); got != k {
		t.Fatalf("%d at %d is %d behind, want %d", seq, at, got, k)
	}
	if got := w.current(); (got == nil) != (current == nil) || got != nil && got.seq != current.Seq {
		t.Fatalf("current at %d: %+v, want %+v", at, got, current)
	}
	compareResolution(t, r, &w, p, vs, out, n)
	want, alive := event.Time(0), false
	for _, l := range p.lives {
		if l <= at && (!alive || l > want) {
			want, alive = l, true
		}
	}
	if got, ok := it.Life(at); ok != alive || ok && got != want {
		t.Fatalf("life at %d is %d %v, want %d %v", at, got, ok, want, alive)
	}
	from, served := event.Time(0), false
	for _, a := range p.served {
		if a.Seq >= seq && (!served || a.Time < from) {
			from, served = a.Time, true
		}
	}
	if got, ok := it.ServedFrom(seq); ok != served || ok && got != from {
		t.Fatalf("%d is served from %d %v, want %d %v", seq, got, ok, from, served)
	}
}

func compareResolution(t *testing.T, r *rand.Rand, w *view, p *plainItem, vs []*Version, out bool, n int) {
	t.Helper()
	ref := LoadRef{Version: fmt.Sprint("v", r.Intn(n/2+2))}
	l := min(event.Time(r.Intn(10*n+40)), w.at)
	if r.Intn(4) == 0 {
		l = w.at
	}
	var want *Version
	for _, v := range vs {
		if v.Name == ref.Version && p.b(v, w.basis) <= l {
			want = v
		}
	}
	if want == nil && !out {
		for _, v := range slices.Backward(vs) {
			if v.Name == ref.Version {
				want = v
			}
		}
	}
	got := w.resolve(&ref, l)
	if got.known != (want != nil) || got.known && got.seq != want.Seq {
		t.Fatalf("%s at %d of %d comes to %+v, want %+v", ref.Version, l, w.at, got, want)
	}
}

// TestItemsAreValues keeps old items while new ones are made from them, also two from the same one, and reads them on other goroutines: what
// they say does not change.
func TestItemsAreValues(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	update := func(i int) *event.Event {
		return &event.Event{Type: event.SourceUpdated, Kind: "k", Key: "x", Seq: int64(i), Version: fmt.Sprint("v", i), Time: event.Time(i), EffectiveAt: event.Time(i), Appended: event.Time(i), ID: fmt.Sprint(i)}
	}
	type kept struct {
		it   *Item
		seqs []int64
	}
	seqs := func(it *Item) (out []int64) {
		for _, v := range it.Versions() {
			out = append(out, v.Seq)
		}
		return out
	}
	all := []kept{{it: NewItem("k", "x")}}
	var readers sync.WaitGroup
	for range 1500 {
		base := all[r.Intn(len(all))]
		if r.Intn(3) > 0 {
			base = all[len(all)-1]
		}
		next, ch := base.it.Apply(update(r.Intn(300)), Position{}, 250)
		if !ch.Any {
			continue
		}
		next, _ = next.Apply(&event.Event{Type: event.SourceAvailable, Seq: int64(r.Intn(300)), Time: event.Time(r.Intn(300))}, Position{}, 250)
		k := kept{next, seqs(next)}
		all = append(all, k)
		readers.Add(1)
		go func() {
			defer readers.Done()
			if got := seqs(k.it); !slices.Equal(got, k.seqs) {
				t.Errorf("an item of %d versions now has %d", len(k.seqs), len(got))
			}
		}()
	}
	readers.Wait()
	for _, k := range all {
		if got := seqs(k.it); !slices.Equal(got, k.seqs) {
			t.Fatalf("an item of %d versions now has %d", len(k.seqs), len(got))
		}
		for i := 1; i < len(k.seqs); i++ {
			if k.seqs[i-1] >= k.seqs[i] {
				t.Fatalf("versions out of order: %v", k.seqs)
			}
		}
	}
}

// TestItemLimit leaves the smallest seqs out, whatever the order, and says which chunks are empty.
func TestItemLimit(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	var want *Item
	for round := range 20 {
		it := NewItem("k", "x")
		chunks := map[uint32]bool{}
		for _, i := range r.Perm(200) {
			e := &event.Event{Type: event.SourceUpdated, Seq: int64(i), Time: event.Time(1000 - i), EffectiveAt: event.Time(i), ID: "i"}
			next, ch := it.Apply(e, Position{}, 50)
			if ch.HasChunk {
				chunks[ch.Chunk] = true
			}
			for _, c := range ch.Emptied {
				if n := len(next.ChunkVersions(c)); n != 0 || !chunks[c] {
					t.Fatalf("chunk %d is not empty: %d versions", c, n)
				}
				delete(chunks, c)
			}
			if next.head.HasCut && next.head.Cut != it.head.Cut && (!ch.Purged || ch.PurgedSeq != next.head.Cut) {
				t.Fatalf("purged %v through %d, cut %d", ch.Purged, ch.PurgedSeq, next.head.Cut)
			}
			it = next
		}
		if it.Len() != 50 || it.head.Cut != 149 || it.head.CutTime != 1000 || it.blocks[0].entries[0].seq != 150 {
			t.Fatalf("round %d: %d versions from %d, cut %d at %d", round, it.Len(), it.blocks[0].entries[0].seq, it.head.Cut, it.head.CutTime)
		}
		for c := uint32(0); c < it.Chunks(); c++ {
			if n := len(it.ChunkVersions(c)); n > 0 && !chunks[c] {
				t.Fatalf("chunk %d has %d versions and was said to be empty", c, n)
			}
		}
		if want == nil {
			want = it
		}
		merged := want.Merge(it, 50)
		if merged.Len() != 50 || merged.head.Cut != 149 {
			t.Fatalf("merged: %d versions, cut %d", merged.Len(), merged.head.Cut)
		}
	}
}

// TestItemConflicts counts a conflict once, however often its events come.
func TestItemConflicts(t *testing.T) {
	it := NewItem("k", "x")
	conflicts := 0
	for range 3 {
		for i := range 4 {
			e := &event.Event{Type: event.SourceUpdated, Seq: 7, Time: event.Time(10 - i), ID: "i", Data: fmt.Sprint(i)}
			next, ch := it.Apply(e, Position{}, 0)
			if it = next; ch.Conflict {
				conflicts++
			}
		}
	}
	if conflicts != 3 || len(it.head.Losers) != 3 || it.Version(7).Time != 7 || it.head.Next != 1 {
		t.Fatalf("%d conflicts, %d losers, %+v, next %d", conflicts, len(it.head.Losers), it.Version(7), it.head.Next)
	}
}

// TestAvailabilityIsBounded adds far more availabilities than versions are kept, in and out of order: the greatest seqs stay, and what lies
// below the versions that were left out goes with them.
func TestAvailabilityIsBounded(t *testing.T) {
	const limit = 100
	served := func(it *Item, seq, at int) *Item {
		it, _ = it.Apply(&event.Event{Type: event.SourceAvailable, Seq: int64(seq), Time: event.Time(at)}, Position{}, limit)
		return it
	}
	up, down := NewItem("k", "x"), NewItem("k", "x")
	for i := range 500 {
		up, down = served(up, i, i), served(down, 499-i, 499-i)
	}
	for _, it := range []*Item{up, down} {
		h := it.Head().Available
		if len(h) != 2*limit || h[0] != (Availability{Seq: 300, Time: 300}) || h[2*limit-1] != (Availability{Seq: 499, Time: 499}) {
			t.Fatalf("%d availabilities from %+v", len(h), h[0])
		}
	}
	for i := range 450 {
		up, _ = up.Apply(&event.Event{Type: event.SourceUpdated, Seq: int64(i), ID: "i"}, Position{}, limit)
	}
	if h := up.Head().Available; h[0].Seq != 350 || len(h) != 150 {
		t.Fatalf("versions up to %d are gone, availabilities from %+v are kept", up.head.Cut, h[0])
	}
	if next := served(up, 349, 1); next != up {
		t.Fatal("an availability that no version can need was kept")
	}
	if from, ok := served(up, 499, 5).ServedFrom(350); !ok || from != 5 {
		t.Fatalf("served from %d %v: a later version served earlier serves all before it", from, ok)
	}
}

// TestForget forgets an item on request.
func TestForget(t *testing.T) {
	f := benchFacts(3)
	forget := &event.Event{Type: event.SourceForget, Kind: "doc", Key: "x"}
	if ch := f.Apply(forget, Position{}, 0); !ch.Any || f.Item("doc", "x") != nil || f.Item("policy", "x").Len() != 3 {
		t.Fatalf("forgotten: %+v", ch)
	}
	if ch := f.Apply(forget, Position{}, 0); ch.Any {
		t.Fatalf("forgotten again: %+v", ch)
	}
}

// TestCurrent is the version in force before an instant.
func TestCurrent(t *testing.T) {
	it := benchFacts(3).Item("doc", "x")
	for at, want := range map[event.Time]int64{0: 0, 1: 1, 1000: 1, 1001: 2, 9000: 3} {
		var seq int64
		if v := it.Current(BySource, at); v != nil {
			seq = v.Seq
		}
		if seq != want {
			t.Errorf("at %d it is %d, want %d", at, seq, want)
		}
	}
	if it.Current(ByPublished, 5) != nil || it.Current(ByPublished, 6).Seq != 1 || it.Latest().Seq != 3 || it.Version(9) != nil || it.Kind() != "doc" || it.Key() != "x" {
		t.Error("by published, the first is in force from 5 on")
	}
}
