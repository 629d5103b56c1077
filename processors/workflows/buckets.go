package workflows

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// book counts the uses of a partition for the objectives of the contract. A bucket is a control row of the table. It is changed in the
// unit that changes the use, so it is committed, or lost, with the use's row and its verdict; nothing is counted by message, and nothing
// twice. Buckets that have changed go out once per transaction, absolute.
//
// Buckets are never read to find out what a use had added: its own row says that. So the sums stay right when buckets grow coarser, when
// the contract or the use's time changes, and when the use's row is purged.
type book struct {
	pt      *partition
	changed map[bucketName]*bucketRow // since the last barrier
	order   []*bucketRow              // of changed, as they came
	scanned map[freshness.Duration]event.Time
	expired event.Time // through when buckets past their window have been looked for

	tallies map[*slo.SLO]*tally
	hits    []*slo.SLO // of the use that is being counted
	names   []string   // theirs
	scratch []byte
}

// tally is what is remembered of an objective.
type tally struct {
	finest freshness.Duration
	first  [3]prometheus.Counter // by verdict
}

// tallies bounds the objectives that are remembered: each contract has its own.
const tallies = 4096

func (b *book) tally(s *slo.SLO) *tally {
	t := b.tallies[s]
	if t == nil {
		if len(b.tallies) >= tallies {
			clear(b.tallies)
		}
		t = &tally{finest: budget.Finest(s)}
		for v, result := range map[freshness.VerdictKind]string{freshness.IsFresh: metrics.GoodUse, freshness.IsStale: metrics.BadUse, freshness.IsUnknown: metrics.UnknownUse} {
			t.first[v] = b.pt.g.Metrics.SLOEvents.WithLabelValues(s.Name, result)
		}
		b.tallies[s] = t
	}
	return t
}

type bucketName struct {
	objective string
	start     event.Time
	size      freshness.Duration
}

// bucketRow is a bucket with the key of its row.
type bucketRow struct {
	name   bucketName
	key    string
	bucket budget.Bucket
	part   int32
	gone   bool // deleted, or never written
	listed bool // in the book's changes

	updated event.Time
}

const (
	bucketRows    = "bucket/" // begins the names of their control rows
	bucketVersion = 1
)

// bucketKey sorts by size, then time.
func bucketKey(n bucketName, partition int32) string {
	return topology.ControlKey(bucketRows+slo.FormatDuration(n.size)+"/"+n.start.String()+"/"+n.objective, partition)
}

// Records puts the bucket, or its tombstone.
func (r *bucketRow) Records(put func(string, func([]byte) []byte)) {
	if r.gone {
		put(r.key, nil)
		return
	}
	put(r.key, func(b []byte) []byte {
		return budget.AppendRecord(append(b, bucketVersion), r.name.objective, r.part, &r.bucket, r.updated)
	})
}

// Index has nothing to say.
func (r *bucketRow) Index(*state.IndexWriter) {}

// Pinned buckets there are none: the store has them.
func (r *bucketRow) Pinned() bool { return false }

// Done rows do not exist here.
func (r *bucketRow) Done() bool { return false }

