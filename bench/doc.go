// Package bench makes the workload that the engine is measured with, and measures: a backlog of interleaved workflows in the topics, the cost of
// judging it, and the floor, which is what reading the same topics costs when nothing is done with the records.
//
// The workload is a function of its seed and sizes, so that two releases can be compared on the same records.
package bench
