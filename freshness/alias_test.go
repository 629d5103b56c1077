package freshness

import (
	"unsafe"

	"github.com/freshet-io/freshet/event"
)

// aliased returns an event whose strings lie in memory of their own, and what overwrites that memory.
func aliased(e *event.Event) (*event.Event, func()) {
	own := *e
	own.Refs = append([]event.Ref(nil), e.Refs...)
	var memory [][]byte
	move := func(s *string) {
		if *s == "" {
			return
		}
		b := []byte(*s)
		memory = append(memory, b)
		*s = unsafe.String(&b[0], len(b))
	}
	for _, s := range []*string{&own.ID, &own.Source, &own.Subject, &own.TypeName, &own.WorkflowType, &own.TraceParent, &own.Data, &own.DecisionID, &own.Class,
		&own.CheckID, &own.CallID, &own.Kind, &own.Key, &own.Version, &own.Owner, &own.Digest} {
		move(s)
	}
	for i := range own.Refs {
		r := &own.Refs[i]
		for _, s := range []*string{&r.Kind, &r.Key, &r.Version, &r.Digest} {
			move(s)
		}
	}
	return &own, func() {
		for _, b := range memory {
			for i := range b {
				b[i] = '#'
			}
		}
		for i := range own.Refs {
			own.Refs[i] = event.Ref{}
		}
	}
}
