package dashboards

// Dashboard is one dashboard.
type Dashboard struct {
	UID, Title, About string
	Paragraph         string // what it answers and how it is read
	Variables         []Variable
	Rows              []Row
}

// Options say where the links of the dashboards lead.
type Options struct {
	Server   string // where browsers reach Freshet
	Runbooks string // what the names of alerts are put behind, with its last slash
}

// Defaults are the links of the files in grafana/.
func Defaults() Options {
	return Options{Server: "http://localhost:8080", Runbooks: "https://github.com/freshet-io/freshet/blob/main/docs/runbooks/"}
}

// Variable is a choice at the top of a dashboard: the values that a label of a series has.
type Variable struct{ Name, Label, Series string }

// Row is a row of panels under a heading.
type Row struct {
	Title  string
	Panels []Panel
}

// Shape is how a panel shows what it has.
type Shape uint8

const (
	Lines  Shape = iota // over time
	Number              // the last value, large
	Stack               // over time, on top of each other
	List                // a table of the last values
	Bars                // the last values as bars
	Heat                // a histogram over time
)

// Panel is one panel.
type Panel struct {
	Title   string
	About   string // what it means and what to do about it
	Shape   Shape
	Unit    string // as Grafana names it
	Width   int    // of 24 columns
	Queries []Query
	Steps   []Step   // colours from a value on; none: one colour
	Alerts  []string // alerts that this panel shows the reason of: it links their runbooks
	Min     *float64 // of the axis
	Max     *float64
	Links   []Link
	Idle    string // why there may be nothing to show although all is well; "": there always is
}

// Query is one question to Prometheus.
type Query struct {
	Expr, Legend string
	Exemplars    bool
	Limit        bool // what the contract says it may be at most: a dashed line
}

// Step is a colour from a value on.
type Step struct {
	From  float64
	Color string
}

// Link leads on from what a panel shows. In its URL {server} is where Freshet is, {runbooks} where the runbooks are.
type Link struct{ Title, URL string }

// All returns every dashboard, in the order in which a reader wants them.
func All() []Dashboard {
	return []Dashboard{overview(), objectives(), causes(), sources(), engine(), agents()}
}

// Unshown says of series that have no panel why not.
func Unshown() map[string]string {
	return map[string]string{
		"freshet_complete_through_timestamp_seconds": "follows applied_through at the distance of the lateness; the clocks' panel shows that one",
	}
}

const tall, low = 8, 4 // rows of the grid that a panel takes

func (p *Panel) height() int {
	if p.Shape == Number {
		return low
	}
	return tall
}

func number(f float64) *float64 { return &f }

// bad turns a panel amber and red from two values on.
func bad(amber, red float64) []Step {
	return []Step{{0, "green"}, {amber, "orange"}, {red, "red"}}
}

// q is a query with a legend.
func q(expr, legend string) Query { return Query{Expr: expr, Legend: legend} }

// limit is a query for what the contract allows.
func limit(expr, legend string) Query { return Query{Expr: expr, Legend: legend, Limit: true} }

// quantiles asks for three quantiles of a histogram.
func quantiles(series, matchers string) []Query {
	var all []Query
	for _, quantile := range []struct{ q, name string }{{"0.5", "p50"}, {"0.95", "p95"}, {"0.99", "p99"}} {
		all = append(all, Query{quantileBy(quantile.q, "", series, matchers), quantile.name, true, false})
	}
	return all
}

// quantileBy is a quantile of a histogram for each value of a label, "" for none. Histograms are exported in both forms; a Prometheus with
// native histograms keeps only those, unless it is told to keep the classic ones, too (always_scrape_classic_histograms).
func quantileBy(quantile, by, series, matchers string) string {
	classic, native := "le", ""
	if by != "" {
		classic, native = "le, "+by, " by ("+by+")"
	}
	rate := matchers + "[$__rate_interval])))"
	return "histogram_quantile(" + quantile + ", sum by (" + classic + ") (rate(" + series + "_bucket" + rate +
		" or histogram_quantile(" + quantile + ", sum" + native + " (rate(" + series + rate
}

// ofWorkflow is the variable that most dashboards have.
func ofWorkflow() Variable {
	return Variable{"workflow_type", "Workflow type", "freshet_decisions_total"}
}
