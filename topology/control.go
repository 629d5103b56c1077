package topology

import (
	"strconv"
	"strings"
)

// ControlPrefix begins the key of every control row of a table (clock rows, cursor rows). No workflow id and no context key can begin
// so: event refuses them. Control rows are not placed by their key's hash: each names the partition it belongs to.
const ControlPrefix = "\x00"

// ControlKey returns the key of the control row called name that belongs to a partition, such as "\x00clock/3".
func ControlKey(name string, partition int32) string {
	return ControlPrefix + name + "/" + strconv.Itoa(int(partition))
}

// ControlPartition returns the name and the partition of a control row; ok is false for every key that ControlKey cannot have made.
func ControlPartition(key string) (name string, partition int32, ok bool) {
	rest, found := strings.CutPrefix(key, ControlPrefix)
	if !found {
		return "", 0, false
	}
	i := strings.LastIndexByte(rest, '/')
	if i < 0 {
		return "", 0, false
	}
	p, err := strconv.ParseInt(rest[i+1:], 10, 32)
	if err != nil || p < 0 || ControlKey(rest[:i], int32(p)) != key {
		return "", 0, false
	}
	return rest[:i], int32(p), true
}
