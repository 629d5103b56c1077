package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// topicFile is what the broker says of a topic in topics.json.
type topicFile struct {
	Name       string            `json:"name"`
	Partitions int               `json:"partitions"`
	Configs    map[string]string `json:"configs"`
}

// snapshot is what the broker keeps of a partition beside its segments (format 1). With it a start does not have to hold the whole
// partition in memory, and it is the only place that knows how far records have been deleted and what was aborted.
type snapshot struct {
	Version          int               `json:"version"`
	HighWatermark    int64             `json:"high_watermark"`
	LastStableOffset int64             `json:"last_stable_offset"`
	LogStartOffset   int64             `json:"log_start_offset"`
	Epoch            int32             `json:"epoch"`
	LeaderNode       int32             `json:"leader_node,omitempty"`
	MaxTimestamp     int64             `json:"max_timestamp"`
	CreatedAt        time.Time         `json:"created_at"`
	AbortedTxns      []abortedTxn      `json:"aborted_txns,omitempty"`
	Segments         []snapshotSegment `json:"segments"`
}

type abortedTxn struct {
	Producer int64 `json:"producer_id"`
	First    int64 `json:"first_offset"`
	Last     int64 `json:"last_offset"`
}

type snapshotSegment struct {
	Base     int64 `json:"base_offset"`
	Size     int64 `json:"size"`
	MinEpoch int32 `json:"min_epoch,omitempty"`
	MaxEpoch int32 `json:"max_epoch,omitempty"`
}

// partition is one partition's directory while no broker runs on it.
type partition struct {
	topic    string
	number   int
	dir      string
	segments []int64 // base offsets, ascending
	old      snapshot
	hasOld   bool
}

