package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2"
	"github.com/go-kit/log"
)

type number struct {
	key    string
	n      uint64
	gone   bool
	pinned bool
	done   bool
}

func (r *number) Records(put func(string, func([]byte) []byte)) {
	if r.gone {
		put(r.key, nil)
		return
	}
	put(r.key, func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, r.n) })
}
func (r *number) Index(w *IndexWriter) {
	if r.gone {
		w.Delete([]byte(r.key))
		return
	}
	w.Set([]byte(r.key), []byte{byte(r.n)})
}
func (r *number) Pinned() bool { return r.pinned }
func (r *number) Done() bool   { return r.done }

type numbers struct{}

func (numbers) Load(p *Partition, key string) (Row, error) {
	b, err := p.Read(key)
	if err != nil || b == nil {
		return nil, err
	}
	return &number{key: key, n: binary.BigEndian.Uint64(b)}, nil
}
func (numbers) Recovered(w *IndexWriter, key string, was, is []byte) error {
	if was != nil {
		w.Delete([]byte(key))
	}
	if is != nil {
		w.Set([]byte(key), is[7:])
	}
	return nil
}

func open(t *testing.T, dir, identity string) *DB {
	t.Helper()
	db, err := Open(Config{Dir: dir, MemTableSize: 4 << 20, CacheSize: 1 << 20}, identity, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func live(t *testing.T, db *DB, id int32, cached int) *Partition {
	t.Helper()
	p := db.NewPartition(Workflows, id, numbers{}, cached)
	if err := errors.Join(p.Open(), p.MarkRecovered()); err != nil {
		t.Fatal(err)
	}
	return p
}

func commit(t *testing.T, db *DB, p *Partition, offset int64) []Write {
	t.Helper()
	writes, err := p.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(offset); err != nil {
		t.Fatal(err)
	}
	return writes
}

func value(t *testing.T, p *Partition, key string) uint64 {
	t.Helper()
	row, err := p.Row(key)
	if err != nil {
		t.Fatal(err)
	}
	if row == nil {
		return 0
	}
	return row.(*number).n
}

// A row that is read keeps nothing of the record that it was asked for with: it would keep the whole fetch.
func TestARowKeepsNothingOfItsKey(t *testing.T) {
	db := open(t, "", "x")
	defer db.Close()
	p := live(t, db, 1, 10)
	p.Put("a", &number{key: "a", n: 7})
	commit(t, db, p, 1)
	p, record := live(t, db, 1, 10), []byte("a")
	row, err := p.Row(unsafe.String(&record[0], 1))
	if err != nil || row == nil {
		t.Fatal(row, err)
	}
	record[0] = '!'
	if key := row.(*number).key; key != "a" || value(t, p, "a") != 7 || p.Cached() != 1 {
		t.Errorf("the row's key is %q now, %d rows are cached", key, p.Cached())
	}
}

func TestRowsAreEncodedOncePerTransactionAndReadableWhenCommitted(t *testing.T) {
	db := open(t, "", "x")
	defer db.Close()
	p := live(t, db, 1, 10)
	r := &number{key: "a", n: 1}
	p.Put("a", r)
	r.n = 2
	p.Touch("a")
	p.Put("b", &number{key: "b", n: 7})
	if b, _ := p.Get("a"); b != nil {
		t.Error("a row that is not committed is read")
	}
	if writes := commit(t, db, p, 5); len(writes) != 2 || writes[0].Key != "a" || binary.BigEndian.Uint64(writes[0].Value) != 2 {
		t.Errorf("wrote %v, want the last of each key, once", writes)
	}
	if b, _ := p.Get("a"); len(b) != 8 || b[7] != 2 {
		t.Errorf("committed row reads %v", b)
	}
	if writes := commit(t, db, p, -1); len(writes) != 0 {
		t.Errorf("nothing changed, wrote %v", writes)
	}
	again := live(t, db, 1, 10)
	if o, _ := again.GetOffset(-2); o != 5 {
		t.Errorf("offset %d, want 5", o)
	}
	other := live(t, db, 2, 10)
	if v := value(t, other, "a"); v != 0 {
		t.Errorf("partition 2 reads partition 1's row: %d", v)
	}
	p.Put("a", &number{key: "a", gone: true})
	commit(t, db, p, 6)
	if b, _ := p.Has("a"); b {
		t.Error("a deleted row is still there")
	}
	var keys []string
	if err := db.ScanIndex(Workflows, 1, nil, []byte{0xff}, func(k, _ []byte) bool { keys = append(keys, string(k)); return true }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(keys) != "[b]" {
		t.Errorf("index holds %v, want b", keys)
	}
}

func TestWhatIsNotCommittedIsGoneWithItsPartition(t *testing.T) {
	db := open(t, "", "x")
	defer db.Close()
	p := live(t, db, 1, 10)
	p.Put("a", &number{key: "a", n: 1})
	commit(t, db, p, 1)
	p.Put("a", &number{key: "a", n: 2})
	if _, err := p.Seal(); err != nil { // and the transaction fails
		t.Fatal(err)
	}
	if _, err := p.Seal(); err == nil {
		t.Error("a second transaction was sealed before the first was committed")
	}
	if v := value(t, live(t, db, 1, 10), "a"); v != 1 {
		t.Errorf("the next owner reads %d, want the committed 1", v)
	}
}

func TestEvictionSparesWhatIsNeeded(t *testing.T) {
	db := open(t, "", "x")
	defer db.Close()
	p := live(t, db, 1, 0)
	p.Put("clean", &number{key: "clean", n: 1})
	p.Put("pinned", &number{key: "pinned", n: 2, pinned: true})
	commit(t, db, p, 1)
	p.Put("sealed", &number{key: "sealed", n: 3})
	if _, err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	p.Put("dirty", &number{key: "dirty", n: 4})
	p.Evict()
	if p.rows["clean"] != nil {
		t.Error("a clean row stays beyond the limit")
	}
	for _, key := range []string{"pinned", "sealed", "dirty"} {
		if p.rows[key] == nil {
			t.Errorf("the %s row was evicted", key)
		}
	}
	if v := value(t, p, "clean"); v != 1 {
		t.Errorf("an evicted row comes back as %d", v)
	}
}

func TestRowsThatAreDoneLeaveOnceTheyAreCommitted(t *testing.T) {
	db := open(t, "", "x")
	defer db.Close()
	p := live(t, db, 1, 10)
	p.Put("a", &number{key: "a", n: 1, done: true})
	p.Put("b", &number{key: "b", n: 2, done: true})
	p.Put("c", &number{key: "c", n: 3})
	if _, err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	if len(p.rows) != 3 {
		t.Errorf("%d rows are left of a transaction that is not committed", len(p.rows))
	}
	if err := p.Commit(1); err != nil {
		t.Fatal(err)
	}
	p.rows["b"].row.(*number).n = 20
	p.Touch("b")
	if _, err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	if p.rows["a"] != nil || p.rows["b"] == nil || p.rows["c"] == nil {
		t.Errorf("%v are left, want b, which has changed since, and c, which is not done", p.rows)
	}
	if err := p.Commit(2); err != nil {
		t.Fatal(err)
	}
	if a, b := value(t, p, "a"), value(t, p, "b"); a != 1 || b != 20 {
		t.Errorf("they come back as %d and %d", a, b)
	}
}

func TestRecoveryWritesRowsIndexAndOffset(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, "x")
	p := db.NewPartition(Workflows, 3, numbers{}, 10)
	if err := p.Open(); err != nil {
		t.Fatal(err)
	}
	if o, _ := p.GetOffset(-2); o != -2 {
		t.Errorf("a new partition has offset %d", o)
	}
	for i := range 1000 {
		key := fmt.Sprintf("k%03d", i%100)
		if err := errors.Join(p.Set(key, binary.BigEndian.AppendUint64(nil, uint64(i))), p.SetOffset(int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(p.Delete("k007"), p.SetOffset(1000), p.MarkRecovered()); err != nil {
		t.Fatal(err)
	}
	if err := p.Set("k001", nil); err == nil {
		t.Error("a live partition took a row past the transaction")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, "x")
	defer db.Close()
	p = live(t, db, 3, 10)
	if o, _ := p.GetOffset(-2); o != 1000 {
		t.Errorf("offset %d after a restart, want 1000", o)
	}
	if v := value(t, p, "k042"); v != 942 {
		t.Errorf("k042 is %d, want the last", v)
	}
	it, err := p.IteratorWithRange([]byte("k005"), []byte("k010"))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Release()
	var keys []string
	for it.Next() {
		keys = append(keys, string(it.Key()))
	}
	if fmt.Sprint(keys) != "[k005 k006 k008 k009]" {
		t.Errorf("iterated over %v", keys)
	}
	if !it.Seek([]byte("k008")) || !it.Next() || string(it.Key()) != "k008" {
		t.Error("seek does not stand before the key")
	}
}

func TestDirectoryOfAnotherClusterOrFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir, "cluster-a").Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}, "cluster-b", log.NewNopLogger()); !errors.Is(err, ErrFormat) {
		t.Errorf("opened with another identity: %v", err)
	}
	db := open(t, dir, "cluster-a")
	if err := db.db.Set([]byte{spaceMeta}, append([]byte{Format + 1}, "cluster-a"...), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}, "cluster-a", log.NewNopLogger()); !errors.Is(err, ErrFormat) {
		t.Errorf("opened a directory of another format: %v", err)
	}
}

