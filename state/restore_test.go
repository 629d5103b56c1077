package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// entries are the derived entries of a partition.
func entries(t *testing.T, db *DB, id int32) map[string]byte {
	t.Helper()
	all := map[string]byte{}
	if err := db.ScanIndex(Workflows, id, nil, []byte{0xff}, func(k, v []byte) bool {
		all[string(k)] = v[0]
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// restore hands a partition records i of a changelog, from ≤ i < to: of ten keys in turn, every seventh a deletion.
func restore(t *testing.T, p *Partition, from, to int, want map[string]byte) {
	t.Helper()
	for i := from; i < to; i++ {
		key, err := fmt.Sprintf("k%d", i%10), error(nil)
		if i%7 == 0 {
			delete(want, key)
			err = p.Delete(key)
		} else {
			want[key] = byte(i)
			err = p.Set(key, binary.BigEndian.AppendUint64(nil, uint64(i)))
		}
		if err := errors.Join(err, p.SetOffset(int64(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// Rows that come back from nothing have the entries of their last records, and of no others, wherever the restore was interrupted: while rows were
// read, after that, and after entries had been derived.
func TestARestoreFromNothingDerivesTheEntriesOfTheLastRecords(t *testing.T) {
	for _, interrupted := range []string{"", "reading", "deriving"} {
		t.Run(interrupted, func(t *testing.T) {
			dir := t.TempDir()
			db := open(t, dir, "x")
			defer func() { _ = db.Close() }()
			p, want := db.NewPartition(Workflows, 1, numbers{}, 10), map[string]byte{}
			if err := p.Open(); err != nil {
				t.Fatal(err)
			}
			restore(t, p, 0, 50, want)
			if interrupted != "" {
				if err := p.flushRecovery(); err != nil {
					t.Fatal(err)
				}
				if interrupted == "deriving" { // its entries are there, and the mark still says that they are not
					w := IndexWriter{batch: db.db.NewBatch(), prefix: prefix(spaceIndex, Workflows, 1)}
					for k, v := range want {
						w.Set([]byte(k), []byte{v})
					}
					if err := errors.Join(w.batch.Commit(pebble.NoSync), w.batch.Close()); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(p.Close(), db.Close()); err != nil {
					t.Fatal(err)
				}
				db = open(t, dir, "x")
				p = db.NewPartition(Workflows, 1, numbers{}, 10)
				if err := p.Open(); err != nil {
					t.Fatal(err)
				}
				if o, _ := p.GetOffset(-2); o != 49 {
					t.Fatalf("the restore goes on at %d, not where it was interrupted", o)
				}
			}
			restore(t, p, 50, 78, want)
			if err := p.MarkRecovered(); err != nil {
				t.Fatal(err)
			}
			if got := entries(t, db, 1); !maps.Equal(got, want) {
				t.Errorf("entries %v of keys %v, want %v", got, slices.Sorted(maps.Keys(got)), want)
			}
			// From here on it is a partition as any other, also when it is opened again.
			again := db.NewPartition(Workflows, 1, numbers{}, 10)
			if err := again.Open(); err != nil {
				t.Fatal(err)
			}
			restore(t, again, 78, 90, want)
			if err := again.MarkRecovered(); err != nil {
				t.Fatal(err)
			}
			if got := entries(t, db, 1); !maps.Equal(got, want) {
				t.Errorf("entries %v after it went on, want %v", got, want)
			}
		})
	}
}
