package event

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	at       = "2026-01-03T17:07:55.000Z"
	atTime   = Time(1767460075000)
	loaded   = "com.acme.context.loaded"
	executed = "action.executed"
)

// record is a valid record of the given type in binary mode that the tests then spoil.
func record(typ, key, data string) *Record {
	r := &Record{Key: []byte(key), Value: []byte(data), Time: atTime + 200, Category: TypeOf(typ).Category()}
	for _, h := range [][2]string{
		{"ce_specversion", "1.0"}, {"ce_id", "e-1"}, {"ce_source", "/agents/3"}, {"ce_type", typ}, {"ce_time", at},
		{"content-type", "application/json"},
	} {
		r.Headers = append(r.Headers, Header{[]byte(h[0]), []byte(h[1])})
	}
	if data == "" {
		r.Value = nil
	}
	return r
}

// with sets a header, or takes it away if value is nil.
func (r *Record) with(key string, value any) *Record {
	r.Headers = slices.DeleteFunc(r.Headers, func(h Header) bool { return string(h.Key) == key })
	if value != nil {
		r.Headers = append(r.Headers, Header{[]byte(key), []byte(value.(string))})
	}
	return r
}

func (r *Record) keyed(key []byte) *Record {
	r.Key = key
	return r
}

func (r *Record) on(c Category) *Record {
	r.Category = c
	return r
}

func (r *Record) valued(v []byte) *Record {
	r.Value = v
	return r
}

func (r *Record) timed(t Time) *Record {
	r.Time = t
	return r
}

// inStructuredMode is a record that carries the whole event in its value.
func inStructuredMode(line, contentType string) *Record {
	return &Record{Key: []byte("wf-1"), Value: []byte(line), Headers: []Header{{[]byte("content-type"), []byte(contentType)}}, Time: atTime}
}

// structured is a structured event: the attributes every event needs, but for those that attrs has or sets to "".
func structured(typ string, attrs ...string) string {
	all := []string{"specversion", `"1.0"`, "id", `"e-1"`, "source", `"/agents/3"`, "type", strconv.Quote(typ), "time", `"` + at + `"`, "subject", `"wf-1"`}
	for i := 0; i < len(attrs); i += 2 {
		if j := slices.Index(all, attrs[i]); j >= 0 && j%2 == 0 {
			all = slices.Delete(all, j, j+2)
		}
		if attrs[i+1] != "" {
			all = append(all, attrs[i], attrs[i+1])
		}
	}
	var b strings.Builder
	for i := 0; i < len(all); i += 2 {
		b.WriteString(`,"` + all[i] + `":` + all[i+1])
	}
	return "{" + b.String()[1:] + "}"
}

