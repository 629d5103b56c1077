package openslo

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

// Input is one file.
type Input struct {
	Name string
	Data []byte
}

// Annotations of an SLO or a service that say what OpenSLO has no word for.
const (
	workflowAnnotation = "freshet.io/workflow"    // workflow type; otherwise the service
	classAnnotation    = "freshet.io/class"       // decision class
	useAnnotation      = "freshet.io/use"         // decision.proposed or action.executed, which is the default
	unknownAnnotation  = "freshet.io/on-unknown"  // bad, which is the default, or exclude
	ownerAnnotation    = "freshet.io/owner"       // of the workflow, or of the objective; otherwise the service
	runbookAnnotation  = "freshet.io/runbook-url" // of the objective
)

// Import turns the documents of files into the text of a contract. notes name everything that a contract cannot express. The error is an
// Errors with everything that is no valid OpenSLO; then there is no contract.
func Import(files []Input) (contract []byte, notes []Note, err error) {
	var errs Errors
	var docs []*document
	for _, f := range files {
		docs = append(docs, documents(f.Name, f.Data, &errs)...)
	}
	for _, d := range docs {
		d.validate()
	}
	c := &conversion{byName: map[string]*document{}, owners: map[string]bool{}, workflows: map[string]string{}, used: map[*document]bool{}}
	for _, d := range docs {
		key := d.kind + " " + d.name
		if c.byName[key] != nil && d.name != "" {
			d.root.get("metadata").get("name").fail("there is a %s of this name already, in %s", d.kind, c.byName[key].file)
		}
		c.byName[key] = d
	}
	if len(errs) > 0 {
		return nil, nil, errs
	}
	for _, kind := range []string{"Service", "SLO"} { // owners first
		for _, d := range docs {
			switch {
			case d.kind != kind:
			case kind == "Service":
				c.service(d)
			default:
				c.objectives(d)
			}
		}
	}
	for _, d := range docs {
		c.leftOver(d)
	}
	slices.SortStableFunc(c.notes, func(a, b Note) int {
		if a.File != b.File {
			return slices.IndexFunc(files, func(f Input) bool { return f.Name == a.File }) - slices.IndexFunc(files, func(f Input) bool { return f.Name == b.File })
		}
		return a.Line - b.Line
	})
	text := c.text(files)
	if _, err := slo.Parse(text, "the contract that was made", nil); err != nil {
		return nil, c.notes, fmt.Errorf("what the documents say makes no contract: %w", err)
	}
	return text, c.notes, nil
}

// conversion is a contract in the making.
type conversion struct {
	byName    map[string]*document // kind and name
	used      map[*document]bool
	owners    map[string]bool
	workflows map[string]string // type → owner
	slos      []entry
	notes     []Note
}

// entry is one objective of the contract.
type entry struct {
	comment string
	lines   []string
}

// note names something once: an alert policy may be read for several objectives.
func (c *conversion) note(v value, format string, args ...any) {
	n := Note{v.doc.file, v.Line, v.Column, v.path, fmt.Sprintf(format, args...)}
	if !slices.Contains(c.notes, n) {
		c.notes = append(c.notes, n)
	}
}

// service makes a workflow type of a service.
func (c *conversion) service(d *document) {
	c.used[d] = true
	m := d.root.get("metadata")
	a := m.get("annotations")
	name := m.get("name").take()
	workflow := name
	if w := a.get(workflowAnnotation); w.there() {
		workflow = w.take()
	}
	owner := name
	if o := a.get(ownerAnnotation); o.there() {
		owner = o.take()
	}
	c.owners[owner] = true
	c.workflows[workflow] = owner
}

