// Package honest finds out whether engines have said the truth. Actors tell events and ask checks, at random but by a seed, while a test
// does to the engines what it likes; every event is logged with when it was sent and acknowledged, every answer with when it came. Then each
// answer is compared with the batch truth at its instant.
//
// What an engine had seen when it answered is known within limits: all that was acknowledged before the answer's applied_through, and all
// that the caller asked to be in it (at_least); of what was told after that, any beginning. An answer is wrong if no such beginning makes it
// right. An actor tells the events of one subject one by one, each once the one before is acknowledged, so that beginnings are prefixes.
package honest
