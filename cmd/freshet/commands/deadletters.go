package commands

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/committed"
	"github.com/freshet-io/freshet/cmd/freshet/deadletter"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/topology"
)

// deadLetters is what list and redrive have in common: where dead letters lie, and which of them are meant.
type deadLetters struct {
	kafka         kafkaFlags
	graph         graphFlags
	topic, reason string
	letter        string
	format        cli.Format

	one deadletter.Place // of letter
}

// redriveLimit is how often a record is sent back unless it is said otherwise.
const redriveLimit = 3

func (d *deadLetters) register(f *flag.FlagSet) {
	d.kafka.register(f)
	d.graph.register(f)
	f.StringVar(&d.topic, "topic", "", "Only records that had been read from this topic.")
	f.StringVar(&d.reason, "reason", "", "Only records with this reason.")
	f.StringVar(&d.letter, "letter", "", "Only this dead letter, as TOPIC/PARTITION/OFFSET.")
	d.format.RegisterFlags(f)
}

func deadLettersListCommand() *cli.Command {
	d := &deadLetters{}
	return &cli.Command{
		Name:    "deadletters list",
		Summary: "show the records that could not be used, and why",
		About: `Reads the dead-letter topics of the contract from their start to their end. Each line says why a record could not be used, where
it had been read, where its dead letter lies, and whether something is in the way of sending it back (see freshet help deadletters
redrive).`,
		Example: `freshet deadletters list
freshet deadletters list -reason bad_time -o json | jq -r '.producer' | sort | uniq -c`,
		Flags: d.register,
		Run: func(ctx context.Context, args []string, stdio *cli.Stdio) error {
			letters, drive, err := d.read(ctx, args, redriveLimit)
			if err != nil {
				return err
			}
			results := d.results(stdio)
			for i := range letters {
				if err := d.show(results, &letters[i], drive.Obstacle(&letters[i])); err != nil {
					return err
				}
			}
			return results.Flush()
		},
	}
}

func deadLettersRedriveCommand() *cli.Command {
	d := &deadLetters{}
	var limit int
	var dry bool
	return &cli.Command{
		Name:    "deadletters redrive",
		Summary: "send records that could not be used back to where they had been read",
		About: `For records that have become usable: an engine that is newer, a topic with the right category, a clock that has been set. Each is sent
back byte for byte, with a mark (freshet-redriven: how often). One that becomes a dead letter again stands for the earlier one, and
none is sent back more than -limit times, so that nothing goes round for ever. Sending one back that had been used already changes
nothing: events are a set. Its Kafka timestamp is new.

What is not sent: stub (its value was too large to be kept), used (bad_ref: the event was used without that REF), came_back, too_often,
no_input (where it was read is no input any more).`,
		Example: `freshet deadletters redrive -reason future_dated -dry-run
freshet deadletters redrive -letter freshet.dead-letter/0/17`,
		Flags: func(f *flag.FlagSet) {
			d.register(f)
			f.IntVar(&limit, "limit", redriveLimit, "How often a record is sent back at most.")
			f.BoolVar(&dry, "dry-run", false, "Say what would be sent, and send nothing.")
		},
		Run: func(ctx context.Context, args []string, stdio *cli.Stdio) error {
			if limit < 1 {
				return cli.Usagef("-limit %d: must be at least 1", limit)
			}
			letters, drive, err := d.read(ctx, args, limit)
			if err != nil {
				return err
			}
			var send func(*kgo.Record) error
			if dry {
				send = func(*kgo.Record) error { return nil }
			} else {
				client, err := d.kafka.connect(ctx, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(256<<20), kgo.BrokerMaxWriteBytes(257<<20)) // each goes alone
				if err != nil {
					return err
				}
				defer client.Close()
				send = func(r *kgo.Record) error { return client.ProduceSync(ctx, r).FirstErr() }
			}
			return d.redrive(letters, drive, send, stdio)
		},
	}
}

