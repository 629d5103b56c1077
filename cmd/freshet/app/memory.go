package app

import (
	"context"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// limitMemory sets the soft limit of the heap, which it returns, and lets garbage grow to four times what lives before it is collected: the limit,
// not the garbage collector's pace, is what keeps memory bounded.
func limitMemory(flag string) (int64, error) {
	switch {
	case flag != "":
		n, err := parseBytes(flag)
		if err != nil {
			return 0, fmt.Errorf("-memory.limit %q: %w", flag, err)
		}
		debug.SetMemoryLimit(n)
	case os.Getenv("GOMEMLIMIT") == "":
		if n := machineMemory(); n > 0 {
			debug.SetMemoryLimit(n / 4 * 3)
		}
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	return debug.SetMemoryLimit(-1), nil
}

// ample is the limit from which on memory is not what decides how much is done at once.
const ample = 4 << 30

// fit has less done at once, and less kept, where the limit is below what is ample: what waits in memory is then a share of the limit.
func (a *App) fit(limit int64) {
	share := func(n, least int) int { return max(least, int(float64(n)*min(1, float64(limit)/ample))) }
	g := &a.cfg.Gateway
	g.MaxRecords, g.MaxBytes, g.CachedRows = share(g.MaxRecords, 1), share(g.MaxBytes, 1), share(g.CachedRows, 1)
	a.cfg.MemTableBytes = share(a.cfg.MemTableBytes, min(a.cfg.MemTableBytes, 1<<20))
}

const (
	restLook = 5 * time.Second
	restWait = 4         // looks
	restMost = 100 << 20 // bytes that an engine at rest allocates from one look to the next
)

// rest gives back to the system, each time work is over and a while has passed, what it took: the collector keeps it for more of it.
func rest(ctx context.Context) {
	t := time.NewTicker(restLook)
	defer t.Stop()
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	for calm, was := 0, uint64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		metrics.Read(allocated)
		is := allocated[0].Value.Uint64()
		calm++
		if is-was > restMost {
			calm = 0
		}
		if was = is; calm == restWait {
			debug.FreeOSMemory()
		}
	}
}

// machineMemory returns what the cgroup or the machine has, 0 if that cannot be found out.
func machineMemory() int64 {
	least := cgroupMemory(os.ReadFile)
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if total := kb << 10; err == nil && (least == 0 || total < least) {
				return total
			}
		}
	}
	return least
}

// cgroupMemory returns the least that a cgroup of this process may use, 0 if none has a limit. In a container its own is the root; a service of
// the machine has one below it, and each above it holds as well.
func cgroupMemory(read func(file string) ([]byte, error)) (least int64) {
	files := []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}
	if own, err := read("/proc/self/cgroup"); err == nil {
		for line := range strings.Lines(string(own)) {
			if at, unified := strings.CutPrefix(strings.TrimSpace(line), "0::/"); unified {
				for dir := path.Join("/", at); dir != "/"; dir = path.Dir(dir) {
					files = append(files, path.Join("/sys/fs/cgroup", dir, "memory.max"))
				}
			}
		}
	}
	for _, file := range files {
		b, err := read(file)
		if err != nil {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err == nil && n < 1<<60 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// parseBytes reads a size as GOMEMLIMIT writes it.
func parseBytes(s string) (int64, error) {
	units := []struct {
		suffix string
		size   int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}, {"", 1}}
	for _, u := range units {
		rest, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(rest, 10, 64)
		if err != nil || n <= 0 || n > 1<<60/u.size {
			break
		}
		return n * u.size, nil
	}
	return 0, fmt.Errorf("must be a number of bytes with B, KiB, MiB, GiB or TiB, such as 2GiB")
}