func TestReasonsOfRecords(t *testing.T) {
	task := func() *Record { return record("task.started", "wf-1", "") }
	const kind = `"kind":"policy","key":"refund"`
	update := func(data string) *Record { return record("source.updated", "policy/refund", data) }
	long := strings.Repeat("x", DefaultMaxNameBytes+1)
	longKey := strings.Repeat("x", DefaultMaxKeyBytes+1)
	longKind := `"kind":"` + long + `","key":"refund"`
	for name, c := range map[string]struct {
		r    *Record
		want Reason
	}{
		"binary":                           {task(), OK},
		"no headers":                       {&Record{Key: []byte("wf-1"), Value: []byte(`{}`)}, NotCloudEvent},
		"zero record":                      {&Record{}, NotCloudEvent},
		"no specversion":                   {task().with("ce_specversion", nil), NotCloudEvent},
		"specversion 0.3":                  {task().with("ce_specversion", "0.3"), NotCloudEvent},
		"specversion 1":                    {task().with("ce_specversion", "1"), NotCloudEvent},
		"headers of another binding":       {task().with("ce_id", nil).with("ce-id", "e-1"), MissingAttribute},
		"upper case header":                {task().with("ce_id", nil).with("CE_ID", "e-1"), MissingAttribute},
		"header that is not UTF-8":         {task().with("ce_id", "\xff"), NotCloudEvent},
		"unknown header that is not UTF-8": {task().with("ce_x", "\xff").with("x", "\xff").with("", "\xff").with("ce_", "\xff"), OK},
		"two ids":                          {&Record{Key: []byte("wf-1"), Headers: append(task().Headers, Header{[]byte("ce_id"), []byte("e-2")})}, NotCloudEvent},
		"the same id twice":                {&Record{Key: []byte("wf-1"), Headers: append(task().Headers, Header{[]byte("ce_id"), []byte("e-1")})}, OK},
		"two content types":                {&Record{Key: []byte("wf-1"), Headers: append(task().Headers, Header{[]byte("Content-Type"), []byte("text/plain")})}, NotCloudEvent},
		"batch":                            {task().with("content-type", "application/cloudevents-batch+json"), NotCloudEvent},
		"structured avro":                  {task().with("content-type", "application/cloudevents+avro"), NotCloudEvent},
		"structured protobuf":              {task().with("content-type", "Application/CloudEvents+Protobuf; x=y"), NotCloudEvent},
		"structured without format":        {task().with("content-type", "application/cloudevents"), NotCloudEvent},
		"avro data":                        {record("tool.called", "wf-1", `{"call_id":"c"}`).with("content-type", "application/avro"), NotCloudEvent},
		"avro data that is not needed":     {record("task.started", "wf-1", "Obj\x01").with("content-type", "avro/binary"), NotCloudEvent},
		"avro type without data":           {task().with("content-type", "application/avro"), OK},
		"avro data of an unknown type":     {record("acme.thing.done", "wf-1", "Obj\x01\xff").with("content-type", "application/avro"), OK},
		"json data by suffix":              {record("tool.called", "wf-1", `{"call_id":"c"}`).with("content-type", "Application/Vnd.Acme+JSON; charset=utf-8"), OK},
		"json data by text/json":           {record("tool.called", "wf-1", `{"call_id":"c"}`).with("content-type", "text/json"), OK},
		"json data undeclared":             {record("tool.called", "wf-1", `{"call_id":"c"}`).with("content-type", nil), OK},
		"json data by ce_datacontenttype":  {record("tool.called", "wf-1", `{"call_id":"c"}`).with("content-type", nil).with("ce_datacontenttype", "application/avro"), NotCloudEvent},

		"no id":              {task().with("ce_id", nil), MissingAttribute},
		"empty id":           {task().with("ce_id", ""), MissingAttribute},
		"no source":          {task().with("ce_source", nil), MissingAttribute},
		"no type":            {task().with("ce_type", nil), MissingAttribute},
		"no time":            {task().with("ce_time", nil), MissingAttribute},
		"no key, no subject": {task().keyed(nil), MissingAttribute},
		"no key":             {task().keyed(nil).with("ce_subject", "wf-1"), OK},
		"empty key":          {task().keyed([]byte{}).with("ce_subject", "wf-1"), OK},
		"key and subject":    {task().with("ce_subject", "wf-1"), OK},

		"time of day":             {task().with("ce_time", "17:07:55Z"), BadTime},
		"recordedtime unreadable": {task().with("ce_recordedtime", "yesterday"), BadTime},
		"recordedtime":            {task().with("ce_recordedtime", at), OK},

		"subject is not the key":          {task().with("ce_subject", "wf-2"), KeyMismatch},
		"key begins with byte 0":          {task().keyed([]byte("\x00wf")), KeyMismatch},
		"subject begins with byte 0":      {task().keyed(nil).with("ce_subject", "\x00wf"), KeyMismatch},
		"byte 0 elsewhere":                {task().keyed([]byte("wf\x00")), OK},
		"key is not UTF-8":                {task().keyed([]byte("wf\xff")), KeyMismatch},
		"source key begins with byte 0":   {record("source.updated", "\x00p/refund", `{"kind":"\u0000p","key":"refund","seq":1}`), KeyMismatch},
		"source key without slash":        {record("source.updated", "policy", `{`+kind+`,"seq":1}`), KeyMismatch},
		"source kind contradicts":         {record("source.updated", "prompt/refund", `{`+kind+`,"seq":1}`), KeyMismatch},
		"source key contradicts":          {record("source.updated", "policy/other", `{`+kind+`,"seq":1}`), KeyMismatch},
		"kind with a slash":               {record("source.updated", "a/b/c", `{"kind":"a/b","key":"c","seq":1}`), KeyMismatch},
		"key with a slash":                {record("source.updated", "a/b/c", `{"kind":"a","key":"b/c","seq":1}`), OK},
		"heartbeat of a kind":             {record("source.heartbeat", "policy/", `{"kind":"policy","through":"`+at+`"}`), OK},
		"heartbeat of a kind, empty key":  {record("source.heartbeat", "policy/", `{"kind":"policy","key":"","through":"`+at+`"}`), OK},
		"heartbeat of a kind, null key":   {record("source.heartbeat", "policy/", `{"kind":"policy","key":null,"through":"`+at+`"}`), OK},
		"heartbeat of a kind, no slash":   {record("source.heartbeat", "policy", `{"kind":"policy","through":"`+at+`"}`), KeyMismatch},
		"heartbeat of an item as a kind":  {record("source.heartbeat", "policy/refund", `{"kind":"policy","through":"`+at+`"}`), KeyMismatch},
		"heartbeat of a kind as an item":  {record("source.heartbeat", "policy/", `{`+kind+`,"through":"`+at+`"}`), KeyMismatch},
		"workflow id with a slash":        {task().keyed([]byte("a/b")), OK},
		"unknown type on a source topic":  {record("acme.thing.done", "anything", "").on(Source), OK},
		"unknown type on a control topic": {record("acme.thing.done", "anything", `[1]`).on(Control), OK},

		"control on context":  {task().on(Context), WrongTopic},
		"control on source":   {task().on(Source), WrongTopic},
		"tool.retry on tool":  {record("tool.retry_scheduled", "wf-1", "").on(Tool), WrongTopic},
		"decision on control": {record(executed, "wf-1", `{"decision_id":"d"}`).on(Control), WrongTopic},
		"source on context":   {update(`{` + kind + `,"seq":1}`).on(Context), WrongTopic},
		"topic not known":     {record(executed, "wf-1", `{"decision_id":"d"}`).on(Unknown), OK},

		"value too large":           {task().valued(bytes.Repeat([]byte(" "), DefaultMaxValueBytes+1)), TooLarge},
		"value as large as allowed": {task().valued(append([]byte(`{}`), bytes.Repeat([]byte(" "), DefaultMaxValueBytes-2)...)), OK},
		"key too long":              {task().keyed([]byte(longKey)), TooLarge},
		"workflow id too long":      {record("task.started", longKey, ""), TooLarge},
		"workflow id, as allowed":   {record("task.started", longKey[1:], ""), OK},
		"item's key too long":       {record("source.updated", "policy/"+longKey, `{"kind":"policy","key":"`+longKey+`","seq":1}`), TooLarge},
		"item's key, as allowed":    {record("source.updated", "policy/"+longKey[1:], `{"kind":"policy","key":"`+longKey[1:]+`","seq":1}`), OK},
		"kind too long":             {record("source.updated", long+"/refund", `{`+longKind+`,"seq":1}`), TooLarge},
		"id too long":               {task().with("ce_id", long), TooLarge},
		"id as long as allowed":     {task().with("ce_id", long[1:]), OK},
		"source too long":           {task().with("ce_source", long), TooLarge},
		"workflowtype too long":     {task().with("ce_workflowtype", long), TooLarge},
		"traceparent too long":      {task().with("ce_traceparent", long), OK},
		"decision_id too long":      {record(executed, "wf-1", `{"decision_id":"`+long+`"}`), TooLarge},
		"check_id longer":           {record(executed, "wf-1", `{"decision_id":"d","check_id":"`+long+`"}`), OK},
		"check_id too long":         {record(executed, "wf-1", `{"decision_id":"d","check_id":"`+strings.Repeat(long, 4)+`"}`), TooLarge},
		"owner too long":            {update(`{` + kind + `,"seq":1,"owner":"` + long + `"}`), TooLarge},

		"at the skew":             {task().timed(atTime - 300_000), OK},
		"beyond the skew":         {task().timed(atTime - 300_001), FutureDated},
		"record without a time":   {task().timed(0), OK},
		"record of no time":       {task().timed(-1), OK},
		"record of the far past":  {task().timed(1), FutureDated},
		"record of the last time": {task().timed(math.MaxInt64), OK},

		"forget":                  {&Record{Key: []byte("policy/refund"), Category: Source}, OK},
		"forget with headers":     {&Record{Key: []byte("policy/refund"), Category: Source, Headers: []Header{{[]byte("x"), nil}, {[]byte("content-type"), []byte("application/json")}}}, OK},
		"forget a kind":           {&Record{Key: []byte("policy/"), Category: Source}, KeyMismatch},
		"forget nothing":          {&Record{Key: []byte("policy"), Category: Source}, KeyMismatch},
		"forget the unspeakable":  {&Record{Key: []byte("a/\xff"), Category: Source}, KeyMismatch},
		"forget a control row":    {&Record{Key: []byte("\x00a/b"), Category: Source}, KeyMismatch},
		"forget too much":         {&Record{Key: []byte("a/" + longKey), Category: Source}, TooLarge},
		"forget a kind too long":  {&Record{Key: []byte(long + "/a"), Category: Source}, TooLarge},
		"forget without a key":    {&Record{Category: Source}, NotCloudEvent},
		"forget elsewhere":        {&Record{Key: []byte("policy/refund"), Category: Context}, NotCloudEvent},
		"empty value":             {&Record{Key: []byte("policy/refund"), Value: []byte{}, Category: Source}, NotCloudEvent},
		"no value but ce_ header": {&Record{Key: []byte("policy/refund"), Category: Source, Headers: []Header{{[]byte("ce_x"), nil}}}, NotCloudEvent},
		"no value but CE_ header": {&Record{Key: []byte("policy/refund"), Category: Source, Headers: []Header{{[]byte("CE_ID"), []byte("1")}}}, NotCloudEvent},
	} {
		d, e := NewDecoder(Config{}), new(Event)
		if got := d.Decode(c.r, e); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestReasonsOfStructuredRecords(t *testing.T) {
	const media = "application/cloudevents+json"
	for name, c := range map[string]struct {
		r    *Record
		want Reason
	}{
		"structured":           {inStructuredMode(structured("task.started"), media), OK},
		"charset":              {inStructuredMode(structured("task.started"), media+"; charset=utf-8"), OK},
		"upper case":           {inStructuredMode(structured("task.started"), "Application/CloudEvents+JSON ;charset=UTF-8"), OK},
		"no content type":      {&Record{Key: []byte("wf-1"), Value: []byte(structured("task.started"))}, NotCloudEvent},
		"plain json":           {inStructuredMode(structured("task.started"), "application/json"), NotCloudEvent},
		"no key":               {inStructuredMode(structured("task.started"), media).keyed(nil), OK},
		"subject not key":      {inStructuredMode(structured("task.started"), media).keyed([]byte("wf-2")), KeyMismatch},
		"no subject":           {inStructuredMode(structured("task.started", "subject", ""), media), MissingAttribute},
		"wrong topic":          {inStructuredMode(structured("task.started"), media).on(Source), WrongTopic},
		"future":               {inStructuredMode(structured("task.started"), media).timed(atTime - 300_001), FutureDated},
		"too large":            {inStructuredMode(structured("task.started")+strings.Repeat(" ", DefaultMaxValueBytes), media), TooLarge},
		"no value":             {inStructuredMode("", media), BadJSON},
		"null value elsewhere": {inStructuredMode("", media).valued(nil), BadJSON},
		"binary headers too":   {inStructuredMode(structured("task.started"), media).with("ce_id", "e-2").with("ce_specversion", "0.3"), OK},
	} {
		if got := NewDecoder(Config{}).Decode(c.r, new(Event)); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	for name, c := range map[string]struct {
		line string
		want Reason
	}{
		"empty line":               {"", BadJSON},
		"blank line":               {" \n", BadJSON},
		"array":                    {"[" + structured("task.started") + "]", NotCloudEvent},
		"string":                   {`"event"`, NotCloudEvent},
		"empty object":             {`{}`, NotCloudEvent},
		"broken array":             {`[1`, BadJSON},
		"broken":                   {structured("task.started")[1:], BadJSON},
		"trailing":                 {structured("task.started") + "}", BadJSON},
		"trailing line break":      {structured("task.started") + "\r\n", OK},
		"id twice":                 {structured("task.started", "id", `"a","id":"a"`), BadJSON},
		"specversion 0.3":          {structured("task.started", "specversion", `"0.3"`), NotCloudEvent},
		"specversion a number":     {structured("task.started", "specversion", `1.0`), NotCloudEvent},
		"specversion null":         {structured("task.started", "specversion", `null`), NotCloudEvent},
		"no specversion":           {structured("task.started", "specversion", ""), NotCloudEvent},
		"id a number":              {structured("task.started", "id", `5`), BadJSON},
		"id null":                  {structured("task.started", "id", `null`), MissingAttribute},
		"id empty":                 {structured("task.started", "id", `""`), MissingAttribute},
		"no source":                {structured("task.started", "source", ""), MissingAttribute},
		"no type":                  {structured("task.started", "type", ""), MissingAttribute},
		"no time":                  {structured("task.started", "time", ""), MissingAttribute},
		"time a number":            {structured("task.started", "time", `1767460075`), BadJSON},
		"bad time":                 {structured("task.started", "time", `"2026-02-30T00:00:00Z"`), BadTime},
		"bad recordedtime":         {structured("task.started", "recordedtime", `""`), OK},
		"worse recordedtime":       {structured("task.started", "recordedtime", `"-"`), BadTime},
		"far future":               {structured("task.started", "time", `"9999-01-01T00:00:00Z"`), OK},
		"unknown attributes":       {structured("task.started", "x", `5`, "y", `{"a":[null]}`, "Z", `null`, "sequence", `"00001"`), OK},
		"broken unknown":           {structured("task.started", "x", `{"a":1,"a":2}`), BadJSON},
		"data null":                {structured("task.started", "data", `null`), OK},
		"data needed, null":        {structured(executed, "data", `null`), MissingAttribute},
		"data needed, absent":      {structured(executed), MissingAttribute},
		"data needed, string":      {structured(executed, "data", `"{\"decision_id\":\"d\"}"`), BadJSON},
		"data needed, xml":         {structured(executed, "datacontenttype", `"application/xml"`, "data", `"<d/>"`), NotCloudEvent},
		"base64 json":              {structured(executed, "data_base64", `"eyJkZWNpc2lvbl9pZCI6ImQifQ=="`), OK},
		"base64 broken":            {structured(executed, "data_base64", `"%"`), BadJSON},
		"base64 a number":          {structured(executed, "data_base64", `5`), BadJSON},
		"base64 null":              {structured(executed, "data_base64", `null`, "data", `{"decision_id":"d"}`), OK},
		"data and base64":          {structured(executed, "data_base64", `"eyJkZWNpc2lvbl9pZCI6ImQifQ=="`, "data", `{"decision_id":"d"}`), NotCloudEvent},
		"deep data":                {structured("task.started", "data", strings.Repeat("[", 64)+strings.Repeat("]", 64)), OK},
		"too deep data":            {structured("task.started", "data", strings.Repeat("[", 65)+strings.Repeat("]", 65)), BadJSON},
		"begins with byte 0":       {structured("task.started", "subject", `"\u0000wf"`), KeyMismatch},
		"source without key":       {structured("source.updated", "subject", `"policy"`, "data", `{"kind":"policy","key":"","seq":1}`), MissingAttribute},
		"lone surrogate":           {structured("task.started", "id", `"\ud800"`), BadJSON},
		"type of other case":       {structured("Task.Started", "data", `5`), OK},
		"attributes of other case": {strings.Replace(structured("task.started"), `"id"`, `"ID"`, 1), MissingAttribute},
	} {
		if got := NewDecoder(Config{}).DecodeStructured([]byte(c.line), 0, new(Event)); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestReasonsOfData(t *testing.T) {
	const kind = `"kind":"policy","key":"refund"`
	for _, c := range []struct {
		typ, data string
		want      Reason
	}{
		{"task.waiting", `{"reason":"timer","step":"pay","call_id":"c","workflow_type":"refund"}`, OK},
		{"task.waiting", `{"reason":5,"step":{"n":1}}`, OK},
		{"task.waiting", `{"reason":null,"step":null,"call_id":null,"workflow_type":null,"refs":5}`, OK},
		{"task.waiting", `{"call_id":5}`, BadJSON},
		{"task.waiting", `{"workflow_type":["refund"]}`, BadJSON},
		{"task.waiting", `"text"`, OK},
		{"task.waiting", `[1,2]`, OK},
		{"task.waiting", `null`, OK},
		{"task.waiting", `nil`, BadJSON},
		{"task.waiting", `{"a":1,"a":1}`, BadJSON},
		{"task.waiting", ` `, BadJSON},
		{"acme.thing.done", `{"workflow_type":5,"refs":5,"decision_id":[]}`, OK},
		{"acme.thing.done", `{"a":1,}`, BadJSON},

		{"context.loaded", ``, MissingAttribute},
		{"context.loaded", `null`, MissingAttribute},
		{"context.loaded", `{}`, MissingAttribute},
		{"context.loaded", `[]`, BadJSON},
		{"context.loaded", `{"refs":null}`, MissingAttribute},
		{"context.loaded", `{"refs":{}}`, BadJSON},
		{"context.loaded", `{"refs":"policy/refund"}`, BadJSON},
		{"context.loaded", `{"refs":[]}`, OK},
		{"context.loaded", `{"refs":[{` + kind + `}`, BadJSON},
		{"context.loaded", `{"refs":[{` + kind + `,"kind":"policy"}]}`, BadJSON},
		{"context.loaded", `{"refs":[{` + kind + `,"seq":01}]}`, BadJSON},
		{"context.dropped", `{}`, MissingAttribute},
		{"context.dropped", `{"refs":[{` + kind + `}]}`, OK},

		{"tool.called", ``, MissingAttribute},
		{"tool.called", `{"tool":"crm"}`, MissingAttribute},
		{"tool.called", `{"call_id":""}`, MissingAttribute},
		{"tool.called", `{"call_id":null}`, MissingAttribute},
		{"tool.called", `{"call_id":7}`, BadJSON},
		{"tool.called", `{"call_id":"c","refs":5,"status":[]}`, OK},
		{"tool.result", `{"call_id":"c"}`, OK},
		{"tool.result", `{"call_id":"c","refs":null,"status":200,"error_class":{}}`, OK},
		{"tool.result", `{"call_id":"c","refs":{}}`, BadJSON},
		{"tool.result", `{"status":"ok"}`, MissingAttribute},

		{"decision.proposed", ``, MissingAttribute},
		{"action.executed", `{"class":"refund"}`, MissingAttribute},
		{"action.executed", `{"decision_id":7}`, BadJSON},
		{"action.executed", `{"decision_id":"d","class":7}`, BadJSON},
		{"action.executed", `{"decision_id":"d","based_on":{}}`, BadJSON},
		{"action.executed", `{"decision_id":"d","class":null,"based_on":null,"action":{"name":"pay"},"actor":[1],"check_id":5}`, OK},
		{"action.approved", `{"decision_id":"d"}`, OK},
		{"action.rejected", `{"decision_id":""}`, MissingAttribute},
		{"action.overridden", `{}`, MissingAttribute},
		{"compensation.triggered", `{"decision_id":null}`, MissingAttribute},

		{"source.updated", ``, MissingAttribute},
		{"source.updated", `{` + kind + `,"seq":17}`, OK},
		{"source.updated", `{` + kind + `,"seq":17.0,"version":null,"effective_at":null,"owner":null,"digest":null,"change":null}`, OK},
		{"source.updated", `{` + kind + `,"seq":1e2}`, OK},
		{"source.updated", `{` + kind + `,"seq":-1}`, OK},
		{"source.updated", `{` + kind + `}`, MissingAttribute},
		{"source.updated", `{` + kind + `,"seq":null}`, MissingAttribute},
		{"source.updated", `{"key":"refund","seq":1}`, MissingAttribute},
		{"source.updated", `{"kind":"policy","seq":1}`, MissingAttribute},
		{"source.updated", `{` + kind + `,"seq":1.5}`, BadJSON},
		{"source.updated", `{` + kind + `,"seq":"17"}`, BadJSON},
		{"source.updated", `{` + kind + `,"seq":9223372036854775808}`, BadJSON},
		{"source.updated", `{` + kind + `,"seq":true}`, BadJSON},
		{"source.updated", `{` + kind + `,"seq":-}`, BadJSON},
		{"source.updated", `{` + kind + `,"seq":NaN}`, BadJSON},
		{"source.updated", `{` + kind + `,"seq":1,"version":17}`, BadJSON},
		{"source.updated", `{` + kind + `,"seq":1,"change":5}`, BadJSON},
		{"source.updated", `{` + kind + `,"seq":1,"change":"improved"}`, OK},
		{"source.updated", `{` + kind + `,"seq":1,"effective_at":"soon"}`, BadTime},
		{"source.updated", `{` + kind + `,"seq":1,"effective_at":5}`, BadJSON},
		{"source.updated", `{` + kind + `,"seq":1,"owner":{"team":"risk"},"through":5,"consumer":5}`, OK},
		{"source.updated", `{"kind":5,"key":"refund","seq":1}`, BadJSON},
		{"source.heartbeat", `{` + kind + `,"through":"` + at + `"}`, OK},
		{"source.heartbeat", `{` + kind + `}`, MissingAttribute},
		{"source.heartbeat", `{` + kind + `,"through":null}`, MissingAttribute},
		{"source.heartbeat", `{` + kind + `,"through":"2026-01-03"}`, BadTime},
		{"source.heartbeat", `{` + kind + `,"through":5}`, BadJSON},
		{"source.heartbeat", `{"through":"` + at + `"}`, MissingAttribute},
		{"source.available", `{` + kind + `,"seq":17}`, OK},
		{"source.available", `{` + kind + `,"seq":17,"consumer":"idx","version":5}`, OK},
		{"source.available", `{` + kind + `,"consumer":"idx"}`, MissingAttribute},

		// Where several hold, the order of the fields does not decide.
		{"source.updated", `{"kind":"prompt","key":"refund","seq":1,"effective_at":"soon","version":5}`, BadJSON},
		{"source.updated", `{"version":5,"effective_at":"soon","seq":1,"key":"refund","kind":"prompt"}`, BadJSON},
		{"source.updated", `{"effective_at":"soon","kind":"prompt","key":"refund"}`, MissingAttribute},
		{"source.updated", `{"effective_at":"soon","kind":"prompt","key":"refund","seq":1}`, BadTime},
		{"source.updated", `{"effective_at":"soon","kind":"prompt","key":"refund","seq":1`, BadJSON},
	} {
		key := "wf-1"
		if TypeOf(c.typ).Category() == Source {
			key = "policy/refund"
		}
		if got := NewDecoder(Config{}).Decode(record(c.typ, key, c.data), new(Event)); got != c.want {
			t.Errorf("%s %s: got %v, want %v", c.typ, c.data, got, c.want)
		}
	}
}

func TestRefs(t *testing.T) {
	long := strings.Repeat("x", DefaultMaxNameBytes+1)
	longKey := strings.Repeat("x", DefaultMaxKeyBytes+1)
	whole := Ref{Kind: "policy", Key: "refund/eu", Version: "v17", Digest: "sha256:1", Seq: 17, AsOf: atTime, HasSeq: true, HasAsOf: true}
	for _, c := range []struct {
		ref  string
		want *Ref // nil: bad_ref
	}{
		{`{"kind":"policy","key":"refund/eu","version":"v17","seq":17,"as_of":"` + at + `","digest":"sha256:1","more":{}}`, &whole},
		{`{"digest":"sha256:1","as_of":"2026-01-03T18:07:55+01:00","seq":1.7e1,"version":"v17","k\u0065y":"refund\/eu","kind":"p\u006flicy"}`, &whole},
		{`{"kind":"p","key":"k"}`, &Ref{Kind: "p", Key: "k"}},
		{`{"kind":"p","key":"k","version":null,"seq":null,"as_of":null,"digest":null}`, &Ref{Kind: "p", Key: "k"}},
		{`{"kind":"p","key":"k","version":"","seq":0}`, &Ref{Kind: "p", Key: "k", HasSeq: true}},
		{`{"kind":"p","key":"k","digest":5}`, &Ref{Kind: "p", Key: "k", Digest: "5"}},
		{`{"kind":"p","key":"k","digest":"` + long + `"}`, &Ref{Kind: "p", Key: "k"}},
		{`null`, nil}, {`5`, nil}, {`"p/k"`, nil}, {`[]`, nil}, {`{}`, nil},
		{`{"kind":"p"}`, nil}, {`{"key":"k"}`, nil}, {`{"kind":"","key":"k"}`, nil}, {`{"kind":"p","key":""}`, nil}, {`{"kind":null,"key":"k"}`, nil},
		{`{"kind":5,"key":"k"}`, nil}, {`{"kind":"p","key":["k"]}`, nil}, {`{"kind":"a/b","key":"k"}`, nil}, {`{"kind":"\u0000p","key":"k"}`, nil},
		{`{"kind":"` + long + `","key":"k"}`, nil}, {`{"kind":"p","key":"` + longKey + `"}`, nil}, {`{"kind":"p","key":"` + longKey[1:] + `"}`, &Ref{Kind: "p", Key: longKey[1:]}},
		{`{"kind":"p","key":"k","version":17}`, nil}, {`{"kind":"p","key":"k","version":"` + long + `"}`, nil},
		{`{"kind":"p","key":"k","seq":"17"}`, nil}, {`{"kind":"p","key":"k","seq":1.5}`, nil}, {`{"kind":"p","key":"k","seq":1e30}`, nil}, {`{"kind":"p","key":"k","seq":true}`, nil},
		{`{"kind":"p","key":"k","as_of":"soon"}`, nil}, {`{"kind":"p","key":"k","as_of":""}`, nil}, {`{"kind":"p","key":"k","as_of":1767460075}`, nil},
	} {
		e := new(Event)
		data := `{"refs":[{"kind":"first","key":"1"},` + c.ref + `,{"kind":"last","key":"2"}]}`
		if got := NewDecoder(Config{}).Decode(record(loaded, "wf-1", data), e); got != OK {
			t.Errorf("%.100s: %v", c.ref, got)
			continue
		}
		want := []Ref{{Kind: "first", Key: "1"}, {Kind: "last", Key: "2"}}
		bad := 1
		if c.want != nil {
			want, bad = slices.Insert(want, 1, *c.want), 0
		}
		if !slices.Equal(e.Refs, want) || e.BadRefs != bad {
			t.Errorf("%.100s: got %+v and %d bad ones", c.ref, e.Refs, e.BadRefs)
		}
	}
	// What is dropped is an item: the rest of its REF cannot spoil it.
	e := new(Event)
	data := `{"refs":[{"kind":"p","key":"k","seq":"17","as_of":"soon","version":5},{"kind":"a/b","key":"k"}]}`
	got := NewDecoder(Config{}).Decode(record("context.dropped", "wf-1", data), e)
	if got != OK || e.BadRefs != 1 || !slices.Equal(e.Refs, []Ref{{Kind: "p", Key: "k"}}) {
		t.Errorf("context.dropped: %v, %+v and %d bad ones", got, e.Refs, e.BadRefs)
	}
}

func TestEventFields(t *testing.T) {
	decode := func(r *Record) Event {
		t.Helper()
		e := new(Event)
		if reason := NewDecoder(Config{}).Decode(r, e); reason != OK {
			t.Fatalf("%v: %s", reason, r.Value)
		}
		return copied(e)
	}
	base := func(typ Type, name, subject, data string) Event {
		return Event{Type: typ, Time: atTime, Appended: atTime + 200, EffectiveAt: atTime, ID: "e-1", Source: "/agents/3", Subject: subject, TypeName: name,
			Data: data, DataContentType: "application/json"}
	}
	check := func(got, want Event) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v, want\n%+v", got, want)
		}
	}

	data := `{"workflow_type":"refund","step":"pay","reason":"timer","call_id":"c1"}`
	want := base(TaskWaiting, "io.x.task.waiting", "wf-1", data)
	want.WorkflowType, want.Step, want.Why, want.CallID = "refund", "pay", "timer", "c1"
	check(decode(record("io.x.task.waiting", "wf-1", data)), want)
	want.WorkflowType, want.Traffic, want.TraceParent = "chargeback", Eval, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	want.HasRecorded, want.Recorded = true, atTime+500
	r := record("io.x.task.waiting", "wf-1", data).with("ce_workflowtype", "chargeback").with("ce_trafficclass", "eval")
	check(decode(r.with("ce_traceparent", want.TraceParent).with("ce_recordedtime", "2026-01-03T17:07:55.5Z")), want)
	// A misspelt class is live.
	want.Traffic = Live
	check(decode(r.with("ce_trafficclass", "Eval")), want)
	// Without a record timestamp it was appended when it was recorded.
	want.Appended = want.Recorded
	check(decode(r.timed(-1)), want)

	data = `{"decision_id":"d1","class":"large","action":{"name":"pay","to":[1, 2]},"actor":"bot","check_id":"c:1","based_on":[]}`
	want = base(ActionExecuted, executed, "wf-1", data)
	want.DecisionID, want.Class, want.HasClass, want.Action, want.Actor, want.CheckID = "d1", "large", true, `{"name":"pay","to":[1, 2]}`, "bot", "c:1"
	want.HasBasedOn = true
	check(decode(record(executed, "wf-1", data)), want)
	// An empty class, or workflow type, is none.
	data = `{"decision_id":"d1","class":"","workflow_type":"","based_on":null}`
	want = base(ActionExecuted, executed, "wf-1", data)
	want.DecisionID = "d1"
	check(decode(record(executed, "wf-1", data)), want)

	data = `{"call_id":"c1","tool":"crm","status":"ok","workflow_type":"refund","refs":[{"kind":"score","key":"7","seq":3}]}`
	want = base(ToolResult, "tool.result", "wf-1", data)
	want.CallID, want.ToolName, want.Status, want.WorkflowType = "c1", "crm", "ok", "refund"
	want.Refs = []Ref{{Kind: "score", Key: "7", Seq: 3, HasSeq: true}}
	check(decode(record("tool.result", "wf-1", data)), want)

	data = `{"kind":"policy","key":"refund/eu","version":"v17","seq":17,"effective_at":"2026-01-03T18:00:00Z","owner":"risk","digest":"sha256:1","change":"rolled_back"}`
	want = base(SourceUpdated, "source.updated", "policy/refund/eu", data)
	want.Kind, want.Key, want.Version, want.Owner, want.Digest = "policy", "refund/eu", "v17", "risk", "sha256:1"
	want.Seq, want.EffectiveAt, want.Change = 17, atTime+3_125_000, RolledBack
	// The traffic class of a source event is ignored: the truth is the same for all.
	check(decode(record("source.updated", "policy/refund/eu", data).with("ce_trafficclass", "replay")), want)

	data = `{"kind":"policy","through":"2026-01-03T17:07:54Z"}`
	want = base(SourceHeartbeat, "source.heartbeat", "policy/", data)
	want.Kind, want.Through, want.WholeKind = "policy", atTime-1000, true
	check(decode(record("source.heartbeat", "policy/", data)), want)

	data = `{"kind":"policy","key":"refund","seq":17,"consumer":"idx"}`
	want = base(SourceAvailable, "source.available", "policy/refund", data)
	want.Kind, want.Key, want.Seq, want.Consumer = "policy", "refund", 17, "idx"
	check(decode(record("source.available", "policy/refund", data)), want)

	check(decode(&Record{Key: []byte("policy/refund/eu"), Category: Source, Time: atTime}),
		Event{Type: SourceForget, Time: atTime, Appended: atTime, Subject: "policy/refund/eu", Kind: "policy", Key: "refund/eu"})

	for _, category := range []Category{Control, Context, Tool, Decision} {
		r := &Record{Key: []byte("wf-1"), Category: category, Time: atTime, Headers: []Header{{Key: []byte("x"), Value: []byte("y")}, {Key: []byte(EraseHeader), Value: []byte("ticket 17")}}}
		check(decode(r), Event{Type: WorkflowErase, Time: atTime, Appended: atTime, Subject: "wf-1", Why: "ticket 17"})
	}

	want = base(Other, "acme.thing.done", "wf-1", "")
	want.DataContentType, want.Opaque = "application/avro", "Obj\x01\xff"
	check(decode(record("acme.thing.done", "wf-1", "Obj\x01\xff").with("content-type", "application/avro")), want)
}

// Whatever lacks a part of what erases a workflow is what it was without the header: no event.
func TestOnlyAWholeRequestErases(t *testing.T) {
	request := func() *Record {
		return &Record{Key: []byte("wf-1"), Category: Control, Time: atTime, Headers: []Header{{Key: []byte(EraseHeader), Value: []byte("ticket 17")}}}
	}
	if got := NewDecoder(Config{}).Decode(request(), new(Event)); got != OK {
		t.Fatal(got)
	}
	for name, c := range map[string]struct {
		change func(*Record)
		want   Reason
	}{
		"no header":           {func(r *Record) { r.Headers = nil }, NotCloudEvent},
		"another header":      {func(r *Record) { r.Headers[0].Key = []byte("Freshet-Erase") }, NotCloudEvent},
		"no key":              {func(r *Record) { r.Key = nil }, NotCloudEvent},
		"a value":             {func(r *Record) { r.Value = []byte{} }, NotCloudEvent},
		"an attribute":        {func(r *Record) { r.with("ce_id", "1") }, NotCloudEvent},
		"a topic of nobody":   {func(r *Record) { r.Category = Unknown }, NotCloudEvent},
		"a control row":       {func(r *Record) { r.Key = []byte("\x00cursor") }, KeyMismatch},
		"no UTF-8":            {func(r *Record) { r.Key = []byte("\xff") }, KeyMismatch},
		"a reason of no text": {func(r *Record) { r.Headers[0].Value = []byte("\xff") }, NotCloudEvent},
		"a long key":          {func(r *Record) { r.Key = []byte(strings.Repeat("x", DefaultMaxKeyBytes+1)) }, TooLarge},
		"a long reason":       {func(r *Record) { r.Headers[0].Value = []byte(strings.Repeat("x", DefaultMaxNameBytes+1)) }, TooLarge},
	} {
		r := request()
		c.change(r)
		if got := NewDecoder(Config{}).Decode(r, new(Event)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	r := request()
	r.Category = Source
	r.Key = []byte("policy/refund")
	e := new(Event)
	if got := NewDecoder(Config{}).Decode(r, e); got != OK || e.Type != SourceForget {
		t.Errorf("on a topic of sources it is %v, %v", got, e.Type)
	}
}