// read returns the letters that are meant, and what is known of all.
func (d *deadLetters) read(ctx context.Context, args []string, limit int) ([]deadletter.Letter, *deadletter.Redrive, error) {
	if len(args) > 0 {
		return nil, nil, cli.Usagef("%q: it takes no arguments", args[0])
	}
	if d.reason != "" {
		if r, ok := event.ParseReason(d.reason); !ok || r == event.OK {
			return nil, nil, cli.Usagef("-reason %q: is none of the reasons; docs/events.md lists them", d.reason)
		}
	}
	if d.letter != "" {
		var err error
		if d.one, err = deadletter.ParsePlace(d.letter); err != nil {
			return nil, nil, cli.Usagef("-letter: %w", err)
		}
	}
	graph, err := d.graph.graph()
	if err != nil {
		return nil, nil, err
	}
	cluster, err := d.kafka.cluster()
	if err != nil {
		return nil, nil, err
	}
	var topics []string
	for i := range graph.Outputs {
		if t := &graph.Outputs[i]; t.Role == topology.DeadLetter {
			topics = append(topics, t.Name)
		}
	}
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	r, err := committed.NewReader(connecting, cluster, topics...)
	if err != nil {
		return nil, nil, cli.Unavailable(err)
	}
	defer r.Close()
	drive := &deadletter.Redrive{Limit: limit, Input: func(topic string) bool { return graph.CategoryOf(topic) != event.Unknown }}
	var letters []deadletter.Letter
	err = r.ToEnd(ctx, func(k *kgo.Record) error {
		l, ok := deadletter.Parse(k)
		if !ok {
			return nil // somebody else's
		}
		drive.See(&l)
		if d.meant(&l) {
			letters = append(letters, l)
		}
		return nil
	})
	slices.SortStableFunc(letters, func(a, b deadletter.Letter) int { return a.Record.Timestamp.Compare(b.Record.Timestamp) })
	return letters, drive, err
}

func (d *deadLetters) meant(l *deadletter.Letter) bool {
	return (d.topic == "" || d.topic == l.Topic) && (d.reason == "" || d.reason == l.Reason.String()) && (d.letter == "" || d.one == l.At)
}

// redrive sends what nothing is in the way of. What could not be sent ends it: what comes later is still there.
func (d *deadLetters) redrive(letters []deadletter.Letter, drive *deadletter.Redrive, send func(*kgo.Record) error, stdio *cli.Stdio) error {
	results := d.results(stdio)
	sent, left := 0, 0
	for i := range letters {
		l := &letters[i]
		obstacle := drive.Obstacle(l)
		if obstacle == deadletter.None {
			if err := send(l.Sent()); err != nil {
				return fmt.Errorf("send %s back to partition %d of %s: %w", l.At, l.Partition, l.Topic, err)
			}
			sent++
		} else {
			left++
		}
		if err := d.show(results, l, obstacle); err != nil {
			return err
		}
	}
	if err := results.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(stdio.Err, "%d sent back, %d not\n", sent, left)
	return nil
}

// letterLine is a dead letter as it is shown.
type letterLine struct {
	Reason    string              `json:"reason"`
	Topic     string              `json:"topic"` // where it had been read
	Partition int32               `json:"partition"`
	Offset    int64               `json:"offset"`
	Letter    deadletter.Place    `json:"letter"`
	At        time.Time           `json:"at"`
	Key       string              `json:"key"`
	Type      string              `json:"type"`     // ce_type, "" if it has none
	Producer  string              `json:"producer"` // ce_source, "" if it has none
	Size      int                 `json:"size_bytes"`
	Redriven  int                 `json:"redriven"`
	Obstacle  deadletter.Obstacle `json:"obstacle"` // "": it can be sent back
}

func (d *deadLetters) results(stdio *cli.Stdio) *cli.Results {
	return d.format.Results(stdio, "AT", "REASON", "TOPIC", "PARTITION", "OFFSET", "KEY", "TYPE", "SIZE", "LETTER", "REDRIVEN", "OBSTACLE")
}

func (d *deadLetters) show(results *cli.Results, l *deadletter.Letter, obstacle deadletter.Obstacle) error {
	v := letterLine{
		Reason: l.Reason.String(), Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Letter: l.At, At: l.Record.Timestamp.UTC(),
		Key: string(l.Record.Key), Size: len(l.Record.Value), Redriven: l.Redriven, Obstacle: obstacle,
	}
	v.Type, _ = l.Header("ce_type")
	v.Producer, _ = l.Header("ce_source")
	return results.Add(v, v.At.Format(time.RFC3339), v.Reason, v.Topic, fmt.Sprint(v.Partition), fmt.Sprint(v.Offset), dash(v.Key), dash(v.Type),
		fmt.Sprint(v.Size), l.At.String(), fmt.Sprint(v.Redriven), dash(string(v.Obstacle)))
}
