//go:build unix

package torture

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/test/kafka"
)

// alone is a world with one instance that has read a part of the set and is stopped.
func alone(ctx context.Context, t *testing.T, at where, c *kafka.Cluster, r *rand.Rand) (*world, *instance) {
	t.Helper()
	w := newWorld(t, setup{at: at, cluster: c, set: anySet(r), partitions: 4})
	w.shuffle(r)
	i := w.instance("i0")
	i.start("")
	i.awaitReady(ctx)
	if err := w.load(ctx, w.part(0, 3)); err != nil {
		t.Fatal(err)
	}
	i.awaitReady(ctx)
	return w, i
}

// within is the time that a test of a store may take.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// onStores runs a test of the data directory on both kinds of broker; the cluster is one for all.
func onStores(t *testing.T, f func(ctx context.Context, t *testing.T, at where, c *kafka.Cluster, r *rand.Rand)) {
	t.Helper()
	onBoth(t, func(t *testing.T, at where) {
		var c *kafka.Cluster
		if at == cluster {
			c = kafka.Start(t, kafka.Options{})
		}
		f(within(t), t, at, c, random(t))
	})
}

// A directory of rows that was put aside earlier is put back: rows are read on from where they are, and nothing comes twice.
func TestRowsOfAnEarlierTime(t *testing.T) {
	notShort(t)
	onStores(t, func(ctx context.Context, t *testing.T, at where, c *kafka.Cluster, r *rand.Rand) {
		w, i := alone(ctx, t, at, c, r)
		i.stop()
		rows, old := filepath.Join(i.data, "rows"), filepath.Join(w.dir, "old")
		if err := os.CopyFS(old, os.DirFS(rows)); err != nil {
			t.Fatal(err)
		}
		i.start("")
		if err := w.load(ctx, w.part(1, 3)); err != nil {
			t.Fatal(err)
		}
		i.awaitReady(ctx)
		i.kill()
		if err := errors.Join(os.RemoveAll(rows), os.CopyFS(rows, os.DirFS(old))); err != nil {
			t.Fatal(err)
		}
		i.start("")
		if err := w.load(ctx, w.part(2, 3)); err != nil {
			t.Fatal(err)
		}
		w.settled(ctx)
	})
}

// Rows of another cluster are refused, with an error that says so, and are not touched.
func TestRowsOfAnotherCluster(t *testing.T) {
	notShort(t)
	onKafka(t)
	ctx, r := within(t), random(t)
	_, i := alone(ctx, t, cluster, kafka.Start(t, kafka.Options{}), r)
	i.stop()
	w, j := alone(ctx, t, cluster, kafka.Start(t, kafka.Options{}), r)
	j.stop()
	own := j.data
	j.data = i.data
	j.start("")
	select {
	case <-j.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("it runs on the rows of another cluster: %s", j.lastWords())
	}
	if said := j.said(); !strings.Contains(said, "cluster") || !strings.Contains(said, filepath.Join(i.data, "rows")) {
		t.Errorf("the error does not name the directory and the reason: %s", said)
	}
	j.data = own
	j.start("")
	if err := errors.Join(w.load(ctx, w.part(1, 3)), w.load(ctx, w.part(2, 3))); err != nil {
		t.Fatal(err)
	}
	w.settled(ctx)
}

// A bit of the rows' files flips while the instance is stopped: it ends when it meets it, with an error that says so, and the next start
// has its rows from the changelog. Nobody has to do anything, and nothing wrong is said.
func TestFlippedBit(t *testing.T) {
	notShort(t)
	onStores(t, func(_ context.Context, t *testing.T, at where, c *kafka.Cluster, r *rand.Rand) {
		rounds := 12
		if short() {
			rounds = 2
		}
		for range rounds {
			ctx := within(t)
			w, i := alone(ctx, t, at, c, r)
			i.stop()
			file := flip(t, r, filepath.Join(i.data, "rows"))
			i.start("")
			f := w.feed(ctx, w.part(1, 3))
			ends := 0
			w.until(ctx, func() string {
				if i.runs() {
					return i.ready()
				}
				if ends++; ends > 2 || !strings.Contains(i.said(), filepath.Join(i.data, "rows")) {
					t.Fatalf("a bit of %s flipped: %s", filepath.Base(file), i.lastWords())
				}
				i.start("")
				return i.id + " was started again"
			})
			f.await(w)
			if err := w.load(ctx, w.part(2, 3)); err != nil {
				t.Fatal(err)
			}
			w.settled(ctx)
			t.Logf("a bit of %s flipped: it was met %d times", filepath.Base(file), ends)
			i.kill()
			if t.Failed() {
				return
			}
		}
	})
}

