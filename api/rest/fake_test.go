package rest_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

const nodeA, nodeB = api.NodeID("12D3KooWAAAAaaaa0001"), api.NodeID("12D3KooWBBBBbbbb0002")

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123456789, time.UTC)

// fake is a Service over a map of jobs.
type fake struct {
	mu       sync.Mutex // guards all below
	stored   map[string]api.Job
	err      error // what every call fails with
	disks    int   // of 3, for writes
	calls    []string
	filter   api.TaskFilter
	logOpts  api.LogOptions
	lines    []api.LogLine
	follow   chan api.LogLine // when following, after lines; closed at the task's end
	logErr   error            // after lines
	logEnded chan error       // gets what each, or ctx, ended Logs with
}

func newFake() *fake {
	return &fake{stored: map[string]api.Job{}, disks: 3, logEnded: make(chan error, 10)}
}

// call notes that a method was called and returns what it is to fail with.
func (f *fake) call(name string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprint(append([]any{name}, args...)...))
	return f.err
}

func (f *fake) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fake) get(name string) (api.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	job, ok := f.stored[name]
	if !ok {
		return job, api.Errorf(api.JobNotFound, "there is no job %q", name).WithHint("orch jobs lists them")
	}
	return job, nil
}

func (f *fake) put(job api.Job) api.Written {
	f.mu.Lock()
	defer f.mu.Unlock()
	generation := job.Generation + 1
	job = job.Spec()
	job.Generation = generation
	job.ID, job.ETag, job.CreatedAt, job.UpdatedAt = job.Name+"-1", fmt.Sprintf("%d-abcd", job.Generation), noon, noon
	job.Coordinator = nodeA
	job.Status = &api.Status{State: api.JobPending, Wanted: job.Replicas, Pending: job.Replicas}
	f.stored[job.Name] = job
	return api.Written{Job: job, Disks: f.disks, Wanted: 3}
}

func (f *fake) Submit(_ context.Context, job api.Job) (api.Written, error) {
	if err := f.call("submit ", job.Name); err != nil {
		return api.Written{}, err
	}
	if err := job.Validate(); err != nil {
		return api.Written{}, err
	}
	if there, err := f.get(job.Name); err == nil {
		e := api.Errorf(api.JobExists, "the job %s exists", job.Name)
		e.Current = &there
		return api.Written{}, e
	}
	return f.put(job), nil
}

func (f *fake) Jobs(context.Context) ([]api.Job, error) {
	if err := f.call("jobs"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []api.Job{}
	for _, name := range slices.Sorted(maps.Keys(f.stored)) {
		list = append(list, f.stored[name])
	}
	return list, nil
}

func (f *fake) Job(_ context.Context, name string) (api.Job, error) {
	if err := f.call("job ", name); err != nil {
		return api.Job{}, err
	}
	return f.get(name)
}

// change is every write to a job that is there.
func (f *fake) change(what, name string, do func(*api.Job) bool) (api.Written, error) {
	if err := f.call(what, " ", name); err != nil {
		return api.Written{}, err
	}
	job, err := f.get(name)
	if err != nil {
		return api.Written{}, err
	}
	if !do(&job) {
		return api.Written{Job: job, Disks: f.disks, Wanted: 3, Existed: true}, nil
	}
	return f.put(job), nil
}

func (f *fake) Remove(_ context.Context, name string) (api.Written, error) {
	wr, err := f.change("remove", name, func(*api.Job) bool { return true })
	if err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.stored, name)
		wr.Job.Status.State = api.JobRemoving
	}
	return wr, err
}

func (f *fake) Scale(_ context.Context, name string, n int) (api.Written, error) {
	return f.change("scale", name, func(j *api.Job) bool {
		same := j.Replicas == n
		j.Replicas = n
		return !same
	})
}

func (f *fake) Stop(_ context.Context, name string) (api.Written, error) {
	return f.change("stop", name, func(*api.Job) bool { return true })
}

func (f *fake) Restart(_ context.Context, name string) (api.Written, error) {
	return f.change("restart", name, func(*api.Job) bool { return true })
}

func oneTask() api.Task {
	code := 3
	return api.Task{ID: "web.0", Attempt: "web.0@2", Job: "web", Life: 1, Epoch: 2, TemplateHash: "0123", State: api.Running,
		Desired: "running", Node: nodeA, NodeName: "n1", Driver: "docker", Image: "nginx", Resources: api.Resources{CPUs: 250, Memory: 64 << 20},
		Ports: []api.Port{{Target: 80, Published: 8080, Protocol: "tcp", Mode: "host"}}, ExitCode: &code, CreatedAt: noon, StartedAt: &noon}
}

