package query

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/problem"
)

// Limits of what is said of a source.
const (
	versionsShown = 100
	holdersShown  = 100
)

// version is a version in an answer.
type version struct {
	Version     *string    `json:"version"`
	Seq         int64      `json:"seq"`
	EffectiveAt event.Time `json:"effective_at"`
	PublishedAt event.Time `json:"published_at"`
	Time        event.Time `json:"time"`
	Owner       *string    `json:"owner"`
	Digest      *string    `json:"digest"`
	Change      string     `json:"change"`
	At          place      `json:"at"`
}

func versionOf(v *freshness.Version) *version {
	if v == nil {
		return nil
	}
	return &version{nameOrNull(v.Name), v.Seq, v.Effective, v.Published, v.Time, nameOrNull(v.Owner), nameOrNull(v.Digest), v.Change.String(), placeOf(v.At)}
}

// holder is how many workflows hold a version of an item; of those that hold none that is known, seq is null.
type holder struct {
	Seq       *int64   `json:"seq"`
	Workflows int      `json:"workflows"`
	First     []string `json:"first"`
}

// serveSource says what is known of a context item, and who holds which version.
func (s *Server) serveSource(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	e := s.engineOr(w)
	if e == nil {
		return
	}
	if ReadParameters(r).Refused(w) {
		return
	}
	kind, key := r.PathValue("kind"), r.PathValue("key")
	clock := e.Sources.Clocks(nil)[e.Sources.Partition(kind, key)]
	item := e.Sources.Item(kind, key)
	if item.Len() == 0 {
		problem.NotFound.Write(w, "no version of this item is known", "")
		return
	}
	now := s.Now()
	all := item.Versions()
	shown := all[max(0, len(all)-versionsShown):]
	versions := make([]*version, 0, len(shown))
	for _, v := range slices.Backward(shown) {
		versions = append(versions, versionOf(v))
	}
	h := holding{Engine: e, server: s, r: r, client: c, now: now, kind: kind, key: key, counts: map[int64]*holder{}}
	if err := h.run(); err != nil {
		s.failed(w, err)
		return
	}
	said := map[string]any{
		"kind": kind, "key": key, "versions": versions, "versions_total": len(all), "current": versionOf(item.Current(e.basis(kind, now), now)),
		"last_life": nil, "max_silence_s": nil, "silent": false,
		"holders": h.sorted(), "holders_whole": h.whole, "partition": e.Sources.Partition(kind, key), "applied_through": nil, "complete_through": nil,
	}
	if clock.Live {
		said["applied_through"], said["complete_through"] = clock.Applied, clock.Complete
	}
	e.silence(said, item, kind, now)
	s.Answer(w, r, said)
}

// basis returns from when on versions of a kind count.
func (e *Engine) basis(kind string, at event.Time) freshness.Basis {
	if c := e.Contracts.At(at); c != nil && c.Contexts[kind] != nil {
		return c.Contexts[kind].Basis
	}
	return freshness.BySource
}

// silence says when the source has given its last sign of life, and whether that is too long ago.
func (e *Engine) silence(said map[string]any, item *freshness.Item, kind string, now event.Time) {
	life, alive := item.Life(now)
	if whole, ok := e.Sources.KindLife(kind); ok && (!alive || whole > life) {
		life, alive = whole, true
	}
	if alive {
		said["last_life"] = life
	}
	if c := e.Contracts.At(now); c != nil && c.Contexts[kind] != nil && c.Contexts[kind].HasMaxSilence {
		most := c.Contexts[kind].MaxSilence
		said["max_silence_s"] = most.Seconds()
		said["silent"] = !alive || freshness.Duration(now-life) > most
	}
}

// holding counts who holds which version of an item.
type holding struct {
	*Engine
	server    *Server
	r         *http.Request
	client    *auth.Client
	now       event.Time
	kind, key string
	counts    map[int64]*holder
	none      *holder
	whole     bool
}

func (h *holding) run() error {
	h.whole = true
	seen := map[string]bool{}
	for p := range h.Rows.Partitions() {
		if !h.Rows.Owner(p).Here {
			// Another instance says itself whether it has counted all of its own; who is asked by one speaks of his own only.
			if hop(h.r.Context()) == nil && h.at(h.r.Context(), p) == "" {
				h.whole = false
			}
			continue
		}
		err := h.Rows.Holders(p, h.kind, h.key, nil, func(id string, _ []byte) bool {
			if seen[id] {
				return true
			}
			seen[id] = true
			if row, err := h.Rows.Workflow(p, id); err == nil && row != nil && h.client.Sees(row.Type.Name) {
				h.count(row)
			}
			h.whole = h.whole && len(seen) < scanLimit
			return len(seen) < scanLimit
		})
		if err != nil {
			return err
		}
	}
	if h.server.others(h.r, h.client, h.merge) > 0 {
		h.whole = false
	}
	return nil
}

