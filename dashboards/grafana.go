package dashboards

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// replace puts a value for the % of a pattern.
func replace(pattern, value string) string { return strings.ReplaceAll(pattern, "%", value) }

// tag is what the dashboards find each other by.
const tag = "freshet"

func datasource() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
}

// file is a dashboard with what the SDK has no words for.
type file struct {
	dashboard.Dashboard
	Annotations struct {
		List []annotation `json:"list"`
	} `json:"annotations"`
}

// annotation is a query of marks in time, with what is written on them.
type annotation struct {
	dashboard.AnnotationQuery
	Title string `json:"titleFormat"`
	Text  string `json:"textFormat"`
	Tags  string `json:"tagKeys"`
}

// JSON returns the dashboard as Grafana reads it.
func (d *Dashboard) JSON(o Options) ([]byte, error) {
	b := dashboard.NewDashboardBuilder(d.Title).Uid(d.UID).Description(d.About).Tags([]string{tag}).Readonly().
		Time("now-1h", "now").Refresh("30s").Timezone("browser").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("Freshet").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{tag}).AsDropdown(true).IncludeVars(true).KeepTime(true)).
		Link(dashboard.NewDashboardLinkBuilder("Runbooks").Type(dashboard.DashboardLinkTypeLink).Url(o.Runbooks).TargetBlank(true)).
		Annotation(dashboard.NewAnnotationQueryBuilder().Name("Alerts").Datasource(datasource()).Enable(true).IconColor("red").
			Expr(`sum by (name, owner, severity) (freshet_alerts{status="firing",name!="Watchdog"}) > 0`)).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"))
	for _, v := range d.Variables {
		b = b.WithVariable(dashboard.NewQueryVariableBuilder(v.Name).Label(v.Label).Datasource(datasource()).
			Query(dashboard.StringOrMap{String: cog.ToPtr("label_values(" + v.Series + ", " + v.Name + ")")}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).Multi(true).IncludeAll(true).AllValue(".*"))
	}
	for i := range d.Rows {
		b = b.WithRow(dashboard.NewRowBuilder(d.Rows[i].Title))
		for j := range d.Rows[i].Panels {
			b = b.WithPanel(built{&d.Rows[i].Panels[j], o})
		}
	}
	built, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("build dashboard %s: %w", d.UID, err)
	}
	for i := range built.Panels { // the SDK numbers nothing, and links to panels go by number
		if p := built.Panels[i].Panel; p != nil {
			p.Id = cog.ToPtr(uint32(i + 1))
		} else {
			built.Panels[i].RowPanel.Id = uint32(i + 1)
		}
	}
	whole := file{Dashboard: built}
	for _, a := range built.Annotations.List {
		whole.Annotations.List = append(whole.Annotations.List, annotation{a, "{{name}}", "{{owner}} ({{severity}})", "name,owner,severity"})
	}
	text, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode dashboard %s: %w", d.UID, err)
	}
	return append(text, '\n'), nil
}

// built is a panel that the dashboard's builder takes.
type built struct {
	*Panel
	to Options
}

// Build makes Grafana's panel.
func (p built) Build() (dashboard.Panel, error) {
	panel, err := p.shaped().Build()
	if err != nil {
		return panel, err
	}
	panel.Title, panel.Description = cog.ToPtr(p.Title), cog.ToPtr(p.about())
	ref := datasource()
	panel.Datasource = &ref
	for _, name := range p.Alerts {
		link, err := dashboard.NewDashboardLinkBuilder("Runbook of " + name).Type(dashboard.DashboardLinkTypeLink).Url(p.to.Runbooks + name + ".md").TargetBlank(true).Build()
		if err != nil {
			return panel, err
		}
		panel.Links = append(panel.Links, link)
	}
	panel.GridPos = &dashboard.GridPos{W: uint32(p.Width), H: uint32(p.height())}
	for i, query := range p.Queries {
		target, err := p.target(i, query).Build()
		if err != nil {
			return panel, err
		}
		panel.Targets = append(panel.Targets, target)
	}
	return panel, nil
}

