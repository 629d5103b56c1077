// Package freshness is the domain: it folds events into facts, judges uses of context over them, and says whose seconds they were.
//
// It is pure: no clock, no I/O, no goroutine. Instants are parameters. Folding is a set union: repeating an event or changing the order
// of events changes nothing in what is judged. The engine, the batch command, replays and tests all call the same functions.
package freshness
