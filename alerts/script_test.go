package alerts

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

// TestScripts runs the scenarios of testdata; -rewrite writes what they now say. The language is small:
//
//	contract                         a contract file; everything else begins anew
//	config [group=N] [burst=N] [rows=N] [engine=OWNER] [links]   with a file of templates below, if there is to be one
//	targets NAME…                    am…, hook…, pd…, slack…
//	facts                            what snapshots show from here on, one a line
//	  live P…                        clocks that follow now
//	  stands P at=S [why=W]          a clock that has been live and stands
//	  catching-up P…
//	  gone P…                        partitions of other instances
//	  woken at=S                     the process was not run until then
//	  burn SLO page|ticket holds|few|no [burn=X] [bad=N] [good=N] [open=N] [causes=CAUSE:OWNER:PARTS,…] [evidence=N]
//	  held DETECTION KIND/KEY seq=N since=S count=N [waiting=N] [replay] [causes=…] [on=P,…] [evidence=N]
//	  free DETECTION KIND/KEY seq=N
//	  silent KIND/KEY [more] [life=S] [open=N] [on=P,…]
//	  heard KIND/KEY
//	  unknown|known burns|holdings|sources
//	  deaf|hears TARGET…             targets that acknowledge nothing
//	tick at=S [through=S]            one tick, or one each second; says what changes and what is sent
//	alone at=S                       a tick without anything to store rows in
//	crash at=S                       a new process, from what was stored
//	why NAME · page ID · record ID · rows
//
// Times are seconds after 2026-01-03T17:00:00Z.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newScript()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := s.run(d)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return out
		})
	})
}

const epoch = event.Time(1767459600000)

func at(sec float64) event.Time { return epoch + event.Time(sec*1000) }

func ago(t event.Time) string {
	return strconv.FormatFloat(float64(t-epoch)/1000, 'f', -1, 64)
}

type script struct {
	cfg    Config
	a      *Alerts
	snap   Snapshot
	follow map[string]bool
	to     []Target
	deaf   map[string]bool
	acks   []Ack
	stored map[string][]byte

	templates string
}

func newScript() *script {
	s := &script{}
	s.reset(nil)
	return s
}

func (s *script) reset(f *slo.File) {
	*s = script{follow: map[string]bool{}, deaf: map[string]bool{}, stored: map[string][]byte{},
		snap: Snapshot{Contract: f, BurnsKnown: true, HoldingsKnown: true, SourcesKnown: true}}
	s.a = s.make()
}

func (s *script) make() *Alerts {
	text, err := NewText(s.templates)
	if err != nil {
		panic(err)
	}
	return New(s.cfg, text)
}

func (s *script) run(d *datadriven.TestData) (string, error) {
	w := wordsOf(d.CmdArgs)
	switch d.Cmd {
	case "contract":
		f, err := slo.Parse([]byte(d.Input), "contracts.yaml", func(string) (string, bool) { return "secret", true })
		if err != nil {
			return "", err
		}
		s.reset(f)
		return "", nil
	case "config":
		s.cfg = Config{Group: int(w.int("group")), Burst: int(w.int("burst")), MaxRows: int(w.int("rows")), EngineOwner: w.named["engine"]}
		s.templates = d.Input
		if slices.Contains(w.plain, "links") {
			s.cfg.ExternalURL, s.cfg.RunbookURL, s.cfg.DashboardURL = "https://freshet.example.com", "https://runbooks.example.com", "https://grafana.example.com/d/freshet"
		}
		text, err := NewText(s.templates)
		if err != nil {
			return "refused: " + err.Error(), nil
		}
		s.a = New(s.cfg, text)
		return "", nil
	case "targets":
		s.to = nil
		for _, name := range w.plain {
			kind := map[string]Kind{"am": Alertmanager, "hook": Webhook, "pd": PagerDuty, "slack": Slack}[strings.TrimRight(name, "0123456789")]
			s.to = append(s.to, Target{ID: name, Kind: kind})
		}
		return "", nil
	case "facts":
		for line := range strings.Lines(d.Input) {
			if err := s.fact(strings.Fields(line)); err != nil {
				return "", fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
			}
		}
		return "", nil
	case "tick", "alone":
		return s.tick(d.Cmd, w)
	case "crash":
		return s.crash(w.float("at"))
	}
	return s.show(d.Cmd, w)
}

