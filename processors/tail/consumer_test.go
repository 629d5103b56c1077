package tail

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumer returns what goka would read tables with.
func (r *rig) consumer(t *testing.T) sarama.Consumer {
	t.Helper()
	c, err := r.logs(t).ConsumerBuilder()(nil, "reader")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// read reads a partition up to an offset.
func read(t *testing.T, p sarama.PartitionConsumer, through int64) (got []*sarama.ConsumerMessage) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case m := <-p.Messages():
			if got = append(got, m); m.Offset >= through {
				return got
			}
		case err := <-p.Errors():
			t.Fatal(err)
		case <-late:
			t.Fatalf("%d messages, and not the one at %d", len(got), through)
		}
	}
}

// TestCompactedBatch reads a large batch of which compaction has left the first record alone, as Kafka's brokers give it to whoever asks for any of
// its offsets: what is missing behind the record costs nothing.
func TestCompactedBatch(t *testing.T) {
	const rows = 20_000
	r := fakeRig(t)
	topic := r.topic(t, 1)
	var fetches atomic.Int64
	r.fake.ControlKey(kmsg.Fetch.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		r.fake.KeepControl()
		fetches.Add(1)
		req := kreq.(*kmsg.FetchRequest)
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		for _, asked := range req.Topics {
			p := kmsg.NewFetchResponseTopicPartition()
			p.HighWatermark, p.LastStableOffset = rows+1, rows+1
			switch at := asked.Partitions[0].FetchOffset; {
			case at < rows:
				p.RecordBatches = batch(0, rows)
			case at == rows:
				p.RecordBatches = batch(rows, 1)
			}
			resp.Topics = append(resp.Topics, kmsg.FetchResponseTopic{Topic: topic, Partitions: []kmsg.FetchResponseTopicPartition{p}})
		}
		return resp, nil, true
	})
	c := r.consumer(t)
	p, err := c.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, p, rows)
	if len(got) != 2 || got[0].Offset != 0 || got[1].Offset != rows {
		t.Errorf("read %d records, the first at %d; want 2, at 0 and %d", len(got), got[0].Offset, rows)
	}
	if n := fetches.Load(); n > 100 {
		t.Errorf("%d fetches", n)
	}
	if end := c.HighWaterMarks()[topic][0]; end != rows+1 {
		t.Errorf("the log ends at %d, want %d", end, rows+1)
	}
}

// batch returns a batch of so many offsets that has only its first record.
func batch(first int64, offsets int32) []byte {
	record := kmsg.Record{Key: []byte("k"), Value: []byte("v")}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // without itself
	b := kmsg.RecordBatch{
		FirstOffset: first, Magic: 2, LastOffsetDelta: offsets - 1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: 1, Records: record.AppendTo(nil),
	}
	const length, sum, summed = 8 + 4, 17, 21 // where these fields end, begins, and what it is of
	b.Length = int32(len(b.AppendTo(nil)) - length)
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[sum:], crc32.Checksum(raw[summed:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// However long the brokers were gone, tables are read on soon after they are back.
func TestPausesDoNotGrow(t *testing.T) {
	for failures := range 1000 {
		if p := tablePause(failures); p < 50*time.Millisecond || p > time.Second {
			t.Fatalf("after %d failures brokers are asked again in %v", failures, p)
		}
	}
}

// TestConsumerOfTables reads partitions of one topic from different offsets, and ends them.
func TestConsumerOfTables(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		topic := r.topic(t, 3)
		for p := range int32(2) {
			r.plain(t, topic, p, 5)
		}
		if err := r.cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 1, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		c := r.consumer(t)
		open := func(partition int32, at int64) sarama.PartitionConsumer {
			p, err := c.ConsumePartition(topic, partition, at)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		first, second := open(0, sarama.OffsetOldest), open(1, 3)
		if got := read(t, first, 4); len(got) != 5 {
			t.Errorf("read %d records from the oldest on, want 5", len(got))
		}
		got := read(t, second, 5)
		if len(got) != 3 || len(got[2].Headers) != 1 || string(got[2].Headers[0].Key)+string(got[2].Headers[0].Value) != "hx" {
			t.Errorf("read %d records from 3 on, want 3, the last with its header", len(got))
		}
		if _, err := c.ConsumePartition(topic, 1, 0); err == nil {
			t.Error("a partition was read twice")
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		r.plain(t, topic, 1, 2) // the other one goes on
		read(t, second, 7)
		if again := read(t, open(0, 2), 4); len(again) != 3 {
			t.Errorf("read %d records from 2 on, want 3", len(again))
		}

		beyond := open(2, 77)
		select {
		case err := <-beyond.Errors():
			if !errors.Is(err, kerr.OffsetOutOfRange) || err.Partition != 2 {
				t.Errorf("from beyond the end: %v", err)
			}
		case <-beyond.Messages():
			t.Error("there is a record beyond the end")
		case <-time.After(patience):
			t.Error("no error is given of an offset beyond the end")
		}
	})
}
