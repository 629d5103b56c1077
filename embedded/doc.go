// Package embedded runs a Kafka broker in this process: for a single machine, the demo and tests. It is franz-go's kfake, with a data
// directory that one process at a time may use, and with the upkeep at start that kfake leaves out. It listens on localhost, so that
// kcat and any other client can use it. It is one broker that knows no users and replicates nothing: for more than one machine, use a
// Kafka cluster.
//
// # What survives what
//
//   - A stop in order (SIGTERM, the end of the service): everything. Transactions that are open then are aborted by the next start.
//   - A kill of the process at any moment (SIGKILL, a crash, out of memory): every acknowledged record, every committed offset, every
//     topic. Transactions are atomic: the next start finds all markers and offsets of a commit or none, and aborts what was open. A
//     producer that was not in this process and retries a batch over the kill may have it stored twice.
//   - A power cut or a crash of the machine: what the operating system had written out. With -embedded.sync-writes every acknowledged
//     record; a transaction whose commit was under way may be there in part.
//   - Without a directory: nothing; records are in memory.
//
// [Broker.Unclean] says whether the last process was killed. Each of the first two is tested, the second with real kills (TestKill) and
// for every write of a commit (TestAtomicCommit).
//
// # How
//
// kfake appends batches to segment files and consumer offsets to a log, and is one loop: nothing happens while it handles a request. A
// commit writes one marker per partition, then offsets, then its end, and is answered after that. [journal] notes before each commit
// which it is; the next start takes a commit back that has no end. [upkeep] then aborts open transactions with markers of its own,
// because kfake would abort them in memory only and take them for committed when the same producer commits later and is killed again;
// it writes segment indexes anew, which are read by position and may be one entry short; and it writes partition snapshots, without
// which kfake holds whole partitions in memory to start and forgets how far records have been deleted.
//
// Compacting and retention are done at start as well. kfake's own cleaner is off: it stops the world, a kill within it loses records,
// it applies the broker's retention to compacted topics, and a partition whose records are all gone begins at offset 0 again. Here a
// compacted partition above 8 MiB that has doubled is rewritten; segments (32 MiB) of other topics go when their records and their last
// write are past retention.ms; the last batch of a partition always stays. All of it happens behind a copy of hard links (log.before),
// which the next start puts back if this one dies. retention.bytes is not looked at. A long-running process grows until its next start.
//
// # What it can do
//
// Consumer groups (classic with static members, and KIP-848) without an initial delay, idempotent and transactional producers,
// read_committed, transactional offsets with generation and member checked (KIP-447), ListTransactions, DescribeProducers, DeleteRecords,
// per-topic max.message.bytes. Topics are never created by accident. A batch above max.message.bytes of its topic, or above
// -embedded.max-message-bytes, is refused with MESSAGE_TOO_LARGE, 100 MB values with the rest; the connection stays usable. A fenced
// producer that ends a transaction is told INVALID_TXN_STATE instead of PRODUCER_FENCED when it is one epoch behind. Topic
// configurations are stored and shown, but only those named here have an effect; names and values are not checked.
package embedded
