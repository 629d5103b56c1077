package alerts

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

// Row is one thing that is, or was, the matter. Its id says what, so the same thing has the same row for ever; an episode of it begins
// at Starts.
type Row struct {
	ID       string
	Name     string
	Status   Status
	Severity slo.Severity
	Owner    string   // of the largest cause; fixed for the episode
	Owners   []string // everybody who is told, Owner first

	Labels      map[string]string
	Annotations map[string]string
	Starts      event.Time
	Ends        event.Time // of a resolved one
	Sequence    int64      // grows with everything that is published of the row, over all its episodes

	Causes    []Share
	Evidence  []Evidence
	Runbook   string
	Dashboard string

	Rests []string        // names of the partitions it rests on; nil: all of them
	Group string          // id of the row that stands for this one when there are too many
	Told  map[string]Told // by target and owner: what they have been sent

	seen      event.Time // it held last
	refreshed event.Time // its facts were looked at last
	unsaved   bool       // what memory knows of it is more than what is stored
}

// Told is what a destination has been sent of a row, for one owner. It is kept before anything is sent: whoever may have heard that it
// fires hears that it is over, even if the process ended before it knew of the delivery.
type Told struct {
	Episode  event.Time   `json:"episode"`
	Severity slo.Severity `json:"severity,omitempty"`
	Resolved bool         `json:"resolved,omitempty"` // that it is over has been acknowledged
	At       event.Time   `json:"at,omitempty"`       // of the last acknowledgement; 0: there has been none
}

// knows says whether it has acknowledged the row's episode, at this severity or a greater one.
func (t Told) knows(r *Row) bool {
	return t.At != 0 && t.Episode == r.Starts && t.Severity >= r.Severity
}

// owed says whether it may have heard of the row's episode, and has not acknowledged its end.
func (t Told) owed(r *Row) bool { return t.Episode == r.Starts && !t.Resolved }

// Heard is one acknowledgement of a row's episode.
type Heard struct {
	To, Owner string
	Told      Told
}

// Heard returns who has acknowledged the row's episode where.
func (r *Row) Heard() []Heard {
	all := []Heard{}
	for _, key := range slices.Sorted(maps.Keys(r.Told)) {
		if t := r.Told[key]; t.At != 0 && t.Episode == r.Starts {
			to, owner, _ := strings.Cut(key, " ")
			all = append(all, Heard{to, owner, t})
		}
	}
	return all
}

// clone returns a copy that does not change when the row does.
func (r *Row) clone() *Row {
	c := *r
	c.Owners, c.Causes, c.Evidence, c.Rests = slices.Clone(r.Owners), slices.Clone(r.Causes), slices.Clone(r.Evidence), slices.Clone(r.Rests)
	c.Labels, c.Annotations, c.Told = maps.Clone(r.Labels), maps.Clone(r.Annotations), maps.Clone(r.Told)
	return &c
}

// id makes an alert's id of its name and what it is about. The parts are percent-encoded, so that an id is never ambiguous.
func id(name string, parts ...string) string {
	var b strings.Builder
	b.WriteString(name)
	for _, p := range parts {
		b.WriteByte('/')
		escape(&b, p)
	}
	return b.String()
}

// escape writes everything but RFC 3986's unreserved characters as %XX.
func escape(b *strings.Builder, s string) {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			fmt.Fprintf(b, "%%%02X", c)
		}
	}
}

