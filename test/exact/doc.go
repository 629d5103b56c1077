// Package exact holds the test that everything else is measured against: the golden sets go through Kafka and the running engine, in any
// order, over any number of partitions, with the engine stopped on the way, and the last revision of every verdict is the golden line.
package exact
