package honest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Check is what is asked.
type Check struct {
	Workflow string                `json:"workflow"`
	Class    *string               `json:"class,omitempty"`
	Items    []Item                `json:"items,omitempty"`
	AtLeast  []Position            `json:"at_least,omitempty"`
	MaxLag   *float64              `json:"max_engine_lag_s,omitempty"`
	Wait     *float64              `json:"wait_s,omitempty"`
	At       *string               `json:"at,omitempty"`
	Bounds   map[string]TightBound `json:"bounds,omitempty"`

	Least map[string]int `json:"-"` // subject → how many of its events AtLeast stands for
}

// Item is an item to be judged.
type Item struct {
	Kind string `json:"kind"`
	Key  string `json:"key"`
	Seq  int64  `json:"seq"`
}

// TightBound is a bound that tightens those of a kind.
type TightBound struct {
	Staleness float64 `json:"max_staleness_s"`
}

// Position is where a record was acknowledged.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Answer is what was answered, and when it had come.
type Answer struct {
	Check    *Check
	By       string    // the instance
	Due      time.Time // when it was to be asked
	Asked    time.Time // when it was
	Received event.Time
	Text     []byte

	Verdict    string   `json:"verdict"`
	Reasons    []string `json:"reasons"`
	Applied    *string  `json:"applied_through"`
	Lag        *float64 `json:"engine_lag_s"`
	ValidUntil *string  `json:"valid_until"`
	At         string   `json:"at"`
}

// Read reads an answer.
func Read(c *Check, by string, text []byte, received event.Time) (*Answer, error) {
	a := &Answer{Check: c, By: by, Received: received, Text: text}
	if err := json.Unmarshal(text, a); err != nil || a.Verdict == "" {
		return nil, fmt.Errorf("no answer: %s: %w", text, err)
	}
	return a, nil
}

// question is the check as the judgement has it.
func (l *Log) question(a *Answer, w *freshness.Workflow) freshness.Question {
	q := freshness.Question{}
	q.At, _ = event.ParseTime(a.At)
	if a.Check.Class != nil {
		q.Class, q.HasClass = *a.Check.Class, true
	}
	for _, it := range a.Check.Items {
		q.HasItems = true
		q.Items = append(q.Items, event.Ref{Kind: it.Kind, Key: it.Key, Seq: it.Seq, HasSeq: true})
	}
	if len(a.Check.Bounds) > 0 && w != nil && w.Type.Name != "" {
		by := map[string]freshness.Bounds{}
		for kind, b := range a.Check.Bounds {
			by[kind] = freshness.Bounds{MaxStaleness: millis(b.Staleness), HasStaleness: true}
		}
		if rules := l.contract.Rules(w.Type.Name, q.Class); rules != nil {
			q.Rules = rules.Tightened(by)
		}
	}
	return q
}

func millis(seconds float64) freshness.Duration { return freshness.Duration(seconds*1000 + 0.5) }
