// Package alerting is the group that evaluates alerts. Its input is the topic of contracts, which has one partition: so of all instances
// one has it, and that one evaluates and dispatches; if it dies, Kafka gives the partition to another.
//
// A tick is a virtual message. It comes every -alerts.tick, and sooner, within bounds, when somebody says that something is worse than
// before (Hint). It takes a snapshot, moves the rows (package alerts), and what changes goes into the table and to freshet.alerts in one
// transaction. Only when that is committed is anything sent. When nothing can be committed, because Kafka is what is down, the instance
// that evaluated last goes on from memory, and says one thing: that the engine is blind.
package alerting
