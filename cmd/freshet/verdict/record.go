package verdict

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/freshet-io/freshet/freshness"
)

// Record is the data of a verdict record (SPEC 4), as far as it is shown.
type Record struct {
	Workflow       string   `json:"workflow"`
	WorkflowType   *string  `json:"workflow_type"`
	DecisionID     string   `json:"decision_id"`
	Class          *string  `json:"class"`
	Use            string   `json:"use"`
	UsedAt         string   `json:"used_at"`
	Revision       int64    `json:"revision"`
	Verdict        string   `json:"verdict"`
	Reasons        []string `json:"reasons"`
	Staleness      *Seconds `json:"staleness_s"`
	Age            *Seconds `json:"age_s"`
	VersionsBehind *int64   `json:"versions_behind"`
	Cause          *string  `json:"cause"`
	Owner          *string  `json:"owner"`
	TrafficClass   string   `json:"traffic_class"`
	Items          []Item   `json:"items"`
	JudgedAt       string   `json:"judged_at"`
}

// Item is a judged item of a Record.
type Item struct {
	Kind           string   `json:"kind"`
	Key            string   `json:"key"`
	Verdict        string   `json:"verdict"`
	Reasons        []string `json:"reasons"`
	Staleness      *Seconds `json:"staleness_s"`
	Age            *Seconds `json:"age_s"`
	VersionsBehind *int64   `json:"versions_behind"`
	Used           struct {
		Version *string `json:"version"`
		Seq     *int64  `json:"seq"`
	} `json:"used"`
	Causes []Share `json:"causes"`
}

// Share is a part of an item's staleness or age.
type Share struct {
	Cause   string  `json:"cause"`
	Seconds Seconds `json:"seconds"`
	Owner   string  `json:"owner"`
}

// Seconds is a length of time that JSON has in seconds, exact to the millisecond.
type Seconds freshness.Duration

// UnmarshalJSON reads a number of seconds.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("%s is not a number of seconds", b)
	}
	*s = Seconds(math.Round(v * 1000))
	return nil
}

// String returns the seconds as the golden lines write them.
func (s Seconds) String() string {
	return string(freshness.AppendSeconds(nil, freshness.Duration(s), true))
}

// Parse reads the data of a verdict record.
func Parse(data []byte) (*Record, error) {
	r := &Record{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read a verdict record: %w", err)
	}
	return r, nil
}

// AppendGolden appends the golden line of a verdict, without a newline.
func (r *Record) AppendGolden(b []byte) []byte {
	b = freshness.AppendString(append(b, `{"workflow":`...), r.Workflow)
	b = appendName(append(b, `,"workflow_type":`...), r.WorkflowType)
	b = freshness.AppendString(append(b, `,"decision_id":`...), r.DecisionID)
	b = freshness.AppendString(append(b, `,"use":`...), r.Use)
	b = freshness.AppendString(append(b, `,"traffic_class":`...), r.TrafficClass)
	b = appendName(append(b, `,"cls":`...), r.Class)
	b = freshness.AppendString(append(b, `,"verdict":`...), r.Verdict)
	b = appendMeasures(b, r.Staleness, r.Age, r.VersionsBehind)
	b = appendName(append(b, `,"cause":`...), r.Cause)
	b = appendName(append(b, `,"owner":`...), r.Owner)
	b = appendReasons(append(b, `,"reasons":`...), r.Reasons)
	b = append(b, `,"items":[`...)
	for i := range r.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.Items[i].appendGolden(b, r.Verdict == freshness.IsStale.String())
	}
	return append(b, "]}"...)
}

func (it *Item) appendGolden(b []byte, causes bool) []byte {
	b = freshness.AppendString(append(b, `{"kind":`...), it.Kind)
	b = freshness.AppendString(append(b, `,"key":`...), it.Key)
	b = freshness.AppendString(append(b, `,"verdict":`...), it.Verdict)
	b = appendReasons(append(b, `,"reasons":`...), it.Reasons)
	b = appendMeasures(b, it.Staleness, it.Age, it.VersionsBehind)
	b = appendNumber(append(b, `,"seq":`...), it.Used.Seq)
	if causes {
		b = append(b, `,"causes":[`...)
		for i, s := range it.Causes {
			if i > 0 {
				b = append(b, ',')
			}
			b = freshness.AppendString(append(b, `{"cause":`...), s.Cause)
			b = freshness.AppendSeconds(append(b, `,"seconds":`...), freshness.Duration(s.Seconds), true)
			b = append(freshness.AppendString(append(b, `,"owner":`...), s.Owner), '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendMeasures(b []byte, staleness, age *Seconds, behind *int64) []byte {
	b = appendSeconds(append(b, `,"staleness_s":`...), staleness)
	b = appendSeconds(append(b, `,"age_s":`...), age)
	return appendNumber(append(b, `,"versions_behind":`...), behind)
}

func appendSeconds(b []byte, s *Seconds) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	return freshness.AppendSeconds(b, freshness.Duration(*s), true)
}

func appendNumber(b []byte, n *int64) []byte {
	if n == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, *n, 10)
}

func appendName(b []byte, s *string) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	return freshness.AppendString(b, *s)
}

func appendReasons(b []byte, reasons []string) []byte {
	b = append(b, '[')
	for i, r := range reasons {
		if i > 0 {
			b = append(b, ',')
		}
		b = freshness.AppendString(b, r)
	}
	return append(b, ']')
}