// partitions lists the partitions of a log by its topics.json. Directories of topics that have been deleted are not among them.
func partitions(log string) ([]partition, map[string]topicFile, error) {
	raw, err := os.ReadFile(filepath.Join(log, "topics.json"))
	if err != nil {
		return nil, nil, fmt.Errorf("read the embedded broker's topics: %w", err)
	}
	var file struct {
		Version int         `json:"version"`
		Topics  []topicFile `json:"topics"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, nil, fmt.Errorf("read the embedded broker's topics: %w", err)
	}
	if file.Version != 1 {
		return nil, nil, fmt.Errorf("the embedded broker's files have format %d; this release reads format 1", file.Version)
	}
	var list []partition
	topics := make(map[string]topicFile)
	for _, t := range file.Topics {
		topics[t.Name] = t
		for n := range t.Partitions {
			p := partition{topic: t.Name, number: n, dir: filepath.Join(log, "partitions", url.PathEscape(t.Name)+"-"+strconv.Itoa(n))}
			if err := p.read(); err != nil {
				return nil, nil, fmt.Errorf("partition %d of %s: %w", n, t.Name, err)
			}
			list = append(list, p)
		}
	}
	return list, topics, nil
}

func (p *partition) read() error {
	entries, err := os.ReadDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".dat"); ok {
			if base, err := strconv.ParseInt(name, 10, 64); err == nil {
				p.segments = append(p.segments, base)
			}
		}
	}
	slices.Sort(p.segments)
	raw, err := os.ReadFile(filepath.Join(p.dir, "snapshot.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// A snapshot that cannot be read is one that a power cut has torn: the segments say almost everything it says.
	p.hasOld = json.Unmarshal(raw, &p.old) == nil && p.old.Version == 1
	return nil
}

func (p *partition) segment(base int64) string { return p.file(base, ".dat") }
func (p *partition) index(base int64) string   { return p.file(base, ".idx") }
func (p *partition) file(base int64, ext string) string {
	return filepath.Join(p.dir, strconv.FormatInt(base, 10)+ext)
}

// contents is what a scan of a partition's segments has found.
type contents struct {
	segments []segmentContents
	last     batchRef
	previous batchRef
	count    int // batches
	maxTime  int64
	aborted  []abortedTxn
	open     map[int64]openTxn // transactions that nothing ends, by producer
	bytes    int64
}

type segmentContents struct {
	base  int64
	size  int64  // good bytes
	torn  bool   // there are more bytes, which are not a batch
	index []byte // what the index file has to hold
	info  snapshotSegment
}

// batchRef is what stays known of a batch without its segment.
type batchRef struct {
	first, last, producer, time int64
	leaderEpoch                 int32
	epoch                       int16
	control, commits            bool
	segment                     int // index in contents.segments
	size                        int
}

type openTxn struct {
	first, last int64
	epoch       int16
}

// scan reads a partition's segments one after the other. If undo says so of the marker that comes last, it is left out, as if it had
// not been written.
func (p *partition) scan(undo func(marker batchRef) bool) (*contents, error) {
	c := &contents{open: make(map[int64]openTxn)}
	var refs []batchRef // of transactions and their markers only: what is aborted depends on what comes later
	for _, base := range p.segments {
		raw, err := os.ReadFile(p.segment(base))
		if err != nil {
			return nil, err
		}
		s := segmentContents{base: base, info: snapshotSegment{Base: base}}
		for {
			b, rest := next(raw)
			if b == nil {
				s.torn = len(rest) > 0
				break
			}
			raw = rest
			c.add(&s, b, &refs)
		}
		c.segments = append(c.segments, s)
	}
	if undo != nil && c.last.control && undo(c.last) {
		refs = c.dropLast(refs)
	}
	c.pair(refs)
	for i := range c.segments {
		s := &c.segments[i]
		s.info.Size = s.size
		c.bytes += s.size
	}
	return c, nil
}

func (c *contents) add(s *segmentContents, b batch, refs *[]batchRef) {
	ref := batchRef{first: b.first(), last: b.last(), producer: b.producer(), epoch: b.epoch(), leaderEpoch: b.leaderEpoch(), time: b.maxTime(),
		control: b.control(), segment: len(c.segments), size: len(b)}
	if ref.control {
		ref.commits = b.commits()
	}
	if ref.control || b.open() {
		*refs = append(*refs, ref)
	}
	if s.size == 0 {
		s.info.MinEpoch = b.leaderEpoch()
	}
	s.info.MinEpoch, s.info.MaxEpoch = min(s.info.MinEpoch, b.leaderEpoch()), max(s.info.MaxEpoch, b.leaderEpoch())
	s.size += int64(len(b))
	s.index = append(s.index, b.indexEntry()...)
	c.previous, c.last, c.count, c.maxTime = c.last, ref, c.count+1, max(c.maxTime, ref.time)
}

// dropLast takes the last batch away, unless it is the only one: the partition's next offset rests on it.
func (c *contents) dropLast(refs []batchRef) []batchRef {
	if c.count < 2 {
		return refs
	}
	s := &c.segments[c.last.segment]
	s.size -= int64(c.last.size)
	s.index = s.index[:len(s.index)-indexEntrySize]
	s.torn = true
	c.last, c.count = c.previous, c.count-1
	return refs[:len(refs)-1]
}

// pair finds out which transactions were aborted and which have no end.
func (c *contents) pair(refs []batchRef) {
	for _, r := range refs {
		o, isOpen := c.open[r.producer]
		if !r.control {
			if !isOpen {
				o.first = r.first
			}
			o.last, o.epoch = r.last, r.epoch
			c.open[r.producer] = o
			continue
		}
		if isOpen && !r.commits {
			c.aborted = append(c.aborted, abortedTxn{Producer: r.producer, First: o.first, Last: r.first})
		}
		delete(c.open, r.producer)
	}
}

// isAborted says whether a batch belongs to a transaction that was aborted.
func (c *contents) isAborted(b batch) bool {
	if !b.open() {
		return false
	}
	for _, a := range c.aborted {
		if a.Producer == b.producer() && a.First <= b.first() && b.first() <= a.Last {
			return true
		}
	}
	return false
}
