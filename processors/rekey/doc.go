// Package rekey is the group that copies records whose topics are not keyed by workflow id, or not partitioned like the others, to where
// the group that reads them expects them. A copy says where its original lies. How far it has come is said by the offsets it commits with
// the copies: the clocks of who reads them rest on that.
package rekey
