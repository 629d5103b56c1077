package workflows

import (
	"encoding/binary"
	"math"

	"github.com/freshet-io/freshet/state"
)

// Holders calls f for the workflows of a partition that hold an item or have used it, those with the latest use first, until it returns
// false. After is the place behind which to begin, nil for the beginning; f gets the place of each. A workflow may be named that has
// nothing of the item: the index goes by a hash.
func Holders(db *state.DB, partition int32, kind, key string, after []byte, f func(workflow string, place []byte) bool) error {
	lower := binary.BigEndian.AppendUint64([]byte{itemEntry}, itemHash(kind, key))
	upper := binary.BigEndian.AppendUint64([]byte{itemEntry}, itemHash(kind, key))
	upper = append(upper, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	from := lower
	if after != nil {
		from = append(append(from[:len(from):len(from)], after...), 0)
	}
	return db.ScanIndex(state.Workflows, partition, from, upper, func(at, _ []byte) bool {
		if len(at) <= itemKeyLen {
			return true
		}
		return f(string(at[itemKeyLen:]), at[len(lower):])
	})
}

// OpenHolders counts the open workflows of a partition that hold an item, up to a limit.
func OpenHolders(db *state.DB, partition int32, kind, key string, limit int) (int, error) {
	hash, name, open := itemHash(kind, key), kind+"/"+key, map[string]struct{}{}
	lower := binary.BigEndian.AppendUint64([]byte{heldEntry}, hash)
	upper := appendHeld(nil, held{hash: hash, seq: math.MaxInt64}, "\xff\xff\xff\xff")
	err := db.ScanIndex(state.Workflows, partition, lower, upper, func(at, item []byte) bool {
		if _, workflow, ok := parseHeld(at); ok && string(item) == name {
			open[string(workflow)] = struct{}{}
		}
		return len(open) < limit
	})
	return len(open), err
}