// record is the data of a record on freshet.alerts.
type record struct {
	ID          string            `json:"alert_id"`
	Name        string            `json:"name"`
	Status      Status            `json:"status"`
	Severity    string            `json:"severity"`
	Owner       *string           `json:"owner"`
	Owners      []string          `json:"owners"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Starts      event.Time        `json:"starts_at"`
	Ends        *event.Time       `json:"ends_at"`
	Sequence    int64             `json:"sequence"`
	Causes      []shareRecord     `json:"cause_shares"`
	Evidence    []Evidence        `json:"evidence"`
	Runbook     *string           `json:"runbook_url"`
	Dashboard   *string           `json:"dashboard_url"`
}

type shareRecord struct {
	Cause string  `json:"cause"`
	Owner *string `json:"owner"`
	Share float64 `json:"share"`
}

// JSON returns the data of the row's record.
func (r *Row) JSON() []byte {
	out := record{
		ID: r.ID, Name: r.Name, Status: r.Status, Severity: r.Severity.String(), Owner: orNull(r.Owner), Owners: append([]string{}, r.Owners...),
		Labels: r.Labels, Annotations: r.Annotations, Starts: r.Starts, Sequence: r.Sequence, Causes: []shareRecord{},
		Evidence: append([]Evidence{}, r.Evidence...), Runbook: orNull(r.Runbook), Dashboard: orNull(r.Dashboard),
	}
	if r.Status == Resolved {
		out.Ends = &r.Ends
	}
	total := whole(r.Causes)
	for _, s := range r.Causes {
		out.Causes = append(out.Causes, shareRecord{s.Cause, orNull(s.Owner), ratio(s.Parts, total)})
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(fmt.Sprintf("the record of alert %s is not JSON: %v", r.ID, err)) // it consists of strings, numbers and instants
	}
	return b
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func whole(shares []Share) int64 {
	var n int64
	for _, s := range shares {
		n += s.Parts
	}
	return n
}

func ratio(part, of int64) float64 {
	if of == 0 {
		return 0
	}
	return math.Round(float64(part)/float64(of)*10000) / 10000
}

// stored is how a row is kept.
type stored struct {
	Version     int               `json:"v"`
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Status      Status            `json:"status"`
	Severity    slo.Severity      `json:"severity"`
	Owner       string            `json:"owner"`
	Owners      []string          `json:"owners"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Starts      event.Time        `json:"starts"`
	Ends        event.Time        `json:"ends"`
	Sequence    int64             `json:"sequence"`
	Causes      []storedShare     `json:"causes,omitempty"`
	Evidence    []Evidence        `json:"evidence,omitempty"`
	Runbook     string            `json:"runbook,omitempty"`
	Dashboard   string            `json:"dashboard,omitempty"`
	Rests       []string          `json:"rests,omitempty"`
	Group       string            `json:"group,omitempty"`
	Told        map[string]Told   `json:"told,omitempty"`
}

type storedShare struct {
	Cause string `json:"cause"`
	Owner string `json:"owner"`
	Parts int64  `json:"parts"`
}

// rowVersion is the version of how rows are kept.
const rowVersion = 1

// Encode appends the row as it is kept: what is published, and what has been acknowledged.
func (r *Row) Encode(b []byte) []byte {
	out := stored{rowVersion, r.ID, r.Name, r.Status, r.Severity, r.Owner, r.Owners, r.Labels, r.Annotations, r.Starts, r.Ends, r.Sequence,
		nil, r.Evidence, r.Runbook, r.Dashboard, r.Rests, r.Group, r.Told}
	for _, s := range r.Causes {
		out.Causes = append(out.Causes, storedShare(s))
	}
	data, err := json.Marshal(out)
	if err != nil {
		panic(fmt.Sprintf("the row of alert %s is not JSON: %v", r.ID, err)) // as above
	}
	return append(b, data...)
}

// Decode reads what Encode wrote.
func Decode(b []byte) (*Row, error) {
	var in stored
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("row of an alert: %w", err)
	}
	if in.Version != rowVersion {
		return nil, fmt.Errorf("row of alert %q has version %d, this release reads %d", in.ID, in.Version, rowVersion)
	}
	r := &Row{ID: in.ID, Name: in.Name, Status: in.Status, Severity: in.Severity, Owner: in.Owner, Owners: in.Owners, Labels: in.Labels,
		Annotations: in.Annotations, Starts: in.Starts, Ends: in.Ends, Sequence: in.Sequence, Evidence: in.Evidence, Runbook: in.Runbook,
		Dashboard: in.Dashboard, Rests: in.Rests, Group: in.Group, Told: in.Told}
	for _, s := range in.Causes {
		r.Causes = append(r.Causes, Share(s))
	}
	return r, nil
}
