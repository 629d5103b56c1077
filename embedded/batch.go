package embedded

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// batch is one record batch of format 2, as it lies in a segment file. It is a slice of the segment: who keeps it keeps that.
type batch []byte

const (
	batchHeader = 61
	maxBatch    = 1 << 30

	attrCodec         = 0x07
	attrAppendTime    = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
)

func (b batch) first() int64       { return int64(binary.BigEndian.Uint64(b)) }
func (b batch) leaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[12:])) }
func (b batch) attributes() int16  { return int16(binary.BigEndian.Uint16(b[21:])) }
func (b batch) last() int64        { return b.first() + int64(binary.BigEndian.Uint32(b[23:])) }
func (b batch) firstTime() int64   { return int64(binary.BigEndian.Uint64(b[27:])) }
func (b batch) maxTime() int64     { return int64(binary.BigEndian.Uint64(b[35:])) }
func (b batch) producer() int64    { return int64(binary.BigEndian.Uint64(b[43:])) }
func (b batch) epoch() int16       { return int16(binary.BigEndian.Uint16(b[51:])) }
func (b batch) control() bool      { return b.attributes()&attrControl != 0 }

// open says whether the batch belongs to a transaction, which a later control batch has to end.
func (b batch) open() bool {
	return b.attributes()&attrTransactional != 0 && !b.control()
}

// commits says of a control batch whether it ends its transaction with a commit. What cannot be read does not.
func (b batch) commits() bool {
	var rec kmsg.Record
	if err := rec.ReadFrom(b[batchHeader:]); err != nil || len(rec.Key) < 4 {
		return false
	}
	return binary.BigEndian.Uint16(rec.Key[2:]) == 1
}

// next returns the first batch of segment and what follows it; nil if what is there is torn or corrupt.
func next(segment []byte) (batch, []byte) {
	if len(segment) < batchHeader {
		return nil, segment
	}
	length := int64(binary.BigEndian.Uint32(segment[8:]))
	if length < batchHeader-12 || length > maxBatch || 12+length > int64(len(segment)) {
		return nil, segment
	}
	b := batch(segment[:12+length])
	if b[16] != 2 || binary.BigEndian.Uint32(b[17:]) != checksum(b) {
		return nil, segment
	}
	return b, segment[12+length:]
}

func checksum(b batch) uint32 {
	return crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli))
}

// record is one record of a batch, with the bytes it is made of.
type record struct {
	offset, time int64
	key, value   []byte
	raw          []byte
}

// records calls fn for every record of the batch.
func (b batch) records(fn func(record)) error {
	payload, err := kgo.DefaultDecompressor().Decompress(b[batchHeader:], kgo.CompressionCodecType(b.attributes()&attrCodec))
	if err != nil {
		return fmt.Errorf("decompress the batch at offset %d: %w", b.first(), err)
	}
	for range int32(binary.BigEndian.Uint32(b[57:])) {
		length, n := binary.Varint(payload)
		if n <= 0 || length < 0 || int64(n)+length > int64(len(payload)) {
			return fmt.Errorf("the batch at offset %d has less records than it says", b.first())
		}
		raw := payload[:int64(n)+length]
		payload = payload[len(raw):]
		var r kmsg.Record
		if err := r.ReadFrom(raw); err != nil {
			return fmt.Errorf("read a record of the batch at offset %d: %w", b.first(), err)
		}
		at := b.firstTime() + r.TimestampDelta64
		if b.attributes()&attrAppendTime != 0 {
			at = b.maxTime()
		}
		fn(record{offset: b.first() + int64(r.OffsetDelta), time: at, key: r.Key, value: r.Value, raw: raw})
	}
	return nil
}

// plain returns a batch of the given records of b, n of them, which belongs to no producer and no transaction. It keeps b's offsets.
func (b batch) plain(records []byte, n int) batch {
	out := make(batch, batchHeader, batchHeader+len(records))
	copy(out, b[:batchHeader])
	out = append(out, records...)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint16(out[21:], uint16(b.attributes()&^(attrCodec|attrTransactional)))
	binary.BigEndian.PutUint64(out[43:], ^uint64(0)) // no producer (-1), no epoch, no sequence
	binary.BigEndian.PutUint16(out[51:], ^uint16(0))
	binary.BigEndian.PutUint32(out[53:], ^uint32(0))
	binary.BigEndian.PutUint32(out[57:], uint32(n))
	binary.BigEndian.PutUint32(out[17:], checksum(out))
	return out
}

// noProducer is the producer id of batches that no transactional or idempotent producer has sent.
const noProducer = -1

// abortMarker is the control batch that ends a producer's transaction at the given offset with an abort.
func abortMarker(offset int64, leaderEpoch int32, producer int64, epoch int16, now int64) batch {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	marker := kmsg.EndTxnMarker{}
	rec := kmsg.Record{Key: key.AppendTo(nil), Value: marker.AppendTo(nil)}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // without the length itself, a varint of one byte here
	b := kmsg.RecordBatch{
		FirstOffset: offset, PartitionLeaderEpoch: leaderEpoch, Magic: 2, Attributes: attrControl | attrTransactional,
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: producer, ProducerEpoch: epoch, FirstSequence: -1,
		NumRecords: 1, Records: rec.AppendTo(nil),
	}
	raw := batch(b.AppendTo(nil))
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], checksum(raw))
	return raw
}

// indexEntry is what the broker keeps of a batch beside its segment: version, checksum, leader epoch, a running maximum that it computes
// anew at start, and whether the batch belongs to a transaction.
func (b batch) indexEntry() []byte {
	e := make([]byte, indexEntrySize)
	e[0] = 1
	binary.LittleEndian.PutUint32(e[2:], uint32(b.leaderEpoch()))
	binary.LittleEndian.PutUint64(e[6:], uint64(b.maxTime()))
	if b.open() {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], crc32.MakeTable(crc32.Castagnoli)))
	return e
}

const indexEntrySize = 15
