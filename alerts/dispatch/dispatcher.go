package dispatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/slo"
	"github.com/go-kit/log"
)

// Dispatcher sends to every place that the flags name.
type Dispatcher struct {
	queues []*queue
	now    func() time.Time

	acked chan struct{}

	mu    sync.Mutex
	acks  []alerts.Ack
	alive time.Time
}

// New returns a dispatcher. Owners are those of the contract in force, with their secrets.
func New(cfg Config, owners func() map[string]*slo.Owner, m *metrics.Metrics, now func() time.Time, logger log.Logger) (*Dispatcher, error) {
	secret, err := cfg.secret()
	if err != nil {
		return nil, err
	}
	d := &Dispatcher{now: now, acked: make(chan struct{}, 1)}
	post := newPoster(now)
	add := func(kind alerts.Kind, urls string, to func(url string) sender) {
		for _, u := range list(urls) {
			q := &queue{to: target(kind, u), sender: to(u), cfg: cfg, now: now, m: m, acked: d.ack, frozen: d.frozen, wake: make(chan struct{}, 1),
				items: map[string]*item{}, done: map[string]alerts.Ack{}}
			q.logger = log.With(logger, "component", "dispatch")
			d.queues = append(d.queues, q)
		}
	}
	add(alerts.Alertmanager, cfg.Alertmanagers, func(u string) sender { return &alertmanager{post, u, owners} })
	add(alerts.Webhook, cfg.Webhooks, func(u string) sender { return &webhook{post, u, secret} })
	add(alerts.PagerDuty, cfg.PagerDuty, func(u string) sender { return &pagerduty{post, u, owners} })
	add(alerts.Slack, cfg.Slack, func(u string) sender { return &slack{post, u, owners} })
	return d, nil
}

// target names a place: the same address has the same name in every life, and the name does not give the address away.
func target(kind alerts.Kind, url string) alerts.Target {
	sum := sha256.Sum256([]byte(url))
	return alerts.Target{ID: kind.String() + "#" + hex.EncodeToString(sum[:4]), Kind: kind}
}

// Targets returns every place.
func (d *Dispatcher) Targets() []alerts.Target {
	all := make([]alerts.Target, len(d.queues))
	for i, q := range d.queues {
		all[i] = q.to
	}
	return all
}

// Run delivers until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, q := range d.queues {
		wg.Go(func() { q.run(ctx) })
	}
	wg.Wait()
	return nil
}

// Offer takes what is due. Whole says that it is everything that is: what waits and is no longer due is forgotten.
func (d *Dispatcher) Offer(due []alerts.Notification, whole bool) {
	by := map[string][]alerts.Notification{}
	for i := range due {
		by[due[i].To.ID] = append(by[due[i].To.ID], due[i])
	}
	for _, q := range d.queues {
		q.offer(by[q.to.ID], whole)
	}
}

// Alive says that the process runs. Once it has not been said for a while, nothing of what waits is sent until it is said again: who says it
// has what waits forgotten first.
func (d *Dispatcher) Alive() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alive = d.now()
}

// frozen says that the process does not seem to have run. It is not said of one that has never said that it does.
func (d *Dispatcher) frozen() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.alive.IsZero() && d.now().Sub(d.alive) > time.Duration(alerts.Asleep)*time.Millisecond
}

// mostAcks bounds the acknowledgements that nobody fetches; the rows that lack one lead to another delivery.
const mostAcks = 10_000

func (d *Dispatcher) ack(a alerts.Ack) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.acks) < mostAcks {
		d.acks = append(d.acks, a)
	}
	if a.Purpose == alerts.Repeat {
		return
	}
	select {
	case d.acked <- struct{}{}:
	default:
	}
}

// Acked says that there is an acknowledgement that is worth a tick of its own: the sooner it is kept, the less is told twice.
func (d *Dispatcher) Acked() <-chan struct{} { return d.acked }

// Acks returns what has been delivered since the last call.
func (d *Dispatcher) Acks() []alerts.Ack {
	d.mu.Lock()
	defer d.mu.Unlock()
	acks := d.acks
	d.acks = nil
	return acks
}

// Result is what became of a test page at one place.
type Result struct {
	Destination string `json:"destination"`
	Target      string `json:"target"`
	Leads       bool   `json:"leads"` // the owner's entry in the contract leads there, or everybody's alerts go there
	Delivered   bool   `json:"delivered"`
	Detail      string `json:"detail"`
}

// Test sends a marked test page for an owner to every place that leads to him, once, past the queues.
func (d *Dispatcher) Test(ctx context.Context, owner string) []Result {
	results := make([]Result, len(d.queues))
	row := alerts.TestRow(owner, event.Of(d.now()))
	var wg sync.WaitGroup
	for i, q := range d.queues {
		wg.Go(func() {
			attempt, cancel := context.WithTimeout(ctx, q.cfg.Timeout)
			defer cancel()
			r := Result{Destination: q.to.Kind.String(), Target: q.to.ID, Leads: true, Delivered: true, Detail: "delivered"}
			if err := q.sender.send(attempt, []alerts.Notification{{To: q.to, Owner: owner, Purpose: alerts.Try, Row: row}}); err != nil {
				r.Leads, r.Delivered, r.Detail = !errors.Is(err, errNoEntry), false, fmt.Sprint(err)
			}
			results[i] = r
		})
	}
	wg.Wait()
	return results
}
