package topology

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

func counts() []int32 { return []int32{1, 7, 8, 12, 24, 64, 100} }

// keys are ids as users have them, and bytes as nobody has them.
func keys(t *testing.T) [][]byte {
	const seed = 11
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var keys [][]byte
	for i := range 400 {
		keys = append(keys, fmt.Appendf(nil, "wf-%x", i*7919), fmt.Appendf(nil, "policy/%d", i))
		b := make([]byte, 1+rnd.IntN(40))
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		keys = append(keys, b)
	}
	return keys
}

// TestPartitionersOfClients compares with what the clients themselves do.
func TestPartitionersOfClients(t *testing.T) {
	kafka := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	clients := []struct {
		name string
		of   Partitioner
		at   func(key []byte, n int32) (int32, error)
	}{
		{"franz-go", Murmur2, func(key []byte, n int32) (int32, error) {
			return int32(kafka.Partition(&kgo.Record{Key: key}, int(n))), nil
		}},
		{"sarama murmur2", Murmur2, bySarama(sarama.NewMurmur2Partitioner("t"))},
		{"sarama hash", FNV1a, bySarama(sarama.NewHashPartitioner("t"))},
		{"sarama crc", CRC32, bySarama(sarama.NewConsistentCRCHashPartitioner("t"))},
	}
	for _, c := range clients {
		for _, n := range counts() {
			for _, key := range keys(t) {
				want, err := c.at(key, n)
				if err != nil {
					t.Fatal(err)
				}
				if got := c.of.Partition(key, n); got != want {
					t.Fatalf("%s puts %q at %d of %d, %s at %d", c.name, key, want, n, c.of, got)
				}
			}
		}
	}
}

func bySarama(p sarama.Partitioner) func([]byte, int32) (int32, error) {
	return func(key []byte, n int32) (int32, error) {
		return p.Partition(&sarama.ProducerMessage{Key: sarama.ByteEncoder(key)}, n)
	}
}

// TestReferencePartitionerDiffers keeps the trap in sight: sarama's "reference" partitioner masks fnv1a, which is another placement.
func TestReferencePartitionerDiffers(t *testing.T) {
	masked := bySarama(sarama.NewReferenceHashPartitioner("t"))
	differ := 0
	for _, key := range keys(t) {
		at, err := masked(key, 12)
		if err != nil {
			t.Fatal(err)
		}
		if at != FNV1a.Partition(key, 12) {
			differ++
		}
	}
	if differ == 0 {
		t.Error("masking fnv1a and taking its absolute value place every key alike")
	}
}

// TestPartitionersOfLibrdkafka compares with recorded placements of kcat.
func TestPartitionersOfLibrdkafka(t *testing.T) {
	f, err := os.Open("testdata/librdkafka.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var columns []string
	rows := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		cells := strings.Split(s.Text(), "\t")
		if columns == nil {
			columns = cells
			continue
		}
		rows++
		for i, cell := range cells[1:] {
			name, count, _ := strings.Cut(columns[i+1], "/")
			p, err := ParsePartitioner(name)
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
			want, err := strconv.Atoi(cell)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.PartitionString(cells[0], int32(n)); got != int32(want) {
				t.Errorf("kcat puts %q at %d of %d by %s, we at %d", cells[0], want, n, p, got)
			}
		}
	}
	if rows < 100 {
		t.Errorf("%d keys recorded, want at least 100", rows)
	}
}

// TestHasher goes the way goka goes: a fresh hasher, abs(int32(sum)) mod n.
func TestHasher(t *testing.T) {
	for p := Murmur2; p <= FNV1a; p++ {
		for _, n := range counts() {
			h := p.Hasher(n)()
			for _, key := range keys(t) {
				h.Reset()
				if _, err := h.Write(key[:len(key)/2]); err != nil {
					t.Fatal(err)
				}
				if _, err := h.Write(key[len(key)/2:]); err != nil {
					t.Fatal(err)
				}
				hash := int32(h.Sum32())
				if hash < 0 {
					hash = -hash
				}
				if got, want := hash%n, p.Partition(key, n); got != want {
					t.Fatalf("goka puts %q at %d of %d by %s, want %d", key, got, n, p, want)
				}
			}
		}
	}
}

// TestSmallestInt is the one hash whose absolute value does not exist.
func TestSmallestInt(t *testing.T) {
	// Found by search: its 32-bit FNV-1a is 0x80000000.
	key := smallestIntKey(t)
	for _, n := range counts() {
		if got := FNV1a.Partition(key, n); got < 0 || got >= n {
			t.Errorf("partition %d of %d", got, n)
		}
	}
}

// smallestIntKey builds a key with FNV-1a 0x80000000: the last step of the hash can be undone, so a four byte tail is searched from a
// few thousand heads for a match.
func smallestIntKey(t *testing.T) []byte {
	const prime = 16777619
	inverse := uint32(1)
	for range 5 { // Newton: doubles the correct bits
		inverse *= 2 - prime*inverse
	}
	// Undo two bytes from the target: the states from which two bytes lead to it.
	before := make(map[uint32][2]byte)
	for a := range 256 {
		for b := range 256 {
			s := (uint32(0x80000000)*inverse ^ uint32(b)) * inverse
			before[s^uint32(a)] = [2]byte{byte(a), byte(b)}
		}
	}
	for i := range uint32(1 << 20) {
		head := []byte{byte(i), byte(i >> 8), byte(i >> 16)}
		if tail, ok := before[fnv1a(head)]; ok {
			key := append(head, tail[:]...)
			if fnv1a(key) != 1<<31 {
				t.Fatalf("%x hashes to %#x", key, fnv1a(key))
			}
			return key
		}
	}
	t.Fatal("no key found")
	return nil
}

func TestPartitionAllocates(t *testing.T) {
	key, text := []byte("wf-7f3a99"), "policy/refund"
	for p := Murmur2; p <= FNV1a; p++ {
		if n := testing.AllocsPerRun(100, func() { p.Partition(key, 8); p.PartitionString(text, 8) }); n != 0 {
			t.Errorf("%s allocates %v times", p, n)
		}
	}
}

func TestParsePartitioner(t *testing.T) {
	for p := Murmur2; p <= FNV1a; p++ {
		if got, err := ParsePartitioner(p.String()); err != nil || got != p {
			t.Errorf("%s: %v, %v", p, got, err)
		}
	}
	if _, err := ParsePartitioner("Murmur2"); err == nil {
		t.Error("names are exact")
	}
	if s := Partitioner(9).String(); s != "partitioner(9)" {
		t.Error(s)
	}
}

func TestControlKey(t *testing.T) {
	for _, name := range []string{"clock", "cursor", "a/b", ""} {
		key := ControlKey(name, 12)
		if !strings.HasPrefix(key, ControlPrefix) {
			t.Errorf("%q does not begin with the prefix", key)
		}
		if got, p, ok := ControlPartition(key); got != name || p != 12 || !ok {
			t.Errorf("%q: %q, %d, %v", key, got, p, ok)
		}
	}
	for _, key := range []string{"", "wf-1", "policy/3", "\x00", "\x00clock", "\x00clock/", "\x00clock/-1", "\x00clock/03", "\x00clock/x", "\x00clock/99999999999"} {
		if _, _, ok := ControlPartition(key); ok {
			t.Errorf("%q counts as a control row", key)
		}
	}
}

func BenchmarkPartition(b *testing.B) {
	key := []byte("wf-0123456789abcdef")
	for p := Murmur2; p <= FNV1a; p++ {
		b.Run(p.String(), func(b *testing.B) {
			for b.Loop() {
				p.Partition(key, 12)
			}
		})
	}
}
