package openslo

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What OpenSLO's JSON schema demands. Where its prose allows more (targetPercent, RatioTimeslices, a ratio without counter), so is it here.

const (
	apiVersion     = "openslo/v1"
	maxName        = 255
	maxDescription = 1050
)

var (
	nameForm      = regexp.MustCompile(`^[a-z0-9][a-z0-9.|/\\-]*$`)
	durationForm  = regexp.MustCompile(`^[1-9][0-9]*[mhdwMQY]$`)
	startTimeForm = regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]) ([01]\d|2[0-3]):[0-5]\d:[0-5]\d$`)
)

// validate refuses a document that is no OpenSLO v1.
func (d *document) validate() {
	r := d.root
	if !r.object("apiVersion", "kind", "metadata", "spec") {
		return
	}
	version, kind := r.get("apiVersion"), r.get("kind")
	if version.text() && version.Value != apiVersion {
		version.fail("it is %q: only %s is read", version.Value, apiVersion)
		return
	}
	check := map[string]func(value){
		"AlertCondition": alertCondition, "AlertNotificationTarget": target, "AlertPolicy": alertPolicy, "DataSource": dataSource,
		"Service": described, "SLI": indicator, "SLO": objective,
	}[kind.Value]
	if kind.text() && check == nil {
		kind.fail("%q is no kind of OpenSLO v1: AlertCondition, AlertNotificationTarget, AlertPolicy, DataSource, Service, SLI, SLO", kind.Value)
	}
	metadata(r.get("metadata"))
	if spec := r.get("spec"); spec.object() && check != nil {
		check(spec)
	}
	d.kind, d.name = kind.Value, r.get("metadata").get("name").word()
	for _, v := range []value{version, kind} {
		v.done()
	}
}

// object refuses what is no mapping, or lacks a key.
func (v value) object(required ...string) bool {
	if v.Kind != yaml.MappingNode {
		v.fail("it is not a mapping")
		return false
	}
	ok := true
	for i := 0; i+1 < len(v.Content); i += 2 {
		for k := 0; k < i; k += 2 {
			if v.Content[i].Value == v.Content[k].Value {
				v.fail("the key %q is there twice", v.Content[i].Value)
				ok = false
			}
		}
	}
	for _, key := range required {
		if !v.has(key) {
			v.fail("%s is missing", key)
			ok = false
		}
	}
	return ok
}

func (v value) list(least, most int) bool {
	switch {
	case !v.there():
		return false
	case v.Kind != yaml.SequenceNode:
		v.fail("it is not a list")
	case len(v.Content) < least:
		v.fail("it has %d entries: at least %d are needed", len(v.Content), least)
	case most > 0 && len(v.Content) > most:
		v.fail("it has %d entries: at most %d are allowed", len(v.Content), most)
	default:
		return true
	}
	return false
}

// text refuses what is there and is no text.
func (v value) text() bool {
	if v.there() && (v.Kind != yaml.ScalarNode || v.ShortTag() != "!!str") {
		v.fail("it is not a text")
		return false
	}
	return v.there()
}

func (v value) named() {
	if v.text() && (len(v.Value) > maxName || !nameForm.MatchString(v.Value)) {
		v.fail("%q is no name: small letters, digits and . - | / \\, at most %d, beginning with a letter or digit", v.Value, maxName)
	}
}

func (v value) enum(words ...string) {
	if v.text() && !oneOf(words, v.Value) {
		v.fail("it is %q: use %s", v.Value, strings.Join(words, ", "))
	}
}

func (v value) boolean() {
	if v.there() && (v.Kind != yaml.ScalarNode || v.ShortTag() != "!!bool") {
		v.fail("it is neither true nor false")
	}
}

// number refuses what is there and is no number, or not allowed.
func (v value) number(allowed func(float64) bool, what string) {
	if !v.there() {
		return
	}
	x, err := strconv.ParseFloat(v.Value, 64)
	if v.Kind != yaml.ScalarNode || v.ShortTag() != "!!int" && v.ShortTag() != "!!float" || err != nil {
		v.fail("it is not a number")
	} else if allowed != nil && !allowed(x) {
		v.fail("it is %s: %s", v.Value, what)
	}
}

func (v value) duration() {
	if v.text() && !durationForm.MatchString(v.Value) {
		v.fail("%q is no duration: a whole number with m, h, d, w, M, Q or Y, such as 30d", v.Value)
	}
}

func described(spec value) {
	if d := spec.get("description"); d.text() && len([]rune(d.Value)) > maxDescription {
		d.fail("it has %d characters: at most %d are allowed", len([]rune(d.Value)), maxDescription)
	}
}

func metadata(m value) {
	if !m.object("name") {
		return
	}
	m.get("name").named()
	if n := m.get("displayName"); n.text() && n.Value == "" {
		n.fail("it is empty")
	}
	for _, key := range []string{"labels", "annotations"} {
		if v := m.get(key); v.there() {
			v.object()
		}
	}
}

func objective(spec value) {
	described(spec)
	spec.object("service", "budgetingMethod", "objectives")
	spec.get("service").named()
	spec.get("indicatorRef").named()
	inline := spec.get("indicator")
	switch {
	case inline.there() && spec.has("indicatorRef"):
		inline.fail("indicator and indicatorRef exclude each other")
	case inline.there():
		if inline.object("metadata", "spec") {
			metadata(inline.get("metadata"))
			indicator(inline.get("spec"))
		}
	case !spec.has("indicatorRef"):
		spec.fail("indicator or indicatorRef is missing")
	}
	if w := spec.get("timeWindow"); w.list(0, 1) {
		for _, one := range w.each() {
			timeWindow(one)
		}
	}
	method := spec.get("budgetingMethod")
	method.enum("Occurrences", "Timeslices", "RatioTimeslices")
	if o := spec.get("objectives"); o.list(1, 0) {
		for _, one := range o.each() {
			threshold(one, method.word())
		}
	}
	if p := spec.get("alertPolicies"); p.list(0, 0) {
		for _, one := range p.each() {
			switch {
			case one.Kind == yaml.ScalarNode:
				one.named()
			case one.has("alertPolicyRef"):
				one.get("alertPolicyRef").named()
			case one.object("kind", "metadata", "spec"):
				metadata(one.get("metadata"))
				alertPolicy(one.get("spec"))
			}
		}
	}
}

func timeWindow(w value) {
	if !w.object("duration") {
		return
	}
	w.get("duration").duration()
	w.get("isRolling").boolean()
	if w.get("isRolling").Node != nil && w.get("isRolling").Value == "true" {
		return
	}
	c := w.get("calendar")
	if !c.there() {
		w.fail("calendar is missing: without isRolling: true a window is aligned with one")
		return
	}
	c.object("startTime", "timeZone")
	if s := c.get("startTime"); s.there() && !startTimeForm.MatchString(s.Value) {
		s.fail("%q is no time: such as 2020-01-21 12:30:00", s.Value)
	}
	c.get("timeZone").text()
}

func threshold(o value, method string) {
	if !o.object() {
		return
	}
	switch {
	case o.has("target") && o.has("targetPercent"):
		o.fail("target and targetPercent exclude each other")
	case !o.has("target") && !o.has("targetPercent"):
		o.fail("target is missing")
	}
	o.get("target").number(func(x float64) bool { return x >= 0 && x < 1 }, "a target lies between 0 and 1")
	o.get("targetPercent").number(func(x float64) bool { return x >= 0 && x < 100 }, "a target lies between 0 and 100 percent")
	o.get("op").enum("lte", "gte", "lt", "gt")
	o.get("value").number(nil, "")
	o.get("timeSliceTarget").number(func(x float64) bool { return x > 0 && x <= 1 }, "it lies between 0 and 1")
	if method == "Timeslices" {
		o.object("timeSliceWindow", "timeSliceTarget")
	}
	if w := o.get("timeSliceWindow"); w.there() && w.ShortTag() != "!!int" && w.ShortTag() != "!!float" {
		w.duration()
	}
}

func indicator(spec value) {
	if !spec.object() {
		return
	}
	described(spec)
	ratio, limit := spec.get("ratioMetric"), spec.get("thresholdMetric")
	switch {
	case ratio.there() && limit.there():
		spec.fail("ratioMetric and thresholdMetric exclude each other")
	case ratio.there():
		ratioMetric(ratio)
	case limit.there():
		metric(limit)
	default:
		spec.fail("ratioMetric or thresholdMetric is missing")
	}
}

func ratioMetric(r value) {
	if !r.object() {
		return
	}
	r.get("counter").boolean()
	good, bad, raw := r.get("good"), r.get("bad"), r.get("raw")
	switch {
	case good.there() && bad.there():
		r.fail("good and bad exclude each other")
	case raw.there() && !good.there() && !bad.there():
		metric(raw)
		return
	case !good.there() && !bad.there():
		r.fail("good or bad is missing")
	}
	r.object("total")
	for _, m := range []value{good, bad, r.get("total")} {
		if m.there() {
			metric(m)
		}
	}
}

func metric(m value) {
	if !m.object("metricSource") {
		return
	}
	source := m.get("metricSource")
	if !source.object("spec") {
		return
	}
	source.get("metricSourceRef").named()
	source.get("type").text()
	source.get("spec").object()
}

func alertPolicy(spec value) {
	if !spec.object() {
		return
	}
	described(spec)
	spec.object("alertWhenNoData", "alertWhenResolved", "alertWhenBreaching", "conditions", "notificationTargets")
	for _, key := range []string{"alertWhenNoData", "alertWhenResolved", "alertWhenBreaching"} {
		spec.get(key).boolean()
	}
	if c := spec.get("conditions"); c.list(1, 1) {
		for _, one := range c.each() {
			inlineOr(one, "conditionRef", func(v value) { v.object() })
		}
	}
	if t := spec.get("notificationTargets"); t.list(1, 0) {
		for _, one := range t.each() {
			inlineOr(one, "targetRef", target)
		}
	}
}

// inlineOr takes a reference, or the document itself.
func inlineOr(v value, ref string, inline func(value)) {
	switch {
	case !v.object():
	case v.has(ref):
		v.get(ref).named()
	case v.has("kind") && v.has("metadata") && v.has("spec"):
		metadata(v.get("metadata"))
		inline(v.get("spec"))
	default:
		v.fail("%s is missing", ref)
	}
}

func alertCondition(spec value) {
	described(spec)
	if !spec.object("severity", "condition") {
		return
	}
	spec.get("severity").text()
	c := spec.get("condition")
	if !c.object() {
		return
	}
	c.get("kind").enum("burnrate")
	if k := c.get("kind"); k.there() && k.Value == "burnrate" {
		c.object("op", "threshold", "lookbackWindow", "alertAfter")
	}
	c.get("op").enum("lte", "gte", "lt", "gt")
	c.get("threshold").number(nil, "")
	c.get("lookbackWindow").duration()
	c.get("alertAfter").duration()
}

func target(spec value) {
	if spec.object("target") {
		spec.get("target").text()
		described(spec)
	}
}

func dataSource(spec value) {
	described(spec)
	spec.object("type", "connectionDetails")
	spec.get("type").text()
}