// flip flips one bit of one of a directory's files, which is drawn by its size.
func flip(t *testing.T, r *rand.Rand, dir string) string {
	t.Helper()
	var files []string
	var sizes []int64
	var total int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > 0 {
			files, sizes, total = append(files, path), append(sizes, info.Size()), total+info.Size()
		}
		return err
	})
	if err != nil || total == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	at := r.Int64N(total)
	for k, path := range files {
		if at >= sizes[k] {
			at -= sizes[k]
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text[at] ^= 1 << r.IntN(8)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return ""
}

// The disk is full for a while. On a cluster the rows can be lost, and come back; on the embedded broker what is acknowledged is there.
// The instance may end, with an error that says why, but it ends when it is asked to, and with room again everything is as it was.
func TestFullDisk(t *testing.T) {
	notShort(t)
	onStores(t, func(ctx context.Context, t *testing.T, at where, c *kafka.Cluster, r *rand.Rand) {
		w := newWorld(t, setup{at: at, cluster: c, set: anySet(r), partitions: 4})
		w.shuffle(r)
		i := w.instance("i0")
		disk(t, i.data)
		i.start("")
		i.awaitReady(ctx)
		if err := w.load(ctx, w.part(0, 3)); err != nil {
			t.Fatal(err)
		}
		i.awaitReady(ctx)
		empty := fill(t, i.data)
		f := w.feed(ctx, w.part(1, 3))
		pause(t, between(r, 2*time.Second, 6*time.Second))
		t.Logf("with a full disk: %s", i.state())
		if i.runs() {
			i.signal(syscall.SIGTERM)
			select {
			case <-i.done:
			case <-time.After(20 * time.Second):
				t.Errorf("with a full disk it does not end when it is asked to: %s", i.lastWords())
				i.kill()
			}
		}
		if at == embedded && !strings.Contains(i.said(), "no space left") {
			t.Errorf("a full disk is not named: %s", i.said())
		}
		i.start("")
		select {
		case <-i.done:
			if !strings.Contains(i.said(), "no space left") {
				t.Errorf("it ended, and not for the full disk: %s", i.lastWords())
			}
		case <-time.After(between(r, time.Second, 5*time.Second)):
		}
		empty()
		i.kill()
		i.start("")
		f.await(w)
		if err := w.load(ctx, w.part(2, 3)); err != nil {
			t.Fatal(err)
		}
		w.settled(ctx)
		i.stop()
	})
}

// The data directory can only be read: the instance refuses to start, with an error that names it.
func TestReadOnlyDirectory(t *testing.T) {
	notShort(t)
	onStores(t, func(ctx context.Context, t *testing.T, at where, c *kafka.Cluster, r *rand.Rand) {
		w := newWorld(t, setup{at: at, cluster: c, set: anySet(r), partitions: 4})
		w.shuffle(r)
		i := w.instance("i0")
		disk(t, i.data)
		i.start("")
		i.awaitReady(ctx)
		if err := w.load(ctx, w.part(0, 2)); err != nil {
			t.Fatal(err)
		}
		i.awaitReady(ctx)
		i.stop()
		remount(t, i.data, "ro")
		i.start("")
		select {
		case <-i.done:
		case <-time.After(20 * time.Second):
			t.Errorf("it runs on a directory that can only be read: %s", i.state())
			i.kill()
		}
		if said := i.said(); !strings.Contains(said, "read-only") || !strings.Contains(said, i.data) {
			t.Errorf("the error does not name the directory and the reason: %s", said)
		}
		remount(t, i.data, "rw")
		i.start("")
		if err := w.load(ctx, w.part(1, 2)); err != nil {
			t.Fatal(err)
		}
		w.settled(ctx)
		i.kill()
	})
}

// disk makes a directory a small file system of its own for the rest of the test.
func disk(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("NOT RUN: a small file system cannot be mounted here (it takes root): %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount %s: %v: %s", dir, err, out)
		}
	})
}

func remount(t *testing.T, dir, how string) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "remount,"+how, dir).CombinedOutput(); err != nil {
		t.Fatalf("remount %s %s: %v: %s", dir, how, err, out)
	}
}

// fill leaves no room on a file system; the function that it returns gives it back.
func fill(t *testing.T, dir string) func() {
	t.Helper()
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(ballast); err != nil {
			t.Error(err)
		}
	}
}