// A scan that outlives its session finds a closed store closed; Pebble would end the process.
func TestAClosedStoreIsNotScanned(t *testing.T) {
	db, err := Open(Config{MemTableSize: 1 << 20, CacheSize: 1 << 20}, "x", log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.ScanIndex(Workflows, 0, nil, []byte{255}, func([]byte, []byte) bool { return true }); !errors.Is(err, ErrClosed) {
		t.Errorf("scanned a closed store: %v", err)
	}
}

// A partition that has been away for longer than the changelog tells of deletions must not come back with what was deleted since.
func TestRowsThatAreTooOldBeginAnew(t *testing.T) {
	const maxAge = 6 * 24 * time.Hour
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	at := func() *DB {
		db, err := Open(Config{Dir: dir, MemTableSize: 4 << 20, CacheSize: 1 << 20, MaxAge: maxAge, Now: func() time.Time { return now }}, "x", log.NewNopLogger())
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := at()
	for id, key := range []string{"old", "young"} {
		if id == 1 {
			now = now.Add(2 * time.Hour)
		}
		p := live(t, db, int32(id), 10)
		p.Put(key, &number{key: key, n: 7})
		commit(t, db, p, 41)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(maxAge - time.Hour)
	db = at()
	old, young := db.NewPartition(Workflows, 0, numbers{}, 10), db.NewPartition(Workflows, 1, numbers{}, 10)
	if err := errors.Join(old.Open(), young.Open()); err != nil {
		t.Fatal(err)
	}
	if o, _ := old.GetOffset(-2); o != -2 || value(t, old, "old") != 0 {
		t.Errorf("an old partition goes on at %d with its rows", o)
	}
	indexed := 0
	if err := db.ScanIndex(Workflows, 0, nil, []byte{0xff}, func(_, _ []byte) bool { indexed++; return true }); err != nil || indexed > 0 {
		t.Errorf("an old partition has %d derived entries, %v", indexed, err)
	}
	if o, _ := young.GetOffset(-2); o != 41 || value(t, young, "young") != 7 {
		t.Errorf("a young partition goes on at %d", o)
	}

	// What recovery reads does not make what it has not read any younger.
	if err := errors.Join(young.Set("more", make([]byte, 8)), young.SetOffset(42), young.MarkRecovered(), young.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	db = at()
	defer db.Close()
	young = db.NewPartition(Workflows, 1, numbers{}, 10)
	if err := young.Open(); err != nil {
		t.Fatal(err)
	}
	if o, _ := young.GetOffset(-2); o != -2 {
		t.Errorf("a partition that was recovered in part goes on at %d", o)
	}
}
