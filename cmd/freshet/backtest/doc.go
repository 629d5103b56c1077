// Package backtest says what the objectives of a contract would have shown and paged on recorded traffic. It judges the whole record, as
// the last revisions of a running engine would be, and evaluates the objectives at every step of event time with the same functions as
// the engine; windows are exact here, not rounded to buckets.
package backtest
