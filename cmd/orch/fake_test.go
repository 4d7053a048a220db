package main

// The tests are in the package itself: a program exports nothing, and newRoot
// with an Env is its whole surface.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// base is the time of all tests that do not wait.
var base = time.Date(2026, 1, 2, 18, 40, 6, 0, time.UTC)

// A fake is a cluster that answers what a test says. A call that the test does
// not expect meets the nil Service and panics.
type fake struct {
	api.Service
	view   api.View
	seen   bool // the view is known
	nodes  []api.Node
	sheets map[string]api.Sheet
	logs   map[string]func(context.Context, api.LogOptions, func(api.LogLine) error) error
	// tasks is asked with the number of the look, from 1.
	tasks func(look int) ([]api.Task, error)
	err   error       // of every call
	after func(*fake) // called after each write

	mu    sync.Mutex // guards what follows
	jobs  []api.Job
	looks int
	calls []string // the writes
	disks int
	token string
}

func (f *fake) did(format string, args ...any) {
	f.mu.Lock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	f.mu.Unlock()
	if f.after != nil {
		f.after(f)
	}
}

func (f *fake) find(name string) (int, error) {
	for i, j := range f.jobs {
		if j.Name == name {
			return i, nil
		}
	}
	return 0, api.Errorf(api.JobNotFound, "there is no job %s", name)
}

func (f *fake) Submit(_ context.Context, job api.Job) (api.Written, error) {
	if f.err != nil {
		return api.Written{}, f.err
	}
	f.mu.Lock()
	if i, err := f.find(job.Name); err == nil {
		defer f.mu.Unlock()
		return api.Written{}, &api.Error{Code: api.JobExists, Detail: "a job of that name is there", Current: &f.jobs[i]}
	}
	job.Generation = 1
	f.jobs = append(f.jobs, job)
	f.mu.Unlock()
	f.did("submit %s", job.Name)
	return api.Written{Job: job, Disks: f.disks, Wanted: 3}, nil
}

func (f *fake) Jobs(context.Context) ([]api.Job, error) { return f.jobs, f.err }

