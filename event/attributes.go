package event

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// attributes are the context attributes of one event that Freshet reads. "" is absent, as CloudEvents has no empty attributes.
type attributes struct {
	specVersion, id, source, typeName, time, subject string
	contentType, workflowType, trafficClass          string
	traceParent, recordedTime                        string
	contradictory                                    bool // a header that is read is not UTF-8, or is there twice with different values
}

// named returns where the attribute of that name belongs, nil for one that Freshet does not read.
func (a *attributes) named(name string) *string {
	switch name {
	case "specversion":
		return &a.specVersion
	case "id":
		return &a.id
	case "source":
		return &a.source
	case "type":
		return &a.typeName
	case "time":
		return &a.time
	case "subject":
		return &a.subject
	case "datacontenttype":
		return &a.contentType
	case "workflowtype":
		return &a.workflowType
	case "trafficclass":
		return &a.trafficClass
	case "traceparent":
		return &a.traceParent
	case "recordedtime":
		return &a.recordedTime
	}
	return nil
}

// longest returns the length of the longest attribute that is kept or compared, the subject aside.
func (a *attributes) longest() int {
	return max(len(a.id), len(a.source), len(a.typeName), len(a.workflowType))
}

// headers reads the attributes of a record in binary mode. It returns the content-type and whether there is any header that could
// belong to a CloudEvent.
//
// Attribute names are lower case, in the Kafka binding as everywhere in CloudEvents; CE_ID is an attribute of nobody. But a record that
// has it was not meant to be none either, and forgets nothing.
func (d *Decoder) headers(headers []Header) (contentType string, cloudEvent bool) {
	const prefix = "ce_"
	for i := range headers {
		h := &headers[i]
		if len(h.Key) < len(prefix) {
			continue
		}
		if h.Key[2] != '_' {
			if len(h.Key) == len("content-type") && strings.EqualFold(alias(h.Key), "content-type") {
				d.header(&contentType, h.Value)
			}
			continue
		}
		if h.Key[0]|0x20 != 'c' || h.Key[1]|0x20 != 'e' {
			continue
		}
		cloudEvent = true
		if string(h.Key[:len(prefix)]) == prefix {
			if to := d.attrs.named(alias(h.Key[len(prefix):])); to != nil {
				d.header(to, h.Value)
			}
		}
	}
	return contentType, cloudEvent
}

// header sets an attribute from a header. The same header twice is one; two values for one attribute are no CloudEvent.
func (d *Decoder) header(to *string, value []byte) {
	if len(value) == 0 {
		return
	}
	if *to != "" && *to != string(value) || !utf8.Valid(value) {
		d.attrs.contradictory = true
	}
	*to = alias(value)
}

// structured decodes an event whose attributes and data are one JSON object.
func (d *Decoder) structured(line []byte, r *Record, e *Event) Reason {
	// As the binding allows, such a record may have the headers of binary mode too. What is inside holds.
	d.attrs = attributes{}
	s := &d.json
	s.start(line, d.cfg.MaxDepth+1)
	if s.peek() != '{' {
		s.skip()
		if !s.end() {
			return BadJSON
		}
		return NotCloudEvent
	}
	var body body
	wrongType, wrongVersion := false, false
	f := s.open()
	for name, ok := s.member(&f); ok; name, ok = s.member(&f) {
		if body.take(s, name) {
			continue
		}
		to := d.attrs.named(name)
		switch {
		case to == nil:
			s.skip()
		case s.peek() == '"':
			*to = s.str()
		case s.peek() == 'n':
			s.literal("null")
		default:
			s.skip()
			wrongType = wrongType || name != "specversion"
			wrongVersion = wrongVersion || name == "specversion"
		}
	}
	if !s.end() {
		return BadJSON
	}
	if wrongVersion || d.attrs.specVersion != "1.0" {
		return NotCloudEvent
	}
	if wrongType {
		return BadJSON
	}
	data, reason := body.bytes(d.attrs.contentType)
	if reason != OK {
		return reason
	}
	return d.event(data, r, e)
}

// body is the data of a structured event: at most one of its two members.
type body struct {
	data   []byte // JSON, as it stands
	text   string // of data, if it is a string
	base64 string
	string bool
	wrong  bool // data_base64 is no string
}

// take reads the member of that name if it is one of data's, and reports whether it was.
func (b *body) take(s *scanner, name string) bool {
	switch name {
	case "data":
		if s.peek() == 'n' {
			s.literal("null")
			return true
		}
		start := s.i
		if b.string = s.peek() == '"'; b.string {
			b.text = s.str()
		} else {
			s.skip()
		}
		if !s.bad {
			b.data = s.b[start:s.i:s.i]
		}
	case "data_base64":
		switch s.peek() {
		case '"':
			b.base64 = s.str()
		case 'n':
			s.literal("null")
		default:
			s.skip()
			b.wrong = true
		}
	default:
		return false
	}
	return true
}

// bytes returns the data as it would be the value of a record in binary mode.
func (b *body) bytes(contentType string) ([]byte, Reason) {
	switch {
	case b.wrong:
		return nil, BadJSON
	case b.data != nil && b.base64 != "":
		return nil, NotCloudEvent
	case b.base64 != "":
		data, err := base64.StdEncoding.DecodeString(b.base64)
		if err != nil {
			return nil, BadJSON
		}
		return data, OK
	case b.string && !isJSON(contentType):
		return []byte(b.text), OK
	}
	return b.data, OK
}

// mediaType returns a content type without its parameters.
func mediaType(contentType string) string {
	if i := strings.IndexByte(contentType, ';'); i >= 0 {
		contentType = contentType[:i]
	}
	return strings.Trim(contentType, " \t")
}

// isCloudEvents reports whether a record of that content type holds a whole event, in whatever format.
func isCloudEvents(contentType string) bool {
	const prefix = "application/cloudevents"
	media := mediaType(contentType)
	return len(media) >= len(prefix) && strings.EqualFold(media[:len(prefix)], prefix)
}

// isStructured reports whether it holds it in the one format that is read here.
func isStructured(contentType string) bool {
	return strings.EqualFold(mediaType(contentType), "application/cloudevents+json")
}

// isJSON reports whether data of that content type is JSON: */json, */*+json, or nothing said.
func isJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	media := mediaType(contentType)
	slash := strings.IndexByte(media, '/')
	if slash < 0 {
		return false
	}
	subtype := media[slash+1:]
	const suffix = "+json"
	return strings.EqualFold(subtype, "json") ||
		len(subtype) >= len(suffix) && strings.EqualFold(subtype[len(subtype)-len(suffix):], suffix)
}
