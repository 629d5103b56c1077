// Package clock tells how far time has been applied.
//
// The clock of an input partition rests on pairs (T, E): the instant T was read before the partition's high watermark E, so that every
// record acknowledged before T lies below E. Once all effects below E are committed, everything acknowledged before T has been applied,
// and the clock shows T. It follows wall time when nothing happens, stands still when the engine is behind, a transaction is open on the
// input or the brokers are gone, and never goes back.
//
// Input and Partition are pure: instants and offsets in, instants out. The Poller takes T from a clock that no adjustment of the wall
// clock moves, asks the brokers for E, and moves positions over what no reader is given. The package neither reads records nor commits.
package clock
