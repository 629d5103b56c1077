package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// transaction produces one record into each of the partitions and ends as told.
func transaction(t *testing.T, b *Broker, id, value string, partitions []int32, end func(*kgo.Client)) {
	t.Helper()
	cl := client(t, b, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, p := range partitions {
		produce(t, cl, &kgo.Record{Topic: "t", Partition: p, Key: []byte("k"), Value: []byte(value)})
	}
	end(cl)
}

func committing(t *testing.T, end kgo.TransactionEndTry) func(*kgo.Client) {
	return func(cl *kgo.Client) {
		t.Helper()
		if err := cl.EndTransaction(within(t), end); err != nil {
			t.Fatal(err)
		}
	}
}

func leaveOpen(*kgo.Client) {}

// TestAbortedStaysAborted: what a killed broker left open is aborted, and stays so when the same transactional id commits later and the
// broker is killed again. (The broker alone forgets: it writes no marker for what it aborts at start.)
func TestAbortedStaysAborted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", 2)
	transaction(t, b, "x", "committed", []int32{0, 1}, committing(t, kgo.TryCommit))
	transaction(t, b, "x", "left open", []int32{0, 1}, leaveOpen)
	kill(t, b)

	b = start(t, dir)
	want := []string{"0 k=committed"}
	same(t, "after the first kill", contentsOf(t, b, "t", 0), want)
	transaction(t, b, "x", "later", []int32{0}, committing(t, kgo.TryCommit))
	now := contentsOf(t, b, "t", 0)
	if len(now) != 2 || !strings.HasSuffix(now[1], "k=later") {
		t.Fatalf("after a later commit: %q", now)
	}
	kill(t, b)

	b = start(t, dir)
	same(t, "after the second kill", contentsOf(t, b, "t", 0), now)
	same(t, "after the second kill, partition 1", contentsOf(t, b, "t", 1), want)
	stop(t, b)
	b = start(t, dir)
	same(t, "after a stop", contentsOf(t, b, "t", 0), now)
}

// TestOpenAtStop: a transaction that is open when the broker stops in order is aborted by the next start.
func TestOpenAtStop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", 1)
	transaction(t, b, "x", "left open", []int32{0}, leaveOpen)
	produce(t, client(t, b, kgo.DefaultProduceTopic("t")), kgo.KeyStringRecord("k", "plain"))
	stop(t, b)

	b = start(t, dir)
	if b.Unclean() {
		t.Error("an open transaction makes a stop unclean")
	}
	same(t, "records", contentsOf(t, b, "t", 0), []string{"1 k=plain"})
}

// TestAtomicCommit kills the broker at every point of a commit that writes to three partitions and a group: after the restart, either
// all of it is there or nothing. Between two writes of the broker, and within one (torn).
func TestAtomicCommit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", 3)
	parts := []int32{0, 1, 2}
	transaction(t, b, "x", "before", parts, committing(t, kgo.TryCommit))
	commit(t, b, "g", "t", 0, 1)

	// The commit, with its offsets, and the files as they were just before it.
	cl := client(t, b, kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		produce(t, cl, &kgo.Record{Topic: "t", Partition: p, Key: []byte("k"), Value: []byte("torn")})
	}
	if err := stageOffset(within(t), cl, "x", 2); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, dir)
	committing(t, kgo.TryCommit)(cl)
	after := filesOf(t, dir)
	stop(t, b)

	// The broker appends in this order: markers, offsets, the end in pids.log.
	var grown []string
	for name, data := range after {
		if len(data) > len(before[name]) && (strings.HasSuffix(name, ".dat") || strings.HasSuffix(name, "groups.log") || strings.HasSuffix(name, "pids.log")) {
			grown = append(grown, name)
		}
	}
	rank := func(name string) int {
		switch filepath.Base(name) {
		case "groups.log":
			return 1
		case "pids.log":
			return 2
		}
		return 0
	}
	slices.SortFunc(grown, func(a, b string) int {
		if r := rank(a) - rank(b); r != 0 {
			return r
		}
		return strings.Compare(a, b)
	})
	if len(grown) != len(parts)+2 {
		t.Fatalf("a commit has grown %q", grown)
	}
	for written := range len(grown) + 1 {
		for _, torn := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d-of-%d/torn=%v", written, len(grown), torn), func(t *testing.T) {
				if torn && written == len(grown) {
					t.Skip("nothing is left to be torn")
				}
				state := make(map[string][]byte)
				for name, data := range after {
					state[name] = data
				}
				for i, name := range grown {
					if i >= written {
						state[name] = before[name]
						idx := strings.TrimSuffix(name, ".dat") + ".idx"
						if idx != name+".idx" {
							state[idx] = before[idx]
						}
					}
				}
				if torn {
					name := grown[written]
					state[name] = after[name][:len(before[name])+9]
				}
				dir := write(t, state)
				whole := written == len(grown)
				for range 2 {
					b := start(t, dir)
					if !b.Unclean() {
						t.Error("not unclean")
					}
					want, at := 1, int64(1)
					if whole {
						want, at = 2, 2
					}
					for _, p := range parts {
						if got := contentsOf(t, b, "t", p); len(got) != want {
							t.Errorf("partition %d has %q, want %d records", p, got, want)
						}
					}
					if got := committed(t, b, "g", "t", 0); got != at {
						t.Errorf("offset %d is committed, want %d", got, at)
					}
					kill(t, b)
				}
			})
		}
	}
}

