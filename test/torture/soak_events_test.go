//go:build unix

package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kgo"
)

// soaked is an event that is written when it happens.
type soaked struct {
	at   time.Time
	line []byte
}

// soaking makes the events of a soak.
type soaking struct {
	*rand.Rand
	all      []soaked
	last     time.Time
	policies [soakPolicies][]time.Time // when each version came
}

const (
	soakPolicies = 40  // items that are judged, each changes about twice an hour
	soakFeatures = 50  // items that are not, each changes once a minute
	soakPerHour  = 600 // workflows
)

// soakEvents are all events between two instants, in the order in which they happen.
func soakEvents(first, last time.Time) []soaked {
	s := &soaking{Rand: rand.New(rand.NewPCG(*seed, 2)), last: last}
	s.sources(first)
	every := time.Hour / soakPerHour
	for n, at := 0, first; at.Before(last); n, at = n+1, at.Add(every) {
		s.workflow(fmt.Sprintf("wf-%d", n), at, n)
	}
	s.endless("endless", first)
	slices.SortStableFunc(s.all, func(a, b soaked) int { return a.at.Compare(b.at) })
	return s.all
}

func (s *soaking) say(at time.Time, typ, subject, data string) {
	if !at.Before(s.last) {
		return
	}
	line := fmt.Sprintf(`{"specversion":"1.0","id":"s%d","source":"/soak","type":"io.freshet.%s","time":%q,"subject":%q,"workflowtype":"refund","data":%s}`,
		len(s.all), typ, event.Of(at), subject, data)
	s.all = append(s.all, soaked{at, []byte(line)})
}

// some returns a duration up to a limit.
func (s *soaking) some(limit time.Duration) time.Duration {
	return time.Duration(s.Int64N(int64(limit)))
}

// sources change, and say that they are there, but for an hour of every eight.
func (s *soaking) sources(first time.Time) {
	updated := func(at time.Time, kind string, key, seq int) {
		s.say(at, "source.updated", fmt.Sprintf("%s/%d", kind, key), fmt.Sprintf(`{"kind":%q,"key":"%d","seq":%d,"version":"v%d"}`, kind, key, seq, seq))
	}
	for key := range soakPolicies {
		for at := first.Add(time.Millisecond); at.Before(s.last); at = at.Add(s.some(time.Hour)) {
			if !silent(first, at) {
				s.policies[key] = append(s.policies[key], at)
				updated(at, "policy", key, len(s.policies[key]))
			}
		}
	}
	for key := range soakFeatures {
		for at, seq := first.Add(time.Millisecond), 1; at.Before(s.last); at, seq = at.Add(30*time.Second+s.some(time.Minute)), seq+1 {
			updated(at, "feature", key, seq)
		}
	}
	for at := first; at.Before(s.last); at = at.Add(5 * time.Minute) {
		if !silent(first, at) {
			s.say(at, "source.heartbeat", "policy/", fmt.Sprintf(`{"kind":"policy","through":%q}`, event.Of(at)))
		}
	}
}

func silent(first, at time.Time) bool { return int(at.Sub(first)/time.Hour)%8 == 7 }

// workflow lives for minutes: one of ten is never heard of again, one of three waits for an approval.
func (s *soaking) workflow(id string, at time.Time, n int) {
	policy, feature := s.IntN(soakPolicies), s.IntN(soakFeatures)
	step := func() time.Time { at = at.Add(time.Second + s.some(3*time.Minute)); return at }
	s.say(step(), "task.started", id, `{}`)
	s.say(step(), "context.loaded", id, fmt.Sprintf(`{"refs":[{"kind":"policy","key":"%d","version":"v%d"},{"kind":"feature","key":"%d","seq":%d}]}`, policy, s.version(at, policy), feature, 1+s.IntN(99)))
	if n%4 == 0 {
		s.reload(id, step(), policy)
	}
	s.say(step(), "tool.called", id, `{"call_id":"c","tool":"ledger"}`)
	s.say(step(), "tool.result", id, `{"call_id":"c","tool":"ledger","status":"ok"}`)
	s.say(step(), "decision.proposed", id, `{"decision_id":"d"}`)
	if n%3 == 0 {
		s.say(step(), "approval.requested", id, `{}`)
		at = at.Add(s.some(30 * time.Minute))
		s.say(step(), "approval.granted", id, `{}`)
	}
	if n%10 == 0 {
		return
	}
	s.say(step(), "action.executed", id, `{"decision_id":"d"}`)
	s.say(step(), "task.completed", id, `{}`)
}

// reload loads the version that is in force, or the one before it.
func (s *soaking) reload(id string, at time.Time, policy int) {
	s.say(at, "context.loaded", id, fmt.Sprintf(`{"refs":[{"kind":"policy","key":"%d","seq":%d}]}`, policy, s.version(at, policy)))
}

func (s *soaking) version(at time.Time, policy int) int {
	n, _ := slices.BinarySearchFunc(s.policies[policy], at, time.Time.Compare)
	return max(1, n-s.IntN(2))
}

// endless is a workflow that goes on all the time.
func (s *soaking) endless(id string, at time.Time) {
	s.say(at, "task.started", id, `{}`)
	for n := 0; at.Before(s.last); n++ {
		at = at.Add(10*time.Second + s.some(20*time.Second))
		switch n % 10 {
		case 0:
			s.reload(id, at, s.IntN(soakPolicies))
		case 9:
			s.say(at, "decision.proposed", id, fmt.Sprintf(`{"decision_id":"d%d"}`, n))
		default:
			s.say(at, "task.waiting", id, `{}`)
		}
	}
}

// tables follows the tables' changelogs: the rows of workflows, and how many versions of the kind that has a limit of a few.
type tables struct {
	w        *world
	client   *kgo.Client
	rows     map[string]bool
	versions map[string]int
}

func newTables(w *world) *tables {
	c := w.client(kgo.ConsumeTopics(w.graph.Workflows.Table, w.graph.Sources.Table), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	return &tables{w: w, client: c, rows: map[string]bool{}, versions: map[string]int{}}
}

// poll takes what has been read by now.
func (b *tables) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	b.client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
		key := string(r.Key)
		switch {
		case r.Topic == b.w.graph.Workflows.Table:
			if _, _, control := topology.ControlPartition(key); control {
				return
			}
			if b.rows[key] = true; r.Value == nil {
				delete(b.rows, key)
			}
		case strings.HasPrefix(key, topology.ControlPrefix+"v") && strings.HasSuffix(key[:strings.LastIndexByte(key, '/')+1], "feature/"):
			delete(b.versions, key)
			if r.Value == nil {
				return
			}
			versions, err := state.DecodeChunk(r.Value, 0, freshness.NewInterner(1).Intern)
			if err != nil {
				b.w.t.Errorf("versions in %q: %v", key, err)
			}
			b.versions[key] = len(versions)
		}
	})
}

func (b *tables) counts() (workflows, versions int) {
	for _, n := range b.versions {
		versions += n
	}
	return len(b.rows), versions
}
