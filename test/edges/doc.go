// Package edges holds the tests of what arrives at the engine other than it should: records that cannot be used, that lie in the wrong
// partition, in topics with other keys, twice, too late, or from other clients; and contracts that change. It is tests only, through Kafka
// and the running engine.
package edges
