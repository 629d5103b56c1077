package contracts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/slo"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/twmb/franz-go/pkg/kgo"
)

// record is the data of a record on the contracts topic.
type record struct {
	Hash     string     `json:"hash"`
	Since    event.Time `json:"since"`
	Contract string     `json:"contract"` // the file as it was accepted; references to secrets are not expanded in it
}

// Topic reads the contracts topic into a Log and writes proposals to it.
type Topic struct {
	// Secrets looks up the variables of secret fields; nil: they are left empty. Set it before CatchUp.
	Secrets func(name string) (string, bool)

	name   string
	client *kgo.Client
	logs   *tail.Logs
	log    *Log
	input  *clock.Input
	now    func() event.Time
	logger log.Logger
	read   int64 // offset after the last record read
}

// Open connects to the topic.
func Open(name string, cluster access.Cluster, logs *tail.Logs, l *Log, input *clock.Input, now func() event.Time, logger log.Logger) (*Topic, error) {
	client, err := kgo.NewClient(cluster.Kgo(kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(250*time.Millisecond))...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	return &Topic{name: name, client: client, logs: logs, log: l, input: input, now: now, logger: logger}, nil
}

// Close disconnects.
func (t *Topic) Close() { t.client.Close() }

// CatchUp reads what the topic holds now.
func (t *Topic) CatchUp(ctx context.Context) error {
	end, err := t.logs.Usable(ctx, t.name, 0)
	if err != nil {
		return fmt.Errorf("end of %s: %w", t.name, err)
	}
	t.input.Committed(0)
	for t.read < end {
		if err := t.poll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Follow reads on until ctx ends.
func (t *Topic) Follow(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := t.poll(ctx); err != nil && ctx.Err() == nil {
			_ = level.Warn(t.logger).Log("msg", "contracts topic cannot be read", "topic", t.name, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
	return nil
}

func (t *Topic) poll(ctx context.Context) error {
	fetches := t.client.PollFetches(ctx)
	if err := fetches.Err0(); err != nil {
		return fmt.Errorf("read %s: %w", t.name, err)
	}
	for _, e := range fetches.Errors() {
		return fmt.Errorf("read %s: %w", t.name, e.Err)
	}
	fetches.EachRecord(func(r *kgo.Record) {
		t.take(r)
		t.read = r.Offset + 1
		t.input.Committed(t.read)
	})
	return nil
}

// take adds a record to the log. A contract that this release cannot read is said aloud and left out: the one before it stays.
func (t *Topic) take(r *kgo.Record) {
	if r.Value == nil {
		return
	}
	var data record
	err := json.Unmarshal(r.Value, &data)
	var file *slo.File
	if err == nil {
		file, err = slo.Parse([]byte(data.Contract), data.Hash, t.secret)
	}
	if err != nil {
		_ = level.Error(t.logger).Log("msg", "contract in the topic cannot be read", "offset", r.Offset, "err", err)
		return
	}
	contract := file.Contract()
	t.log.add(Entry{Since: event.Of(r.Timestamp), Hash: contract.Hash, File: file, Contract: contract})
}

// secret is empty where this instance lacks it: a contract must not be unreadable here that others have accepted.
func (t *Topic) secret(name string) (string, bool) {
	if t.Secrets == nil {
		return "", true
	}
	text, _ := t.Secrets(name)
	return text, true
}

// ErrSuperseded says that a contract had been in force and another one is now: starting with an old file must not bring it back.
var ErrSuperseded = errors.New("the contract had been in force and no longer is")

// Propose puts a contract in force, unless it is already, or had been and another one is now. It is in force once its record has been
// read. CatchUp comes first.
func (t *Topic) Propose(ctx context.Context, file *slo.File, text []byte) error {
	hash := file.Contract().Hash
	if cur, ok := t.log.Current(); ok && cur.Hash != hash && t.log.Had(hash) {
		return fmt.Errorf("%w: %s; in force is %s; freshet contracts accept puts it in force again", ErrSuperseded, hash, cur.Hash)
	}
	_, err := t.Accept(ctx, file, text)
	return err
}

// Accept puts a contract in force, even if it had been before. It says whether it was not in force already.
func (t *Topic) Accept(ctx context.Context, file *slo.File, text []byte) (changed bool, err error) {
	contract := file.Contract()
	if cur, ok := t.log.Current(); ok && cur.Hash == contract.Hash {
		return false, nil
	}
	since := t.now()
	value, err := json.Marshal(record{Hash: contract.Hash, Since: since, Contract: string(text)})
	if err != nil {
		return false, fmt.Errorf("encode contract: %w", err)
	}
	key := contract.Hash + "/" + since.String()
	r := &kgo.Record{
		Topic: t.name, Partition: 0, Key: []byte(key), Value: value, Timestamp: since.Go(),
		Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")},
			{Key: "ce_id", Value: []byte(key)},
			{Key: "ce_source", Value: []byte("/freshet")},
			{Key: "ce_type", Value: []byte("freshet.contract")},
			{Key: "ce_time", Value: []byte(since.String())},
			{Key: "ce_subject", Value: []byte(key)},
			{Key: "content-type", Value: []byte("application/json")},
		},
	}
	if err := t.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return false, fmt.Errorf("put contract %s in force: %w", contract.Hash, err)
	}
	return true, nil
}
