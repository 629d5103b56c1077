// Package state keeps the rows of the engine's tables: Pebble under goka.
//
// One Pebble serves an instance. A Partition is one partition of one table: rows live decoded in its cache while its goroutine works on
// them, are encoded once per key and transaction when the barrier seals them, and reach Pebble only after their transaction has been
// committed, together with the changelog offset and the entries of the indexes derived from them. Pebble writes no log of its own: the
// changelog topic is the log, and a row, its index entries and the offset are one batch.
//
// The package also owns the row codecs; golden bytes of every version are kept in testdata.
package state
