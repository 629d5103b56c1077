package slo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// digest is the hash of what was written: JSON with sorted keys, durations in milliseconds, times in milliseconds since 1970. What is
// not written is not in it, so that a later release that knows more keys, or another default, finds the same hash for the same file.
func digest(written any) string {
	b, err := json.Marshal(written)
	if err != nil {
		// The readers of values return strings, numbers, booleans, nil, and lists and mappings of them.
		panic(fmt.Sprintf("the canonical form of a contract is not JSON: %v", err))
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