// objectives makes one entry of each objective of an SLO.
func (c *conversion) objectives(d *document) {
	c.used[d] = true
	m, spec := d.root.get("metadata"), d.root.get("spec")
	a := m.get("annotations")
	name := m.get("name").take()
	service := spec.get("service").take()
	workflow := service
	if s := c.byName["Service "+service]; s != nil {
		if w := s.root.get("metadata").get("annotations").get(workflowAnnotation); w.there() {
			workflow = w.word()
		}
	}
	if w := a.get(workflowAnnotation); w.there() {
		workflow = w.take()
	}
	if c.workflows[workflow] == "" {
		c.owners[service], c.workflows[workflow] = true, service
	}
	lines := []string{"workflow: " + plain(workflow)}
	if v := a.get(classAnnotation); v.there() {
		lines = append(lines, "class: "+plain(v.take()))
	}
	use := "action.executed"
	if v := a.get(useAnnotation); v.there() {
		use = v.take()
	}
	lines = append(lines, "use: "+plain(use))
	c.indicator(spec)
	window, text := c.window(spec)
	c.method(spec)
	if v := a.get(unknownAnnotation); v.there() {
		lines = append(lines, "on_unknown: "+plain(v.take()))
	}
	if v := a.get(ownerAnnotation); v.there() {
		c.owners[v.word()] = true
		lines = append(lines, "owner: "+plain(v.take()))
	}
	if v := a.get(runbookAnnotation); v.there() {
		lines = append(lines, "runbook_url: "+plain(v.take()))
	}
	said := comment(m.get("displayName").take(), spec.get("description").take())
	all := spec.get("objectives").each()
	for i, o := range all {
		target, ok := c.target(o)
		if !ok {
			continue
		}
		own := name
		if len(all) > 1 {
			own += "-" + strconv.Itoa(i+1)
		}
		e := entry{comment: comment(said, o.get("displayName").take()), lines: []string{"name: " + plain(own)}}
		e.lines = append(e.lines, lines...)
		e.lines = append(e.lines, "objective: "+decimal(target), "window: "+text)
		e.lines = append(e.lines, c.alerting(spec, target, window)...)
		c.slos = append(c.slos, e)
	}
}

// indicator names the query, which nothing of a contract corresponds to.
func (c *conversion) indicator(spec value) {
	at := spec.get("indicator")
	if !at.there() {
		at = spec.get("indicatorRef")
		if d := c.byName["SLI "+at.word()]; d != nil {
			c.used[d] = true
			c.note(d.root.get("spec"), "the query is not taken over: an objective of a contract always counts the uses of context that were fresh")
			d.root.done()
		}
	}
	c.note(at, "this indicator becomes the one that Freshet has: the share of fresh uses of context")
	at.done()
}

// window returns the window of an SLO and how it is written.
func (c *conversion) window(spec value) (freshness.Duration, string) {
	w := spec.get("timeWindow").each()
	if len(w) == 0 {
		c.note(spec, "timeWindow is missing: the window is 30d")
		d, _ := slo.ParseDuration("30d")
		return d, "30d"
	}
	v := w[0].get("duration")
	d := c.duration(v)
	if r := w[0].get("isRolling"); r.take() != "true" {
		c.note(w[0], "a window that is aligned with the calendar becomes a rolling one of %s", slo.FormatDuration(d))
		w[0].get("calendar").done()
	}
	return d, slo.FormatDuration(d)
}

// duration reads OpenSLO's shorthand.
func (c *conversion) duration(v value) freshness.Duration {
	text := v.take()
	n, unit := text[:len(text)-1], text[len(text)-1]
	long, inexact := map[byte]int{'M': 30, 'Q': 90, 'Y': 365}[unit]
	if inexact {
		count, err := strconv.Atoi(n)
		if err == nil && count <= 100*365/long {
			text = strconv.Itoa(count*long) + "d"
			c.note(v, "%s becomes %s: durations of a contract are exact", v.Value, text)
		}
	}
	d, err := slo.ParseDuration(text)
	if err != nil {
		c.note(v, "%v; it becomes 100y", err)
		d, _ = slo.ParseDuration("100y")
	}
	return d
}

func (c *conversion) method(spec value) {
	if m := spec.get("budgetingMethod"); m.take() != "Occurrences" {
		c.note(m, "%s cannot be expressed: a contract counts every use", m.word())
	}
}

