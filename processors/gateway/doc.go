// Package gateway is the seam under goka: it runs a goka group exactly once on Kafka transactions, with goka unmodified.
//
// It decorates goka's public builders. Claims are drained into queues of their partition and merged by record time into batches; goka
// gets one message for each key of a batch, as a token: the records wait in the partition. A unit is one batch, or one virtual message
// (topics that do not exist in Kafka: clock ticks, due timers, changed sources). A unit's outputs are buffered and its rows changed in
// memory; goka's MarkOffset at its end gives the partition's lock back. The committer takes the locks of all partitions, so no unit is
// ever split, and swaps what they have; then it sends it as one short transaction: produce, TxnOffsetCommit with the session's
// generation, member and instance id, EndTxn; then one Pebble batch. Units go on meanwhile.
//
// After any error the session ends, what is in memory is dropped, and a new session restores from Pebble and the changelog.
package gateway