// stageOffset adds an offset of group g to the open transaction.
func stageOffset(ctx context.Context, cl *kgo.Client, id string, offset int64) error {
	producer, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		return err
	}
	topics, err := kadm.NewClient(cl).ListTopics(ctx, "t")
	if err != nil {
		return err
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.Group, add.ProducerID, add.ProducerEpoch = id, "g", producer, epoch
	added, err := add.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("add offsets to the transaction: %w", err)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = id, "g", producer, epoch, -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = "t", topics["t"].ID // which of them counts depends on the version
	part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	part.Offset = offset
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	staged, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(staged.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("stage an offset: %w", err)
	}
	return nil
}

func filesOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[rel], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// write makes a directory of files, with the journal's inodes set right.
func write(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rewriteInodes(t, dir)
	return dir
}

// TestAnIndexOneShort: a kill between the two writes of a batch leaves an index that is one entry short; it must not shift.
func TestAnIndexOneShort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", 1)
	produce(t, client(t, b, kgo.DefaultProduceTopic("t")), kgo.KeyStringRecord("k", "plain"))
	kill(t, b)
	index := filepath.Join(dir, logDir, "partitions", "t-0", "0.idx")
	if err := os.Truncate(index, 0); err != nil {
		t.Fatal(err)
	}
	b = start(t, dir)
	transaction(t, b, "x", "left open", []int32{0}, leaveOpen)
	kill(t, b)
	b = start(t, dir)
	same(t, "records", contentsOf(t, b, "t", 0), []string{"0 k=plain"})
}

// TestTornBatch: what follows the last whole batch is cut off, and offsets go on after it.
func TestTornBatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", 1)
	cl := client(t, b, kgo.DefaultProduceTopic("t"))
	produce(t, cl, kgo.KeyStringRecord("k", "1"))
	produce(t, cl, kgo.KeyStringRecord("k", "2"))
	kill(t, b)
	segment := filepath.Join(dir, logDir, "partitions", "t-0", "0.dat")
	raw, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segment, raw[:len(raw)-3], 0o644); err != nil {
		t.Fatal(err)
	}
	b = start(t, dir)
	produce(t, client(t, b, kgo.DefaultProduceTopic("t")), kgo.KeyStringRecord("k", "3"))
	same(t, "records", contentsOf(t, b, "t", 0), []string{"0 k=1", "1 k=3"})
}

