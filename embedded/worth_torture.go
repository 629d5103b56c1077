//go:build torture

package embedded

// worthCompacting is how large a partition is that is compacted, if it is also twice as large as the last compaction has left it. Here
// it is so little that a torture, whose logs are small, comes to be killed in a compaction.
const worthCompacting = 32 << 10
