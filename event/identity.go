package event

import "math/bits"

// mixer is the hash behind Ident and ContentDigest. It is the same in every process and release, because rows hold what it gave.
//
// Each string goes in as its length, then as 8-byte little-endian words, the last one filled up with zeros. Words go by turns into two
// lanes; a lane is xored with its word, multiplied by an odd constant to 128 bits, and both halves are xored ("folded multiply", as in
// wyhash). Multiplying by constants only, unlike wyhash, means that no input can set a lane to zero whatever it was before. The hash is
// no defence against somebody who builds collisions on purpose, and need not be one: whoever can write to the topics can write anything.
type mixer struct{ a, b uint64 }

const (
	mixSeedA = 0x243f6a8885a308d3 // digits of pi
	mixSeedB = 0x13198a2e03707344
	mixA     = 0x9e3779b97f4a7c15 // golden ratio
	mixB     = 0xd6e8feb86659fd93
)

func fold(x, k uint64) uint64 {
	hi, lo := bits.Mul64(x, k)
	return hi ^ lo
}

func (m *mixer) word(w uint64) {
	m.a, m.b = m.b, fold(m.a^w, mixA)
}

func (m *mixer) text(s string) {
	m.word(uint64(len(s)))
	a, b := m.a, m.b
	for ; len(s) >= 16; s = s[16:] {
		a = fold(a^word(s), mixA)
		b = fold(b^word(s[8:]), mixB)
	}
	if len(s) >= 8 {
		a = fold(a^word(s), mixA)
		s = s[8:]
	}
	var last uint64
	for i := len(s) - 1; i >= 0; i-- {
		last = last<<8 | uint64(s[i])
	}
	m.a, m.b = a, fold(b^last, mixB)
}

func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func (m *mixer) sum() uint64 {
	return fold(fold(m.a^bits.RotateLeft64(m.b, 32), mixA)^m.b, mixB)
}

// Ident returns a hash of what names the event: its source and id. It is the same in every process. A record that forgets an item has
// neither, so that all of them share one.
func (e *Event) Ident() uint64 {
	m := mixer{mixSeedA, mixSeedB}
	m.text(e.Source)
	m.text(e.ID)
	return m.sum()
}

// ContentDigest returns a hash of the event's whole content: type, time, id, source, subject, workflow type, traffic class, recorded time and
// data. It is the same in every process, and for the same event in binary and structured mode.
func (e *Event) ContentDigest() uint32 {
	m := mixer{mixSeedA, mixSeedB}
	m.text(e.TypeName)
	m.word(uint64(e.Time))
	m.text(e.ID)
	m.text(e.Source)
	m.text(e.Subject)
	m.text(e.WorkflowType)
	m.word(uint64(e.Traffic))
	if e.HasRecorded {
		m.word(1)
		m.word(uint64(e.Recorded))
	} else {
		m.word(0)
	}
	m.text(e.Data)
	m.text(e.Opaque)
	sum := m.sum()
	return uint32(sum ^ sum>>32)
}