func (s *script) show(cmd string, w words) (string, error) {
	switch cmd {
	case "why":
		var b strings.Builder
		for _, f := range s.a.Why(w.plain[0]) {
			fmt.Fprintf(&b, "%s %s %s: %s (%s)\n", f.Alert, f.Status, f.Severity, f.Why, f.Detail)
			if f.Rule != "" {
				fmt.Fprintf(&b, "  rule: %s\n", f.Rule)
			}
			for _, r := range f.Owners {
				fmt.Fprintf(&b, "  %s at %s: %s", text(r.Owner, "(all)"), r.Target, r.Why)
				if r.Detail != "" {
					fmt.Fprintf(&b, " (%s)", r.Detail)
				}
				if r.ToldAt != nil {
					fmt.Fprintf(&b, ", told at %s", ago(*r.ToldAt))
				}
				b.WriteString("\n")
			}
		}
		return b.String(), nil
	case "page":
		row := s.a.rows[w.plain[0]]
		if row == nil {
			return "", fmt.Errorf("no row %s", w.plain[0])
		}
		return row.Annotations["description"] + "\n", nil
	case "record":
		return string(s.a.rows[w.plain[0]].JSON()) + "\n", nil
	case "rows":
		var b strings.Builder
		for _, r := range s.a.Rows() {
			fmt.Fprintf(&b, "%s %s sequence %d\n", r.ID, r.Status, r.Sequence)
		}
		return b.String(), nil
	}
	return "", fmt.Errorf("no command %s", cmd)
}

func (s *script) crash(sec float64) (string, error) {
	var rows []*Row
	for _, b := range s.stored {
		r, err := Decode(b)
		if err != nil {
			return "", err
		}
		rows = append(rows, r)
	}
	s.acks = nil
	s.a = s.make()
	s.a.Restore(at(sec), rows)
	return "", nil
}

func (s *script) tick(cmd string, w words) (string, error) {
	from, through := w.float("at"), w.float("at")
	if w.named["through"] != "" {
		through = w.float("through")
	}
	var b strings.Builder
	for sec := from; sec <= through; sec++ {
		said := s.step(cmd, at(sec))
		if said == "" {
			continue
		}
		for line := range strings.Lines(said) {
			fmt.Fprintf(&b, "%s: %s", ago(at(sec)), line)
		}
	}
	return b.String(), nil
}

func (s *script) step(cmd string, now event.Time) string {
	s.snap.Now = now
	for i := range s.snap.Partitions {
		if p := &s.snap.Partitions[i]; s.follow[p.Name] {
			p.Applied = now
		}
	}
	snap := s.snap
	acks := s.acks
	s.acks = nil
	var out Outcome
	if cmd == "alone" {
		out = s.a.Alone(&snap, s.to, acks)
	} else {
		out = s.a.Tick(&snap, s.to, acks)
		for _, r := range out.Saved {
			s.stored[r.ID] = r.Encode(nil)
		}
		for _, id := range out.Gone {
			delete(s.stored, id)
		}
	}
	var b strings.Builder
	for _, r := range out.Changed {
		fmt.Fprintf(&b, "%s %s %s, owners %s, sequence %d\n", r.ID, r.Status, r.Severity, strings.Join(r.Owners, " "), r.Sequence)
	}
	for _, id := range out.Gone {
		fmt.Fprintf(&b, "%s is given up\n", id)
	}
	if out.Dropped > 0 {
		fmt.Fprintf(&b, "%d found no room\n", out.Dropped)
	}
	for i := range out.Due {
		n := &out.Due[i]
		deaf := ""
		if s.deaf[n.To.ID] {
			deaf = " (not heard)"
		} else {
			s.acks = append(s.acks, AckOf(n, now))
		}
		if n.Purpose != Repeat || deaf != "" {
			fmt.Fprintf(&b, "  %s %s at %s of %s%s\n", n.Purpose, text(n.Owner, "(all)"), n.To.ID, n.Row.ID, deaf)
		}
		if n.Purpose == Summarise {
			fmt.Fprintf(&b, "    %s\n", n.Row.Annotations["summary"])
		}
	}
	return b.String()
}

