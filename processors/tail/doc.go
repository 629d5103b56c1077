// Package tail knows where a log ends for a reader of committed records, and ends the transactions that the dead have left open.
//
// A log's high watermark does not say what a reader will be given: the last offsets may be transaction markers, records of aborted
// transactions, or records of a transaction that is open still. Recovery that waits for "the record before the end" then waits for ever
// (as goka's does), and a clock that waits for "the position has reached the end" stands still. This package looks at the log itself: it
// fetches raw batches and looks through what no reader is given.
//
// It is not a consumer: it hands out offsets, never records. It decides nothing about groups: who is dead is for its caller to say.
package tail
