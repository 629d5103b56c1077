package freshness

import "github.com/freshet-io/freshet/event"

// causes divides the seconds of a stale use's items, and gives the use the largest share of its longest stale item.
func (j *judging) causes() {
	v := j.v
	var longest *ItemVerdict
	var length Duration
	for i := range v.Items {
		iv := &v.Items[i]
		p := v.plan.of(iv.Kind)
		if iv.Verdict == IsStale && iv.Reasons == Age {
			j.divideAge(iv, p)
		} else if iv.HasStaleness && iv.Staleness > 0 {
			j.divideStaleness(iv, p)
		}
		if iv.Verdict != IsStale {
			continue
		}
		if sum := total(iv.Causes); longest == nil || sum > length || sum == length && sooner(iv, longest) {
			longest, length = iv, sum
		}
	}
	var most Share
	for _, s := range longest.Causes {
		if s.For > most.For {
			most = s
		}
	}
	v.Cause, v.Owner = most.Cause, most.Owner
}

func total(shares []Share) Duration {
	var d Duration
	for _, s := range shares {
		d += s.For
	}
	return d
}

// sooner compares two items by kind/key.
func sooner(a, b *ItemVerdict) bool {
	if a.Kind == b.Kind {
		return a.Key < b.Key
	}
	return compareJoined(a.Kind, a.Key, b.Kind, b.Key) < 0
}

// compareJoined compares kind/key of two items without joining them.
func compareJoined(kindA, keyA, kindB, keyB string) int {
	at := func(kind, key string, i int) int {
		switch {
		case i < len(kind):
			return int(kind[i])
		case i == len(kind):
			return '/'
		case i-len(kind)-1 < len(key):
			return int(key[i-len(kind)-1])
		default:
			return -1
		}
	}
	for i := 0; ; i++ {
		a, b := at(kindA, keyA, i), at(kindB, keyB, i)
		if a != b || a < 0 {
			return a - b
		}
	}
}

// share adds a share that is not empty.
func (iv *ItemVerdict) share(c Cause, d Duration, owner string) {
	if d > 0 {
		iv.Causes = append(iv.Causes, Share{Cause: c, For: d, Owner: owner})
	}
}

// divideStaleness divides [τ, t]: the source was late, the consumer had it late, what was served was old, or the workflow held what it had.
func (j *judging) divideStaleness(iv *ItemVerdict, p *kindPlan) {
	tau, t := iv.SupersededAt, j.t
	q := max(iv.star.Published, tau)
	served := q
	iv.share(SourceLate, Duration(min(q, t)-tau), p.owner)
	if p.reported {
		served = forever
		if v, ok := j.src.Item(iv.Kind, iv.Key).ServedFrom(iv.star.Seq); ok {
			served = max(q, v)
		}
		iv.share(ConsumerLag, Duration(min(served, t)-min(q, t)), p.serving)
	}
	if served >= t {
		return
	}
	if iv.loaded >= served {
		iv.share(ServingStale, Duration(t-served), p.serving)
		return
	}
	j.hold(iv, served)
}

// divideAge divides the age of an item that is stale for nothing else.
func (j *judging) divideAge(iv *ItemVerdict, p *kindPlan) {
	if iv.silent {
		iv.share(SilentSource, iv.Age, p.owner)
		return
	}
	l := max(iv.AsOf, min(iv.loaded, j.t))
	iv.share(ServingStale, Duration(l-iv.AsOf), p.serving)
	j.hold(iv, l)
}

// hold divides [from, t] among the workflow's own intervals.
func (j *judging) hold(iv *ItemVerdict, from event.Time) {
	for i, d := range j.w.held(from, j.t) {
		iv.share(HoldApproval+Cause(i), d, j.v.plan.rules.Owner)
	}
}
