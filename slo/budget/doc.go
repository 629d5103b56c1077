// Package budget is what an objective has spent: the uses it counts in buckets of event time, their sums over windows that end at an
// instant, and what follows from them: burn rates, which of the burn-rate rules hold, and what is left of the error budget. It is pure:
// the instant is a parameter, and where the buckets come from is not its business.
//
// A bucket is the finer the younger it is: young ones serve short windows. A window is rounded outwards to whole buckets, and the sizes
// are chosen so that this never makes it longer by more than a thirtieth, or a second where it is shorter than half a minute.
package budget
