package freshness

import "strings"

// keeper copies strings that are to outlive their record into one allocation.
type keeper struct{ b strings.Builder }

func keep(size int) *keeper {
	k := new(keeper)
	k.b.Grow(size)
	return k
}

// add copies a string. No more may be added than the keeper was made for, or what was given out before would be held twice.
func (k *keeper) add(s string) string {
	if s == "" {
		return ""
	}
	start := k.b.Len()
	k.b.WriteString(s)
	return k.b.String()[start:]
}

// Interner gives out one copy of each string it is asked for, up to a number of strings; then it starts anew, so that its memory is
// bounded whatever is sent. It is not for concurrent use.
type Interner struct {
	known map[string]string
	limit int
}

// NewInterner returns an interner for at most limit strings.
func NewInterner(limit int) *Interner {
	return &Interner{known: make(map[string]string), limit: limit}
}

// Intern returns a copy of s that does not alias it.
func (in *Interner) Intern(s string) string {
	if s == "" {
		return ""
	}
	if k, ok := in.known[s]; ok {
		return k
	}
	if len(in.known) >= in.limit {
		clear(in.known)
	}
	k := strings.Clone(s)
	in.known[k] = k
	return k
}
