package rest

import (
	"bufio"
	"context"
	"crypto/rand"
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

// write sends q, which changes a job, and reads what became of it. Its key lets it
// be sent again to another endpoint when nobody knows whether it arrived.
func (c *Client) write(ctx context.Context, q call, o api.WriteOptions) (api.Written, error) {
	if o.Key == "" {
		o.Key = rand.Text()
	}
	q.opts = o
	res, err := c.do(ctx, q)
	if err != nil {
		return api.Written{}, err
	}
	defer res.Body.Close()
	wr := getWritten(res.Header)
	if err := decodeAnswer(res, &wr.Job); err != nil {
		return api.Written{}, fmt.Errorf("the write was accepted, but: %w", err)
	}
	wr.Job.Durability = nil // Disks and Wanted say it
	return wr, nil
}

// Submit implements api.Service.
func (c *Client) Submit(ctx context.Context, job api.Job, o api.WriteOptions) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodPost, path: pathJobs, body: job.Spec()}, o)
}

// Put implements api.Service.
func (c *Client) Put(ctx context.Context, job api.Job, o api.WriteOptions) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodPut, path: fill(pathJob, job.Name), body: job.Spec()}, o)
}

// Jobs implements api.Service.
func (c *Client) Jobs(ctx context.Context) ([]api.Job, error) {
	return get[[]api.Job](ctx, c, pathJobs)
}

// Job implements api.Service.
func (c *Client) Job(ctx context.Context, name string) (api.Job, error) {
	return get[api.Job](ctx, c, fill(pathJob, name))
}

// Plan implements api.Service.
func (c *Client) Plan(ctx context.Context, job api.Job, create bool, o api.WriteOptions) (api.Job, error) {
	q := call{method: http.MethodPut, path: fill(pathJob, job.Name), body: job.Spec(), opts: o}
	if create {
		q.method, q.path = http.MethodPost, pathJobs
	}
	q.path += "?dry_run=true"
	var planned api.Job
	res, err := c.do(ctx, q)
	if err != nil {
		return planned, err
	}
	defer res.Body.Close()
	return planned, decodeAnswer(res, &planned)
}

// History implements api.Service.
func (c *Client) History(ctx context.Context, name string) ([]api.Generation, error) {
	return get[[]api.Generation](ctx, c, fill(pathHistory, name))
}

// Generation implements api.Service.
func (c *Client) Generation(ctx context.Context, name, which string) (api.Job, error) {
	return get[api.Job](ctx, c, withQuery(fill(pathJob, name), url.Values{"generation": {which}}))
}

// Remove implements api.Service.
func (c *Client) Remove(ctx context.Context, name string, o api.WriteOptions) (api.Written, error) {
	q := url.Values{}
	if o.Force {
		q.Set("force", "true")
	}
	return c.write(ctx, call{method: http.MethodDelete, path: withQuery(fill(pathJob, name), q)}, o)
}

// Scale implements api.Service.
func (c *Client) Scale(ctx context.Context, name string, replicas int, o api.WriteOptions) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodPost, path: fill(pathScale, name), body: scaling{Replicas: &replicas}}, o)
}

// Stop implements api.Service.
func (c *Client) Stop(ctx context.Context, name string, o api.WriteOptions) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodPost, path: fill(pathStop, name)}, o)
}

// Restart implements api.Service.
func (c *Client) Restart(ctx context.Context, name string, o api.WriteOptions) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodPost, path: fill(pathRestart, name)}, o)
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

// RestartTask implements api.Service.
func (c *Client) RestartTask(ctx context.Context, id string) (api.Task, error) {
	res, err := c.do(ctx, call{method: http.MethodPost, path: fill(pathRestartTask, id)})
	if err != nil {
		return api.Task{}, err
	}
	defer res.Body.Close()
	var t api.Task
	return t, decodeAnswer(res, &t)
}

// Logs implements api.Service. When the node that is asked goes away, the error
// says so; lines that came before it have been passed on.
func (c *Client) Logs(ctx context.Context, names []string, o api.LogOptions, each func(api.LogLine) error) error {
	res, err := c.do(ctx, call{method: http.MethodGet, path: logsPath(names, o), accept: mediaLines})
	if err != nil {
		return err
	}
	defer res.Body.Close() // also ends a stream that goes on
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLogEntry)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue // says no more than that the node is there
		}
		var l api.LogLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("the answer is not in the form of orch's API: %w", err)
		}
		if l.Fault != nil && l.Task == "" && l.Node == "" {
			return l.Fault
		}
		if err := each(l); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the connection broke: %w", err)
	case err != nil:
		return fmt.Errorf("read logs: %w", err)
	}
	return nil
}

// logsPath is where the logs of names are, and the query for o.
func logsPath(names []string, o api.LogOptions) string {
	q := url.Values{"tail": {strconv.Itoa(o.Tail)}}
	if o.Tail < 0 {
		q.Set("tail", "all")
	}
	if o.Follow {
		q.Set("follow", "true")
	}
	for key, t := range map[string]time.Time{"since": o.Since, "until": o.Until} {
		if !t.IsZero() {
			q.Set(key, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if len(o.Streams) > 0 {
		q.Set("stream", strings.Join(o.Streams, ","))
	}
	switch {
	case len(names) != 1:
		q.Set("name", strings.Join(names, ","))
		return withQuery(pathAllLogs, q)
	case api.ValidJobName(names[0]):
		return withQuery(fill(pathJobLogs, names[0]), q)
	}
	return withQuery(fill(pathLogs, names[0]), q)
}

// Explain implements api.Service.
func (c *Client) Explain(ctx context.Context, name string) (api.Explanation, error) {
	return get[api.Explanation](ctx, c, ExplainPath(name))
}

// ExplainPath is where a job or a task is explained.
func ExplainPath(name string) string {
	if api.ValidJobName(name) {
		return fill(pathExplainJob, name)
	}
	return fill(pathExplain, name)
}

// Auction implements api.Service.
func (c *Client) Auction(ctx context.Context, id string, back int) (api.Sheet, error) {
	return get[api.Sheet](ctx, c, AuctionPath(id, back))
}

// AuctionPath is where the sheet of a task's auction is, or of one before it.
func AuctionPath(id string, back int) string {
	q := url.Values{}
	if back > 0 {
		q.Set("n", strconv.Itoa(back))
	}
	return withQuery(fill(pathAuction, id), q)
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

// CordonNode implements api.Service.
func (c *Client) CordonNode(ctx context.Context, id string) (api.Node, error) {
	return c.nodeCall(ctx, call{method: http.MethodPost, path: fill(pathCordon, id)})
}

// LabelNode implements api.Service.
func (c *Client) LabelNode(ctx context.Context, id string, change api.LabelChange) (api.Node, error) {
	return c.nodeCall(ctx, call{method: http.MethodPatch, path: fill(pathLabels, id), body: change})
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
