package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config says where the server is and how it is asked.
type Config struct {
	Server string // as in http://127.0.0.1:8080
	// Token returns the bearer token; it is asked for every request. nil: none.
	Token func() (string, error)
	// HTTP makes the requests. nil: a client of its own that keeps connections open.
	HTTP *http.Client
	// Timeout bounds a request whose context has no deadline. 0: 5 s.
	Timeout time.Duration
	// Silence is for how long a watch may hear nothing, not even a bookmark, until it connects anew: one that is dead looks like one that has
	// nothing to say. 0: 10 s.
	Silence time.Duration
	// Agent is the User-Agent. "": freshet-client.
	Agent string
}

// Client asks a server. It may be used by many goroutines.
type Client struct {
	cfg    Config
	base   string
	budget *budget
}

// New returns a client.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.Server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("server %q: must be a URL, as in http://127.0.0.1:8080", cfg.Server)
	}
	if cfg.HTTP == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 64
		cfg.HTTP = &http.Client{Transport: transport}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Silence == 0 {
		cfg.Silence = 10 * time.Second
	}
	if cfg.Agent == "" {
		cfg.Agent = "freshet-client"
	}
	return &Client{cfg: cfg, base: strings.TrimRight(cfg.Server, "/"), budget: newBudget()}, nil
}

// Problem is an answer that is an error (RFC 9457).
type Problem struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	Pointer string `json:"pointer"` // the part of the request that is meant

	retryAfter time.Duration
}

func (p *Problem) Error() string {
	s := fmt.Sprintf("%s (%d)", p.Title, p.Status)
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	if p.Pointer != "" {
		s += " (" + p.Pointer + ")"
	}
	return s
}

// Check asks one thing. Without a server there is no answer but an error: it is not fresh.
func (c *Client) Check(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := c.bounded(ctx, r.Wait)
	defer cancel()
	body, err := encode(ctx, &r)
	if err != nil {
		return Answer{}, err
	}
	b, err := c.do(ctx, http.MethodPost, "/v1/check", body)
	if err != nil {
		return Answer{}, fmt.Errorf("check workflow %s: %w", r.Workflow, err)
	}
	var a Answer
	if err := json.Unmarshal(b, &a); err != nil {
		return Answer{}, fmt.Errorf("check workflow %s: read the answer: %w", r.Workflow, err)
	}
	return a, nil
}

// CheckAll asks up to 100 things at once and returns an answer to each.
func (c *Client) CheckAll(ctx context.Context, all []Request) ([]Answer, error) {
	longest := time.Duration(0)
	for i := range all {
		longest = max(longest, all[i].Wait)
	}
	ctx, cancel := c.bounded(ctx, longest)
	defer cancel()
	bodies := make([]json.RawMessage, len(all))
	for i := range all {
		var err error
		if bodies[i], err = encode(ctx, &all[i]); err != nil {
			return nil, err
		}
	}
	body, err := json.Marshal(bodies)
	if err != nil {
		return nil, fmt.Errorf("encode the checks: %w", err)
	}
	b, err := c.do(ctx, http.MethodPost, "/v1/check:batch", body)
	if err != nil {
		return nil, fmt.Errorf("check %d workflows: %w", len(all), err)
	}
	var answers []Answer
	if err := json.Unmarshal(b, &answers); err != nil {
		return nil, fmt.Errorf("check %d workflows: read the answers: %w", len(all), err)
	}
	if len(answers) != len(all) {
		return nil, fmt.Errorf("check %d workflows: there are %d answers", len(all), len(answers))
	}
	return answers, nil
}

// Path makes a path of its parts, whatever is in them: ids may have slashes, or be dots alone, which servers take for steps.
func Path(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		if strings.Trim(part, ".") == "" {
			b.WriteString(strings.Repeat("%2E", len(part)))
			continue
		}
		b.WriteString(url.PathEscape(part))
	}
	return b.String()
}

