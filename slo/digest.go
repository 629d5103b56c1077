package slo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// digest is the hash of what was written: JSON with sorted keys, durations in milliseconds, times in milliseconds since 1970. What is
// not written is not in it, so that a later release that knows more keys, or another default, finds the same hash for the same file.
func digest(written any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // so that others, whose JSON has no such escapes, find the same hash
	if err := e.Encode(written); err != nil {
		// The readers of values return strings, numbers, booleans, nil, and lists and mappings of them.
		panic(fmt.Sprintf("the canonical form of a contract is not JSON: %v", err))
	}
	sum := sha256.Sum256(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return "sha256:" + hex.EncodeToString(sum[:])
}
