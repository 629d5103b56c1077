package query

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/freshet-io/freshet/query/check"
	"github.com/freshet-io/freshet/query/problem"
)

// Sizes of pages.
const (
	pageSize    = 100
	longestPage = 1000
	scanLimit   = 10_000 // rows looked at for one page
)

// cursor is where a page ended: what comes next begins behind it, whatever has changed before it since.
type cursor struct {
	partition int32
	at        []byte
}

func (c *cursor) String() string {
	return base64.RawURLEncoding.EncodeToString(append(binary.AppendUvarint(nil, uint64(c.partition)), c.at...))
}

// MarshalJSON writes the cursor as a string.
func (c *cursor) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// Parameters are those of a request's query; the first that cannot be used is kept.
type Parameters struct {
	url.Values
	bad string
}

// ReadParameters reads the parameters; a name that is not known is refused.
func ReadParameters(r *http.Request, known ...string) *Parameters {
	all, err := url.ParseQuery(r.URL.RawQuery)
	p := &Parameters{Values: all}
	if err != nil {
		p.Fail("the query cannot be read: %v", err)
	}
	for name, values := range all {
		switch {
		case !slices.Contains(known, name) && (name != ofPartition || hop(r.Context()) == nil):
			p.Fail("there is no parameter %q; there are %v", name, known)
		case len(values) > 1:
			p.Fail("%s stands %d times", name, len(values))
		}
	}
	return p
}

// Fail notes that a parameter cannot be used.
func (p *Parameters) Fail(format string, args ...any) {
	if p.bad == "" {
		p.bad = fmt.Sprintf(format, args...)
	}
}

// limit reads how many entries a page has.
func (p *Parameters) limit() int {
	s := p.Get("limit")
	if s == "" {
		return pageSize
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > longestPage {
		p.Fail("limit %q: must be a number from 1 to %d", s, longestPage)
	}
	return n
}

// cursor reads where the page begins, nil for the beginning.
func (p *Parameters) cursor(partitions int32) *cursor {
	s := p.Get("cursor")
	if s == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	n, size := binary.Uvarint(b)
	if err != nil || size <= 0 || n >= uint64(partitions) {
		p.Fail("cursor %q: must be the next of an earlier answer", s)
		return nil
	}
	return &cursor{partition: int32(n), at: b[size:]}
}

// endOfPartition is a place behind every workflow of a partition.
func endOfPartition() []byte { return []byte{0xff} }

// ofPartition is the parameter with which one instance asks another for the part of a list that lies in one partition.
const ofPartition = "partition"

// partition reads which partition another instance asks for, -1 if the request is a client's.
func (p *Parameters) partition() int32 {
	s := p.Get(ofPartition)
	if s == "" {
		return -1
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		p.Fail("%s %q: must be the number of a partition", ofPartition, s)
		return -1
	}
	return int32(n)
}

// OneOf reads a parameter that takes few values.
func (p *Parameters) OneOf(name string, values ...string) string {
	s := p.Get(name)
	if s == "" {
		return ""
	}
	for _, v := range values {
		if s == v {
			return s
		}
	}
	p.Fail("%s %q: must be one of %v", name, s, values)
	return ""
}

// Refused answers if a parameter cannot be used, and says whether it did.
func (p *Parameters) Refused(w http.ResponseWriter) bool {
	if p.bad == "" {
		return false
	}
	problem.BadParameter.Write(w, p.bad, "")
	return true
}

// engineOr returns the engine; it has answered if there is none.
func (s *Server) engineOr(w http.ResponseWriter) *Engine {
	e := s.engine.Load()
	if e == nil {
		problem.NotHere.Write(w, "the engine is starting or stopping", "")
	}
	return e
}

// here returns the partition of a workflow; it has answered if this instance cannot.
func (e *Engine) here(w http.ResponseWriter, workflow string) (int32, bool) {
	p := e.Rows.Partition(workflow)
	if !e.Rows.Owner(p).Here {
		problem.NotHere.Write(w, "the workflow's partition is being restored, or another instance has it", "")
		return p, false
	}
	return p, true
}

var _ check.Workflows = Rows(nil)
