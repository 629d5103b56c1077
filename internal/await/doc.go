// Package await names the points at which a process may die that are worth trying one by one. Point does nothing, and costs nothing, in a
// program as it is built for use; built with the tag torture, it ends its own process with SIGKILL at the pass of a point that the
// environment names. In the same way it names the rules that answers rest on, and switches one of them off where the environment says so,
// to see that what looks for wrong answers finds them then.
package await

// The points. A kill at any of them must change nothing in what the engine says in the end.
const (
	Callback      = "callback"       // gateway: inside a unit, its rows changed and its outputs buffered, not marked
	BeforeProduce = "before-produce" // gateway: the transaction has begun, nothing is sent
	AfterProduce  = "after-produce"  // gateway: rows and outputs are acknowledged, no offsets are
	AfterOffsets  = "after-offsets"  // gateway: offsets are in the transaction, it is not ended
	AfterEnd      = "after-end"      // gateway: the transaction is committed, Pebble has not heard of it
	Restore       = "restore"        // gateway: a row of a changelog was restored
	View          = "view"           // sources: a row of the sources table was read; the first ones are the catch-up
	EmbeddedStart = "embedded-start" // embedded: between two steps of a start on a directory that exists
	Compaction    = "compaction"     // embedded: between two steps of compacting a partition
)

// Points returns all of them.
func Points() []string {
	return []string{Callback, BeforeProduce, AfterProduce, AfterOffsets, AfterEnd, Restore, View, EmbeddedStart, Compaction}
}

// Env is the variable that a program built with the tag torture reads: POINT:N kills it at the N-th pass of a point.
const Env = "FRESHET_AWAIT"

// The rules of answers.
const (
	BehindRule    = "behind"    // query/check: an engine that is further behind than the caller allows says nothing fresh
	ClockRule     = "clock"     // query/check: an answer is as old as what has been applied, not as the instant asked for
	UpToRule      = "up-to"     // query/check: what the caller has written is in the answer
	RowsRule      = "rows"      // processors/workflows/read: a row that a transaction changes is not answered from any more
	CommittedRule = "committed" // processors/gateway: only committed records are read
)

// Rules returns all of them.
func Rules() []string { return []string{BehindRule, ClockRule, UpToRule, RowsRule, CommittedRule} }

// OffEnv is the variable that names the rule which a program built with the tag torture does without.
const OffEnv = "FRESHET_WITHOUT"
