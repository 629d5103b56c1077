package query

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/freshet-io/freshet/query/check"
	"github.com/freshet-io/freshet/query/problem"
	"github.com/go-kit/log/level"
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

// parameters are those of a request's query; the first that cannot be used is kept.
type parameters struct {
	url.Values
	bad string
}

// query reads the parameters; a name that is not known is refused.
func query(r *http.Request, known ...string) *parameters {
	p := &parameters{Values: r.URL.Query()}
	for name := range p.Values {
		ok := false
		for _, k := range known {
			ok = ok || k == name
		}
		if !ok {
			p.fail("there is no parameter %q; there are %v", name, known)
		}
	}
	return p
}

func (p *parameters) fail(format string, args ...any) {
	if p.bad == "" {
		p.bad = fmt.Sprintf(format, args...)
	}
}

// limit reads how many entries a page has.
func (p *parameters) limit() int {
	s := p.Get("limit")
	if s == "" {
		return pageSize
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > longestPage {
		p.fail("limit %q: must be a number from 1 to %d", s, longestPage)
	}
	return n
}

// cursor reads where the page begins, nil for the beginning.
func (p *parameters) cursor(partitions int32) *cursor {
	s := p.Get("cursor")
	if s == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	n, size := binary.Uvarint(b)
	if err != nil || size <= 0 || n >= uint64(partitions) {
		p.fail("cursor %q: must be the next of an earlier answer", s)
		return nil
	}
	return &cursor{partition: int32(n), at: b[size:]}
}

// endOfPartition is a place behind every workflow of a partition.
func endOfPartition() []byte { return []byte{0xff} }

// partition reads which partition another instance asks for, -1 if the request is a client's.
func (p *parameters) partition(r *http.Request) int32 {
	s := p.Get("partition")
	if s == "" {
		return -1
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 || hop(r.Context()) == nil {
		p.fail("there is no parameter %q", "partition")
		return -1
	}
	return int32(n)
}

// oneOf reads a parameter that takes few values.
func (p *parameters) oneOf(name string, values ...string) string {
	s := p.Get(name)
	if s == "" {
		return ""
	}
	for _, v := range values {
		if s == v {
			return s
		}
	}
	p.fail("%s %q: must be one of %v", name, s, values)
	return ""
}

// refused answers if a parameter cannot be used, and says whether it did.
func (p *parameters) refused(w http.ResponseWriter) bool {
	if p.bad == "" {
		return false
	}
	problem.BadParameter.Write(w, p.bad, "")
	return true
}

// answer answers with a value as JSON.
func (s *Server) answer(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.failed(w, err)
		return
	}
	say(w, http.StatusOK, append(b, '\n'))
}

// failed says that the server has failed, and leaves why in the log.
func (s *Server) failed(w http.ResponseWriter, err error) {
	_ = level.Error(s.Logger).Log("msg", "a request has failed", "err", err)
	problem.Internal.Write(w, "", "")
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
