package event

import (
	"time"
	"unicode/utf8"
)

// Config bounds what a Decoder takes. Zero values mean the defaults.
type Config struct {
	// MaxSkew is how far an event's time may lie after its record's Kafka timestamp. Negative: not at all.
	MaxSkew time.Duration
	// MaxValueBytes is the length of the largest record value, or of the largest line.
	MaxValueBytes int
	// MaxNameBytes is the length of the longest attribute and of the longest name in data: ids, kinds, versions, classes. A check_id,
	// which carries a signed answer, may be four times as long.
	MaxNameBytes int
	// MaxKeyBytes is the length of the longest workflow id, and of the longest key of a context item.
	MaxKeyBytes int
	// MaxDepth is how deep arrays and objects of an event's data may be nested.
	MaxDepth int
}

// The limits that hold where a Config says nothing.
const (
	DefaultMaxSkew       = 5 * time.Minute
	DefaultMaxValueBytes = 1 << 20
	DefaultMaxNameBytes  = 1 << 8
	DefaultMaxKeyBytes   = 1 << 9
	DefaultMaxDepth      = 64
)

// What a Decoder or an Event may keep from one event to the next. An exceptional event shall not stay in memory for ever.
const (
	keepTextBytes = 64 << 10
	keepNames     = 1 << 10
	keepRefs      = 1 << 10
)

// Decoder decodes records. It reuses its memory from one call to the next, so that an ordinary event costs no allocation: each
// goroutine has its own, and an Event is used, or what is kept of it cloned, before the next call.
type Decoder struct {
	cfg     Config
	maxSkew Time
	json    scanner
	attrs   attributes
	seen    seen
}

// NewDecoder returns a Decoder with the limits of cfg.
func NewDecoder(cfg Config) *Decoder {
	orDefault := func(limit *int, otherwise int) {
		if *limit <= 0 {
			*limit = otherwise
		}
	}
	orDefault(&cfg.MaxValueBytes, DefaultMaxValueBytes)
	orDefault(&cfg.MaxNameBytes, DefaultMaxNameBytes)
	orDefault(&cfg.MaxKeyBytes, DefaultMaxKeyBytes)
	orDefault(&cfg.MaxDepth, DefaultMaxDepth)
	if cfg.MaxSkew == 0 {
		cfg.MaxSkew = DefaultMaxSkew
	}
	d := &Decoder{cfg: cfg}
	d.SetMaxSkew(cfg.MaxSkew)
	return d
}

// SetMaxSkew changes how far an event's time may lie after its record's, as a contract does that comes into force. Here zero is zero.
func (d *Decoder) SetMaxSkew(skew time.Duration) { d.maxSkew = Time(max(skew, 0).Milliseconds()) }

// Decode turns a record into e, or says why that cannot be done. Where several reasons hold it gives the first of: too_large of the
// value, not_cloudevent, bad_json of a structured event, missing_attribute, too_large and bad_time of an attribute, wrong_topic,
// key_mismatch, then what the data gives (not_cloudevent, bad_json, too_large, missing_attribute, bad_time, key_mismatch), and last
// future_dated. bad_ref it never returns: such an event is OK, with BadRefs above zero.
//
// With any reason but OK, e holds what had been read by then, for the log and no other use.
func (d *Decoder) Decode(r *Record, e *Event) Reason {
	d.reset(e)
	if len(r.Value) > d.cfg.MaxValueBytes {
		return TooLarge
	}
	contentType, cloudEvent := d.headers(r.Headers)
	if r.Category == Source && r.Value == nil && len(r.Key) > 0 && !cloudEvent {
		return d.forget(r, e)
	}
	if r.Value == nil && !cloudEvent && r.Category != Source && r.Category != Unknown {
		if by, ok := r.erase(); ok {
			return d.erase(r, by, e)
		}
	}
	if d.attrs.contradictory {
		return NotCloudEvent
	}
	if isCloudEvents(contentType) {
		if !isStructured(contentType) {
			return NotCloudEvent
		}
		return d.structured(r.Value, r, e)
	}
	if d.attrs.specVersion != "1.0" {
		return NotCloudEvent
	}
	if d.attrs.subject == "" {
		d.attrs.subject = alias(r.Key)
	}
	if contentType != "" {
		d.attrs.contentType = contentType
	}
	return d.event(r.Value, r, e)
}

// DecodeStructured turns one structured CloudEvent, written as JSON, into e as Decode does. There is no record whose key or topic could
// contradict it. recordTime is when the event was appended; 0 means its recordedtime, else its time, and that it cannot be future_dated.
func (d *Decoder) DecodeStructured(line []byte, recordTime Time, e *Event) Reason {
	d.reset(e)
	if len(line) > d.cfg.MaxValueBytes {
		return TooLarge
	}
	return d.structured(line, &Record{Time: recordTime}, e)
}

