// Package freshness is the domain: it folds events into facts, judges uses of context over them, and says whose seconds they were.
//
// It is pure: no clock, no I/O, no goroutine. Instants are parameters. Folding is a set union: repeating an event or changing the order
// of events changes nothing in what is judged. The engine, the batch command, replays and tests all call the same functions.
//
// An Item is an immutable value that readers on any goroutine may keep; a Workflow and a Verdict belong to one goroutine at a time, judging
// included, as they keep what they have worked out.
//
// Where the contract leaves something open, this holds:
//
//   - Decision events that are equal in time, id, source and data are ordered by traffic class, then by traceparent.
//   - Steps that are equal in time and id are ordered by type, then by call id. What opens after the end of the task is open.
//   - Loads of an item that are equal in time, resolved seq, id and as_of are ordered by whether their REF has a seq, then by its version string:
//     nothing is judged by that, but a detection names it.
//   - Items without a known seq come before those with one; of equal ones those that based_on names first come first.
//   - An open workflow has had its task.started; the first end, by time and id, ends it for good.
//   - Where limits leave loads out, items without a certain load are left out of the verdict, which is unknown (history_truncated) unless
//     what is certain is stale; not_loaded and no_context are then not said. A based_on needs no load and stays what it was.
//   - An execution without a proposal is unknown (history_truncated) once a limit has left decision events out and it lacks a class or a
//     based_on that the proposal could have given it.
//   - Hold seconds of steps that a limit has left out are hold_other: the verdict is certain, only its causes are coarser.
//   - Of an item whose versions limit has left versions out, every seq up to the greatest of those is below the cut.
package freshness