func decodeBucket(key string, b []byte) (*bucketRow, error) {
	if len(b) == 0 || b[0] != bucketVersion {
		return nil, fmt.Errorf("%w: bucket row of version %v", state.ErrRow, b[:min(1, len(b))])
	}
	objective, partition, bucket, err := budget.ParseRecord(b[1:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", state.ErrRow, err)
	}
	return &bucketRow{name: bucketName{objective, bucket.Start, bucket.Size}, key: key, bucket: bucket, part: partition}, nil
}

func newBook(pt *partition) book {
	return book{
		pt: pt, changed: map[bucketName]*bucketRow{}, scanned: map[freshness.Duration]event.Time{}, tallies: map[*slo.SLO]*tally{},
		expired: budget.Start(event.Of(pt.g.Now()), expiryPace),
	}
}

// account takes out what a use has added to the buckets and adds what its new verdict says. It returns what stands in the use's row from
// now on.
func (b *book) account(w *freshness.Workflow, u *freshness.Use, v *freshness.Verdict) (string, error) {
	was, ok := parseCounted(u.Said.Counted)
	if !ok {
		return "", fmt.Errorf("%w: what use %s of workflow %s has counted", state.ErrRow, u.DecisionID, w.ID)
	}
	is := b.countedOf(u, v)
	if u.Said.Revision == 0 { // as it is first judged
		for _, s := range b.hits {
			b.tally(s).first[v.Kind].Inc()
		}
	}
	b.scratch = is.append(b.scratch[:0])
	if was.gone || string(b.scratch) == u.Said.Counted {
		return u.Said.Counted, nil
	}
	e := budget.Evidence{Verdict: v.Kind, Workflow: w.ID, DecisionID: u.DecisionID}
	for _, name := range was.objectives {
		e.Time = was.at
		found, err := b.takeOut(name, &was, e)
		if err != nil {
			return "", err
		}
		if !found {
			return goneText, nil
		}
	}
	if v.Kind != freshness.IsFresh && len(b.hits) > 0 {
		at := w.TopicOf(u.At)
		e.Time, e.Topic, e.Partition, e.Offset, e.Trace = is.at, at.Topic, at.Partition, at.Offset, u.TraceID()
	}
	for _, s := range b.hits {
		if err := b.add(s, &is, e); err != nil {
			return "", err
		}
	}
	return string(b.scratch), nil
}

// takeOut finds the bucket that a use has been counted in, which may have grown coarser since; found is false if it has been deleted.
func (b *book) takeOut(objective string, c *counted, e budget.Evidence) (found bool, err error) {
	for _, size := range budget.Sizes() {
		r, err := b.bucket(bucketName{objective, budget.Start(c.at, size), size}, false)
		if err != nil {
			return false, err
		}
		if r == nil {
			continue
		}
		r.bucket.Counts = r.bucket.Minus(budget.Of(c.verdict))
		r.bucket.Shares = budget.AddShares(r.bucket.Shares, c.shares, -1)
		r.bucket.Evidence = budget.DropEvidence(r.bucket.Evidence, e)
		b.touch(r)
		return true, nil
	}
	return false, nil
}

// add counts a use in the bucket of its age.
func (b *book) add(s *slo.SLO, c *counted, e budget.Evidence) error {
	size := budget.SizeAt(b.tally(s).finest, freshness.Duration(event.Of(b.pt.g.Now())-c.at))
	r, err := b.bucket(bucketName{s.Name, budget.Start(c.at, size), size}, true)
	if err != nil {
		return err
	}
	r.bucket.Counts = r.bucket.Plus(budget.Of(c.verdict))
	r.bucket.Shares = budget.AddShares(r.bucket.Shares, c.shares, 1)
	if c.verdict == freshness.IsStale || c.verdict == freshness.IsUnknown && s.OnUnknown == slo.CountBad {
		r.bucket.Evidence = budget.AddEvidence(r.bucket.Evidence, e)
	}
	b.touch(r)
	return nil
}

// bucket returns the row of a bucket, nil if there is none and none is to be made.
func (b *book) bucket(n bucketName, create bool) (*bucketRow, error) {
	if r := b.changed[n]; r != nil && (create || !r.gone) {
		return r, nil
	}
	key := bucketKey(n, b.pt.p.ID)
	found, err := b.pt.p.Rows.Row(key)
	if err != nil {
		return nil, err
	}
	r, _ := found.(*bucketRow)
	if (r == nil || r.gone) && !create {
		return nil, nil
	}
	if r == nil {
		n.objective = strings.Clone(n.objective)
		r = &bucketRow{name: n, key: key, part: b.pt.p.ID, gone: true, bucket: budget.Bucket{Start: n.start, Size: n.size}}
		b.pt.p.Rows.Put(key, r)
	}
	return r, nil
}

// touch makes a changed bucket part of the transaction. One in which nothing is counted any more goes.
func (b *book) touch(r *bucketRow) {
	if r.gone = r.bucket.Empty(); r.gone {
		r.bucket.Evidence = nil
	}
	if !r.listed {
		r.listed = true
		b.changed[r.name] = r
		b.order = append(b.order, r)
		b.pt.p.Rows.Touch(r.key)
	}
}

// seal sends the buckets that have changed since the last barrier.
func (b *book) seal(now event.Time) {
	for _, r := range b.order {
		r.listed, r.updated = false, now
		b.emit(r)
	}
	clear(b.changed)
	clear(b.order)
	b.order = b.order[:0]
}

var bucketType = []byte("freshet.slo-bucket")

// emit sends a bucket, or its tombstone. The id holds a hash of the data: records with one id are equal.
func (b *book) emit(r *bucketRow) {
	pt := b.pt
	key := budget.Key(r.name.objective, pt.p.ID, r.name.start, r.name.size)
	rec := &kgo.Record{Topic: pt.g.Buckets, Partition: pt.p.ID, Key: []byte(key), Timestamp: r.updated.Go()}
	if !r.gone {
		pt.buf = budget.AppendRecord(pt.buf[:0], r.name.objective, pt.p.ID, &r.bucket, r.updated)
		rec.Value = pt.slab.Copy(pt.buf)
		rec.Headers = []kgo.RecordHeader{
			{Key: "ce_specversion", Value: specVersion},
			{Key: "ce_id", Value: []byte(key + "/" + strconv.FormatUint(xxhash.Sum64(rec.Value), 16))},
			{Key: "ce_source", Value: source},
			{Key: "ce_type", Value: bucketType},
			{Key: "ce_time", Value: r.updated.Append(nil)},
			{Key: "ce_subject", Value: rec.Key},
			{Key: "content-type", Value: jsonContent},
		}
	}
	pt.p.Emit(rec)
}

const (
	// coarsenUnit bounds how many buckets one unit moves or deletes.
	coarsenUnit = 512
	// expiryPace is how often buckets past their window are looked for.
	expiryPace = freshness.Duration(60 * 60 * 1000)
)

// age adds buckets that have outlived their size to coarser ones, and deletes those that no window reaches any more. more says that
// there is more to do.
func (b *book) age() (more bool, err error) {
	now := event.Of(b.pt.g.Now())
	left := coarsenUnit
	for _, size := range budget.Sizes() {
		keep, ok := budget.Keeps(size)
		if !ok {
			break
		}
		next := budget.Coarser(size)
		through := budget.Start(now-event.Time(keep), next)
		if through <= b.scanned[size] {
			continue
		}
		// What had not been committed at the last scan is by this one; what is counted since goes to coarser buckets at once.
		from := b.scanned[size] - event.Time(next)
		done, err := b.scan(size, from, through, &left, func(bucketName) bool { return true }, func(r *bucketRow) error { return b.coarsen(r, next) })
		if err != nil || !done {
			return !done, err
		}
		b.scanned[size] = through
	}
	hour := budget.Start(now, expiryPace)
	if hour <= b.expired {
		return false, nil
	}
	past := b.past(now)
	for _, size := range budget.Sizes() {
		done, err := b.scan(size, 0, now, &left, past, b.clear)
		if err != nil || !done {
			return !done, err
		}
	}
	b.expired = hour
	return false, nil
}

// past says which buckets the windows of their objectives have left behind, and no amendment can reach any more.
func (b *book) past(now event.Time) func(bucketName) bool {
	windows := map[string]freshness.Duration{}
	return func(n bucketName) bool {
		keep, known := windows[n.objective]
		if !known {
			keep = b.pt.g.Contracts.DecisionRetention()
			if s := b.pt.g.Contracts.Objective(n.objective); s != nil {
				keep += s.Window
			}
			windows[n.objective] = keep
		}
		return n.start+event.Time(n.size) < now-event.Time(keep)
	}
}

// scan calls f for the buckets of a size that begin in [from, to) and are meant, at most as many as are left; done is false if there are
// more. Buckets that have never been committed are left out.
func (b *book) scan(size freshness.Duration, from, to event.Time, left *int, meant func(bucketName) bool, f func(*bucketRow) error) (done bool, err error) {
	prefix := topology.ControlPrefix + bucketRows + slo.FormatDuration(size) + "/"
	it, err := b.pt.p.Rows.IteratorWithRange([]byte(prefix+max(from, 0).String()), []byte(prefix+to.String()))
	if err != nil {
		return false, err
	}
	defer it.Release()
	done = true
	var rows []*bucketRow
	for done && it.Next() {
		key := string(it.Key())
		rest := key[len(prefix):]
		start, ok := event.ParseTime(rest[:min(len(instant), len(rest))])
		if !ok || !meant(bucketName{rest[len(instant)+1 : strings.LastIndexByte(rest, '/')], start, size}) {
			continue
		}
		found, err := b.pt.p.Rows.Row(key)
		if err != nil {
			return false, err
		}
		r, _ := found.(*bucketRow)
		if r == nil || r.gone { // moved or deleted already, and not committed yet
			continue
		}
		rows = append(rows, r)
		*left--
		done = *left > 0
	}
	if err := it.Err(); err != nil {
		return false, fmt.Errorf("scan buckets: %w", err)
	}
	for _, r := range rows {
		if err := f(r); err != nil {
			return false, err
		}
	}
	return done, nil
}

// instant is as long as every instant in a key.
const instant = "2006-01-02T15:04:05.000Z"

// coarsen moves what a bucket has counted to the coarser one around it.
func (b *book) coarsen(r *bucketRow, size freshness.Duration) error {
	into, err := b.bucket(bucketName{r.name.objective, budget.Start(r.name.start, size), size}, true)
	if err != nil {
		return err
	}
	into.bucket.Absorb(&r.bucket)
	b.touch(into)
	return b.clear(r)
}

// clear deletes a bucket.
func (b *book) clear(r *bucketRow) error {
	r.bucket = budget.Bucket{Start: r.name.start, Size: r.name.size}
	b.touch(r)
	return nil
}

// isBucket says whether a control row is a bucket.
func isBucket(name string) bool { return strings.HasPrefix(name, bucketRows) }
