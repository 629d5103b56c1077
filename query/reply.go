package query

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/freshet-io/freshet/query/problem"
	"github.com/go-kit/log/level"
)

// compressFrom is the least of an answer that is compressed: what fits into one packet or two arrives no sooner for it.
const compressFrom = 2 << 10

// Answer answers with a value as JSON.
func (s *Server) Answer(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.failed(w, err)
		return
	}
	s.send(w, r, http.StatusOK, append(b, '\n'))
}

// List answers with a list, and with a tag of what lasts of it: whoever has an answer with that tag is told so instead of getting it again.
// What only says when it was asked is left out of lasting.
func (s *Server) List(w http.ResponseWriter, r *http.Request, v, lasting any) {
	b, err := json.Marshal(lasting)
	if err != nil {
		s.failed(w, err)
		return
	}
	sum := sha256.Sum256(b)
	w.Header().Set("ETag", `W/"`+hex.EncodeToString(sum[:12])+`"`)
	s.Answer(w, r, v)
}

// failed says that the server has failed, and leaves why in the log.
func (s *Server) failed(w http.ResponseWriter, err error) {
	w.Header().Del("ETag")
	_ = level.Error(s.Logger).Log("msg", "a request has failed", "err", err)
	problem.Internal.Write(w, "", "")
}

// send answers with JSON: not at all if the caller has it by its tag, compressed if the caller takes that and it pays. Answers to checks do
// not come this way.
func (s *Server) send(w http.ResponseWriter, r *http.Request, status int, b []byte) {
	h := w.Header()
	if tag := h.Get("ETag"); tag != "" && status == http.StatusOK && has(r.Header.Get("If-None-Match"), tag) {
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if len(b) >= compressFrom {
		h.Set("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			b = s.compress(b)
		}
	}
	say(w, status, b)
}

// has says whether a list of tags has a tag. Tags are compared weakly: ours are all weak.
func has(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// takesGzip says whether an Accept-Encoding allows gzip.
func takesGzip(accept string) bool {
	for one := range strings.SplitSeq(accept, ",") {
		name, quality, _ := strings.Cut(one, ";")
		if name = strings.TrimSpace(name); !strings.EqualFold(name, "gzip") {
			continue
		}
		_, text, given := strings.Cut(quality, "=")
		q, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		return !given || err == nil && q > 0
	}
	return false
}

// compressors are used again: each has some hundred KiB.
type compressors struct{ sync.Pool }

func (s *Server) compress(b []byte) []byte {
	z, _ := s.compressors.Get().(*gzip.Writer)
	if z == nil {
		z, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed)
	}
	defer s.compressors.Put(z)
	var out bytes.Buffer
	z.Reset(&out)
	_, _ = z.Write(b) // to memory
	_ = z.Close()
	return out.Bytes()
}
