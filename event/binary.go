package event

import (
	"strconv"
	"strings"
)

// ToBinary decodes one structured CloudEvent, written as JSON, as DecodeStructured does with recordTime 0, and returns the record that
// carries the same event in binary mode: decoded again, it gives the same Event. All context attributes are in its headers, those that
// Freshet does not read too, in their order; values that are no strings are there as the JSON they are. Its Time is what the event was
// appended at, its Category that of the topic it belongs on, Unknown for a type Freshet does not know.
//
// The record has memory of its own; e aliases line and d, as after DecodeStructured. With a reason other than OK there is no record.
//
// An event whose data is declared to be a CloudEvent itself cannot be said in binary mode: its record is in structured mode.
func (d *Decoder) ToBinary(line []byte, e *Event) (Record, Reason) {
	if reason := d.DecodeStructured(line, 0, e); reason != OK {
		return Record{}, reason
	}
	r := Record{Time: e.Appended, Category: e.Type.Category(), Key: []byte(e.Subject)}
	if isCloudEvents(e.DataContentType) {
		r.Value = append([]byte(nil), line...)
		r.Headers = []Header{{[]byte("content-type"), []byte("application/cloudevents+json")}}
		return r, OK
	}
	switch {
	case e.Data != "":
		r.Value = []byte(e.Data)
	case e.Opaque != "":
		r.Value = []byte(e.Opaque)
	}
	r.Headers = d.attributeHeaders(line)
	if e.DataContentType != "" {
		r.Headers = append(r.Headers, Header{[]byte("content-type"), []byte(e.DataContentType)})
	}
	return r, OK
}

// attributeHeaders returns the attributes of a structured event, which has been decoded, as headers.
func (d *Decoder) attributeHeaders(line []byte) []Header {
	// All keys and values lie in one piece of memory. An attribute needs no more of it than it has in the line, its quotes and colon
	// included, but for three bytes of ce_ that these make up for.
	memory := make([]byte, 0, len(line))
	piece := func(prefix, text string) []byte {
		from := len(memory)
		memory = append(append(memory, prefix...), text...)
		return memory[from:len(memory):len(memory)]
	}
	headers := make([]Header, 0, 12)
	s := &d.json
	s.start(line, d.cfg.MaxDepth+1)
	s.peek()
	f := s.open()
	for name, ok := s.member(&f); ok; name, ok = s.member(&f) {
		first := s.peek()
		switch {
		case first == 'n' || name == "data" || name == "data_base64" || name == "datacontenttype":
			s.skip()
		case first == '"':
			headers = append(headers, Header{piece("ce_", name), piece("", s.str())})
		default:
			headers = append(headers, Header{piece("ce_", name), piece("", alias(s.raw()))})
		}
	}
	return headers
}

// The headers that a dead letter has besides its own.
const (
	HeaderReason    = "freshet-reason"
	HeaderTopic     = "freshet-topic"
	HeaderPartition = "freshet-partition"
	HeaderOffset    = "freshet-offset"
)

// DeadLetter says why a record was dead-lettered, and where it had been read.
type DeadLetter struct {
	Reason    Reason
	Topic     string
	Partition int32
	Offset    int64
}

// Headers returns what a dead letter has behind the headers of its record.
func (l DeadLetter) Headers() []Header {
	return []Header{
		{[]byte(HeaderReason), []byte(l.Reason.String())},
		{[]byte(HeaderTopic), []byte(l.Topic)},
		{[]byte(HeaderPartition), strconv.AppendInt(nil, int64(l.Partition), 10)},
		{[]byte(HeaderOffset), strconv.AppendInt(nil, l.Offset, 10)},
	}
}

// ParseDeadLetter returns what the headers of a dead letter say. Of a record that was dead-lettered again after it had been sent back,
// the last ones hold. It returns false where one is missing or unreadable.
func ParseDeadLetter(headers []Header) (DeadLetter, bool) {
	var l DeadLetter
	var reason, topic, partition, offset bool
	for _, h := range headers {
		switch string(h.Key) {
		case HeaderReason:
			l.Reason, reason = ParseReason(string(h.Value))
			reason = reason && l.Reason != OK
		case HeaderTopic:
			l.Topic, topic = string(h.Value), len(h.Value) > 0
		case HeaderPartition:
			n, err := strconv.ParseInt(string(h.Value), 10, 32)
			l.Partition, partition = int32(n), err == nil && n >= 0
		case HeaderOffset:
			n, err := strconv.ParseInt(string(h.Value), 10, 64)
			l.Offset, offset = n, err == nil && n >= 0
		}
	}
	return l, reason && topic && partition && offset
}

// Resent returns the headers of a dead letter without those that Freshet has put there: the record's own, as it was received.
func Resent(headers []Header) []Header {
	own := make([]Header, 0, len(headers))
	for _, h := range headers {
		switch string(h.Key) {
		case HeaderReason, HeaderTopic, HeaderPartition, HeaderOffset:
		default:
			own = append(own, h)
		}
	}
	return own
}

// TraceID returns the trace that the traceparent attribute names (W3C Trace Context), "" if it names none.
func (e *Event) TraceID() string {
	const form = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	p := e.TraceParent
	if len(p) < len(form) || p[2] != '-' || p[35] != '-' || p[52] != '-' || p[:2] == "ff" || len(p) > len(form) && p[:2] == "00" {
		return ""
	}
	id := p[3:35]
	if strings.Trim(id, "0123456789abcdef") != "" || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}
