package query

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/test/golden"
)

// get asks a server for a path.
func get(t testing.TB, h http.Handler, path string) (int, map[string]any) {
	t.Helper()
	w := ask(h, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %v: %s", path, err, w.Body)
	}
	return w.Code, answer
}

// Every explanation says of its uses what the golden lines say.
func TestExplanationsAreTheGoldenLines(t *testing.T) {
	const set = "adversarial-2"
	f := newFake(t, goldenDir+"/"+set+".contracts.yaml", testfile.Lines(t, goldenDir+"/"+set+".events.ndjson.gz"))
	h := f.serve(t, Config{}).Handler(true)
	asked, wrong, evidence := 0, 0, 0
	for _, want := range golden.Decisions(t, goldenDir+"/"+set+".verdicts.ndjson.gz") {
		status, got := get(t, h, "/v1/decisions/"+url.PathEscape(want[0]["workflow"].(string))+"/"+url.PathEscape(want[0]["decision_id"].(string)))
		if status != http.StatusOK {
			t.Fatalf("%d %v", status, got)
		}
		evidence += len(got["evidence"].([]any))
		asked += len(want)
		if is := golden.Explained(got); !reflect.DeepEqual(is, want) {
			if wrong++; wrong <= 3 {
				t.Errorf("\n got %v\nwant %v", is, want)
			}
		}
	}
	t.Logf("%d uses explained, %d decisions wrong, %d pieces of evidence", asked, wrong, evidence)
	if asked == 0 || evidence < asked {
		t.Error("it proves little")
	}
}

// A list that is read page by page has every workflow once, whatever the pages' size.
func TestListsComeInPages(t *testing.T) {
	const set = "adversarial-1"
	f := newFake(t, goldenDir+"/"+set+".contracts.yaml", testfile.Lines(t, goldenDir+"/"+set+".events.ndjson.gz"))
	h := f.serve(t, Config{}).Handler(true)
	for _, filter := range []string{"", "&state=open", "&verdict=stale", "&state=open&verdict=stale&type=refund"} {
		var all [][]string
		for _, limit := range []int{7, 100, 1000} {
			ids, next := []string{}, ""
			for {
				status, page := get(t, h, fmt.Sprintf("/v1/workflows?limit=%d&cursor=%s%s", limit, next, filter))
				if status != http.StatusOK {
					t.Fatalf("%d %v", status, page)
				}
				for _, w := range page["workflows"].([]any) {
					one := w.(map[string]any)
					ids = append(ids, one["workflow"].(string))
					if strings.Contains(filter, "stale") && one["verdict"] != "stale" || strings.Contains(filter, "open") && one["state"] != "open" {
						t.Fatalf("%s: %v", filter, one)
					}
				}
				if next, _ = page["next"].(string); next == "" {
					break
				}
			}
			all = append(all, ids)
		}
		if !slices.Equal(all[0], all[1]) || !slices.Equal(all[1], all[2]) || !slices.IsSorted(all[0]) {
			t.Errorf("%q: pages of another size have other workflows: %d, %d, %d", filter, len(all[0]), len(all[1]), len(all[2]))
		}
		if filter == "" && len(all[0]) != len(f.ids) || len(all[0]) == 0 {
			t.Errorf("%q: %d of %d workflows", filter, len(all[0]), len(f.ids))
		}
	}
}

// The events of a timeline are those that were sent, in the order of event time, and say what is gone.
func TestTimelinesAreRebuiltFromRecords(t *testing.T) {
	const set = "adversarial-1"
	f := newFake(t, goldenDir+"/"+set+".contracts.yaml", testfile.Lines(t, goldenDir+"/"+set+".events.ndjson.gz"))
	h := f.serve(t, Config{}).Handler(true)
	f.start = int64(len(f.lines) / 2)
	gone, there := 0, 0
	for _, id := range f.ids[:50] {
		next, last, n, total := "", "", 0, -1.0
		for {
			status, page := get(t, h, "/v1/workflows/"+url.PathEscape(id)+"/timeline?limit=3&cursor="+next)
			if status != http.StatusOK {
				t.Fatalf("%d %v", status, page)
			}
			total = page["total"].(float64)
			for _, e := range page["events"].([]any) {
				one := e.(map[string]any)
				at := one["time"].(string)
				if n++; at < last {
					t.Errorf("%s comes after %s", at, last)
				}
				last = at
				offset := int64(one["at"].(map[string]any)["offset"].(float64))
				if one["gone"] == true {
					if gone++; offset >= f.start {
						t.Errorf("%v is there", one)
					}
					continue
				}
				there++
				var sent map[string]any
				if err := json.Unmarshal(f.lines[offset], &sent); err != nil {
					t.Fatal(err)
				}
				if sent["id"] != one["id"] || sent["type"] != one["type"] || sent["source"] != one["source"] {
					t.Errorf("%v was sent as %s", one, f.lines[offset])
				}
			}
			if next, _ = page["next"].(string); next == "" {
				break
			}
		}
		if float64(n) != total || n != len(f.batch.Workflow(id).Lines) {
			t.Errorf("%s: %d of %v events", id, n, total)
		}
	}
	if gone == 0 || there == 0 {
		t.Errorf("%d gone, %d there: it proves little", gone, there)
	}
}

