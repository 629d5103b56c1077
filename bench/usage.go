package bench

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Usage is what the process has used so far.
type Usage struct {
	At      time.Time
	CPU     time.Duration // user and system
	Mallocs uint64
	Alloc   uint64 // bytes
}

// Use reads the process' usage at an instant.
func Use(now time.Time) Usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{At: now, CPU: processCPU(), Mallocs: m.Mallocs, Alloc: m.TotalAlloc}
}

// Cost is what was used between two readings.
type Cost struct {
	Seconds         float64 `json:"seconds"`
	EventsPerSecond float64 `json:"events_per_second"`
	CPUMicros       float64 `json:"cpu_us_per_event"`
	Allocs          float64 `json:"allocs_per_event"`
	AllocBytes      float64 `json:"alloc_bytes_per_event"`
}

// Since returns what was used since an earlier reading, per event.
func (u Usage) Since(was Usage, events int64) Cost {
	n := float64(events)
	took := u.At.Sub(was.At).Seconds()
	return Cost{
		Seconds: took, EventsPerSecond: n / took,
		CPUMicros: float64((u.CPU - was.CPU).Microseconds()) / n,
		Allocs:    float64(u.Mallocs-was.Mallocs) / n, AllocBytes: float64(u.Alloc-was.Alloc) / n,
	}
}

// Live returns the bytes of the heap: right after a collection, those that live.
func Live() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Memory returns the process' resident memory and its peak in bytes, 0 where the system does not say.
func Memory() (resident, peak int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			resident = kb << 10
		case "VmHWM":
			peak = kb << 10
		}
	}
	return resident, peak
}
