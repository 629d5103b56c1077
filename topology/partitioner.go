package topology

import (
	"fmt"
	"hash"
	"hash/crc32"
	"unsafe"
)

// Partitioner is the rule by which a producer places a key. All workflow topics share one, and what Freshet writes for a key is
// placed by the same rule. The zero value is what Java clients and franz-go do by default.
type Partitioner uint8

const (
	Murmur2 Partitioner = iota // Java, franz-go: murmur2, masked to 31 bits
	CRC32                      // librdkafka's consistent: CRC-32 (IEEE), unsigned
	FNV1a                      // sarama, goka: 32-bit FNV-1a, absolute value of the signed remainder
)

// ParsePartitioner returns the partitioner of a contract's `partitioner` entry.
func ParsePartitioner(name string) (Partitioner, error) {
	for p := Murmur2; p <= FNV1a; p++ {
		if p.String() == name {
			return p, nil
		}
	}
	return Murmur2, fmt.Errorf("partitioner %q is not known: use murmur2, crc32 or fnv1a", name)
}

func (p Partitioner) String() string {
	switch p {
	case Murmur2:
		return "murmur2"
	case CRC32:
		return "crc32"
	case FNV1a:
		return "fnv1a"
	}
	return fmt.Sprintf("partitioner(%d)", uint8(p))
}

// PartitionString is Partition for a key held as a string.
func (p Partitioner) PartitionString(key string, n int32) int32 {
	return p.Partition(unsafe.Slice(unsafe.StringData(key), len(key)), n) // read only, and not kept
}

// Partition returns the partition of key among n. It does not allocate.
func (p Partitioner) Partition(key []byte, n int32) int32 {
	switch p {
	case CRC32:
		return int32(crc32.ChecksumIEEE(key) % uint32(n))
	case FNV1a:
		// The remainder is taken before the absolute value, as sarama does: |MinInt32| does not exist.
		part := int32(fnv1a(key)) % n
		if part < 0 {
			return -part
		}
		return part
	default:
		return int32(murmur2(key)&0x7fffffff) % n
	}
}

// Hasher returns what goka.WithHasher needs for a table of n partitions. goka places a key at abs(int32(hash)) mod n, which is right
// for none but murmur2 (and for fnv1a up to one hash in four billion), so the hash returned is the partition itself.
func (p Partitioner) Hasher(n int32) func() hash.Hash32 {
	return func() hash.Hash32 { return &placing{by: p, n: n} }
}

// placing collects a key and hashes it to its partition.
type placing struct {
	key []byte
	n   int32
	by  Partitioner
}

func (h *placing) Write(b []byte) (int, error) {
	h.key = append(h.key, b...)
	return len(b), nil
}

func (h *placing) Sum32() uint32  { return uint32(h.by.Partition(h.key, h.n)) }
func (h *placing) Reset()         { h.key = h.key[:0] }
func (h *placing) Size() int      { return 4 }
func (h *placing) BlockSize() int { return 1 }
func (h *placing) Sum(b []byte) []byte {
	s := h.Sum32()
	return append(b, byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
}

// murmur2 is Kafka's variant of MurmurHash2 (org.apache.kafka.common.utils.Utils.murmur2).
func murmur2(b []byte) uint32 {
	const (
		seed = uint32(0x9747b28c)
		m    = uint32(0x5bd1e995)
		r    = 24
	)
	h := seed ^ uint32(len(b))
	i := 0
	for ; len(b)-i >= 4; i += 4 {
		k := uint32(b[i]) | uint32(b[i+1])<<8 | uint32(b[i+2])<<16 | uint32(b[i+3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(b) - i {
	case 3:
		h ^= uint32(b[i+2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[i+1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[i])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

func fnv1a(b []byte) uint32 {
	h := uint32(2166136261)
	for i := 0; i < len(b); i++ {
		h ^= uint32(b[i])
		h *= 16777619
	}
	return h
}
