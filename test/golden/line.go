package golden

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/freshet-io/freshet/internal/testfile"
)

// Decisions reads the lines of a set, those of a decision together, in their order.
func Decisions(t testing.TB, path string) [][]map[string]any {
	t.Helper()
	var all [][]map[string]any
	for _, text := range testfile.Lines(t, path) {
		var line map[string]any
		if err := json.Unmarshal(text, &line); err != nil {
			t.Fatal(err)
		}
		if n := len(all); n > 0 && all[n-1][0]["workflow"] == line["workflow"] && all[n-1][0]["decision_id"] == line["decision_id"] {
			all[n-1] = append(all[n-1], line)
			continue
		}
		all = append(all, []map[string]any{line})
	}
	return all
}

// Line turns the answer to a check into the form of a line; what an answer does not say is that line's own.
func Line(answer, line map[string]any) map[string]any {
	got := judgement(answer)
	for _, k := range []string{"workflow", "workflow_type", "decision_id", "use", "traffic_class", "cls"} {
		got[k] = line[k]
	}
	return got
}

// Of turns the data of a verdict record into the form of a line.
func Of(data map[string]any) map[string]any {
	line := judgement(data)
	line["cls"] = data["class"]
	for _, k := range []string{"workflow", "workflow_type", "decision_id", "use", "traffic_class"} {
		line[k] = data[k]
	}
	return line
}

// judgement is what checks and verdict records have in common with a line.
func judgement(said map[string]any) map[string]any {
	line := map[string]any{}
	for _, k := range []string{"verdict", "reasons", "staleness_s", "age_s", "versions_behind", "cause", "owner"} {
		line[k] = said[k]
	}
	items := []any{}
	list, _ := said["items"].([]any)
	for _, it := range list {
		it := it.(map[string]any)
		used, _ := it["used"].(map[string]any)
		item := map[string]any{"seq": used["seq"]}
		for _, k := range []string{"kind", "key", "verdict", "reasons", "staleness_s", "age_s", "versions_behind", "causes"} {
			if v, ok := it[k]; ok {
				item[k] = v
			}
		}
		items = append(items, item)
	}
	line["items"] = items
	return line
}

// Explained returns what an explanation says of the uses of its decision, in the form of lines and in their order.
func Explained(explanation map[string]any) []map[string]any {
	var verdicts []any
	for _, use := range explanation["uses"].([]any) {
		verdicts = append(verdicts, use.(map[string]any)["verdict"])
	}
	return lines(verdicts)
}

// Written returns what the last revisions in an explanation say, in the form of lines and in their order.
func Written(explanation map[string]any) []map[string]any {
	last := map[any]any{}
	for _, data := range explanation["revisions"].([]any) {
		last[data.(map[string]any)["use"]] = data
	}
	return lines(slices.Collect(maps.Values(last)))
}

func lines(verdicts []any) []map[string]any {
	var all []map[string]any
	for _, data := range verdicts {
		all = append(all, Of(data.(map[string]any)))
	}
	slices.SortFunc(all, func(a, b map[string]any) int { return cmp.Compare(a["use"].(string), b["use"].(string)) })
	return all
}
