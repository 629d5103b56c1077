package slo

import (
	"cmp"
	"maps"
	"slices"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// defaultLateness is how late records can be where nothing is written.
const defaultLateness = 5 * second

// defaultTopic is the topic of a category where the file names none.
func defaultTopic(c event.Category) string {
	switch c {
	case event.Control:
		return "workflow.control"
	case event.Context:
		return "workflow.context"
	case event.Tool:
		return "workflow.tool"
	case event.Decision:
		return "workflow.decision"
	case event.Source:
		return "context.source"
	}
	return ""
}

// defaultCategory is the category whose default topic has the name, Unknown if none has.
func defaultCategory(topic string) event.Category {
	for c := event.Control; c <= event.Source; c++ {
		if defaultTopic(c) == topic {
			return c
		}
	}
	return event.Unknown
}

// resolveTopics fills in Topics and the topic set. A category for which nothing is written has its default topic.
func (f *File) resolveTopics() {
	named := map[event.Category]bool{}
	for _, name := range slices.Sorted(maps.Keys(f.topics)) {
		t := f.topics[name].Topic
		t.Lateness = f.latenessOf(name)
		f.Topics = append(f.Topics, t)
		named[t.Category] = true
	}
	f.topicSet = slices.Clone(f.Topics)
	for c := event.Control; c <= event.Source; c++ {
		if !named[c] {
			f.topicSet = append(f.topicSet, Topic{Name: defaultTopic(c), Category: c, Lateness: f.latenessOf(defaultTopic(c))})
		}
	}
	slices.SortStableFunc(f.topicSet, func(a, b Topic) int {
		return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Name, b.Name))
	})
}

// latenessOf is how late records of a topic can be.
func (f *File) latenessOf(topic string) freshness.Duration {
	if d, ok := f.lateness[topic]; ok {
		return d
	}
	if d, ok := f.lateness["default"]; ok {
		return d
	}
	return defaultLateness
}

// inputs is the topics of the set with a name: two if one that is written also is the default of a category that is not.
func (f *File) inputs(name string) int {
	n := 0
	for i := range f.topicSet {
		if f.topicSet[i].Name == name {
			n++
		}
	}
	return n
}
