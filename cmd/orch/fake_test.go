package main

// The tests are in the package itself: a program exports nothing, and newRoot
// with an Env is its whole surface.

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
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
	past   map[string][]api.Attempt

	refusals []api.RefusalGroup
	logs     func(context.Context, []string, api.LogOptions, func(api.LogLine) error) error
	// tasks is asked with the number of the look, from 1.
	tasks  func(look int) ([]api.Task, error)
	err    error          // of every call
	drains api.NodeStatus // of a node after DrainNode; "" is drained at once
	after  func(*fake)    // called after each write
	events []api.Event
	// digests and strays are tables, and containers beside those of tasks, by the name
	// of the node; mute is a node whose engine does not answer.
	digests map[string]string
	strays  map[string][]api.Container
	mute    string
	// asides are what nodes have set aside, by their names.
	asides map[string][]api.Aside
	// joined and refused are the answer to a request to join.
	joined  api.Joined
	refused error
	// beforePut is somebody else's write, just before.
	beforePut func(*api.Job)

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

func (f *fake) Submit(_ context.Context, job api.Job, _ api.WriteOptions) (api.Written, error) {
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

// Put checks If-Match, and makes ETags of the generation.
func (f *fake) Put(_ context.Context, job api.Job, o api.WriteOptions) (api.Written, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.find(job.Name)
	if err != nil {
		return api.Written{}, err
	}
	f.calls = append(f.calls, fmt.Sprintf("put %s if %s", job.Name, o.IfMatch))
	if f.beforePut != nil {
		f.beforePut(&f.jobs[i])
	}
	if !o.Meets(f.jobs[i].ETag) {
		current := f.jobs[i]
		return api.Written{}, &api.Error{Code: api.Stale, Detail: "it is another", Current: &current}
	}
	job.Generation = f.jobs[i].Generation + 1
	job.ETag, job.Template, job.Status = fmt.Sprintf("%d-x", job.Generation), job.TemplateHash(0), f.jobs[i].Status
	f.jobs[i] = job
	return api.Written{Job: job, Disks: f.disks, Wanted: 3}, nil
}

// Plan has one slot that fits and one that does not.
func (f *fake) Plan(_ context.Context, job api.Job, create bool, o api.WriteOptions) (api.Job, error) {
	if _, err := f.find(job.Name); err == nil && create {
		return job, api.Errorf(api.JobExists, "a job of that name is there")
	} else if err != nil && o.IfMatch != "" {
		return job, api.Errorf(api.Stale, "it is not there")
	}
	job.Plan = &api.Plan{Action: "create", Slots: []api.PlanSlot{
		{Task: "web.0", Action: "create", Node: "12D3KooWhome", NodeName: "home", Score: 0.87125},
		{Task: "web.1", Action: "create", Reason: "home: no room"},
	}[:job.Replicas]}
	return job, nil
}

func (f *fake) History(context.Context, string) ([]api.Generation, error) {
	return []api.Generation{
		{Generation: 4, ETag: "4-9f3ac1d2", ID: "web-7", State: "current", Writer: "12D3KooWhome", WriterName: "home", Time: base.Add(-time.Hour), Image: "nginx:2", Replicas: 3, Changed: []string{"env", "image"}},
		{Generation: 4, ETag: "4-00000001", ID: "web-7", State: "void", Writer: "12D3KooWvps1", WriterName: "vps1", Time: base.Add(-time.Hour), Image: "nginx:1", Replicas: 9, Changed: []string{"replicas"}},
		{Generation: 3, ETag: "3-abcdabcd", ID: "web-7", State: "replaced", Time: base.Add(-2 * time.Hour), Image: "nginx:1", Replicas: 3, Changed: []string{}},
	}, f.err
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

func (f *fake) Remove(_ context.Context, name string, _ api.WriteOptions) (api.Written, error) {
	w, err := f.write(name, "remove", func(*api.Job) {})
	f.mu.Lock()
	defer f.mu.Unlock()
	if i, missing := f.find(name); err == nil && missing == nil {
		f.jobs = append(f.jobs[:i:i], f.jobs[i+1:]...)
	}
	return w, err
}

func (f *fake) Scale(_ context.Context, name string, n int, _ api.WriteOptions) (api.Written, error) {
	return f.write(name, fmt.Sprintf("scale to %d", n), func(j *api.Job) { j.Replicas = n })
}

func (f *fake) Stop(_ context.Context, name string, _ api.WriteOptions) (api.Written, error) {
	return f.write(name, "stop", func(j *api.Job) { j.Status = &api.Status{State: api.JobStopped} })
}

func (f *fake) Restart(_ context.Context, name string, _ api.WriteOptions) (api.Written, error) {
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
			(filter.Node == "" || string(t.Node) == filter.Node) {
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

// Explain tells of all tasks of a job, or one, with the awards of the sheets.
func (f *fake) Explain(ctx context.Context, name string) (e api.Explanation, err error) {
	id, _ := api.ParseTaskID(name)
	if e.Job, err = f.Job(ctx, cmp.Or(id.Job, name)); err != nil {
		return e, err
	}
	all, err := f.Tasks(ctx, api.TaskFilter{Job: e.Job.Name})
	e.Tasks = []api.TaskStory{}
	for _, t := range all {
		if id.Job != "" && t.ID != name {
			continue
		}
		s := api.TaskStory{Task: t, History: f.past[t.ID]}
		sheet := f.sheets[t.ID]
		if s.Because = sheet.Reason; len(sheet.Awards) > 0 {
			s.Task.Reason, s.Award = "", &sheet.Awards[0]
		}
		e.Tasks = append(e.Tasks, s)
	}
	slices.SortFunc(e.Tasks, func(a, b api.TaskStory) int { return a.Task.Index - b.Task.Index })
	e.Refusals = append([]api.RefusalGroup{}, f.refusals...)
	return e, err
}

func (f *fake) Auction(_ context.Context, id string, back int) (api.Sheet, error) {
	if s, ok := f.sheets[id]; ok && back == 0 {
		return s, nil
	}
	return api.Sheet{}, api.Errorf(api.AuctionExpired, "the sheet of %s is not kept any more", id)
}

// RestartTask has the task run with one restart more from the third look on.
func (f *fake) RestartTask(ctx context.Context, id string) (api.Task, error) {
	t, err := f.Task(ctx, id)
	if err != nil {
		return t, err
	}
	if t.State != api.Running {
		return t, api.Errorf(api.NotRunning, "task %s is %s", id, t.State)
	}
	f.did("restart task %s", id)
	t.State, t.Restarts = api.Starting, t.Restarts+1
	looks := 0
	f.tasks = func(int) ([]api.Task, error) {
		if looks++; looks > 2 {
			t.State = api.Running
		}
		return []api.Task{t}, nil
	}
	return t, nil
}

func (f *fake) Logs(ctx context.Context, names []string, o api.LogOptions, each func(api.LogLine) error) error {
	return f.logs(ctx, names, o, each)
}

func (f *fake) Events(_ context.Context, filter api.EventFilter, each func(api.Event) error) error {
	f.did("events %+v", filter)
	for _, e := range f.events {
		if err := each(e); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fake) WaitJob(ctx context.Context, name string, goal api.Goal) (api.Job, bool, error) {
	i, err := f.find(name)
	if err != nil {
		return api.Job{}, false, err
	}
	if j := f.jobs[i]; j.Status != nil && string(j.Status.State) == string(goal) {
		return j, true, nil
	}
	<-ctx.Done()
	return f.jobs[i], false, nil
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
			f.nodes[i].Status = cmp.Or(f.drains, api.NodeDrained)
		}
	}
	return f.Node(ctx, id)
}

func (f *fake) CordonNode(ctx context.Context, id string) (api.Node, error) {
	n, err := f.Node(ctx, id)
	n.Cordoned = true
	return n, err
}

// LabelNode has no label but zone given to it while the node runs.
func (f *fake) LabelNode(ctx context.Context, id string, change api.LabelChange) (api.Node, error) {
	n, err := f.Node(ctx, id)
	n.Labels = map[string]string{"zone": "eu"}
	for key, value := range change {
		if value != nil {
			n.Labels[key] = *value
		}
	}
	return n, err
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

func (f *fake) JoinCluster(_ context.Context, j api.Joining) (api.Joined, error) {
	f.did("join %s %v %s", j.Token, j.Peers, j.Timeout)
	return f.joined, f.refused
}

// Leave makes the agent unreachable, as it is once it has left.
func (f *fake) Leave(context.Context, bool) error {
	f.tasks = func(int) ([]api.Task, error) { return nil, rest.ErrUnreachable }
	return f.err
}

// NodeDigest, NodeView and NodeContainers answer for every node that is alive.
func (f *fake) NodeDigest(ctx context.Context, id string) (api.Digest, error) {
	n, err := f.Node(ctx, id)
	f.mu.Lock()
	defer f.mu.Unlock()
	return api.Digest{Node: n.ID, Name: n.Name, Digest: cmp.Or(f.digests[n.Name], "1a58423fd58c036a"), Records: 9}, err
}

func (f *fake) NodeView(ctx context.Context, _ string) ([]api.Node, error) { return f.Nodes(ctx) }

func (f *fake) NodeAsides(ctx context.Context, id string) ([]api.Aside, error) {
	n, err := f.Node(ctx, id)
	if f.mute == n.Name {
		return nil, api.Errorf(api.NodeUnreachable, "node %s cannot be reached: stream reset", n.Name)
	}
	return f.asides[n.Name], err
}

// Restore submits what is set aside.
func (f *fake) Restore(ctx context.Context, node string, r api.Restoring, o api.WriteOptions) (api.Written, error) {
	n, _ := f.Node(ctx, node)
	for _, a := range f.asides[n.Name] {
		if a.Job == r.Job && a.File == r.File {
			f.did("restore %s of %s from %s", r.Job, r.File, n.Name)
			return f.Submit(ctx, *a.Spec, o)
		}
	}
	return api.Written{}, api.Errorf(api.JobNotFound, "node %s has set aside no job %s", n.Name, r.Job)
}

// NodeContainers is what the tasks say that there is.
func (f *fake) NodeContainers(ctx context.Context, id string) ([]api.Container, error) {
	n, err := f.Node(ctx, id)
	if f.mute == n.Name {
		return nil, api.Errorf(api.NodeUnreachable, "node %s cannot be reached: stream reset", n.Name)
	}
	tasks, _ := f.tasks(f.looks)
	var held []api.Container
	for _, t := range tasks {
		if t.Node == n.ID && t.State == api.Running {
			held = append(held, api.Container{ID: "c-" + t.Attempt, Driver: t.Driver, Node: n.ID, Attempt: t.Attempt, Job: t.Job, Life: t.Life, Index: t.Index,
				Epoch: t.Epoch, Hash: t.TemplateHash, State: "running", Resources: t.Resources})
		}
	}
	return append(held, f.strays[n.Name]...), err
}

func (f *fake) Version(context.Context) (api.Version, error) {
	return api.Version{Version: "9.9.9", Wire: [2]int{1, 2}, Go: "go1", OS: "plan9", Arch: "mips", Commit: "abc"}, f.err
}

func (f *fake) View() (api.View, bool) { return f.view, f.seen }

// Raw is what a server would answer.
func (f *fake) Raw(_ context.Context, path string) ([]byte, error) {
	if f.err != nil {
		return nil, f.err
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := rest.NewServer(rest.Config{Service: f, View: func() api.View { return f.view }, Log: log})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
	if w.Code != 200 {
		var e api.Error
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("GET %s: %d %s", path, w.Code, w.Body)
		}
		return nil, &e
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

// environ lists what env has.
func environ(env map[string]string) (list []string) {
	for key, value := range env {
		list = append(list, key+"="+value)
	}
	return list
}

// call runs one command line against f; nil is a client over HTTP.
func call(f *fake, s setup) result {
	var out, errs terminal
	env := &Env{
		Stdin: strings.NewReader(s.stdin), Stdout: &out, Stderr: &errs,
		Getenv:     func(key string) string { return s.env[key] },
		Environ:    func() []string { return environ(s.env) },
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
