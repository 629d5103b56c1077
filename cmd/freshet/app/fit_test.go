package app

import (
	"flag"
	"testing"
)

func TestWhatWaitsFitsTheLimit(t *testing.T) {
	var said Config
	said.RegisterFlags(flag.NewFlagSet("", flag.ContinueOnError))
	for _, c := range []struct {
		limit int64
		part  int
	}{{1 << 62, 1}, {4 << 30, 1}, {1 << 30, 4}} {
		a := &App{cfg: said}
		a.fit(c.limit)
		is, was := a.cfg.Gateway, said.Gateway
		if is.MaxRecords != was.MaxRecords/c.part || is.MaxBytes != was.MaxBytes/c.part || is.CachedRows != was.CachedRows/c.part || a.cfg.MemTableBytes != said.MemTableBytes/c.part {
			t.Errorf("limit %d: %+v and a memtable of %d, want one in %d of what the flags say", c.limit, is, a.cfg.MemTableBytes, c.part)
		}
	}
	a := &App{cfg: said}
	a.fit(1)
	if g := a.cfg.Gateway; g.MaxRecords < 1 || g.MaxBytes < 1 || g.CachedRows < 1 || a.cfg.MemTableBytes < 1<<20 {
		t.Errorf("a limit of a byte leaves %+v with a memtable of %d", g, a.cfg.MemTableBytes)
	}
}
