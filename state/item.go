package state

import (
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Versions of the rows of the sources table: an item's head, and one chunk of its versions.
const (
	headVersion       = 2
	headVersionBefore = 1 // it did not say where availabilities had been read
	chunkVersion      = 1
)

// AppendHead appends the head row of an item.
func AppendHead(b []byte, h *freshness.ItemHead) []byte {
	w := writer{b: append(b, headVersion)}
	w.flags(h.HasLife, h.HasCut)
	w.uint(uint64(h.Next))
	if h.HasLife {
		w.time(h.Life)
	}
	if h.HasCut {
		w.int(h.Cut)
		w.time(h.CutTime)
	}
	w.uint(uint64(len(h.Available)))
	offset := int64(0)
	for _, a := range h.Available {
		w.int(a.Seq)
		w.time(a.Time)
		w.name(a.At.Topic)
		w.uint(uint64(a.At.Partition))
		w.int(a.At.Offset - offset)
		offset = a.At.Offset
	}
	w.uint(uint64(len(h.Losers)))
	for _, l := range h.Losers {
		w.time(l.Time)
		w.int(l.Seq)
		w.fixed(l.Ident)
	}
	return w.b
}

// DecodeHead reads the head row of an item.
func DecodeHead(b []byte) (freshness.ItemHead, error) {
	var h freshness.ItemHead
	if len(b) == 0 || b[0] < headVersionBefore || b[0] > headVersion {
		return h, fmt.Errorf("%w: item head of version %v, this release reads %d and %d", ErrRow, b[:min(1, len(b))], headVersionBefore, headVersion)
	}
	r := reader{b: b[1:], intern: strings.Clone} // a head outlives its row
	v := r.byte()
	h.HasLife, h.HasCut = r.flag(v, 0), r.flag(v, 1)
	h.Next = uint32(r.uint())
	if h.HasLife {
		h.Life = r.time()
	}
	if h.HasCut {
		h.Cut, h.CutTime = r.int(), r.time()
	}
	if n := r.count(); n > 0 {
		h.Available = make([]freshness.Availability, n)
		offset := int64(0)
		for i := range h.Available {
			a := &h.Available[i]
			if a.Seq, a.Time = r.int(), r.time(); b[0] >= headVersion {
				a.At.Topic, a.At.Partition = r.name(), int32(r.uint())
				offset += r.int()
				a.At.Offset = offset
			}
		}
	}
	if n := r.count(); n > 0 {
		h.Losers = make([]freshness.Loser, n)
		for i := range h.Losers {
			h.Losers[i] = freshness.Loser{Time: r.time(), Seq: r.int(), Ident: r.fixed()}
		}
	}
	return h, r.end()
}

// AppendChunk appends the row of one chunk of an item's versions.
func AppendChunk(b []byte, versions []*freshness.Version) []byte {
	w := writer{b: append(b, chunkVersion)}
	w.uint(uint64(len(versions)))
	for _, v := range versions {
		w.int(v.Seq)
		w.byte(byte(v.Change))
		w.time(v.Time)
		w.time(v.Effective)
		w.time(v.Published)
		for _, s := range []string{v.Name, v.ID, v.Source, v.Data, v.Owner, v.Digest, v.At.Topic} {
			w.string(s)
		}
		w.uint(uint64(v.At.Partition))
		w.uint(uint64(v.At.Offset))
	}
	return w.b
}

// DecodeChunk reads the row of one chunk of an item's versions, which keep b.
func DecodeChunk(b []byte, chunk uint32, intern func(string) string) ([]*freshness.Version, error) {
	if len(b) == 0 || b[0] != chunkVersion {
		return nil, fmt.Errorf("%w: chunk of version %v, this release reads %d", ErrRow, b[:min(1, len(b))], chunkVersion)
	}
	r := reader{b: b[1:], intern: intern}
	versions := make([]*freshness.Version, 0, freshness.ChunkSize)
	for n := r.count(); n > 0; n-- {
		v := &freshness.Version{Chunk: chunk, Seq: r.int(), Change: event.Change(r.byte()), Time: r.time(), Effective: r.time(), Published: r.time()}
		v.Name, v.ID, v.Source, v.Data = r.shared(), r.string(), r.shared(), r.string()
		v.Owner, v.Digest, v.At.Topic = r.shared(), r.string(), r.shared()
		v.At.Partition, v.At.Offset = int32(r.uint()), int64(r.uint())
		versions = append(versions, v)
	}
	return versions, r.end()
}
