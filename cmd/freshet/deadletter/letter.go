package deadletter

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/event"
)

// Headers that a record has once it has been sent back. Should it become a dead letter again, they are among its own.
const (
	HeaderRedriven = "freshet-redriven"      // how often
	HeaderFrom     = "freshet-redriven-from" // the dead letter it was, as TOPIC/PARTITION/OFFSET
)

// headerSize is what a stub has instead of its value (SPEC 1.3: what is larger than the topic allows).
const headerSize = "freshet-size"

// Place is where a dead letter lies.
type Place struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func (p Place) String() string { return fmt.Sprintf("%s/%d/%d", p.Topic, p.Partition, p.Offset) }

// ParsePlace reads TOPIC/PARTITION/OFFSET.
func ParsePlace(s string) (Place, error) {
	parts := strings.Split(s, "/")
	if len(parts) == 3 && parts[0] != "" {
		partition, err := strconv.ParseInt(parts[1], 10, 32)
		offset, err2 := strconv.ParseInt(parts[2], 10, 64)
		if err == nil && err2 == nil && partition >= 0 && offset >= 0 {
			return Place{parts[0], int32(partition), offset}, nil
		}
	}
	return Place{}, fmt.Errorf("%q is not TOPIC/PARTITION/OFFSET, as in freshet.dead-letter/0/17", s)
}

// Letter is one dead letter.
type Letter struct {
	event.DeadLetter // why, and where the record had been read

	Record   *kgo.Record // as it lies among the dead letters
	At       Place
	Stub     bool // too large to be kept: its value is not there
	Redriven int  // how often it had been sent back before it came here
}

// Parse reads a record of a dead-letter topic. It returns false for one that Freshet has not written.
func Parse(r *kgo.Record) (Letter, bool) {
	why, ok := event.ParseDeadLetter(headers(r))
	if !ok {
		return Letter{}, false
	}
	l := Letter{DeadLetter: why, Record: r, At: Place{r.Topic, r.Partition, r.Offset}}
	_, l.Stub = l.Header(headerSize)
	if text, ok := l.Header(HeaderRedriven); ok {
		l.Redriven, _ = strconv.Atoi(text)
	}
	return l, true
}

// Header returns the last header of a name.
func (l *Letter) Header(name string) (string, bool) {
	for i := len(l.Record.Headers) - 1; i >= 0; i-- {
		if h := &l.Record.Headers[i]; h.Key == name {
			return string(h.Value), true
		}
	}
	return "", false
}

// from returns the dead letter that this one had been before it was sent back.
func (l *Letter) from() (Place, bool) {
	text, ok := l.Header(HeaderFrom)
	if !ok {
		return Place{}, false
	}
	p, err := ParsePlace(text)
	return p, err == nil
}

func headers(r *kgo.Record) []event.Header {
	all := make([]event.Header, len(r.Headers))
	for i, h := range r.Headers {
		all[i] = event.Header{Key: []byte(h.Key), Value: h.Value}
	}
	return all
}
