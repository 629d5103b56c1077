package slo

import (
	"strings"

	"github.com/freshet-io/freshet/event"
)

// pointer is a kind whose values are held by pointer.
func pointer[V any](k kind[V]) kind[*V] {
	return kind[*V]{
		is: k.is, keys: k.keys, schema: k.schema,
		read: func(r *reader, v value, into **V) (any, bool) {
			*into = new(V)
			return k.read(r, v, *into)
		},
	}
}

// keyOf is the name that an entry of a dict stands under.
func keyOf(v value) string {
	if v.key == nil {
		return ""
	}
	return resolved(v.key).Value
}

// formatVersion is the version of the format.
func formatVersion() kind[int] {
	k := whole(0, 1<<30)
	read := k.read
	k.read = func(r *reader, v value, into *int) (any, bool) {
		said, ok := read(r, v, into)
		if ok && *into != 1 {
			r.at(v, UnknownVersion, "version %d is not known: this is a reader of version 1", *into)
			return nil, false
		}
		return said, ok
	}
	k.schema = func() object { return object{"const": 1} }
	return k
}

// bound is a bound that null removes.
func bound[N ~int64](k kind[N]) kind[Bound] {
	return kind[Bound]{
		is: k.is + " | null",
		read: func(r *reader, v value, into *Bound) (any, bool) {
			if v.null() {
				*into = Bound{Written: true, Removed: true}
				return nil, true
			}
			var n N
			said, ok := k.read(r, v, &n)
			*into = Bound{Written: true, AtMost: int64(n)}
			return said, ok
		},
		schema: func() object { return object{"anyOf": []object{k.schema(), {"type": "null"}}} },
	}
}

// boundedKind is the rule for the kinds that bounds are written for.
func boundedKind(r *reader, kind string, v value) bool {
	if kind != "*" {
		r.later(func() { refer(r, r.entry, v, kind, "kind of context", r.file.Contexts) })
	}
	return true
}

// labelName is the rule for the labels of an owner's alerts.
func labelName(r *reader, label string, v value) bool {
	for i, c := range []byte(label) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			r.entry(v, BadLabel, "%q is not a label: labels are made of letters, digits and _, and begin with no digit", label)
			return false
		}
	}
	if label == "" {
		r.entry(v, BadLabel, "a label's name is empty")
	}
	return label != ""
}

// maxTopic is the longest name that Kafka gives a topic.
const maxTopic = 249

// topicRule says what is wrong with a topic's name, "" if nothing is.
func topicRule(name string) string {
	if name == "" || name == "." || name == ".." || len(name) > maxTopic || strings.ContainsFunc(name, func(c rune) bool {
		return (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-'
	}) {
		return quote(name) + " cannot be a topic's name: it is 1 to 249 letters, digits, dots, _ and -"
	}
	return ""
}

const (
	ownPrefix  = "freshet."
	deadLetter = "freshet.dead-letter"
)

// topicName is the rule for the names of topics.
func topicName(r *reader, name string, v value) bool {
	if wrong := topicRule(name); wrong != "" {
		r.entry(v, BadName, "%s", wrong)
		return false
	}
	if strings.HasPrefix(name, ownPrefix) {
		r.entry(v, OwnTopic, "topics whose names begin with %s are Freshet's own: they cannot be inputs", ownPrefix)
		return false
	}
	return true
}

// deadLetterName is the name of a topic that dead letters go to.
func deadLetterName() kind[string] {
	k := text()
	k.is = "topic"
	read := k.read
	k.read = func(r *reader, v value, into *string) (any, bool) {
		said, ok := read(r, v, into)
		if !ok {
			return nil, false
		}
		if wrong := topicRule(*into); wrong != "" {
			r.at(v, BadName, "%s", wrong)
			return nil, false
		}
		if strings.HasPrefix(*into, ownPrefix) && !strings.HasPrefix(*into, deadLetter) {
			r.at(v, OwnTopic, "topics whose names begin with %s are Freshet's own: of those only %s… can take dead letters", ownPrefix, deadLetter)
			return nil, false
		}
		return said, true
	}
	return k
}

// latenessTopic is the rule for the keys of lateness.
func latenessTopic(r *reader, name string, v value) bool {
	if name == "default" {
		return true
	}
	r.later(func() {
		inputs := map[string]bool{}
		for _, t := range r.file.topicSet {
			inputs[t.Name] = true
		}
		refer(r, r.entry, v, name, "topic", inputs)
	})
	return true
}

func checkContext(r *reader, v value, has entries, c *Context) {
	c.Kind = keyOf(v)
	if c.ServingOwner == "" {
		c.ServingOwner = c.Owner
	}
	if c.History <= c.VersionsLimit {
		return
	}
	if history, ok := has.read("history"); ok {
		r.at(history, HistoryLimit, "a use cannot look back %d versions where %d are kept (versions_limit)", c.History, c.VersionsLimit)
	} else {
		r.at(has["versions_limit"].value, HistoryLimit, "%d versions kept are fewer than a use looks back (history, %d if it is not written)", c.VersionsLimit, c.History)
	}
}

func checkTopic(r *reader, v value, has entries, t *topic) {
	t.Name = keyOf(v)
	t.Category = t.category
	if t.Category == event.Unknown {
		t.Category = defaultCategory(t.Name)
		if t.Category == event.Unknown && !has.written("category") {
			r.entry(v, MissingKey, "the key \"category\" is missing: only the topics with a default name have one of their own")
		}
	}
	r.later(func() {
		if usual := defaultCategory(t.Name); usual != event.Unknown && usual != t.Category && r.file.inputs(t.Name) > 1 {
			r.entry(v, TopicTwice, "%s is the topic of %s events where the file names no other: it cannot be one for %s events too", t.Name, usual, t.Category)
		}
		if d, ok := has.read("dead_letter"); ok && r.file.inputs(t.DeadLetter) > 0 {
			r.at(d, DeadLetterInput, "%s is an input: dead letters cannot go there", t.DeadLetter)
		}
		if k, ok := has.read("retention"); ok && t.Retention < r.file.retention.decisions {
			r.at(k, ShortRetention, "%s is shorter than retention.decisions (%s): verdicts rest on the records of the topic that long", k.node.Value, FormatDuration(r.file.retention.decisions))
		}
	})
}

func checkSLO(r *reader, _ value, has entries, s *SLO) {
	if v, ok := has.read("name"); ok {
		r.unique(v, "objective", s.Name)
	}
	s.resolveRules(r, has)
}

func checkDetection(r *reader, _ value, has entries, d *Detection) {
	if v, ok := has.read("name"); ok {
		r.unique(v, "detection", d.Name)
	}
}

// unique refuses a name that another one of the same sort has already.
func (r *reader) unique(v value, noun, name string) {
	if r.names == nil {
		r.names = map[string]int{}
	}
	if line, twice := r.names[noun+" "+name]; twice {
		r.at(v, DuplicateName, "the %s in line %d is called %q already", noun, line, name)
		return
	}
	r.names[noun+" "+name] = v.node.Line
}

func checkMaintenance(r *reader, _ value, has entries, m *Maintenance) {
	_, from := has.read("from")
	if to, ok := has.read("to"); ok && from && m.To <= m.From {
		r.at(to, EmptyInterval, "it is over at %s, which is not after it begins (%s)", m.To, m.From)
	}
}