// refID is what the panel calls its i-th query.
func refID(i int) string { return string(rune('A' + i)) }

func (p built) about() string {
	if p.Idle == "" {
		return p.About
	}
	return p.About + " Empty: " + p.Idle + "."
}

func (p built) target(i int, query Query) cog.Builder[variants.Dataquery] {
	t := prometheus.NewDataqueryBuilder().Datasource(datasource()).Expr(query.Expr).RefId(refID(i))
	if query.Legend != "" {
		t = t.LegendFormat(query.Legend)
	}
	switch p.Shape {
	case Number, Bars:
		return t.Instant()
	case List:
		return t.Instant().Format(prometheus.PromQueryFormatTable)
	case Heat:
		return t.Range().Format(prometheus.PromQueryFormatHeatmap)
	}
	return t.Range().Exemplar(query.Exemplars)
}

// shaped is the builder of the panel's shape.
func (p built) shaped() cog.Builder[dashboard.Panel] {
	switch p.Shape {
	case Number:
		return stat.NewPanelBuilder().Unit(p.Unit).Thresholds(p.thresholds()).ColorMode(common.BigValueColorModeBackground).NoValue("–").
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
	case Bars:
		b := bargauge.NewPanelBuilder().Unit(p.Unit).Thresholds(p.thresholds()).NoValue("–").DataLinks(p.links())
		if p.Min != nil && p.Max != nil {
			b = b.Min(*p.Min).Max(*p.Max)
		}
		return b
	case List:
		b := table.NewPanelBuilder().Unit(p.Unit).NoValue("–").DataLinks(p.links())
		if len(p.Queries) > 1 {
			b = b.WithTransformation(dashboard.DataTransformerConfig{Id: "merge", Options: map[string]any{}})
		}
		return b.WithTransformation(dashboard.DataTransformerConfig{
			Id: "organize", Options: map[string]any{"excludeByName": map[string]bool{"Time": true, "__name__": true, "job": true}},
		})
	case Heat:
		return heatmap.NewPanelBuilder().Unit(p.Unit).YAxis(heatmap.NewYAxisConfigBuilder().Unit(p.Unit))
	}
	b := timeseries.NewPanelBuilder().Unit(p.Unit).FillOpacity(10).ShowPoints(common.VisibilityModeNever).DataLinks(p.links()).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeTable).Placement(common.LegendPlacementBottom).ShowLegend(true).Calcs([]string{"lastNotNull", "max"})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if len(p.Steps) > 0 {
		b = b.Thresholds(p.thresholds()).ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	if p.Shape == Stack {
		b = b.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal)).FillOpacity(40)
	}
	for i, query := range p.Queries {
		if query.Limit {
			b = b.OverrideByQuery(refID(i), []dashboard.DynamicConfigValue{
				{Id: "custom.lineStyle", Value: map[string]any{"fill": "dash", "dash": []int{10, 10}}}, {Id: "custom.fillOpacity", Value: 0},
			})
		}
	}
	if p.Min != nil {
		b = b.Min(*p.Min)
	}
	if p.Max != nil {
		b = b.Max(*p.Max)
	}
	return b
}

// thresholds are the panel's colours. The first holds from minus infinity on.
func (p built) thresholds() cog.Builder[dashboard.ThresholdsConfig] {
	steps := []dashboard.Threshold{{Color: "text"}}
	for i, s := range p.Steps {
		if i == 0 {
			steps[0].Color = s.Color
			continue
		}
		steps = append(steps, dashboard.Threshold{Value: cog.ToPtr(s.From), Color: s.Color})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

func (p built) links() []cog.Builder[dashboard.DashboardLink] {
	var all []cog.Builder[dashboard.DashboardLink]
	for _, l := range p.Links {
		all = append(all, dashboard.NewDashboardLinkBuilder(l.Title).Type(dashboard.DashboardLinkTypeLink).Url(strings.NewReplacer("{server}", p.to.Server, "{runbooks}", p.to.Runbooks).Replace(l.URL)).TargetBlank(true))
	}
	return all
}