func (s *script) fact(f []string) error {
	if len(f) == 0 {
		return nil
	}
	var args []datadriven.CmdArg
	for _, word := range f[1:] {
		key, value, named := strings.Cut(word, "=")
		arg := datadriven.CmdArg{Key: key}
		if named {
			arg.Vals = []string{value}
		}
		args = append(args, arg)
	}
	w := wordsOf(args)
	switch f[0] {
	case "woken":
		s.snap.Woken = at(w.float("at"))
	case "live", "catching-up", "stands", "gone":
		for _, name := range w.plain {
			s.partition(f[0], name, w)
		}
	case "burn":
		s.burn(w)
	case "held":
		s.held(w)
	case "free":
		kind, key, _ := strings.Cut(w.plain[1], "/")
		s.snap.Holdings = slices.DeleteFunc(slices.Clone(s.snap.Holdings), func(h Holding) bool {
			return h.Detection == w.plain[0] && h.Kind == kind && h.Key == key && h.Seq == w.int("seq")
		})
	case "silent":
		kind, key, _ := strings.Cut(w.plain[0], "/")
		src := Source{Kind: kind, Key: key, Open: w.int("open"), More: slices.Contains(w.plain, "more"), Rests: w.list("on"), Evidence: evidence(w, "context.source")}
		if w.named["life"] != "" {
			src.Life, src.HasLife = at(w.float("life")), true
		}
		s.snap.Sources = append(slices.Clone(s.snap.Sources), src)
	case "heard":
		kind, key, _ := strings.Cut(w.plain[0], "/")
		s.snap.Sources = slices.DeleteFunc(slices.Clone(s.snap.Sources), func(x Source) bool { return x.Kind == kind && x.Key == key })
	case "unknown", "known":
		for _, what := range w.plain {
			*map[string]*bool{"burns": &s.snap.BurnsKnown, "holdings": &s.snap.HoldingsKnown, "sources": &s.snap.SourcesKnown}[what] = f[0] == "known"
		}
	case "deaf", "hears":
		for _, name := range w.plain {
			s.deaf[name] = f[0] == "deaf"
		}
	default:
		return fmt.Errorf("no such fact")
	}
	return nil
}

func (s *script) partition(how, name string, w words) {
	s.snap.Partitions = slices.DeleteFunc(slices.Clone(s.snap.Partitions), func(p Partition) bool { return p.Name == name })
	s.follow[name] = how == "live"
	if how != "gone" {
		s.snap.Partitions = append(s.snap.Partitions, Partition{Name: name, Live: how != "catching-up", Applied: at(w.float("at")), Why: w.named["why"]})
	}
}

func (s *script) burn(w words) {
	name, severity, how := w.plain[0], slo.Ticket, w.plain[2]
	if w.plain[1] == "page" {
		severity = slo.Page
	}
	s.snap.Burns = slices.DeleteFunc(slices.Clone(s.snap.Burns), func(b Burn) bool { return b.SLO == name && b.Rule.Severity == severity })
	b := Burn{SLO: name, Holds: how == "holds", Few: how == "few", Causes: w.shares(), Evidence: evidence(w, "workflow.decision"), Open: w.int("open")}
	for _, o := range s.snap.Contract.SLOs {
		for _, r := range o.Rules {
			if o.Name == name && r.Severity == severity && b.Rule.Long == 0 {
				b.Rule = r
			}
		}
	}
	b.Short = Window{Good: w.int("good"), Bad: w.int("bad"), Burn: w.float("burn")}
	b.Long = Window{Good: 10 * w.int("good"), Bad: 10 * w.int("bad"), Burn: w.float("burn")}
	s.snap.Burns = append(s.snap.Burns, b)
}

