// Package harness is what tests that go through Kafka have in common: a broker in the process, the topics of a contract, an engine that is
// started and stopped, what it is fed, and what it has said. It takes a *testing.T and ends the test where it cannot go on; it holds no
// test of its own.
package harness
