// Package check answers whether the context of a workflow still holds, at an instant: now, or an earlier one. Its verdicts come from
// package freshness, as those of the records do; what it adds is how much the answer can be relied on. An answer rests on committed rows,
// carries the clocks of every partition that it rests on, and is never fresh where they are behind by more than the caller allows.
package check
