package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// What lies in a data directory.
const (
	lockFile   = "lock"       // held while a broker runs; holds its process id
	cleanFile  = "clean"      // there if the last broker stopped in order
	logDir     = "log"        // the broker's own files
	beforeDir  = "log.before" // what log was before the upkeep that is going on, as hard links; there only until that is done
	partialDir = "log.partial"
)

// directory is a locked data directory.
type directory struct {
	path string
	lock *os.File
}

// openDirectory creates and locks a data directory. A second broker on it is an error that names the directory and the process that
// has it.
func openDirectory(path string) (*directory, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("create the embedded broker's directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the embedded broker's directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the embedded broker's directory %s: %w", path, err)
		}
		who := "another process"
		if b, err := os.ReadFile(f.Name()); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				who = fmt.Sprintf("process %d", pid)
			}
		}
		return nil, fmt.Errorf("the embedded broker's directory %s is in use by %s: stop it, or use another -data.dir", path, who)
	}
	d := &directory{path: path, lock: f}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(fmt.Errorf("write the lock of %s: %w", path, err), d.close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("write the lock of %s: %w", path, err), d.close())
	}
	return d, nil
}

func (d *directory) at(name string) string { return filepath.Join(d.path, name) }

// close gives the lock back. The file stays: removing it would let two processes lock two files of that name.
func (d *directory) close() error { return d.lock.Close() }

// exists says whether a broker has run here.
func (d *directory) exists() (bool, error) {
	_, err := os.Stat(filepath.Join(d.at(logDir), "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// takeCleanMark says whether the last broker stopped in order, and removes the mark: from here on only a stop in order sets it again.
func (d *directory) takeCleanMark() (bool, error) {
	err := os.Remove(d.at(cleanFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("remove the mark of the last stop: %w", err)
	}
	return true, syncDir(d.path)
}

func (d *directory) setCleanMark() error {
	if err := writeFile(d.at(cleanFile), nil); err != nil {
		return fmt.Errorf("mark the stop: %w", err)
	}
	return syncDir(d.path)
}

// saveBefore keeps the log as it is until discardBefore. The files are hard links, so that nothing is copied; who changes a file
// meanwhile writes a new one and renames it.
func (d *directory) saveBefore() error {
	if err := os.RemoveAll(d.at(partialDir)); err != nil {
		return fmt.Errorf("remove a partial copy of the log: %w", err)
	}
	root := d.at(logDir)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		to := filepath.Join(d.at(partialDir), rel)
		if e.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		return os.Link(path, to)
	})
	if err != nil {
		return fmt.Errorf("keep the log as it is: %w", err)
	}
	if err := syncTree(d.at(partialDir)); err != nil {
		return err
	}
	if err := os.Rename(d.at(partialDir), d.at(beforeDir)); err != nil {
		return fmt.Errorf("keep the log as it is: %w", err)
	}
	return syncDir(d.path)
}

// putBack undoes an upkeep that has not come to its end. It may itself die at any point and be done again.
func (d *directory) putBack() (bool, error) {
	if _, err := os.Stat(d.at(beforeDir)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err := os.RemoveAll(d.at(logDir)); err != nil {
		return false, fmt.Errorf("remove what an interrupted start has left: %w", err)
	}
	if err := os.Rename(d.at(beforeDir), d.at(logDir)); err != nil {
		return false, fmt.Errorf("put the log back: %w", err)
	}
	return true, syncDir(d.path)
}

// discardBefore ends an upkeep. Everything new is on disk before the old goes, and the old goes by one rename: half of it must never be
// taken for the whole.
func (d *directory) discardBefore() error {
	if err := syncTree(d.at(logDir)); err != nil {
		return err
	}
	if err := os.RemoveAll(d.at(partialDir)); err != nil {
		return fmt.Errorf("remove a partial copy of the log: %w", err)
	}
	if err := os.Rename(d.at(beforeDir), d.at(partialDir)); err != nil {
		return fmt.Errorf("end the upkeep of the log: %w", err)
	}
	if err := syncDir(d.path); err != nil {
		return err
	}
	if err := os.RemoveAll(d.at(partialDir)); err != nil {
		return fmt.Errorf("remove the log as it was: %w", err)
	}
	return nil
}

// syncTree syncs every directory under root; the files are synced when they are written.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return syncDir(path)
		}
		return nil
	})
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}

// writeFile replaces a file as a whole: a crash leaves the old or the new one, and hard links to the old one keep it.
func writeFile(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return os.Rename(tmp, path)
}