// TestAllDeleted: a partition all of whose records were deleted goes on where it was.
func TestAllDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", 1)
	produce(t, client(t, b, kgo.DefaultProduceTopic("t")), kgo.KeyStringRecord("k", "1"), kgo.KeyStringRecord("k", "2"))
	until := make(kadm.Offsets)
	until.Add(kadm.Offset{Topic: "t", At: 2})
	if _, err := kadm.NewClient(client(t, b)).DeleteRecords(within(t), until); err != nil {
		t.Fatal(err)
	}
	stop(t, b)
	b = start(t, dir)
	if got := contentsOf(t, b, "t", 0); len(got) != 0 {
		t.Errorf("deleted records are back: %q", got)
	}
	cl := client(t, b, kgo.DefaultProduceTopic("t"))
	r, err := cl.ProduceSync(within(t), kgo.KeyStringRecord("k", "3")).First()
	if err != nil {
		t.Fatal(err)
	}
	if r.Offset < 2 {
		t.Errorf("the partition begins at offset %d again", r.Offset)
	}
}

// upkeepOf runs fn as the upkeep of a stopped broker's directory.
func upkeepOf(t *testing.T, dir string, now time.Time, fn func(*upkeep, []partition) error) *upkeep {
	t.Helper()
	u := &upkeep{log: filepath.Join(dir, logDir), now: now, sizes: make(map[string]int64)}
	list, _, err := partitions(u.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := fn(u, list); err != nil {
		t.Fatal(err)
	}
	return u
}

// TestCompact compacts a partition with everything in it and compares what a reader of the latest values sees.
func TestCompact(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", 1, "cleanup.policy", "compact")
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		cl := client(t, b, kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(codec))
		var batch []*kgo.Record
		for k := range 20 {
			batch = append(batch, kgo.KeyStringRecord(fmt.Sprintf("k%d", k%(5+i)), fmt.Sprintf("%d.%d", i, k)))
		}
		produce(t, cl, batch...)
	}
	long := time.Now().Add(-48 * time.Hour)
	tombs := client(t, b, kgo.DefaultProduceTopic("t"))
	produce(t, tombs, &kgo.Record{Key: []byte("k0"), Timestamp: long}, &kgo.Record{Key: []byte("k1")})
	transaction(t, b, "x", "committed", []int32{0}, committing(t, kgo.TryCommit))
	transaction(t, b, "x", "aborted", []int32{0}, committing(t, kgo.TryAbort))
	transaction(t, b, "y", "last", []int32{0}, committing(t, kgo.TryCommit))
	produce(t, tombs, kgo.KeyStringRecord("z", "end"))
	all := contentsOf(t, b, "t", 0)
	stop(t, b)

	u := upkeepOf(t, dir, time.Now(), func(u *upkeep, list []partition) error { return u.compact(&list[0], 24*time.Hour) })
	if u.did.compacted != 1 || u.did.freed <= 0 {
		t.Errorf("did %+v", u.did)
	}
	b = start(t, dir)
	got := contentsOf(t, b, "t", 0)
	same(t, "what is kept", got, latestOf(all, "k0"))
	stop(t, b)

	upkeepOf(t, dir, time.Now(), func(u *upkeep, list []partition) error { return u.compact(&list[0], 24*time.Hour) })
	b = start(t, dir)
	same(t, "compacted again", contentsOf(t, b, "t", 0), got)
	transaction(t, b, "x", "new", []int32{0}, committing(t, kgo.TryCommit))
	now := contentsOf(t, b, "t", 0)
	kill(t, b)
	b = start(t, dir)
	same(t, "compacted, written to, killed", contentsOf(t, b, "t", 0), now)
}

// latestOf keeps of "offset key=value" lines the last of every key, without the key whose tombstone is old.
func latestOf(lines []string, gone string) []string {
	key := func(line string) string {
		_, rest, _ := strings.Cut(line, " ")
		k, _, _ := strings.Cut(rest, "=")
		return k
	}
	last := make(map[string]int)
	for i, line := range lines {
		last[key(line)] = i
	}
	var kept []string
	for i, line := range lines {
		if last[key(line)] == i && key(line) != gone {
			kept = append(kept, line)
		}
	}
	return kept
}