func (s *script) held(w words) {
	kind, key, _ := strings.Cut(w.plain[1], "/")
	h := Holding{Detection: w.plain[0], Kind: kind, Key: key, Seq: w.int("seq"), Since: at(w.float("since")), Count: w.int("count"), Waiting: w.int("waiting"),
		Causes: w.shares(), Rests: w.list("on"), Evidence: evidence(w, "workflow.context")}
	for _, d := range s.snap.Contract.Detections {
		if d.Name == h.Detection {
			h.Workflow = d.Workflow
		}
	}
	if slices.Contains(w.plain, "replay") {
		h.Traffic = event.Replay
	}
	for i := range min(h.Count, 3) {
		h.Workflows = append(h.Workflows, fmt.Sprintf("wf-%d", i+1))
	}
	s.snap.Holdings = slices.DeleteFunc(slices.Clone(s.snap.Holdings), func(x Holding) bool {
		return x.Detection == h.Detection && x.Kind == h.Kind && x.Key == h.Key && x.Seq == h.Seq
	})
	s.snap.Holdings = append(s.snap.Holdings, h)
}

func evidence(w words, topic string) []Evidence {
	var all []Evidence
	for i := range w.int("evidence") {
		e := Evidence{Topic: topic, Partition: 3, Offset: 4411 + i}
		if topic != "context.source" {
			e.Workflow = fmt.Sprintf("wf-%d", i+1)
		}
		if topic == "workflow.decision" {
			e.DecisionID, e.TraceID = "d1", "4bf92f3577b34da6a3ce929d0e0e4736"
		}
		all = append(all, e)
	}
	return all
}

// words are the arguments of a command.
type words struct {
	plain []string
	named map[string]string
}

func wordsOf(args []datadriven.CmdArg) words {
	w := words{named: map[string]string{}}
	for _, a := range args {
		if len(a.Vals) > 0 {
			w.named[a.Key] = strings.Join(a.Vals, ",")
		} else {
			w.plain = append(w.plain, a.Key)
		}
	}
	return w
}

func (w words) int(name string) int64 { n, _ := strconv.ParseInt(w.named[name], 10, 64); return n }
func (w words) float(name string) float64 {
	x, _ := strconv.ParseFloat(w.named[name], 64)
	return x
}
func (w words) list(name string) []string {
	if w.named[name] == "" {
		return nil
	}
	return strings.Split(w.named[name], ",")
}

func (w words) shares() []Share {
	var all []Share
	for _, one := range w.list("causes") {
		p := append(strings.Split(one, ":"), "", "")
		n, _ := strconv.ParseInt(p[2], 10, 64)
		all = append(all, Share{Cause: p[0], Owner: p[1], Parts: n})
	}
	return all
}

// A row comes back from its bytes as it was.
func TestRowsSurvive(t *testing.T) {
	r := &Row{ID: "a/b", Name: FreshnessSLOBurn, Status: Resolved, Severity: slo.Page, Owner: "payments", Owners: []string{"payments", "risk"},
		Labels: map[string]string{"slo": "x"}, Annotations: map[string]string{"summary": "s"}, Starts: 5, Ends: 9, Sequence: 3,
		Causes: []Share{{"hold_tool", "payments", 3}}, Evidence: []Evidence{{Topic: "t", Partition: 1, Offset: 2, Workflow: "w"}},
		Runbook: "r", Dashboard: "d", Rests: []string{"p"}, Group: "g", Told: map[string]Told{"am payments": {Episode: 5, Severity: slo.Page, Resolved: true, At: 7}}}
	back, err := Decode(r.Encode(nil))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(r)
	got, _ := json.Marshal(back)
	if string(want) != string(got) || back.Causes[0] != r.Causes[0] {
		t.Errorf("a row came back as\n%s\nit was\n%s", got, want)
	}
	for _, bad := range []string{"", "{", `{"v":2}`, "null"} {
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%q was read as a row", bad)
		}
	}
}
