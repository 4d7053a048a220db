package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// maxLogEntry bounds one line of the JSON form of logs.
const maxLogEntry = 1 << 20

var _ api.Service = (*Client)(nil)

// get asks for path and decodes the answer.
func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var v T
	res, err := c.do(ctx, call{method: http.MethodGet, path: path})
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	return v, decodeAnswer(res, &v)
}

// write sends q and reads what became of it.
func (c *Client) write(ctx context.Context, q call) (api.Written, error) {
	res, err := c.do(ctx, q)
	if err != nil {
		return api.Written{}, err
	}
	defer res.Body.Close()
	wr := getWritten(res.Header)
	if err := decodeAnswer(res, &wr.Job); err != nil {
		return api.Written{}, fmt.Errorf("the write was accepted, but: %w", err)
	}
	return wr, nil
}

// Submit implements api.Service.
func (c *Client) Submit(ctx context.Context, job api.Job) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodPost, path: pathJobs, body: job.Spec()})
}

// Jobs implements api.Service.
func (c *Client) Jobs(ctx context.Context) ([]api.Job, error) {
	return get[[]api.Job](ctx, c, pathJobs)
}

// Job implements api.Service.
func (c *Client) Job(ctx context.Context, name string) (api.Job, error) {
	return get[api.Job](ctx, c, fill(pathJob, name))
}

// Remove implements api.Service.
func (c *Client) Remove(ctx context.Context, name string) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodDelete, path: fill(pathJob, name)})
}

// Scale implements api.Service.
func (c *Client) Scale(ctx context.Context, name string, replicas int) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodPost, path: fill(pathScale, name), body: scaling{Replicas: &replicas}})
}

// Stop implements api.Service.
func (c *Client) Stop(ctx context.Context, name string) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodPost, path: fill(pathStop, name)})
}

// Restart implements api.Service.
func (c *Client) Restart(ctx context.Context, name string) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodPost, path: fill(pathRestart, name)})
}

// Tasks implements api.Service.
func (c *Client) Tasks(ctx context.Context, f api.TaskFilter) ([]api.Task, error) {
	q := url.Values{}
	for key, value := range map[string]string{"job": f.Job, "node": f.Node, "state": string(f.State)} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.All {
		q.Set("all", "true")
	}
	return get[[]api.Task](ctx, c, withQuery(pathTasks, q))
}

// Task implements api.Service.
func (c *Client) Task(ctx context.Context, id string) (api.Task, error) {
	return get[api.Task](ctx, c, fill(pathTask, id))
}

// Logs implements api.Service. When a followed task's node goes away, the error
// says so; lines that came before it have been passed on.
func (c *Client) Logs(ctx context.Context, id string, o api.LogOptions, each func(api.LogLine) error) error {
	q := url.Values{"tail": {strconv.Itoa(o.Tail)}}
	if o.Tail < 0 {
		q.Set("tail", "all")
	}
	if o.Follow {
		q.Set("follow", "true")
	}
	if !o.Since.IsZero() {
		q.Set("since", o.Since.UTC().Format(time.RFC3339Nano))
	}
	if len(o.Streams) > 0 {
		q.Set("stream", strings.Join(o.Streams, ","))
	}
	res, err := c.do(ctx, call{method: http.MethodGet, path: withQuery(fill(pathLogs, id), q), accept: mediaLines})
	if err != nil {
		return err
	}
	defer res.Body.Close() // also ends a stream that goes on
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLogEntry)
	for lines.Scan() {
		e := logEntry{&api.LogLine{}, &logFault{}}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("logs of %s: the answer is not in the form of orch's API: %w", id, err)
		}
		if e.Code != "" {
			return &api.Error{Code: e.Code, Detail: e.logFault.Error, Hint: e.Hint}
		}
		if err := each(*e.LogLine); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("logs of %s: the connection broke: %w", id, err)
	case err != nil:
		return fmt.Errorf("logs of %s: %w", id, err)
	}
	return nil
}

// Auction implements api.Service.
func (c *Client) Auction(ctx context.Context, id string) (api.Sheet, error) {
	return get[api.Sheet](ctx, c, fill(pathAuction, id))
}

// Nodes implements api.Service.
func (c *Client) Nodes(ctx context.Context) ([]api.Node, error) {
	return get[[]api.Node](ctx, c, pathNodes)
}

// Node implements api.Service.
func (c *Client) Node(ctx context.Context, id string) (api.Node, error) {
	return get[api.Node](ctx, c, fill(pathNode, id))
}

// RemoveNode implements api.Service.
func (c *Client) RemoveNode(ctx context.Context, id string) (api.Node, error) {
	return c.nodeCall(ctx, call{method: http.MethodDelete, path: fill(pathNode, id)})
}

// DrainNode implements api.Service.
func (c *Client) DrainNode(ctx context.Context, id string) (api.Node, error) {
	return c.nodeCall(ctx, call{method: http.MethodPost, path: fill(pathDrain, id)})
}

// ResumeNode implements api.Service.
func (c *Client) ResumeNode(ctx context.Context, id string) (api.Node, error) {
	return c.nodeCall(ctx, call{method: http.MethodPost, path: fill(pathResume, id)})
}

// Leave implements api.Service.
func (c *Client) Leave(ctx context.Context, force bool) error {
	res, err := c.do(ctx, call{method: http.MethodPost, path: pathLeave, body: leaving{Force: force}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return decodeAnswer(res, &leaving{})
}

// nodeCall is a call that is answered with a node.
func (c *Client) nodeCall(ctx context.Context, what call) (api.Node, error) {
	res, err := c.do(ctx, what)
	if err != nil {
		return api.Node{}, err
	}
	defer res.Body.Close()
	var node api.Node
	return node, decodeAnswer(res, &node)
}

// Ready implements api.Service.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.Raw(ctx, pathReady)
	return err
}

// Version implements api.Service.
func (c *Client) Version(ctx context.Context) (api.Version, error) {
	return get[api.Version](ctx, c, pathVersion)
}

// withQuery appends q to path.
func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