// reset makes e and d ready for the next event.
func (d *Decoder) reset(e *Event) {
	refs := e.Refs[:0]
	if cap(refs) > keepRefs {
		refs = nil
	}
	*e = Event{Refs: refs}
	d.attrs, d.seen = attributes{}, seen{}
	d.json.text = d.json.text[:0]
	if cap(d.json.text) > keepTextBytes {
		d.json.text = nil
	}
	if cap(d.json.keys) > keepNames {
		d.json.keys = nil
	}
}

// forget decodes the record that makes Freshet forget a context item. Its time is its record's: it has no other.
func (d *Decoder) forget(r *Record, e *Event) Reason {
	e.Type, e.Subject, e.Time, e.Appended = SourceForget, alias(r.Key), r.Time, r.Time
	kind, key, ok := CutKey(e.Subject)
	switch {
	case len(r.Key) > d.longestSubject(Source), ok && len(kind) > d.cfg.MaxNameBytes, ok && len(key) > d.cfg.MaxKeyBytes:
		return TooLarge
	case !ok || key == "" || !utf8.Valid(r.Key):
		return KeyMismatch
	}
	e.Kind, e.Key = kind, key
	return OK
}

// EraseHeader marks the record that erases a workflow. Its value says who asked for it, or why.
const EraseHeader = "freshet-erase"

// erase returns what the header says of a record that erases a workflow, if it has one.
func (r *Record) erase() (by []byte, ok bool) {
	for i := range r.Headers {
		if string(r.Headers[i].Key) == EraseHeader {
			return r.Headers[i].Value, len(r.Key) > 0
		}
	}
	return nil, false
}

// erase decodes the record that makes Freshet erase a workflow. Its time is its record's: it has no other.
func (d *Decoder) erase(r *Record, by []byte, e *Event) Reason {
	e.Type, e.Subject, e.Time, e.Appended, e.Why = WorkflowErase, alias(r.Key), r.Time, r.Time, alias(by)
	switch {
	case len(r.Key) > d.cfg.MaxKeyBytes, len(by) > d.cfg.MaxNameBytes:
		return TooLarge
	case r.Key[0] == 0 || !utf8.Valid(r.Key):
		return KeyMismatch
	case !utf8.Valid(by):
		return NotCloudEvent
	}
	return OK
}

// event makes an event of the attributes that have been read and its data, by the record it came in.
func (d *Decoder) event(data []byte, r *Record, e *Event) Reason {
	a := &d.attrs
	e.ID, e.Source, e.Subject, e.TypeName = a.id, a.source, a.subject, a.typeName
	e.Type = TypeOf(a.typeName)
	e.WorkflowType, e.DataContentType = a.workflowType, a.contentType
	if a.id == "" || a.source == "" || a.typeName == "" || a.time == "" || a.subject == "" {
		return MissingAttribute
	}
	category := e.Type.Category()
	if a.longest() > d.cfg.MaxNameBytes || max(len(a.subject), len(r.Key)) > d.longestSubject(category) {
		return TooLarge
	}
	if len(a.traceParent) <= d.cfg.MaxNameBytes {
		e.TraceParent = a.traceParent
	}
	if category != Source {
		e.Traffic, _ = ParseTrafficClass(a.trafficClass)
	}
	if reason := d.times(r.Time, e); reason != OK {
		return reason
	}
	if category != Unknown && r.Category != Unknown && category != r.Category {
		return WrongTopic
	}
	if len(r.Key) > 0 && string(r.Key) != e.Subject || e.Subject[0] == 0 || !utf8.ValidString(e.Subject) {
		return KeyMismatch
	}
	if reason := d.data(data, e); reason != OK {
		return reason
	}
	if r.Time > 0 && e.Time-d.maxSkew > r.Time {
		return FutureDated
	}
	return OK
}

// longestSubject returns how long a subject may be: a workflow id, or kind and key of a context item.
func (d *Decoder) longestSubject(c Category) int {
	if c == Source || c == Unknown {
		return d.cfg.MaxNameBytes + 1 + d.cfg.MaxKeyBytes
	}
	return d.cfg.MaxKeyBytes
}

// times reads the instants among the attributes. A record without a timestamp was appended when it says it was recorded, else when it
// happened.
func (d *Decoder) times(recordTime Time, e *Event) Reason {
	var ok bool
	if e.Time, ok = ParseTime(d.attrs.time); !ok {
		return BadTime
	}
	e.EffectiveAt, e.Appended = e.Time, e.Time
	if d.attrs.recordedTime != "" {
		if e.Recorded, ok = ParseTime(d.attrs.recordedTime); !ok {
			return BadTime
		}
		e.HasRecorded, e.Appended = true, e.Recorded
	}
	if recordTime > 0 {
		e.Appended = recordTime
	}
	return OK
}

// CutKey splits a context key at its first slash into kind and key. It returns false for what is no context key: one without a slash
// or without a kind, or one that begins with byte 0, as only Freshet's own control rows do. The key is empty for a whole kind.
func CutKey(contextKey string) (kind, key string, ok bool) {
	for i := 0; i < len(contextKey); i++ {
		if contextKey[i] == '/' {
			return contextKey[:i], contextKey[i+1:], i > 0 && contextKey[0] != 0
		}
	}
	return "", "", false
}
