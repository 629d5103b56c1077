//go:build torture

package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"syscall"
)

// heapEnv is the variable that names a directory. A program built with the tag torture collects its garbage at each SIGUSR1 and writes there
// what lives then, as heap-1.pb.gz and so on.
const heapEnv = "FRESHET_HEAP_PROFILES"

// watchHeap writes profiles of the heap when it is asked to.
func watchHeap() {
	dir := os.Getenv(heapEnv)
	if dir == "" {
		return
	}
	runtime.MemProfileRate = 16 << 10 // what grows slowly is seen in tens of megabytes, too
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for n := 1; ; n++ {
			<-asked
			if err := writeHeap(filepath.Join(dir, fmt.Sprintf("heap-%d.pb.gz", n))); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}()
}

func writeHeap(name string) error {
	runtime.GC()
	partial := name + ".part"
	file, err := os.Create(partial)
	if err != nil {
		return err
	}
	if err := pprof.WriteHeapProfile(file); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(partial, name)
}