// target returns the objective, exactly; ok is false if a contract cannot have it.
func (c *conversion) target(o value) (*big.Rat, bool) {
	v, scale := o.get("target"), big.NewRat(1, 1)
	if !v.there() {
		v, scale = o.get("targetPercent"), big.NewRat(1, 100)
	}
	x, ok := new(big.Rat).SetString(v.take())
	if !ok || x.Sign() <= 0 {
		c.note(v, "an objective of 0 cannot be expressed: it is left out")
		o.done()
		return nil, false
	}
	for _, key := range []string{"op", "value", "timeSliceTarget", "timeSliceWindow"} {
		if w := o.get(key); w.there() {
			c.note(w, "%s cannot be expressed: a use is fresh or it is not", key)
			w.done()
		}
	}
	return x.Mul(x, scale), true
}

// leftOver names what nobody has read.
func (c *conversion) leftOver(d *document) {
	switch {
	case d.kind == "DataSource" || d.kind == "AlertNotificationTarget":
		why := map[string]string{
			"DataSource":              "a contract has no data sources: Freshet reads Kafka",
			"AlertNotificationTarget": "where alerts go is said by the flags -alerts.…, and to whom by the entries under owners",
		}
		c.note(d.root, "%s %s cannot be expressed: %s", d.kind, d.name, why[d.kind])
	case !c.used[d]:
		c.note(d.root, "no SLO refers to the %s %s: it is left out", d.kind, d.name)
	default:
		_, notes := d.left(d.root.Node, "")
		for _, n := range notes {
			n.Message = "a contract has no place for it"
			c.notes = append(c.notes, n)
		}
	}
}

// text writes the contract.
func (c *conversion) text(files []Input) []byte {
	var b strings.Builder
	b.WriteString("# Made from OpenSLO: ")
	for i, f := range files {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(comment(f.Name))
	}
	b.WriteString("\n# Say what is fresh enough: contexts, and the bounds of each workflow (docs/contract.md). Without bounds every use is unknown.\nversion: 1\n")
	if len(c.owners) > 0 {
		b.WriteString("owners:\n")
		for _, o := range slices.Sorted(maps.Keys(c.owners)) {
			fmt.Fprintf(&b, "  %s: {}\n", plain(o))
		}
	}
	if len(c.workflows) > 0 {
		b.WriteString("workflows:\n")
		for _, w := range slices.Sorted(maps.Keys(c.workflows)) {
			fmt.Fprintf(&b, "  %s: {owner: %s}\n", plain(w), plain(c.workflows[w]))
		}
	}
	if len(c.slos) > 0 {
		b.WriteString("slos:\n")
	}
	for _, e := range c.slos {
		if e.comment != "" {
			fmt.Fprintf(&b, "  # %s\n", e.comment)
		}
		for i, l := range e.lines {
			if i == 0 {
				b.WriteString("  - ")
			} else {
				b.WriteString("    ")
			}
			b.WriteString(l + "\n")
		}
	}
	return []byte(b.String())
}

// comment joins texts to one line.
func comment(texts ...string) string {
	var said []string
	for _, t := range texts {
		if t = strings.Join(strings.Fields(t), " "); t != "" {
			said = append(said, strings.TrimSuffix(t, "."))
		}
	}
	return strings.Join(said, ". ")
}

var plainForm = regexp.MustCompile(`^[a-z][a-z0-9.-]*$`)

// plain writes a text as YAML, in quotes where it could be taken for something else.
func plain(s string) string {
	if plainForm.MatchString(s) && !oneOf([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, s) {
		return s
	}
	b, err := json.Marshal(s)
	if err != nil {
		return strconv.Quote(s)
	}
	return string(b)
}

// decimal writes a number as it was, without the rounding of floats.
func decimal(x *big.Rat) string {
	s := strings.TrimRight(x.FloatString(12), "0")
	return strings.TrimSuffix(s, ".")
}
