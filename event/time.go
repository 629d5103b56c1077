package event

import "time"

// Time is an instant in milliseconds since 1970-01-01T00:00:00Z. Finer fractions are cut off when an event is decoded, so that
// durations, and sums of them, are exact in what Freshet says (docs/decisions).
type Time int64

// Of returns t as a Time.
func Of(t time.Time) Time { return Time(t.UnixMilli()) }

// Go returns t as a time.Time in UTC.
func (t Time) Go() time.Time { return time.UnixMilli(int64(t)).UTC() }
