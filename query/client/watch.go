package client

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Event is one event of a watch.
type Event struct {
	Name string // verdict, detection, alert or bookmark
	ID   string // where to go on after it
	Data []byte // JSON
}

// Watch hands every event to each, from after the event with the id given ("": from now on), until ctx ends or each returns an error. It
// connects again by itself, also where a connection has gone silent. Workflow "" watches all.
func (c *Client) Watch(ctx context.Context, workflow, after string, each func(Event) error) error {
	path := "/v1/watch"
	if workflow != "" {
		path += "?" + url.Values{"workflow": {workflow}}.Encode()
	}
	for failures := 0; ; {
		err := c.stream(ctx, path, after, func(e Event) error {
			failures = 0
			if e.ID != "" {
				after = e.ID
			}
			if err := each(e); err != nil {
				return &endError{err}
			}
			return nil
		})
		if end, ok := err.(*endError); ok {
			return end.err
		}
		if ctx.Err() != nil {
			return nil
		}
		wait, again := retryAfter(err, min(failures, attempts-2))
		if !again {
			return err
		}
		failures++
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// endError is what ended a watch on the caller's side.
type endError struct{ err error }

func (e *endError) Error() string { return e.err.Error() }

// stream reads one connection to its end, which is always an error.
func (c *Client) stream(ctx context.Context, path, after string, each func(Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(c.cfg.Silence, cancel)
	defer silent.Stop()
	r, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	resp, err := c.cfg.HTTP.Do(r)
	if err != nil {
		return &unreachableError{err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, largestAnswer))
		return problemOf(resp, b)
	}
	return events(&patient{resp.Body, silent, c.cfg.Silence}, each)
}

// patient is a reader with a timer that runs while it waits, and not while what it has read is looked at.
type patient struct {
	io.Reader
	timer *time.Timer
	most  time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	p.timer.Reset(p.most)
	defer p.timer.Stop()
	return p.Reader.Read(b)
}

const longestEvent = 16 << 20

// events reads server-sent events (WHATWG HTML, 9.2.6).
func events(body io.Reader, each func(Event) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, longestEvent)
	var e Event
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if e.Data != nil {
				if e.Name == "" {
					e.Name = "message"
				}
				if err := each(e); err != nil {
					return err
				}
			}
			e = Event{ID: e.ID}
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.Name = value
		case "id":
			e.ID = value
		case "data":
			if e.Data != nil {
				e.Data = append(e.Data, '\n')
			}
			e.Data = append(e.Data, value...)
		}
	}
	err := lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return &unreachableError{fmt.Errorf("the stream has ended: %w", err)}
}
