package client

import (
	"encoding/json"
	"math"
	"time"
)

// Request is one check. Only Workflow is required.
type Request struct {
	Workflow string            `json:"workflow"`
	Class    string            `json:"class,omitempty"` // decision class
	Items    []Ref             `json:"items,omitzero"`  // judge these instead of what the workflow has loaded; empty, but not nil: none
	Bounds   map[string]Bounds `json:"bounds,omitempty"`
	AtLeast  []Position        `json:"at_least,omitempty"` // acknowledgements of what must have been applied: one's own writes

	// MaxEngineLag is how far the engine may be behind a fresh answer; 0 leaves it to the server (2 s). Wait is how long the server may wait
	// for AtLeast; 0: most of what is left of the context's deadline, if it has one.
	MaxEngineLag time.Duration `json:"-"`
	Wait         time.Duration `json:"-"`

	At time.Time `json:"at,omitzero"` // judge at this earlier instant instead of now
}

// Ref names an item and the version that was seen of it.
type Ref struct {
	Kind    string    `json:"kind"`
	Key     string    `json:"key"`
	Version string    `json:"version,omitempty"`
	Seq     *int64    `json:"seq,omitempty"`
	AsOf    time.Time `json:"as_of,omitzero"`
	Digest  string    `json:"digest,omitempty"`
}

// Bounds tighten those of the contract; they never loosen them.
type Bounds struct {
	MaxStaleness      *Seconds `json:"max_staleness_s,omitempty"`
	MaxVersionsBehind *int64   `json:"max_versions_behind,omitempty"`
	MaxAge            *Seconds `json:"max_age_s,omitempty"`
}

// Position is where a record lies.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Seconds is a duration as JSON has it: seconds, exact to the millisecond.
type Seconds time.Duration

// MarshalJSON writes seconds.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(math.Round(time.Duration(s).Seconds()*1000) / 1000)
}

// UnmarshalJSON reads seconds.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	*s = Seconds(math.Round(f*1000)) * Seconds(time.Millisecond)
	return nil
}

// Verdict is fresh, stale or unknown. The zero value is not fresh.
type Verdict string

// The verdicts.
const (
	Fresh   Verdict = "fresh"
	Stale   Verdict = "stale"
	Unknown Verdict = "unknown"
)

// Action is what Freshet advises.
type Action string

// The actions.
const (
	Proceed   Action = "proceed"   // fresh
	Reload    Action = "reload"    // stale: load the context again
	Reapprove Action = "reapprove" // stale, and an approval was granted on what is superseded
	Wait      Action = "wait"      // the engine is behind: ask again
	Abstain   Action = "abstain"   // it is not known, and waiting does not help
)

// Answer is what a check comes to.
type Answer struct {
	Verdict         Verdict    `json:"verdict"`
	Action          Action     `json:"action"`
	Reasons         []string   `json:"reasons"`
	Items           []Item     `json:"items"`
	Staleness       *Seconds   `json:"staleness_s"`
	StalenessUpper  *Seconds   `json:"staleness_upper_s"` // what it could be at most, if a version exists that has not been seen
	Age             *Seconds   `json:"age_s"`
	VersionsBehind  *int64     `json:"versions_behind"`
	Cause           *string    `json:"cause"`
	Owner           *string    `json:"owner"`
	AppliedThrough  *time.Time `json:"applied_through"`
	CompleteThrough *time.Time `json:"complete_through"`
	EngineLag       *Seconds   `json:"engine_lag_s"`
	ValidUntil      *time.Time `json:"valid_until"` // when time alone can end a fresh verdict
	ValidFor        *Seconds   `json:"valid_for_s"`
	CheckID         string     `json:"check_id"` // for the action.executed that follows
	Workflow        string     `json:"workflow"`
	At              time.Time  `json:"at"`
}

// Item is the verdict of one item.
type Item struct {
	Kind           string     `json:"kind"`
	Key            string     `json:"key"`
	Verdict        Verdict    `json:"verdict"`
	Reasons        []string   `json:"reasons"`
	Staleness      *Seconds   `json:"staleness_s"`
	Age            *Seconds   `json:"age_s"`
	VersionsBehind *int64     `json:"versions_behind"`
	Used           Used       `json:"used"`
	Current        *Current   `json:"current"`
	SupersededAt   *time.Time `json:"superseded_at"`
	Causes         []Share    `json:"causes,omitempty"`
}

// Used is the version that the workflow has of an item.
type Used struct {
	Version  *string    `json:"version"`
	Seq      *int64     `json:"seq"`
	AsOf     *time.Time `json:"as_of"`
	LoadedAt *time.Time `json:"loaded_at"`
	At       *Position  `json:"at"`
}

// Current is the version of an item that is in force.
type Current struct {
	Version     *string   `json:"version"`
	Seq         int64     `json:"seq"`
	EffectiveAt time.Time `json:"effective_at"`
	PublishedAt time.Time `json:"published_at"`
	At          Position  `json:"at"`
}

// Share is a part of an item's staleness.
type Share struct {
	Cause string  `json:"cause"`
	For   Seconds `json:"seconds"`
	Owner string  `json:"owner"`
}
