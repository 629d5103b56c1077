package freshness

import (
	"math/bits"

	"github.com/freshet-io/freshet/event"
)

// hash is a running 64-bit hash. Rows keep its results, so it may never change: a hash of the standard library with a seed of the
// process would not do, and FNV takes a multiplication for each byte.
type hash uint64

const (
	hashStart = hash(0x9e3779b97f4a7c15)
	hashMixA  = 0xa0761d6478bd642f
	hashMixB  = 0xe7037ed1a0b428db
)

// word returns the hash with one word added.
func (h hash) word(x uint64) hash {
	hi, lo := bits.Mul64(x^hashMixA, uint64(h)^hashMixB)
	return hash(hi ^ lo)
}

// text returns the hash with a string and its length added, so that neighbouring strings cannot change places.
func (h hash) text(s string) hash {
	n := len(s)
	for len(s) >= 8 {
		h = h.word(load64(s))
		s = s[8:]
	}
	var tail uint64
	for i := len(s) - 1; i >= 0; i-- {
		tail = tail<<8 | uint64(s[i])
	}
	return h.word(tail).word(uint64(n))
}

// flag returns the hash with a truth value added.
func (h hash) flag(b bool) hash {
	if b {
		return h.word(1)
	}
	return h.word(0)
}

func load64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// Identity is the hash of what an event calls itself, its source and id.
func Identity(source, id string) uint64 { return uint64(hashStart.text(source).text(id)) }

// content is the hash of an event's whole content. Where its record lies and when it was appended are no part of it.
func content(e *event.Event) uint32 {
	h := hashStart.text(e.TypeName).word(uint64(e.Type)).word(uint64(e.Time)).word(uint64(e.Traffic))
	h = h.text(e.Subject).text(e.WorkflowType).text(e.TraceParent).text(e.Data)
	if e.HasRecorded {
		h = h.word(uint64(e.Recorded))
	}
	return uint32(h ^ h>>32)
}
