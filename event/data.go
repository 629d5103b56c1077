package event

// seen is what the data of one event had in it, besides what the Event says.
type seen struct {
	refs, seq, through bool
	wrongType          bool // a field that is judged by is of a wrong JSON type
	badTime            bool
	tooLarge           bool // a name is too long
}

// data reads an event's data, as far as its type has a meaning for it.
func (d *Decoder) data(data []byte, e *Event) Reason {
	if len(data) == 0 {
		return d.required(e)
	}
	if !isJSON(e.DataContentType) {
		if e.Type != Other {
			return NotCloudEvent
		}
		e.Opaque = alias(data)
		return OK
	}
	if e.DataContentType == "" {
		e.DataContentType = "application/json"
	}
	s := &d.json
	s.start(data, d.cfg.MaxDepth)
	first := s.peek()
	if first != '{' || e.Type == Other {
		s.skip()
	} else {
		f := s.open()
		for name, ok := s.member(&f); ok; name, ok = s.member(&f) {
			d.field(name, e)
		}
	}
	if !s.end() {
		return BadJSON
	}
	if first == 'n' {
		e.DataContentType = d.attrs.contentType
		return d.required(e)
	}
	e.Data = alias(data)
	if first != '{' && e.Type.Category() > Control {
		return BadJSON
	}
	return d.required(e)
}

// required says what is wrong with the data that was read: in it, or because it is not there.
func (d *Decoder) required(e *Event) Reason {
	missing := false
	switch e.Type {
	case ContextLoaded, ContextDropped:
		missing = !d.seen.refs
	case ToolCalled, ToolResult:
		missing = e.CallID == ""
	case DecisionProposed, ActionApproved, ActionRejected, ActionOverridden, ActionExecuted, CompensationTriggered:
		missing = e.DecisionID == ""
	case SourceUpdated, SourceAvailable:
		missing = e.Kind == "" || e.Key == "" || !d.seen.seq
	case SourceHeartbeat:
		missing = e.Kind == "" || !d.seen.through
	}
	switch {
	case d.seen.wrongType:
		return BadJSON
	case d.seen.tooLarge:
		return TooLarge
	case missing:
		return MissingAttribute
	case d.seen.badTime:
		return BadTime
	}
	e.HasClass = e.Class != ""
	if e.Type.Category() != Source {
		return OK
	}
	e.WholeKind = e.Key == ""
	kind, key, ok := CutKey(e.Subject)
	if !ok || kind != e.Kind || key != e.Key {
		return KeyMismatch
	}
	return OK
}

// field reads the value of one field of the data. A field that has no meaning for the event's type is skipped, whatever it is.
func (d *Decoder) field(name string, e *Event) {
	category := e.Type.Category()
	if category == Source {
		d.sourceField(name, e)
		return
	}
	if name == "workflow_type" {
		var claim string
		if d.name(&claim); e.WorkflowType == "" {
			e.WorkflowType = claim
		}
		return
	}
	switch category {
	case Control:
		d.controlField(name, e)
	case Context:
		if name != "refs" {
			d.json.skip()
			return
		}
		d.seen.refs = d.refs(e)
	case Tool:
		d.toolField(name, e)
	default:
		d.decisionField(name, e)
	}
}

func (d *Decoder) controlField(name string, e *Event) {
	switch name {
	case "step":
		d.shown(&e.Step)
	case "reason":
		d.shown(&e.Why)
	case "call_id":
		d.name(&e.CallID)
	default:
		d.json.skip()
	}
}

func (d *Decoder) toolField(name string, e *Event) {
	switch {
	case name == "call_id":
		d.name(&e.CallID)
	case name == "tool":
		d.shown(&e.ToolName)
	case name == "status" && e.Type == ToolResult:
		d.shown(&e.Status)
	case name == "refs" && e.Type == ToolResult:
		d.seen.refs = d.refs(e)
	default:
		d.json.skip()
	}
}

func (d *Decoder) decisionField(name string, e *Event) {
	switch name {
	case "decision_id":
		d.name(&e.DecisionID)
	case "class":
		d.name(&e.Class)
	case "action":
		d.shown(&e.Action)
	case "actor":
		d.shown(&e.Actor)
	case "check_id":
		d.shown(&e.CheckID)
		d.seen.tooLarge = d.seen.tooLarge || len(e.CheckID) > 4*d.cfg.MaxNameBytes
	case "based_on":
		e.HasBasedOn = d.refs(e)
	default:
		d.json.skip()
	}
}

func (d *Decoder) sourceField(name string, e *Event) {
	switch name {
	case "kind":
		d.name(&e.Kind)
		return
	case "key":
		d.bounded(&e.Key, d.cfg.MaxKeyBytes)
		return
	}
	switch e.Type {
	case SourceUpdated:
		d.updatedField(name, e)
	case SourceHeartbeat:
		if name != "through" {
			d.json.skip()
			return
		}
		d.seen.through = d.instant(&e.Through)
	default:
		switch name {
		case "seq":
			d.seq(e)
		case "consumer":
			d.label(&e.Consumer)
		default:
			d.json.skip()
		}
	}
}

func (d *Decoder) updatedField(name string, e *Event) {
	switch name {
	case "seq":
		d.seq(e)
	case "version":
		d.name(&e.Version)
	case "effective_at":
		d.instant(&e.EffectiveAt)
	case "owner":
		d.label(&e.Owner)
	case "digest":
		d.label(&e.Digest)
	case "change":
		var change string
		d.name(&change)
		e.Change, _ = ParseChange(change)
	default:
		d.json.skip()
	}
}

