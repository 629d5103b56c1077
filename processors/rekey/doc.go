// Package rekey is the group that copies records whose topics are not keyed by workflow id, or not partitioned like the others, to where
// the group that reads them expects them. A copy says where its original lies. Behind the copies goes the clock of the partition they
// come from: who reads copies knows through when nothing is missing.
package rekey