// merge adds what another instance has counted.
func (h *holding) merge(body []byte) error {
	var said struct {
		Holders []*holder `json:"holders"`
		Whole   bool      `json:"holders_whole"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return fmt.Errorf("read what another instance says of %s/%s: %w", h.kind, h.key, err)
	}
	h.whole = h.whole && said.Whole
	for _, one := range said.Holders {
		own := &h.none
		if one.Seq != nil {
			known := h.counts[*one.Seq]
			own = &known
		}
		if *own == nil {
			if one.Seq != nil {
				h.counts[*one.Seq] = one
			} else {
				h.none = one
			}
			continue
		}
		(*own).Workflows += one.Workflows
		first := append((*own).First, one.First...)
		slices.Sort(first)
		(*own).First = first[:min(holdersShown, len(first))]
	}
	return nil
}

// count counts a workflow if it is open and holds the item.
func (h *holding) count(row *freshness.Workflow) {
	has := row.Holding(h.kind, h.key)
	if has == nil || !row.Open() {
		return
	}
	seq, known, in := row.Held(has, h.now, h.Sources.Item(h.kind, h.key), h.basis(h.kind, h.now))
	if !in {
		return
	}
	one := h.none
	if known {
		one = h.counts[seq]
	}
	if one == nil {
		one = &holder{First: []string{}}
		if known {
			one.Seq = &seq
			h.counts[seq] = one
		} else {
			h.none = one
		}
	}
	if one.Workflows++; len(one.First) < holdersShown {
		one.First = append(one.First, row.ID)
	}
}

func (h *holding) sorted() []*holder {
	all := slices.SortedFunc(maps.Values(h.counts), func(a, b *holder) int { return cmp.Compare(*b.Seq, *a.Seq) })
	if h.none != nil {
		all = append(all, h.none)
	}
	if all == nil {
		all = []*holder{}
	}
	return all
}

// recalled is a decision that used a version after it had been superseded.
type recalled struct {
	Workflow     string     `json:"workflow"`
	Type         *string    `json:"workflow_type"`
	DecisionID   string     `json:"decision_id"`
	Use          string     `json:"use"`
	UsedAt       event.Time `json:"used_at"`
	Seq          int64      `json:"seq"`
	SupersededAt event.Time `json:"superseded_at"`
	StalenessS   float64    `json:"staleness_s"`
	Verdict      string     `json:"verdict"` // of the use
	At           place      `json:"at"`
}

// serveUsers lists the decisions that used an item, or one version of it, after it had been superseded.
func (s *Server) serveUsers(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	e := s.engineOr(w)
	if e == nil {
		return
	}
	p := ReadParameters(r, "seq", "limit", "cursor")
	l := recall{gathering: gather(s, e, r, c, p), kind: r.PathValue("kind"), key: r.PathValue("key")}
	if text := p.Get("seq"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			p.Fail("seq %q: must be a whole number", text)
		}
		l.seq = &n
	}
	from := p.cursor(e.Rows.Partitions())
	if p.Refused(w) {
		return
	}
	if err := l.run(from); err != nil {
		s.failed(w, err)
		return
	}
	said := map[string]any{"kind": l.kind, "key": l.key, "seq": l.seq, "users": l.found, "next": l.next, "partitions": l.partitions()}
	s.List(w, r, said, said)
}

// recall is a page of the decisions that used an item.
type recall struct {
	gathering
	kind, key string
	seq       *int64
	v         freshness.Verdict
}

// run goes on until the page is full after a whole workflow, or enough of them have been looked at.
func (l *recall) run(from *cursor) error {
	looked := map[string]bool{}
	return l.gather("users", from, func(p int32, after []byte) error {
		return l.Rows.Holders(p, l.kind, l.key, after, func(id string, at []byte) bool {
			if looked[id] {
				return true
			}
			looked[id] = true
			if row, err := l.Rows.Workflow(p, id); err == nil && row != nil && l.client.Sees(row.Type.Name) {
				l.add(row)
			}
			if len(l.found) >= l.limit || len(looked) >= scanLimit {
				l.next = &cursor{partition: p, at: slices.Clone(at)}
			}
			return l.next == nil
		})
	})
}

// add adds the uses of a workflow that rested on what was superseded.
func (l *recall) add(row *freshness.Workflow) {
	for i := range row.Uses {
		u := &row.Uses[i]
		row.Judge(u, l.Sources, l.Contracts.At(u.Time), &l.v)
		for j := range l.v.Items {
			it := &l.v.Items[j]
			if it.Kind != l.kind || it.Key != l.key || !it.HasSeq || it.Staleness == 0 || l.seq != nil && it.Seq != *l.seq {
				continue
			}
			l.found = append(l.found, recalled{
				Workflow: row.ID, Type: nameOrNull(row.Type.Name), DecisionID: u.DecisionID, Use: u.Kind.String(), UsedAt: u.Time, Seq: it.Seq,
				SupersededAt: it.SupersededAt, StalenessS: it.Staleness.Seconds(), Verdict: l.v.Kind.String(), At: placeOf(row.TopicOf(u.At)),
			})
		}
	}
}
