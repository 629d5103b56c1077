package verdict

import "slices"

// Last keeps the last revision of every use.
type Last struct {
	uses map[useName]Revision
}

type useName struct{ workflow, decision, use string }

// Revision is one revision of a verdict, with its data as read.
type Revision struct {
	*Record
	Data []byte
}

// NewLast returns a Last that has seen nothing.
func NewLast() *Last { return &Last{uses: map[useName]Revision{}} }

// Add takes a revision; an earlier one than is there, or the same again, changes nothing and returns false.
func (l *Last) Add(r *Record, data []byte) bool {
	name := useName{r.Workflow, r.DecisionID, r.Use}
	if was, ok := l.uses[name]; ok && was.Revision >= r.Revision {
		return false
	}
	l.uses[name] = Revision{r, data}
	return true
}

// Was returns the verdict that a use has so far, "" if none has been seen.
func (l *Last) Was(r *Record) string {
	if was, ok := l.uses[useName{r.Workflow, r.DecisionID, r.Use}]; ok {
		return was.Verdict
	}
	return ""
}

// Sorted returns the last revisions by workflow, decision id, use.
func (l *Last) Sorted() []Revision {
	all := make([]Revision, 0, len(l.uses))
	for _, r := range l.uses {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Revision) int {
		return slices.Compare([]string{a.Workflow, a.DecisionID, a.Use}, []string{b.Workflow, b.DecisionID, b.Use})
	})
	return all
}
