//go:build unix

package paging

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver is who is woken: Alertmanagers post to a path for each owner, the engine itself to one.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	told    map[notice]int       // how often Alertmanagers have said it
	first   map[notice]time.Time // when they did first
	records []record             // what the engine has posted
}

// notice is what an Alertmanager says of an alert to an owner.
type notice struct {
	owner  string // by the path that it came on
	labels string // in order
	status string // firing, resolved
	starts time.Time
}

// record is the data of an alert's record, as the engine posts it.
type record struct {
	Message  string `json:"-"` // id of the message
	ID       string `json:"alert_id"`
	Status   string
	Severity string
	Owner    string
	Starts   time.Time `json:"starts_at"`
	Causes   []struct {
		Cause, Owner string
		Share        float64
	} `json:"cause_shares"`
	Evidence []struct {
		Topic      string
		Workflow   string
		DecisionID string `json:"decision_id"`
	}
	Annotations map[string]string
	Runbook     string `json:"runbook_url"`
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, told: map[notice]int{}, first: map[notice]time.Time{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // who cannot send it whole sends it again
		}
		if owner, ok := strings.CutPrefix(req.URL.Path, "/am/"); ok {
			r.notify(owner, body)
		} else {
			r.record(req.Header.Get("Webhook-Id"), body)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// notify takes what an Alertmanager posts.
func (r *receiver) notify(owner string, body []byte) {
	var group struct {
		Alerts []struct {
			Status   string
			Labels   map[string]string
			StartsAt time.Time
		}
	}
	if err := json.Unmarshal(body, &group); err != nil {
		r.t.Errorf("an Alertmanager posts %s: %v", body, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range group.Alerts {
		n := notice{owner, named(a.Labels), a.Status, a.StartsAt}
		if r.told[n]++; r.told[n] == 1 {
			r.first[n] = time.Now()
		}
	}
}

// named writes the labels that say what an alert is about.
func named(labels map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		switch name {
		case "alertname", "severity", "slo", "kind", "key", "team":
			all = append(all, name+"="+labels[name])
		}
	}
	return strings.Join(all, " ")
}

// record takes what the engine posts.
func (r *receiver) record(message string, body []byte) {
	one := record{Message: message}
	if err := json.Unmarshal(body, &one); err != nil {
		r.t.Errorf("the engine posts %s: %v", body, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, one)
}

// posted returns the first record that says an alert fires.
func (r *receiver) posted(id string) (record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.records, func(one record) bool { return one.ID == id && one.Status == "firing" })
	if i < 0 {
		return record{}, false
	}
	return r.records[i], true
}

// alert is what somebody is to be told.
type alert struct{ owner, labels string }

func (a alert) String() string { return a.owner + ": " + a.labels }

// missing says who has not been told so far that alerts have a status.
func (r *receiver) missing(status string, wanted ...alert) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, a := range wanted {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(r.told)), func(n notice) bool { return n.status == status && n.owner == a.owner && n.labels == a.labels }) {
			all = append(all, a.String())
		}
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("nobody has been told that these are %s:\n  %s", status, strings.Join(all, "\n  "))
}

// exactly checks that so far these and no others have been told, each once: that they fire, and of those that are over, that they are.
func (r *receiver) exactly(t *testing.T, when string, firing, over []alert) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	want := map[string]map[alert]bool{"firing": {}, "resolved": {}}
	for _, a := range firing {
		want["firing"][a] = true
	}
	for _, a := range over {
		want["resolved"][a] = true
	}
	episodes := map[string]map[alert]int{"firing": {}, "resolved": {}}
	for n, times := range r.told {
		a := alert{n.owner, n.labels}
		episodes[n.status][a]++
		if !want[n.status][a] {
			t.Errorf("%s: nobody expected %s that this is %s: %s", when, a.owner, n.status, a.labels)
		}
		if times != 1 {
			t.Errorf("%s: %s was told %d times that this is %s: %s", when, a.owner, times, n.status, a.labels)
		}
	}
	for status, all := range want {
		for a := range all {
			if n := episodes[status][a]; n != 1 {
				t.Errorf("%s: %s heard of %d episodes, not of 1, that are %s: %s", when, a.owner, n, status, a.labels)
			}
		}
	}
}

// repetitions checks what the engine posts itself: a repetition has the id of what it repeats, and an alert has one episode.
func (r *receiver) repetitions(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	said, starts := map[string]record{}, map[string]time.Time{}
	for _, one := range r.records {
		if before, ok := said[one.Message]; ok && (before.ID != one.ID || before.Status != one.Status || !before.Starts.Equal(one.Starts)) {
			t.Errorf("message %s says two things: %+v, %+v", one.Message, before, one)
		}
		if at, ok := starts[one.ID]; ok && !at.Equal(one.Starts) {
			t.Errorf("%s fires from %v on, and from %v", one.ID, at, one.Starts)
		}
		said[one.Message], starts[one.ID] = one, one.Starts
	}
	t.Logf("the engine has posted %d records, %d messages of %d alerts", len(r.records), len(said), len(starts))
}

// delays says how long after an instant each of these was told, and checks that it was not longer than is promised; 0: nothing is.
func (r *receiver) delays(t *testing.T, since time.Time, promised time.Duration, status string, wanted ...alert) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, at := range r.first {
		if n.status != status || !slices.Contains(wanted, alert{n.owner, n.labels}) {
			continue
		}
		after := at.Sub(since)
		t.Logf("%s after %5.1f s: %s: %s", status, after.Seconds(), n.owner, n.labels)
		if promised > 0 && after > promised {
			t.Errorf("%s was told after %v that this is %s, %v are promised: %s", n.owner, after, status, promised, n.labels)
		}
	}
}
