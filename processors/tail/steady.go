package tail

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
)

// Steady asks a cluster as long as its topics are what they were. A topic that was deleted and made anew begins again at offset 0, and
// one with more partitions has its keys elsewhere: what is known of it holds no longer. From then on Steady answers with an error, so
// that no clock moves.
type Steady struct {
	*Logs
	names []string
	known map[string]Topic
	done  chan struct{}

	mu  sync.Mutex
	err error
}

// ErrTopicChanged says that a topic is not the one that it was.
var ErrTopicChanged = errors.New("topic has changed under the running engine")

// MadeAnew is the ErrTopicChanged of a topic that is another one with the same name.
func MadeAnew(name string) error {
	return fmt.Errorf("%w: %s was deleted and made anew; start again", ErrTopicChanged, name)
}

// Steady returns logs that watch topics, all of which exist.
func (l *Logs) Steady(ctx context.Context, topics ...string) (*Steady, error) {
	known, err := l.TopicInfo(ctx, topics...)
	if err != nil {
		return nil, err
	}
	for _, name := range topics {
		if _, ok := known[name]; !ok {
			return nil, fmt.Errorf("describe topic %q: it does not exist", name)
		}
	}
	return &Steady{Logs: l, names: topics, known: known, done: make(chan struct{})}, nil
}

// Known returns what a topic was at the beginning.
func (s *Steady) Known(topic string) Topic { return s.known[topic] }

// Changed is closed once a topic has changed; Err says which, and how.
func (s *Steady) Changed() <-chan struct{} { return s.done }

// Err returns what has changed, nil if nothing has.
func (s *Steady) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Ends is Logs.Ends. The topics are looked at after the ends were asked for: then these are the ends of the topics that are known.
func (s *Steady) Ends(ctx context.Context, tps []TopicPartition, committed bool) (map[TopicPartition]int64, error) {
	ends, err := s.Logs.Ends(ctx, tps, committed)
	if e := s.look(ctx); e != nil {
		return nil, errors.Join(err, e)
	}
	return ends, err
}

// Committed is Logs.Committed, without the offsets that were committed for another topic of the same name.
func (s *Steady) Committed(ctx context.Context, group string, topics map[string]int32) (map[TopicPartition]Committed, error) {
	all, err := s.Logs.Committed(ctx, group, topics)
	maps.DeleteFunc(all, func(tp TopicPartition, c Committed) bool { return !c.Of(s.known[tp.Topic].ID) })
	return all, err
}

// look compares the topics with what they were. One that is missing now may come back: brokers that have just started do not know all.
func (s *Steady) look(ctx context.Context) error {
	if err := s.Err(); err != nil {
		return err
	}
	now, err := s.TopicInfo(ctx, s.names...)
	if err != nil {
		return err
	}
	for _, name := range s.names {
		was, is := s.known[name], now[name]
		switch {
		case is.Name == "":
			return fmt.Errorf("topic %s is not there", name)
		case is.ID != was.ID:
			return s.changed(MadeAnew(name))
		case len(is.Partitions) > len(was.Partitions):
			return s.changed(fmt.Errorf("%w: %s has %d partitions instead of %d: keys lie elsewhere now", ErrTopicChanged, name, len(is.Partitions), len(was.Partitions)))
		}
	}
	return nil
}

func (s *Steady) changed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.done)
	}
	return s.err
}