func (f *fake) Tasks(_ context.Context, filter api.TaskFilter) ([]api.Task, error) {
	if err := f.call("tasks"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	if filter.Job == "none" {
		return nil, nil
	}
	return []api.Task{oneTask()}, nil
}

func (f *fake) task(id string) error {
	want, err := api.ParseTaskID(id)
	if err == nil && (want.Slot() != "web.0" || want.Epoch > 2) {
		err = api.Errorf(api.TaskNotFound, "there is no task %s", id)
	}
	return err
}

func (f *fake) Task(_ context.Context, id string) (api.Task, error) {
	if err := f.call("task ", id); err != nil {
		return api.Task{}, err
	}
	if err := f.task(id); err != nil {
		return api.Task{}, err
	}
	return oneTask(), nil
}

func (f *fake) Logs(ctx context.Context, id string, o api.LogOptions, each func(api.LogLine) error) (err error) {
	if err := f.call("logs ", id); err != nil {
		return err
	}
	defer func() { f.logEnded <- err }()
	if err := f.task(id); err != nil {
		return err
	}
	f.mu.Lock()
	f.logOpts = o
	lines, follow, logErr := f.lines, f.follow, f.logErr
	f.mu.Unlock()
	for _, l := range lines {
		if err := each(l); err != nil {
			return err
		}
	}
	for o.Follow && follow != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case l, ok := <-follow:
			if !ok {
				return logErr
			}
			if err := each(l); err != nil {
				return err
			}
		}
	}
	return logErr
}

func (f *fake) Auction(_ context.Context, id string) (api.Sheet, error) {
	if err := f.call("auction ", id); err != nil {
		return api.Sheet{}, err
	}
	if id != "web.0" {
		return api.Sheet{}, api.Errorf(api.AuctionExpired, "the sheet is gone")
	}
	return api.Sheet{ID: "7f3a", Job: "web", Slots: []int{0}, Auctioneer: nodeA, StartedAt: noon, Known: 2,
		Bids: []api.SheetBid{{Node: nodeB, Scores: []float64{0.875, 0.5}, Terms: []api.Term{{Name: "fit", Value: 1, Weight: 2}},
			Refusal: &api.Refusal{Code: "no_room", Retry: "after", After: api.Duration(time.Second)}}},
		NotAsked: []api.NotAsked{}, Awards: []api.SheetRow{{Node: nodeB, Score: 0.875, Outcome: "accepted"}}, CallMS: 1.25}, nil
}

func (f *fake) Nodes(context.Context) ([]api.Node, error) {
	if err := f.call("nodes"); err != nil {
		return nil, err
	}
	return []api.Node{oneNode()}, nil
}

func oneNode() api.Node {
	return api.Node{ID: nodeA, ShortID: nodeA.Short(), Name: "n1", Status: api.NodeReady, Self: true, Labels: map[string]string{"zone": "eu"},
		Drivers: []string{"docker"}, Capacity: api.Resources{CPUs: 4000, Memory: 8 << 30}, SeenAt: noon, Restarting: api.Duration(time.Minute)}
}

func (f *fake) Node(_ context.Context, id string) (api.Node, error) {
	if err := f.call("node ", id); err != nil {
		return api.Node{}, err
	}
	if id != "n1" {
		return api.Node{}, api.Errorf(api.NodeNotFound, "there is no node %q", id)
	}
	return oneNode(), nil
}

func (f *fake) RemoveNode(_ context.Context, id string) (api.Node, error) {
	if err := f.call("removenode ", id); err != nil {
		return api.Node{}, err
	}
	if id == "n1" {
		return api.Node{}, api.Errorf(api.NodeAlive, "the node n1 is alive").WithHint("orch leave on it")
	}
	n := oneNode()
	n.Status = api.NodeLeft
	return n, nil
}

func (f *fake) DrainNode(_ context.Context, id string) (api.Node, error) {
	n := oneNode()
	n.Status = api.NodeDraining
	return n, f.call("drainnode ", id)
}

func (f *fake) ResumeNode(_ context.Context, id string) (api.Node, error) {
	return oneNode(), f.call("resumenode ", id)
}

func (f *fake) Leave(_ context.Context, force bool) error {
	return f.call("leave ", strconv.FormatBool(force))
}

func (f *fake) Ready(context.Context) error { return f.call("ready") }

func (f *fake) Version(context.Context) (api.Version, error) {
	return api.Version{Version: "0.1.0", Wire: [2]int{1, 2}, Go: "go1.26"}, f.call("version")
}

func testView() api.View {
	return api.View{Node: nodeA, Name: "n1", Alive: 2, Known: 3, Synced: true}
}

func silent() logrus.FieldLogger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.SetLevel(logrus.DebugLevel)
	return l
}

// serve answers for svc; change may be nil.
func serve(t *testing.T, svc api.Service, change func(*rest.Config)) *httptest.Server {
	t.Helper()
	cfg := rest.Config{Service: svc, View: testView, Log: silent()}
	if change != nil {
		change(&cfg)
	}
	s := httptest.NewUnstartedServer(nil)
	s.Config = rest.NewServer(cfg).HTTP()
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, token string, addresses ...string) *rest.Client {
	t.Helper()
	c, err := rest.NewClient(addresses, token)
	if err != nil {
		t.Fatalf("NewClient(%v): %v", addresses, err)
	}
	t.Cleanup(c.Close)
	return c
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// ask sends one request, as given, and returns the answer with its body.
func ask(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: read: %v", req.Method, req.URL, err)
	}
	return res, string(body)
}
