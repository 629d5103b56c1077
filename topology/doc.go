// Package topology holds Freshet's stream graph as values: which topics exist, how they are partitioned and kept, which consumer group
// reads what and owns which table. It compares the graph with a cluster (Plan, Verify), makes what is missing (Apply) and draws itself.
// It moves no records: the processors do, by the names and partition counts they find here.
package topology
