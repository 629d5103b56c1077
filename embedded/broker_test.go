package embedded

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// start runs a broker on dir ("" for memory) and stops it with the test, unless the test does.
func start(t *testing.T, dir string) *Broker {
	t.Helper()
	var cfg Config
	cfg.RegisterFlags(flag.NewFlagSet("", flag.ContinueOnError))
	cfg.Listen, cfg.Dir = "127.0.0.1:0", dir
	b, err := New(cfg, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := services.StartAndAwaitRunning(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, b) })
	return b
}

func stop(t *testing.T, b *Broker) {
	t.Helper()
	if err := services.StopAndAwaitTerminated(context.Background(), b); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

// kill ends a broker as kill -9 would, seen from its files: nothing is saved, and the lock is free.
func kill(t *testing.T, b *Broker) {
	t.Helper()
	saved := filepath.Join(t.TempDir(), "as-killed")
	if err := os.CopyFS(saved, os.DirFS(b.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	stop(t, b)
	if err := os.RemoveAll(b.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(saved, b.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	rewriteInodes(t, b.cfg.Dir)
}

// rewriteInodes makes the journal of a copied directory speak of the copy: it names files by their inodes.
func rewriteInodes(t *testing.T, dir string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, journalFile))
	if err != nil {
		t.Fatal(err)
	}
	c, ok := decodeIntent(raw)
	if !ok {
		return
	}
	groups, gerr := sizeOf(filepath.Join(dir, logDir, "groups.log"))
	pids, perr := sizeOf(filepath.Join(dir, logDir, "pids.log"))
	if err := errors.Join(gerr, perr); err != nil {
		t.Fatal(err)
	}
	c.groups.inode, c.pids.inode = groups.inode, pids.inode
	if err := os.WriteFile(filepath.Join(dir, journalFile), c.encode(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func client(t *testing.T, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr()), kgo.FetchMaxWait(100 * time.Millisecond), kgo.DisableClientMetrics()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func create(t *testing.T, b *Broker, topic string, partitions int32, configs ...string) {
	t.Helper()
	m := make(map[string]*string)
	for i := 0; i < len(configs); i += 2 {
		m[configs[i]] = &configs[i+1]
	}
	if _, err := kadm.NewClient(client(t, b)).CreateTopic(within(t), partitions, -1, m, topic); err != nil {
		t.Fatal(err)
	}
}

func produce(t *testing.T, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := cl.ProduceSync(within(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// contentsOf reads a partition to its stable end: "offset key=value" for every record.
func contentsOf(t *testing.T, b *Broker, topic string, partition int32) []string {
	t.Helper()
	adm := kadm.NewClient(client(t, b))
	ends, err := adm.ListCommittedOffsets(within(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, partition)
	starts, err := adm.ListStartOffsets(within(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	begin, _ := starts.Lookup(topic, partition)
	if begin.Offset >= end.Offset {
		return nil
	}
	cl := client(t, b, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	defer cl.Close() // now: once the broker is gone, closing waits for it
	var got []string
	for next := int64(0); next < end.Offset; {
		fetches := cl.PollFetches(within(t))
		if err := fetches.Err0(); err != nil {
			t.Fatalf("read %s/%d to %d (at %d): %v", topic, partition, end.Offset, next, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				got = append(got, fmt.Sprintf("%d %s=%s", r.Offset, r.Key, r.Value))
			}
		})
	}
	return got
}

func committed(t *testing.T, b *Broker, group, topic string, partition int32) int64 {
	t.Helper()
	offsets, err := kadm.NewClient(client(t, b)).FetchOffsets(within(t), group)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := offsets.Lookup(topic, partition)
	if !ok {
		return -1
	}
	return o.At
}

func commit(t *testing.T, b *Broker, group, topic string, partition int32, at int64) {
	t.Helper()
	offsets := make(kadm.Offsets)
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: at, LeaderEpoch: -1})
	if _, err := kadm.NewClient(client(t, b)).CommitOffsets(within(t), group, offsets); err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func TestRestart(t *testing.T) {
	for _, how := range []struct {
		name    string
		end     func(*testing.T, *Broker)
		unclean bool
	}{{"stopped", stop, false}, {"killed", kill, true}} {
		t.Run(how.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			b := start(t, dir)
			if b.Unclean() {
				t.Error("a new directory counts as left unclean")
			}
			create(t, b, "t", 2, "cleanup.policy", "compact")
			produce(t, client(t, b, kgo.DefaultProduceTopic("t")), kgo.KeyStringRecord("k", "1"), kgo.KeyStringRecord("k", "2"))
			commit(t, b, "g", "t", 1, 17)
			var want [2][]string
			for p := range want {
				want[p] = contentsOf(t, b, "t", int32(p))
			}
			if len(want[0])+len(want[1]) != 2 {
				t.Fatalf("produced 2 records, have %q", want)
			}
			how.end(t, b)

			for range 2 { // the second restart sees what the first has left
				b = start(t, dir)
				if b.Unclean() != how.unclean {
					t.Errorf("unclean = %v, want %v", b.Unclean(), how.unclean)
				}
				for p := range want {
					same(t, fmt.Sprintf("partition %d", p), contentsOf(t, b, "t", int32(p)), want[p])
				}
				if at := committed(t, b, "g", "t", 1); at != 17 {
					t.Errorf("committed offset is %d, want 17", at)
				}
				how.end(t, b)
			}
		})
	}
}

func TestSecondBroker(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	cfg := Config{Listen: "127.0.0.1:0", Dir: dir, MaxMessageBytes: 1 << 20}
	b, err := New(cfg, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	err = services.StartAndAwaitRunning(context.Background(), b)
	if err == nil {
		stop(t, b)
		t.Fatal("two brokers run on one directory")
	}
	for _, part := range []string{dir, strconv.Itoa(os.Getpid())} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %s", err, part)
		}
	}
}

func TestValidate(t *testing.T) {
	good := Config{Listen: "127.0.0.1:0", MaxMessageBytes: 1 << 20}
	for _, c := range []struct {
		change func(*Config)
		names  string // what the error has to name; "": none
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Listen = "localhost:9092" }, ""},
		{func(c *Config) { c.Listen = "[::1]:9092" }, ""},
		{func(c *Config) { c.Listen = "9092" }, "-embedded.listen"},
		{func(c *Config) { c.Listen = "0.0.0.0:9092" }, "-embedded.allow-remote"},
		{func(c *Config) { c.Listen = ":9092" }, "-embedded.allow-remote"},
		{func(c *Config) { c.Listen, c.AllowRemote = ":9092", true }, ""},
		{func(c *Config) { c.MaxMessageBytes = 3 }, "-embedded.max-message-bytes"},
	} {
		cfg := good
		c.change(&cfg)
		err := cfg.Validate()
		if (err == nil) != (c.names == "") || err != nil && !strings.Contains(err.Error(), c.names) {
			t.Errorf("%+v: %v, want an error that names %q", cfg, err, c.names)
		}
	}
}

func TestAdvertised(t *testing.T) {
	for _, c := range []struct{ advertise, host, want string }{
		{"", "127.0.0.1", "127.0.0.1"}, {"", "::", "localhost"}, {"", "0.0.0.0", "localhost"}, {"box", "0.0.0.0", "box"},
	} {
		if got := (&Config{Advertise: c.advertise}).advertised(c.host); got != c.want {
			t.Errorf("listening on %s with advertise %q: %s, want %s", c.host, c.advertise, got, c.want)
		}
	}
}

func TestLargeRecords(t *testing.T) {
	b := start(t, "")
	create(t, b, "t", 1)
	for _, c := range []struct {
		bytes int
		want  error
	}{{8 << 20, nil}, {100 << 20, kerr.MessageTooLarge}, {1, nil}} {
		cl := client(t, b, kgo.ProducerBatchMaxBytes(200<<20), kgo.BrokerMaxWriteBytes(256<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
		err := cl.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: make([]byte, c.bytes)}).FirstErr()
		if !errors.Is(err, c.want) {
			t.Errorf("a record of %d bytes: %v, want %v", c.bytes, err, c.want)
		}
	}
}

func TestNoTopicsByAccident(t *testing.T) {
	b := start(t, "")
	cl := client(t, b, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
	err := cl.ProduceSync(within(t), &kgo.Record{Topic: "mistyped", Value: []byte("v")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("producing to a topic that does not exist: %v", err)
	}
}

func TestSarama(t *testing.T) {
	b := start(t, "")
	create(t, b, "t", 3)
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Producer.Return.Successes = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	p, err := sarama.NewSyncProducer([]string{b.Addr()}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	partition, offset, err := p.SendMessage(&sarama.ProducerMessage{Topic: "t", Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := sarama.NewConsumer([]string{b.Addr()}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pc, err := c.ConsumePartition("t", partition, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	select {
	case m := <-pc.Messages():
		if string(m.Key) != "k" || string(m.Value) != "v" {
			t.Errorf("got %s=%s", m.Key, m.Value)
		}
	case <-within(t).Done():
		t.Fatal("the record did not come")
	}
}

func TestKcat(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("NOT TESTED: kcat is not installed, so that librdkafka clients are not tried")
	}
	b := start(t, "")
	create(t, b, "t", 1)
	in := exec.CommandContext(within(t), kcat, "-b", b.Addr(), "-P", "-t", "t", "-K", ":", "-X", "enable.idempotence=true")
	in.Stdin = strings.NewReader("a:1\nb:2\n")
	if out, err := in.CombinedOutput(); err != nil {
		t.Fatalf("kcat -P: %v\n%s", err, out)
	}
	var out bytes.Buffer
	read := exec.CommandContext(within(t), kcat, "-b", b.Addr(), "-C", "-t", "t", "-e", "-q", "-f", "%k=%s\n")
	read.Stdout = &out
	if err := read.Run(); err != nil {
		t.Fatal(err)
	}
	if out.String() != "a=1\nb=2\n" {
		t.Errorf("kcat -C: %q", out.String())
	}
}