// Who used a version after it was superseded is what going through all uses finds.
func TestTheRecallListIsComplete(t *testing.T) {
	const set = "adversarial-3"
	f := newFake(t, goldenDir+"/"+set+".contracts.yaml", testfile.Lines(t, goldenDir+"/"+set+".events.ndjson.gz"))
	h := f.serve(t, Config{}).Handler(true)
	want := map[string]map[string]bool{} // item → users
	var v freshness.Verdict
	for _, id := range f.ids {
		w := f.batch.Workflow(id)
		for i := range w.Uses {
			w.Judge(&w.Uses[i], f, f.contract, &v)
			for j := range v.Items {
				if it := &v.Items[j]; it.Staleness > 0 && w.Holding(it.Kind, it.Key) != nil {
					item := url.PathEscape(it.Kind) + "/" + url.PathEscape(it.Key)
					if want[item] == nil {
						want[item] = map[string]bool{}
					}
					want[item][fmt.Sprint(id, " ", w.Uses[i].DecisionID, " ", w.Uses[i].Kind, " ", it.Seq)] = true
				}
			}
		}
	}
	users := 0
	for item := range want {
		got, next := map[string]bool{}, ""
		for {
			status, page := get(t, h, "/v1/sources/"+item+"/users?limit=5&cursor="+next)
			if status != http.StatusOK {
				t.Fatalf("%d %v", status, page)
			}
			for _, u := range page["users"].([]any) {
				one := u.(map[string]any)
				got[fmt.Sprint(one["workflow"], " ", one["decision_id"], " ", one["use"], " ", one["seq"])] = true
			}
			if next, _ = page["next"].(string); next == "" {
				break
			}
		}
		if users += len(got); !maps.Equal(got, want[item]) {
			t.Errorf("%s: %d users, want %d", item, len(got), len(want[item]))
		}
		if status, said := get(t, h, "/v1/sources/"+item); status != http.StatusOK || len(said["versions"].([]any)) == 0 {
			t.Errorf("%s: %d %v", item, status, said)
		}
	}
	if users == 0 {
		t.Error("it proves nothing")
	}
}

func TestWhatIsNotThere(t *testing.T) {
	f := newFake(t, goldenDir+"/adversarial-1.contracts.yaml", nil)
	s := f.serve(t, Config{})
	h := s.Handler(true)
	for path, want := range map[string]string{
		"/v1/workflows/none": "404 not-found", "/v1/workflows/none/timeline": "404 not-found", "/v1/decisions/none/d": "404 not-found",
		"/v1/sources/a/b": "404 not-found", "/nowhere": "404 not-found", "/v1/check": "405 method-not-allowed",
		"/v1/workflows?state=opne": "400 bad-parameter", "/v1/workflows?stat=open": "400 bad-parameter", "/v1/workflows?limit=0": "400 bad-parameter",
		"/v1/workflows?cursor=x!": "400 bad-parameter", "/v1/sources/a/b/users?seq=one": "400 bad-parameter",
		"/v1/workflows?verdict=%zz": "400 bad-parameter", "/v1/workflows?limit=1&limit=2": "400 bad-parameter", "/v1/workflows?partition=0": "400 bad-parameter",
		"/v1/workflows/none?x=1": "400 bad-parameter", "/v1/decisions/none/d?x=1": "400 bad-parameter", "/v1/sources/a/b?seq=1": "400 bad-parameter", "/v1/status?x=1": "400 bad-parameter",
	} {
		if status, got := get(t, h, path); fmt.Sprint(status, " ", strings.TrimPrefix(fmt.Sprint(got["type"]), "urn:freshet:problem:")) != want {
			t.Errorf("%s: %d %v, want %s", path, status, got, want)
		}
	}
	s.Detach()
	for _, path := range []string{"/v1/workflows", "/v1/workflows/none", "/v1/status", "/v1/sources/a/b"} {
		if status, got := get(t, h, path); status != http.StatusServiceUnavailable || got["type"] != "urn:freshet:problem:not-here" {
			t.Errorf("%s without an engine: %d %v", path, status, got)
		}
	}
	if status, got := post(t, h, "/v1/check", `{"workflow":"w"}`); status != http.StatusOK || got["verdict"] != "unknown" || got["action"] != "wait" {
		t.Errorf("a check without an engine: %d %v", status, got)
	}
}
