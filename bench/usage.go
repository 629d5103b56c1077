package bench

import (
	"fmt"
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
	Alloc   uint64        // bytes
	Broker  time.Duration // CPU of the broker's process
}

// Use reads the usage at an instant of this process, and of the broker's if its process id is not 0.
func Use(now time.Time, broker int) Usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{At: now, CPU: processCPU(), Mallocs: m.Mallocs, Alloc: m.TotalAlloc, Broker: otherCPU(broker)}
}

// otherCPU is the user and system time of another process, 0 where the system does not say.
func otherCPU(pid int) time.Duration {
	const tick = 10 * time.Millisecond // of Linux, in what it tells of processes
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // behind the command's name
	fields := strings.Fields(rest)
	const user, system = 11, 12
	if len(fields) <= system {
		return 0
	}
	u, errUser := strconv.ParseInt(fields[user], 10, 64)
	s, errSystem := strconv.ParseInt(fields[system], 10, 64)
	if errUser != nil || errSystem != nil {
		return 0
	}
	return time.Duration(u+s) * tick
}

// Cost is what was used between two readings.
type Cost struct {
	Seconds         float64 `json:"seconds"`
	EventsPerSecond float64 `json:"events_per_second"`
	CPUMicros       float64 `json:"cpu_us_per_event"`
	BrokerMicros    float64 `json:"broker_cpu_us_per_event,omitempty"`
	Allocs          float64 `json:"allocs_per_event"`
	AllocBytes      float64 `json:"alloc_bytes_per_event"`
}

// Since returns what was used since an earlier reading, per event.
func (u Usage) Since(was Usage, events int64) Cost {
	n := float64(events)
	took := u.At.Sub(was.At).Seconds()
	return Cost{
		Seconds: took, EventsPerSecond: n / took,
		CPUMicros: float64((u.CPU - was.CPU).Microseconds()) / n, BrokerMicros: float64((u.Broker - was.Broker).Microseconds()) / n,
		Allocs: float64(u.Mallocs-was.Mallocs) / n, AllocBytes: float64(u.Alloc-was.Alloc) / n,
	}
}

// Cores returns how many cores the process has used on average since an earlier reading.
func (u Usage) Cores(was Usage) float64 {
	return (u.CPU - was.CPU).Seconds() / u.At.Sub(was.At).Seconds()
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