func TestExpire(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", 1, "retention.ms", "86400000", "segment.bytes", "1")
	cl := client(t, b, kgo.DefaultProduceTopic("t"))
	old := time.Now().Add(-48 * time.Hour)
	for i := range 4 {
		at := old
		if i == 2 {
			at = time.Now()
		}
		produce(t, cl, &kgo.Record{Key: []byte("k"), Value: fmt.Append(nil, i), Timestamp: at})
	}
	stop(t, b)
	expire := func() upkept {
		return upkeepOf(t, dir, time.Now(), func(u *upkeep, list []partition) error {
			if len(list[0].segments) < 2 {
				return nil
			}
			return u.expire(&list[0], 24*time.Hour)
		}).did
	}
	if did := expire(); did.expired != 0 {
		t.Errorf("past records that were written today are gone: %+v", did)
	}
	segments, err := filepath.Glob(filepath.Join(dir, logDir, "partitions", "t-0", "*.dat"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range segments {
		if err := os.Chtimes(s, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if did := expire(); did.expired != 2 {
		t.Errorf("expired %d segments, want the 2 before the young one", did.expired)
	}
	b = start(t, dir)
	same(t, "what is kept", contentsOf(t, b, "t", 0), []string{"2 k=2", "3 k=3"})
}

// TestInterruptedUpkeep leaves the log half rewritten, with the copy of what it was: the start puts that back.
func TestInterruptedUpkeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", 2, "cleanup.policy", "compact")
	for i := range 3 {
		produce(t, client(t, b, kgo.DefaultProduceTopic("t"), kgo.RecordPartitioner(kgo.ManualPartitioner())),
			&kgo.Record{Key: []byte("k"), Value: fmt.Append(nil, i)}, &kgo.Record{Partition: 1, Key: []byte("k"), Value: fmt.Append(nil, i)})
	}
	commit(t, b, "g", "t", 0, 2)
	all := contentsOf(t, b, "t", 0)
	stop(t, b)

	d, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.saveBefore(); err != nil {
		t.Fatal(err)
	}
	upkeepOf(t, dir, time.Now(), func(u *upkeep, list []partition) error { return u.compact(&list[0], time.Hour) })
	// Killed while the second partition is rewritten: its segments are gone, the new ones not yet in their place.
	if err := os.RemoveAll(filepath.Join(dir, logDir, "partitions", "t-1")); err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	b = start(t, dir)
	for p := range int32(2) {
		same(t, fmt.Sprintf("partition %d", p), contentsOf(t, b, "t", p), all)
	}
	if at := committed(t, b, "g", "t", 0); at != 2 {
		t.Errorf("offset %d is committed, want 2", at)
	}
	stop(t, b)
	for _, name := range []string{beforeDir, partialDir} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", name, err)
		}
	}

	// Killed while the copy was made, or while it was removed: it is not whole, and the log is.
	if err := os.MkdirAll(filepath.Join(dir, partialDir, "partitions"), 0o755); err != nil {
		t.Fatal(err)
	}
	b = start(t, dir)
	same(t, "with a partial copy", contentsOf(t, b, "t", 0), all)
}

// TestDue starts a broker whose table has grown, and finds it compacted.
func TestDue(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	create(t, b, "t", 1, "cleanup.policy", "compact")
	cl := client(t, b, kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	value := make([]byte, 512<<10)
	for i := range 20 {
		produce(t, cl, kgo.KeySliceRecord(fmt.Append(nil, "k", i%2), value))
	}
	stop(t, b)
	b = start(t, dir)
	if got := contentsOf(t, b, "t", 0); len(got) != 2 {
		t.Errorf("%d records after a start, want 2", len(got))
	}
	raw, err := os.ReadFile(filepath.Join(dir, logDir, sizesFile))
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(map[string]int64)
	if err := json.Unmarshal(raw, &sizes); err != nil {
		t.Fatal(err)
	}
	if s := sizes["t-0"]; s < 1<<20 || s > 2<<20 {
		t.Errorf("remembered size is %d", s)
	}
}
