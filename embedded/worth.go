//go:build !torture

package embedded

// worthCompacting is how large a partition is that is compacted, if it is also twice as large as the last compaction has left it.
const worthCompacting = 8 << 20
