package budget

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

// Key returns the key of a bucket's record: slo/partition/bucket, where the bucket is its start and size.
func Key(objective string, partition int32, start event.Time, size freshness.Duration) string {
	return url.PathEscape(objective) + "/" + strconv.Itoa(int(partition)) + "/" + start.String() + "~" + slo.FormatDuration(size)
}

// ParseKey reads what Key writes.
func ParseKey(key string) (objective string, partition int32, start event.Time, size freshness.Duration, err error) {
	fail := func() (string, int32, event.Time, freshness.Duration, error) {
		return "", 0, 0, 0, fmt.Errorf("%q is no key of a bucket", key)
	}
	parts := strings.Split(key, "/")
	if len(parts) != 3 {
		return fail()
	}
	objective, bad := url.PathUnescape(parts[0])
	p, worse := strconv.ParseInt(parts[1], 10, 32)
	from, length, cut := strings.Cut(parts[2], "~")
	start, ok := event.ParseTime(from)
	size, worst := slo.ParseDuration(length)
	if bad != nil || worse != nil || !cut || !ok || worst != nil || size <= 0 {
		return fail()
	}
	return objective, int32(p), start, size, nil
}

// AppendRecord appends the data of a bucket's record.
func AppendRecord(b []byte, objective string, partition int32, k *Bucket, updated event.Time) []byte {
	b = freshness.AppendString(append(b, `{"slo":`...), objective)
	b = strconv.AppendInt(append(b, `,"partition":`...), int64(partition), 10)
	b = freshness.AppendInstant(append(b, `,"start":`...), k.Start, true)
	b = freshness.AppendInstant(append(b, `,"end":`...), k.End(), true)
	b = strconv.AppendInt(append(b, `,"good":`...), k.Good, 10)
	b = strconv.AppendInt(append(b, `,"bad":`...), k.Bad, 10)
	b = strconv.AppendInt(append(b, `,"unknown":`...), k.Unknown, 10)
	b = append(b, `,"shares":[`...)
	for i, s := range k.Shares {
		if i > 0 {
			b = append(b, ',')
		}
		b = freshness.AppendString(append(b, `{"cause":`...), s.Cause)
		b = freshness.AppendName(append(b, `,"owner":`...), s.Owner)
		b = strconv.AppendInt(append(b, `,"parts":`...), s.Parts, 10)
		b = append(b, '}')
	}
	b = append(b, `],"evidence":[`...)
	for i := range k.Evidence {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendEvidence(b, &k.Evidence[i])
	}
	b = freshness.AppendInstant(append(b, `],"updated_at":`...), updated, true)
	return append(b, '}')
}

func appendEvidence(b []byte, e *Evidence) []byte {
	b = freshness.AppendInstant(append(b, `{"used_at":`...), e.Time, true)
	b = append(append(append(b, `,"verdict":"`...), e.Verdict.String()...), '"')
	b = freshness.AppendString(append(b, `,"topic":`...), e.Topic)
	b = strconv.AppendInt(append(b, `,"partition":`...), int64(e.Partition), 10)
	b = strconv.AppendInt(append(b, `,"offset":`...), e.Offset, 10)
	b = freshness.AppendString(append(b, `,"workflow":`...), e.Workflow)
	b = freshness.AppendString(append(b, `,"decision_id":`...), e.DecisionID)
	if e.Trace != "" {
		b = freshness.AppendString(append(b, `,"trace_id":`...), e.Trace)
	}
	return append(b, '}')
}

// record is what AppendRecord writes.
type record struct {
	SLO        string     `json:"slo"`
	Partition  int32      `json:"partition"`
	Start, End event.Time `json:",omitempty"`
	Counts
	Shares []struct {
		Cause, Owner string
		Parts        int64
	}
	Evidence []struct {
		Evidence
		Verdict string `json:"verdict"`
	}
}

// ParseRecord reads the data of a bucket's record.
func ParseRecord(data []byte) (objective string, partition int32, b Bucket, err error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return "", 0, b, fmt.Errorf("read bucket: %w", err)
	}
	if r.SLO == "" || r.End <= r.Start {
		return "", 0, b, fmt.Errorf("read bucket of %q: it is [%s, %s)", r.SLO, r.Start, r.End)
	}
	b = Bucket{Start: r.Start, Size: freshness.Duration(r.End - r.Start), Counts: r.Counts}
	for _, s := range r.Shares {
		b.Shares = append(b.Shares, Share{s.Cause, s.Owner, s.Parts})
	}
	for _, e := range r.Evidence {
		e.Evidence.Verdict = verdictNamed(e.Verdict)
		b.Evidence = append(b.Evidence, e.Evidence)
	}
	return r.SLO, r.Partition, b, nil
}

func verdictNamed(name string) freshness.VerdictKind {
	for _, v := range []freshness.VerdictKind{freshness.IsFresh, freshness.IsStale} {
		if v.String() == name {
			return v
		}
	}
	return freshness.IsUnknown
}
