// Package read is the read side of the workflows table: the committed rows of the partitions that this instance has, decoded, for any
// number of goroutines that ask. It never shows what a transaction has not committed, and never less than what the clocks say is applied:
// who reads a partition's clock first and a row then has seen everything that the clock speaks of.
package read
