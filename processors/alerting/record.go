package alerting

import (
	"strings"

	"github.com/freshet-io/freshet/event"
)

// record is what is read of a record of freshet.detections. Its strings are pieces of the record. When many detections are found at once, reading
// them back is a good part of what each costs: so nothing is built of what is not wanted.
type record struct {
	open      bool
	workflows []string
	subject
	facts

	walk event.Walker
}

// read reads a record's data, and says whether that is what it has to be.
func (r *record) read(data []byte) bool {
	r.open, r.workflows, r.subject, r.facts = false, r.workflows[:0], subject{group: true}, facts{}
	r.walk.Start(data)
	r.walk.Object(r.field)
	return r.walk.End()
}

func (r *record) field(name string) {
	w := &r.walk
	switch name {
	case "status":
		status, _ := w.Text()
		r.open = status == "open"
	case "workflow": // null: a group
		_, known := w.Text()
		r.group = !known
	case "workflow_type":
		r.workflowType, _ = w.Text()
	case "count":
		r.count = w.Integer()
	case "workflows":
		w.Array(func() {
			id, _ := w.Text()
			r.workflows = append(r.workflows, id)
		})
	case "kind":
		r.kind, _ = w.Text()
	case "key":
		r.key, _ = w.Text()
	case "since":
		r.since = w.Instant()
	case "owner":
		r.owner, _ = w.Text()
	case "cause":
		r.cause, _ = w.Text()
	case "traffic_class":
		class, _ := w.Text()
		r.traffic, _ = event.ParseTrafficClass(class)
	case "used":
		w.Object(func(name string) {
			if name != "at" {
				w.Skip()
				return
			}
			r.used, r.usedPart, r.usedOffset = position(w)
		})
	case "current":
		w.Object(r.currentField)
	default:
		w.Skip()
	}
}

func (r *record) currentField(name string) {
	switch w := &r.walk; name {
	case "seq":
		r.seq = w.Integer()
	case "at":
		r.current, r.currPart, r.currOffset = position(w)
	default:
		w.Skip()
	}
}

// position reads where a record lies.
func position(w *event.Walker) (topic string, partition int32, offset int64) {
	w.Object(func(name string) {
		switch name {
		case "topic":
			topic, _ = w.Text()
		case "partition":
			partition = int32(w.Integer())
		case "offset":
			offset = w.Integer()
		default:
			w.Skip()
		}
	})
	return topic, partition, offset
}

// own makes the strings of a subject copies: it is kept longer than the record that it was read from.
func (s *subject) own() {
	for _, text := range []*string{&s.workflowType, &s.kind, &s.key, &s.owner, &s.cause, &s.used, &s.current} {
		*text = strings.Clone(*text)
	}
}
