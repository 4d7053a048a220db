package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/exitae337/orchestergo/api"
)

// ErrUnreachable is in the error of a Client when no endpoint answered: none could
// be connected to or, for a read, the connection broke. Of a write nothing was sent.
var ErrUnreachable = errors.New("no orch API can be reached")

// ErrOutcomeUnknown is in the error of a write whose connection broke after the
// request went out: it may or may not have happened.
var ErrOutcomeUnknown = errors.New("the connection broke after the request was sent, so it may or may not have happened")

// maxAnswer bounds what the client reads of one answer that is no stream.
const maxAnswer = 256 << 20

// Client is an api.Service that asks over HTTP. Its refusals are the *api.Error
// that the node's own Service gave. It keeps to the endpoint that answered last,
// and goes on to the next when one cannot be connected to; reads and writes to jobs
// also when the connection breaks: each of these writes has a key by which the
// nodes know it again. Calls take as long as their context. It is safe for
// concurrent use.
type Client struct {
	token     string
	endpoints []*endpoint

	mu   sync.Mutex // guards what follows
	at   int        // the endpoint that answered last
	view api.View
	seen bool
}

// NewClient makes a Client of addresses, tried in that order: "host:port",
// "http://host:port" or "unix:///path". The token is sent if not empty. Nothing
// is dialled yet.
func NewClient(endpoints []string, token string) (*Client, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("no address of an API is given")
	}
	if strings.ContainsAny(token, "\r\n\x00") {
		return nil, errors.New("the token has a line break in it")
	}
	c := &Client{token: token}
	for _, s := range endpoints {
		e, err := newEndpoint(s)
		if err != nil {
			return nil, err
		}
		c.endpoints = append(c.endpoints, e)
	}
	return c, nil
}

// Close closes connections that are idle. Calls under way go on.
func (c *Client) Close() {
	for _, e := range c.endpoints {
		e.reads.CloseIdleConnections()
	}
}

// View is what the node that answered last said of its view of the cluster, with
// its short id as Node; false if none has answered yet.
func (c *Client) View() (api.View, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view, c.seen
}

// Raw returns the body of the answer to a GET, byte for byte. The path has its
// query and begins with "/".
func (c *Client) Raw(ctx context.Context, path string) ([]byte, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("get %.200q: a path begins with /", path)
	}
	res, err := c.do(ctx, call{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return readAnswer(res)
}

// A call is one request.
type call struct {
	method string
	path   string // with the query
	body   any    // sent as JSON unless nil
	accept string
	opts   api.WriteOptions // of a write to a job; with a key it may be sent more than once
}

// do sends q to the first endpoint that answers, a write without a key to no more
// than one. The answer is one of success, and its body is the caller's to close.
func (c *Client) do(ctx context.Context, q call) (*http.Response, error) {
	var tried []string
	var unknown error // a write that may have arrived somewhere
	c.mu.Lock()
	first := c.at
	c.mu.Unlock()
	for i := range c.endpoints {
		n := (first + i) % len(c.endpoints)
		e := c.endpoints[n]
		req, err := e.request(ctx, q, c.token)
		if err != nil {
			return nil, err
		}
		res, sent, err := e.send(req)
		switch {
		case err == nil:
			res, err = c.answered(n, res)
			if unknown == nil || Status(api.CodeOf(err)) != http.StatusServiceUnavailable {
				return res, err
			}
		case sent && !isRead(q.method):
			unknown = fmt.Errorf("%s: %w (%w)", e.name, ErrOutcomeUnknown, err)
			if q.opts.Key == "" || ctx.Err() != nil {
				return nil, unknown
			}
		case ctx.Err() != nil && unknown == nil:
			return nil, fmt.Errorf("ask %s: %w", e.name, ctx.Err())
		}
		tried = append(tried, e.name+": "+err.Error())
	}
	if unknown != nil {
		return nil, unknown
	}
	return nil, fmt.Errorf("%w: %s", ErrUnreachable, strings.Join(tried, "; "))
}

// answered notes who answered, and turns an answer without success into an error.
func (c *Client) answered(n int, res *http.Response) (*http.Response, error) {
	view, ok := getView(res.Header)
	c.mu.Lock()
	c.at = n
	if ok {
		c.view, c.seen = view, true
	}
	c.mu.Unlock()
	success := res.StatusCode >= 200 && res.StatusCode < 300
	if ok && success {
		return res, nil
	}
	defer res.Body.Close()
	if success {
		return nil, fmt.Errorf("%s answers, but is not the API of orch (is another program on that port?)", c.endpoints[n].name)
	}
	return nil, readProblem(res)
}

// request is q for e.
func (e *endpoint) request(ctx context.Context, q call, token string) (*http.Request, error) {
	var body io.Reader
	if q.body != nil {
		b, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, e.base+q.path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", mediaJSON)
	}
	if q.accept != "" {
		req.Header.Set("Accept", q.accept)
	}
	setWriteOptions(req.Header, q.opts)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// send sends req once. Unless sent, there was no connection and nothing of it can
// have arrived.
func (e *endpoint) send(req *http.Request) (res *http.Response, sent bool, err error) {
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	client := e.writes
	if isRead(req.Method) {
		client = e.reads
	}
	res, err = client.Do(req.WithContext(ctx))
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the method and address, which the caller knows
	}
	return res, connected.Load(), err
}

// readAnswer reads a whole body.
func readAnswer(res *http.Response) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("the answer is over %d bytes", maxAnswer)
	}
	return b, nil
}

// decodeAnswer reads a whole body into v. Fields that are not known are skipped:
// newer nodes add some.
func decodeAnswer(res *http.Response, v any) error {
	b, err := readAnswer(res)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("the answer is not in the form of orch's API: %w", err)
	}
	return nil
}