// name reads a string that is judged by, or identifies. null is absent.
func (d *Decoder) name(to *string) { d.bounded(to, d.cfg.MaxNameBytes) }

func (d *Decoder) bounded(to *string, limit int) {
	switch d.json.peek() {
	case '"':
		*to = d.json.str()
		d.seen.tooLarge = d.seen.tooLarge || len(*to) > limit
	case 'n':
		d.json.literal("null")
	default:
		d.json.skip()
		d.seen.wrongType = true
	}
}

// shown reads a value that is only shown. A string is itself, everything else the JSON that it is; null is absent.
func (d *Decoder) shown(to *string) {
	switch d.json.peek() {
	case '"':
		*to = d.json.str()
	case 'n':
		d.json.literal("null")
	default:
		*to = alias(d.json.raw())
	}
}

// label reads a value that is only shown, but kept as long as its context item is: it is no longer than a name.
func (d *Decoder) label(to *string) {
	d.shown(to)
	d.seen.tooLarge = d.seen.tooLarge || len(*to) > d.cfg.MaxNameBytes
}

// instant reads an RFC 3339 string and reports whether one was there. null is absent.
func (d *Decoder) instant(to *Time) bool {
	switch d.json.peek() {
	case '"':
		t, ok := ParseTime(d.json.str())
		if !ok {
			d.seen.badTime = true
			return true
		}
		*to = t
		return true
	case 'n':
		d.json.literal("null")
	default:
		d.json.skip()
		d.seen.wrongType = true
	}
	return false
}

// seq reads the sequence number of a source event. null is absent.
func (d *Decoder) seq(e *Event) {
	var ok bool
	switch c := d.json.peek(); {
	case c == 'n':
		d.json.literal("null")
		return
	case c == '-' || c-'0' <= 9:
		e.Seq, ok = d.integer()
	default:
		d.json.skip()
	}
	d.seen.seq = true
	d.seen.wrongType = d.seen.wrongType || !ok
}

func (d *Decoder) integer() (int64, bool) {
	number := d.json.number()
	if number == nil {
		return 0, false
	}
	return integer(number)
}

// refs reads a list of REFs and reports whether there was one. null is absent. Entries that cannot be used are counted and left out.
func (d *Decoder) refs(e *Event) bool {
	s := &d.json
	switch s.peek() {
	case 'n':
		s.literal("null")
		return false
	case '[':
	default:
		s.skip()
		d.seen.wrongType = true
		return true
	}
	f := s.open()
	for s.element(&f) {
		e.Refs = append(e.Refs, Ref{})
		if !d.ref(&e.Refs[len(e.Refs)-1], e.Type == ContextDropped) {
			e.Refs = e.Refs[:len(e.Refs)-1]
			e.BadRefs++
		}
	}
	return true
}

// ref reads one REF and reports whether it can be used. Of an item that is dropped, kind and key are all that has a meaning.
func (d *Decoder) ref(r *Ref, dropped bool) bool {
	s := &d.json
	if s.peek() != '{' {
		s.skip()
		return false
	}
	usable := true
	f := s.open()
	for name, ok := s.member(&f); ok; name, ok = s.member(&f) {
		switch {
		case name == "kind":
			usable = d.refName(&r.Kind, d.cfg.MaxNameBytes) && usable
		case name == "key":
			usable = d.refName(&r.Key, d.cfg.MaxKeyBytes) && usable
		case dropped:
			s.skip()
		case name == "version":
			usable = d.refName(&r.Version, d.cfg.MaxNameBytes) && usable
		case name == "seq":
			usable = d.refSeq(r) && usable
		case name == "as_of":
			usable = d.refTime(r) && usable
		case name == "digest":
			// Of no consequence, so that nothing in it can spoil the REF.
			if d.shown(&r.Digest); len(r.Digest) > d.cfg.MaxNameBytes {
				r.Digest = ""
			}
		default:
			s.skip()
		}
	}
	// A kind with a slash in it would be cut elsewhere by whoever splits the context key, and an item without a key is a whole kind.
	return usable && r.Key != "" && isKind(r.Kind)
}

func isKind(kind string) bool {
	if kind == "" || kind[0] == 0 {
		return false
	}
	for i := 0; i < len(kind); i++ {
		if kind[i] == '/' {
			return false
		}
	}
	return true
}

func (d *Decoder) refName(to *string, limit int) bool {
	s := &d.json
	switch s.peek() {
	case '"':
		*to = s.str()
		return len(*to) <= limit
	case 'n':
		s.literal("null")
		return true
	}
	s.skip()
	return false
}

func (d *Decoder) refSeq(r *Ref) bool {
	s := &d.json
	switch c := s.peek(); {
	case c == 'n':
		s.literal("null")
		return true
	case c == '-' || c-'0' <= 9:
		r.Seq, r.HasSeq = d.integer()
		return r.HasSeq
	}
	s.skip()
	return false
}

func (d *Decoder) refTime(r *Ref) bool {
	s := &d.json
	switch s.peek() {
	case 'n':
		s.literal("null")
		return true
	case '"':
		r.AsOf, r.HasAsOf = ParseTime(s.str())
		return r.HasAsOf
	}
	s.skip()
	return false
}
