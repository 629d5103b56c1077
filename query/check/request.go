package check

import (
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/query/body"
)

// Limits of a request.
const (
	nameLimit   = 4096 // bytes of ids, kinds, keys, versions
	itemsLimit  = 1000
	tokensLimit = 100
	LongestWait = freshness.Duration(30_000)
	longestLag  = freshness.Duration(24 * 3_600_000)
	longestTime = freshness.Duration(3_650 * 24 * 3_600_000) // of a bound

	// DefaultLag is how far the engine may be behind a fresh answer if the caller does not say.
	DefaultLag = freshness.Duration(2_000)
)

// Request is one check.
type Request struct {
	Workflow string
	Class    string
	HasClass bool
	Items    []event.Ref // judged instead of what was loaded, if HasItems
	HasItems bool
	Bounds   map[string]freshness.Bounds // by kind; they tighten the contract's
	AtLeast  []freshness.Position        // records that must have been applied
	Wait     freshness.Duration          // how long to wait for that
	MaxLag   freshness.Duration
	At       event.Time // judged instead of now, if HasAt
	HasAt    bool
}

// The names that members may have.
var (
	requestNames = []string{"workflow", "class", "items", "bounds", "at_least", "max_engine_lag_s", "wait_s", "at"}
	refNames     = []string{"kind", "key", "version", "seq", "as_of", "digest"}
	boundsNames  = []string{"max_staleness_s", "max_versions_behind", "max_age_s"}
)

// Decode reads a check.
func Decode(t *body.Text) Request {
	r := Request{MaxLag: DefaultLag}
	o := t.Object()
	for name, ok := t.Member(&o); ok; name, ok = t.Member(&o) {
		if t.Absent(name, requestNames) {
			continue
		}
		switch name {
		case "workflow":
			r.Workflow = t.Name(nameLimit)
		case "class":
			r.Class, r.HasClass = t.Name(nameLimit), true
		case "items":
			r.items(t)
		case "bounds":
			r.bounds(t)
		case "at_least":
			r.atLeast(t)
		case "max_engine_lag_s":
			r.MaxLag = t.Seconds(longestLag)
		case "wait_s":
			r.Wait = t.Seconds(LongestWait)
		case "at":
			r.At, r.HasAt = t.Instant(), true
		default:
			t.Unknown(name, requestNames...)
		}
	}
	if r.Workflow == "" {
		t.Fail("\"workflow\" is missing: the id of the workflow to judge")
	}
	return r
}

func (r *Request) items(t *body.Text) {
	r.HasItems, r.Items = true, []event.Ref{}
	a := t.Array()
	for t.Element(&a) {
		if len(r.Items) == itemsLimit {
			t.Fail("there are more than %d items", itemsLimit)
			return
		}
		r.Items = append(r.Items, ref(t))
	}
}

func ref(t *body.Text) event.Ref {
	var r event.Ref
	o := t.Object()
	for name, ok := t.Member(&o); ok; name, ok = t.Member(&o) {
		if t.Absent(name, refNames) {
			continue
		}
		switch name {
		case "kind":
			if r.Kind = t.Name(nameLimit); strings.Contains(r.Kind, "/") {
				t.Fail("%q: a kind has no slash; kind and key are given apart", r.Kind)
			}
		case "key":
			r.Key = t.Name(nameLimit)
		case "version":
			r.Version = t.Name(nameLimit)
		case "digest":
			r.Digest = t.Name(nameLimit)
		case "seq":
			r.Seq, r.HasSeq = t.Integer(-1<<63), true
		case "as_of":
			r.AsOf, r.HasAsOf = t.Instant(), true
		default:
			t.Unknown(name, refNames...)
		}
	}
	switch {
	case r.Kind == "":
		t.Fail("\"kind\" is missing")
	case r.Key == "":
		t.Fail("\"key\" is missing")
	}
	return r
}

func (r *Request) bounds(t *body.Text) {
	o := t.Object()
	for kind, ok := t.Member(&o); ok; kind, ok = t.Member(&o) {
		if t.Null() {
			continue
		}
		if r.Bounds == nil {
			r.Bounds = map[string]freshness.Bounds{}
		}
		r.Bounds[kind] = bounds(t)
	}
}

func bounds(t *body.Text) freshness.Bounds {
	var b freshness.Bounds
	o := t.Object()
	for name, ok := t.Member(&o); ok; name, ok = t.Member(&o) {
		if t.Absent(name, boundsNames) {
			continue
		}
		switch name {
		case "max_staleness_s":
			b.MaxStaleness, b.HasStaleness = t.Seconds(longestTime), true
		case "max_versions_behind":
			b.MaxVersionsBehind, b.HasVersions = t.Integer(0), true
		case "max_age_s":
			b.MaxAge, b.HasAge = t.Seconds(longestTime), true
		default:
			t.Unknown(name, boundsNames...)
		}
	}
	return b
}

func (r *Request) atLeast(t *body.Text) {
	a := t.Array()
	for t.Element(&a) {
		if len(r.AtLeast) == tokensLimit {
			t.Fail("there are more than %d records", tokensLimit)
			return
		}
		r.AtLeast = append(r.AtLeast, position(t))
	}
}

func position(t *body.Text) freshness.Position {
	at := freshness.Position{Partition: -1, Offset: -1}
	o := t.Object()
	for name, ok := t.Member(&o); ok; name, ok = t.Member(&o) {
		switch name {
		case "topic":
			at.Topic = t.Name(nameLimit)
		case "partition":
			n := t.Integer(0)
			if at.Partition = int32(n); int64(at.Partition) != n {
				t.Fail("is %d: a partition has 32 bits", n)
			}
		case "offset":
			at.Offset = t.Integer(0)
		default:
			t.Unknown(name, "topic", "partition", "offset")
		}
	}
	if at.Topic == "" || at.Partition < 0 || at.Offset < 0 {
		t.Fail("must have \"topic\", \"partition\" and \"offset\", as the acknowledgement says them")
	}
	return at
}
