package embedded

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// journal makes the commit of a transaction atomic under kill -9. The broker commits in one step for its clients, but writes its marker
// partition by partition, then the consumer offsets, and last an entry in pids.log; only then it answers. The journal says before that
// which commit begins, and how long the files are. If the last entry is missing after a kill, nobody has been told of the commit and
// nobody has read it: its markers and offsets are taken back, and the transaction is aborted like any other that was open.
type journal struct {
	f    *os.File
	log  string
	sync bool
}

const journalFile = "commit"

// commitIntent is what the journal says of the commit that began last.
type commitIntent struct {
	producer int64
	epoch    int16
	at       int64 // wall time in milliseconds: the commit's markers are not older
	groups   fileSize
	pids     fileSize
}

// fileSize is how long a file was, and which file: one that is written anew has another inode.
type fileSize struct {
	inode uint64
	size  int64
}

const journalSize = 4 + 8 + 2 + 8 + 4*8 + 4

func openJournal(d *directory, sync bool) (*journal, error) {
	f, err := os.OpenFile(d.at(journalFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the journal of commits: %w", err)
	}
	return &journal{f: f, log: d.at(logDir), sync: sync}, nil
}

// begin is called before the broker handles a request to commit. An error must keep it from that.
func (j *journal) begin(req *kmsg.EndTxnRequest) error {
	groups, err := sizeOf(filepath.Join(j.log, "groups.log"))
	if err != nil {
		return err
	}
	pids, err := sizeOf(filepath.Join(j.log, "pids.log"))
	if err != nil {
		return err
	}
	c := commitIntent{producer: req.ProducerID, epoch: req.ProducerEpoch, at: time.Now().UnixMilli(), groups: groups, pids: pids}
	if _, err := j.f.WriteAt(c.encode(), 0); err != nil {
		return fmt.Errorf("write the journal of commits: %w", err)
	}
	if j.sync {
		return j.f.Sync()
	}
	return nil
}

func (j *journal) close() error { return j.f.Close() }

const journalMagic = "FRC1"

func (c *commitIntent) encode() []byte {
	b := make([]byte, 0, journalSize)
	b = append(b, journalMagic...)
	for _, v := range []uint64{uint64(c.producer), uint64(c.at), c.groups.inode, uint64(c.groups.size), c.pids.inode, uint64(c.pids.size)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(c.epoch))
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func decodeIntent(b []byte) (c commitIntent, ok bool) {
	if len(b) != journalSize || string(b[:4]) != journalMagic || crc32.ChecksumIEEE(b[:journalSize-4]) != binary.LittleEndian.Uint32(b[journalSize-4:]) {
		return c, false
	}
	u := func(i int) uint64 { return binary.LittleEndian.Uint64(b[4+8*i:]) }
	c.producer, c.at = int64(u(0)), int64(u(1))
	c.groups, c.pids = fileSize{u(2), int64(u(3))}, fileSize{u(4), int64(u(5))}
	c.epoch = int16(binary.LittleEndian.Uint16(b[4+6*8:]))
	return c, true
}

func sizeOf(path string) (fileSize, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fileSize{}, nil
	}
	if err != nil {
		return fileSize{}, err
	}
	s := fileSize{size: info.Size()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = uint64(st.Ino)
	}
	return s, nil
}

// cutShort returns the commit that a kill has cut short, if there is one.
func cutShort(d *directory) (c commitIntent, found bool, err error) {
	raw, err := os.ReadFile(d.at(journalFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("read the journal of commits: %w", err)
	}
	c, ok := decodeIntent(raw)
	if !ok {
		return c, false, nil // torn: the commit had not begun, and the one before it was done
	}
	path := filepath.Join(d.at(logDir), "pids.log")
	now, err := sizeOf(path)
	if err != nil {
		return c, false, err
	}
	if c.pids.size > 0 && (now.inode != c.pids.inode || now.size < c.pids.size) {
		return c, false, nil // written anew since, which happens after the commit's entry only
	}
	entries, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, false, err
	}
	return c, !ended(entries[min(c.pids.size, int64(len(entries))):], c.producer), nil
}

// ended says whether entries of pids.log hold the one that ends a transaction of a producer. An entry is its length (of version and
// data), a checksum, a version and JSON data.
func ended(entries []byte, producer int64) bool {
	const header = 10
	for len(entries) >= header {
		length := int64(binary.LittleEndian.Uint32(entries))
		if length < 2 || 8+length > int64(len(entries)) {
			return false
		}
		var e struct {
			Type     string `json:"type"`
			Producer int64  `json:"pid"`
		}
		if json.Unmarshal(entries[header:8+length], &e) == nil && e.Type == "endtx" && e.Producer == producer {
			return true
		}
		entries = entries[8+length:]
	}
	return false
}

// wrote says whether a marker was written by the commit.
func (c *commitIntent) wrote(marker batchRef) bool {
	return marker.commits && marker.producer == c.producer && marker.epoch == c.epoch && marker.time >= c.at
}

// undoOffsets takes back the consumer offsets that the commit has written.
func (c *commitIntent) undoOffsets(log string) error {
	path := filepath.Join(log, "groups.log")
	now, err := sizeOf(path)
	if err != nil {
		return err
	}
	if now.size <= c.groups.size || (c.groups.size > 0 && now.inode != c.groups.inode) {
		return nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("take back the offsets of a commit that was cut short: %w", err)
	}
	if err := writeFile(path, raw[:c.groups.size]); err != nil {
		return fmt.Errorf("take back the offsets of a commit that was cut short: %w", err)
	}
	return nil
}