func (f *fake) Job(_ context.Context, name string) (api.Job, error) {
	if f.err != nil {
		return api.Job{}, f.err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.find(name)
	if err != nil {
		return api.Job{}, err
	}
	return f.jobs[i], nil
}

// write changes a job.
func (f *fake) write(name, what string, change func(*api.Job)) (api.Written, error) {
	if f.err != nil {
		return api.Written{}, f.err
	}
	f.mu.Lock()
	i, err := f.find(name)
	if err != nil {
		f.mu.Unlock()
		return api.Written{}, err
	}
	change(&f.jobs[i])
	w := api.Written{Job: f.jobs[i], Disks: f.disks, Wanted: 3}
	f.mu.Unlock()
	f.did("%s %s", what, name)
	return w, nil
}

func (f *fake) Remove(_ context.Context, name string) (api.Written, error) {
	w, err := f.write(name, "remove", func(*api.Job) {})
	f.mu.Lock()
	defer f.mu.Unlock()
	if i, missing := f.find(name); err == nil && missing == nil {
		f.jobs = append(f.jobs[:i:i], f.jobs[i+1:]...)
	}
	return w, err
}

func (f *fake) Scale(_ context.Context, name string, n int) (api.Written, error) {
	return f.write(name, fmt.Sprintf("scale to %d", n), func(j *api.Job) { j.Replicas = n })
}

func (f *fake) Stop(_ context.Context, name string) (api.Written, error) {
	return f.write(name, "stop", func(j *api.Job) { j.Status = &api.Status{State: api.JobStopped} })
}

func (f *fake) Restart(_ context.Context, name string) (api.Written, error) {
	return f.write(name, "restart", func(j *api.Job) { j.Status = nil })
}

// Tasks passes on what the test says, filtered by job and state.
func (f *fake) Tasks(_ context.Context, filter api.TaskFilter) ([]api.Task, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.mu.Lock()
	f.looks++
	look := f.looks
	f.mu.Unlock()
	all, err := f.tasks(look)
	var some []api.Task
	for _, t := range all {
		if (filter.Job == "" || t.Job == filter.Job) && (filter.State == "" || t.State == filter.State) &&
			(filter.Node == "" || t.NodeName == filter.Node) {
			some = append(some, t)
		}
	}
	return some, err
}

func (f *fake) Task(_ context.Context, id string) (api.Task, error) {
	if f.err != nil {
		return api.Task{}, f.err
	}
	all, err := f.tasks(1)
	for _, t := range all {
		if t.ID == id || t.Attempt == id {
			return t, err
		}
	}
	return api.Task{}, api.Errorf(api.TaskNotFound, "there is no task %s", id)
}

func (f *fake) Auction(_ context.Context, id string) (api.Sheet, error) {
	if s, ok := f.sheets[id]; ok {
		return s, nil
	}
	return api.Sheet{}, api.Errorf(api.AuctionExpired, "the sheet of %s is not kept any more", id)
}

func (f *fake) Logs(ctx context.Context, id string, o api.LogOptions, each func(api.LogLine) error) error {
	if read, ok := f.logs[id]; ok {
		return read(ctx, o, each)
	}
	return api.Errorf(api.NodeUnreachable, "node unreachable")
}

func (f *fake) Nodes(context.Context) ([]api.Node, error) { return f.nodes, f.err }

func (f *fake) RemoveNode(_ context.Context, id string) (api.Node, error) {
	for _, n := range f.nodes {
		if n.Name == id && n.Status == api.NodeReady {
			return n, api.Errorf(api.NodeAlive, "node %s is alive", id)
		} else if n.Name == id {
			return n, nil
		}
	}
	return api.Node{}, api.Errorf(api.NodeNotFound, "there is no node %s", id)
}

func (f *fake) DrainNode(ctx context.Context, id string) (api.Node, error) {
	if n, err := f.Node(ctx, id); err != nil {
		return n, err
	}
	for i := range f.nodes {
		if f.nodes[i].Name == id {
			f.nodes[i].Status = api.NodeDrained
		}
	}
	return f.Node(ctx, id)
}

func (f *fake) ResumeNode(ctx context.Context, id string) (api.Node, error) { return f.Node(ctx, id) }

func (f *fake) Node(_ context.Context, id string) (api.Node, error) {
	for _, n := range f.nodes {
		if n.Name == id || string(n.ID) == id || id == "self" && n.Self {
			return n, f.err
		}
	}
	return api.Node{}, api.Errorf(api.NodeNotFound, "there is no node %s", id)
}

// Leave makes the agent unreachable, as it is once it has left.
func (f *fake) Leave(context.Context, bool) error {
	f.tasks = func(int) ([]api.Task, error) { return nil, rest.ErrUnreachable }
	return f.err
}

func (f *fake) Version(context.Context) (api.Version, error) {
	return api.Version{Version: "9.9.9", Wire: [2]int{1, 2}, Go: "go1", OS: "plan9", Arch: "mips", Commit: "abc"}, f.err
}

func (f *fake) View() (api.View, bool) { return f.view, f.seen }

// Raw is what a server would answer.
func (f *fake) Raw(_ context.Context, path string) ([]byte, error) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := rest.NewServer(rest.Config{Service: f, View: func() api.View { return f.view }, Log: log})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
	if w.Code != 200 {
		return nil, fmt.Errorf("GET %s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.Bytes(), nil
}

// A result is what one command line did.
type result struct {
	code     int
	out, err string
}

// A terminal is a stream that claims to be one.
type terminal struct{ bytes.Buffer }

// A setup is how orch is called.
type setup struct {
	ctx      context.Context
	env      map[string]string
	stdin    string
	now      func() time.Time
	terminal bool
	args     []string
}

// call runs one command line against f; nil is a client over HTTP.
func call(f *fake, s setup) result {
	var out, errs terminal
	env := &Env{
		Stdin: strings.NewReader(s.stdin), Stdout: &out, Stderr: &errs,
		Getenv:     func(key string) string { return s.env[key] },
		IsTerminal: func(stream any) bool { return s.terminal },
		Now:        func() time.Time { return base },
	}
	if s.now != nil {
		env.Now = s.now
	}
	if f != nil {
		env.connect = func(endpoints []string, token string) (client, error) {
			if _, err := rest.NewClient(endpoints, token); err != nil {
				return nil, err
			}
			f.token = token
			return f, nil
		}
	}
	if s.ctx == nil {
		s.ctx = context.Background()
	}
	code := execute(s.ctx, env, s.args)
	return result{code, out.String(), errs.String()}
}

// orch is call with words alone.
func orch(f *fake, args ...string) result { return call(f, setup{args: args}) }

// checkGolden compares got with testdata/name.golden, or writes it if the
// environment has UPDATE_GOLDEN.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant, as in %s:\n%s", got, file, want)
	}
}

// text is all of r, for a golden file.
func (r result) text() string {
	return fmt.Sprintf("%s--- stderr\n%s--- exit %d\n", r.out, r.err, r.code)
}

func pointer[T any](v T) *T { return &v }

// task makes a task of web.
func task(index int, state api.TaskState, node string) api.Task {
	t := api.Task{
		ID: fmt.Sprintf("web.%d", index), Attempt: fmt.Sprintf("web.%d@1", index), Job: "web", Life: 7, Index: index, Epoch: 1,
		TemplateHash: "aaaa", State: state, Desired: "running", Driver: "docker", Image: "nginx:1.27",
		Resources: api.Resources{CPUs: 250, Memory: 64 << 20}, Ports: []api.Port{},
		CreatedAt: base.Add(-2 * time.Hour),
	}
	if node != "" {
		t.Node, t.NodeName = api.NodeID("12D3KooW"+node+strings.Repeat("x", 8)), node
		t.StartedAt = pointer(base.Add(-time.Hour))
	} else {
		t.Attempt, t.Epoch = t.ID, 0
	}
	return t
}

func because(t api.Task, reason string) api.Task {
	t.Reason = reason
	return t
}