// Get returns the JSON of a path below the server's address, such as /v1/status.
func (c *Client) Get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := c.bounded(ctx, 0)
	defer cancel()
	return c.do(ctx, http.MethodGet, path, nil)
}

// NotFreshError says why Gate has not let a function run.
type NotFreshError struct{ Answer Answer }

func (e *NotFreshError) Error() string {
	return fmt.Sprintf("the context of workflow %s is %s (%s): %s", e.Answer.Workflow, e.Answer.Verdict, strings.Join(e.Answer.Reasons, ", "), e.Answer.Action)
}

// Post asks for something to be done at a path, once: whoever retries might have it done twice.
func (c *Client) Post(ctx context.Context, path string, body []byte) ([]byte, error) {
	ctx, cancel := c.bounded(ctx, 0)
	defer cancel()
	return c.once(ctx, http.MethodPost, path, body)
}

// Gate runs act if the context is fresh, and only then. Act gets the answer, whose CheckID belongs into the action.executed. Where it is
// not fresh the error is a *NotFreshError; where nobody could be asked it is another one, and act has not run either.
func (c *Client) Gate(ctx context.Context, r Request, act func(context.Context, Answer) error) error {
	a, err := c.Check(ctx, r)
	if err != nil {
		return err
	}
	if a.Verdict != Fresh {
		return &NotFreshError{a}
	}
	return act(ctx, a)
}

// bounded bounds a request; what the server is told to wait comes on top.
func (c *Client) bounded(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.cfg.Timeout+wait)
}

// wire is a request as it is sent.
type wire struct {
	*Request
	MaxEngineLag *Seconds `json:"max_engine_lag_s,omitempty"`
	Wait         *Seconds `json:"wait_s,omitempty"`
}

const (
	longestWait = 30 * time.Second // that the server takes
	waitShare   = 5                // of the time left, all but one part may be spent waiting
)

func encode(ctx context.Context, r *Request) ([]byte, error) {
	w := wire{Request: r}
	if r.MaxEngineLag != 0 {
		w.MaxEngineLag = (*Seconds)(&r.MaxEngineLag)
	}
	wait := r.Wait
	if deadline, ok := ctx.Deadline(); ok && wait == 0 && len(r.AtLeast) > 0 {
		left := time.Until(deadline)
		wait = max(0, min(longestWait, left-left/waitShare))
	}
	if wait != 0 {
		w.Wait = (*Seconds)(&wait)
	}
	b, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode the check of workflow %s: %w", r.Workflow, err)
	}
	return b, nil
}

// do makes a request, again where that may help and the budget allows it.
func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		b, err := c.once(ctx, method, path, body)
		if err == nil {
			c.budget.succeeded()
			return b, nil
		}
		wait, again := retryAfter(err, attempt)
		if !again || ctx.Err() != nil || !c.budget.spend() {
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		case <-timer.C:
		}
	}
}

func (c *Client) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	r.Header.Set("User-Agent", c.cfg.Agent)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Token != nil {
		token, err := c.cfg.Token()
		if err != nil {
			return nil, fmt.Errorf("get the token: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r, nil
}

const largestAnswer = 64 << 20

func (c *Client) once(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	r, err := c.request(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.cfg.HTTP.Do(r)
	if err != nil {
		return nil, &unreachableError{err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, largestAnswer))
	if err != nil {
		return nil, &unreachableError{err}
	}
	if resp.StatusCode != http.StatusOK {
		return nil, problemOf(resp, b)
	}
	return b, nil
}

// unreachableError is that of a request without an answer.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// Unreachable says whether an error is that nobody has answered.
func Unreachable(err error) bool {
	var u *unreachableError
	return errors.As(err, &u)
}

func problemOf(resp *http.Response, b []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(b, p) != nil || p.Title == "" {
		p.Title, p.Detail = http.StatusText(resp.StatusCode), strings.TrimSpace(string(b[:min(len(b), 200)]))
	}
	p.Status = resp.StatusCode
	p.retryAfter = parseRetryAfter(resp.Header.Get("Retry-After"))
	return p
}
