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
	opts     api.WriteOptions // of the last write
	logOpts  api.LogOptions
	lines    []api.LogLine
	follow   chan api.LogLine // when following, after lines; closed at the task's end
	logErr   error            // after lines
	logEnded chan error       // gets what each, or ctx, ended Logs with
	events   []api.Event      // what is kept
	happens  chan api.Event   // when following, after events; closed at the stream's end
	wanted   []api.EventFilter
	inVain   bool // WaitJob waits until ctx ends
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

func (f *fake) Submit(_ context.Context, job api.Job, o api.WriteOptions) (api.Written, error) {
	if err := f.call("submit ", job.Name); err != nil {
		return api.Written{}, err
	}
	if err := job.Validate(); err != nil {
		return api.Written{}, err
	}
	if err := f.meets(job.Name, o); err != nil {
		return api.Written{}, err
	}
	if there, err := f.get(job.Name); err == nil {
		e := api.Errorf(api.JobExists, "the job %s exists", job.Name)
		e.Current = &there
		return api.Written{}, e
	}
	wr := f.put(job)
	wr.Created = true
	return wr, nil
}

func (f *fake) Put(_ context.Context, job api.Job, o api.WriteOptions) (api.Written, error) {
	if err := f.call("put ", job.Name); err != nil {
		return api.Written{}, err
	}
	if err := f.meets(job.Name, o); err != nil {
		return api.Written{}, err
	}
	there, missing := f.get(job.Name)
	if missing == nil && reflect.DeepEqual(there.Spec(), job.Spec()) {
		return api.Written{Job: there, Disks: f.disks, Wanted: 3, Existed: true}, nil
	}
	job.Generation = there.Generation
	wr := f.put(job)
	wr.Created = missing != nil
	return wr, nil
}

func (f *fake) Plan(_ context.Context, job api.Job, create bool, o api.WriteOptions) (api.Job, error) {
	if err := f.call("plan ", job.Name, create); err != nil {
		return api.Job{}, err
	}
	if err := f.meets(job.Name, o); err != nil {
		return api.Job{}, err
	}
	there, err := f.get(job.Name)
	if err == nil && create {
		return api.Job{}, api.Errorf(api.JobExists, "the job %s exists", job.Name)
	}
	job = job.Spec()
	job.ETag = there.ETag
	job.Plan = &api.Plan{Action: "create", Slots: []api.PlanSlot{
		{Task: "web.0", Action: "create", Node: nodeA, NodeName: "n1", Score: 0.5}, {Task: "web.1", Action: "create", Reason: "n2: no room"}}}
	return job, nil
}

func (f *fake) History(_ context.Context, name string) ([]api.Generation, error) {
	if err := f.call("history ", name); err != nil {
		return nil, err
	}
	return []api.Generation{
		{Generation: 4, ETag: "4-9f3ac1d2", ID: "web-1", State: "current", Writer: nodeA, WriterName: "n1", Time: noon, Image: "nginx:2", Replicas: 3, Changed: []string{"image"}},
		{Generation: 3, ETag: "3-abcd", ID: "web-1", State: "replaced", Time: noon, Image: "nginx:1", Replicas: 3, Changed: []string{}},
	}, nil
}

func (f *fake) Generation(_ context.Context, name, which string) (api.Job, error) {
	if err := f.call("generation ", name, " ", which); err != nil {
		return api.Job{}, err
	}
	there, err := f.get(name)
	if err == nil && which != there.ETag {
		return api.Job{}, api.Errorf(api.JobNotFound, "generation %s is not known", which)
	}
	return there, err
}

// meets notes the options of a write and checks its conditions.
func (f *fake) meets(name string, o api.WriteOptions) error {
	there, err := f.get(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opts = o
	if o.Meets(there.ETag) {
		return nil
	}
	e := api.Errorf(api.Stale, "the job %s is another", name)
	if err == nil {
		e.Current = &there
	}
	return e
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
func (f *fake) change(what, name string, o api.WriteOptions, do func(*api.Job) bool) (api.Written, error) {
	if err := f.call(what, " ", name); err != nil {
		return api.Written{}, err
	}
	job, err := f.get(name)
	if err != nil {
		return api.Written{}, err
	}
	if err := f.meets(name, o); err != nil {
		return api.Written{}, err
	}
	if !do(&job) {
		return api.Written{Job: job, Disks: f.disks, Wanted: 3, Existed: true}, nil
	}
	return f.put(job), nil
}

func (f *fake) Remove(_ context.Context, name string, o api.WriteOptions) (api.Written, error) {
	wr, err := f.change("remove", name, o, func(*api.Job) bool { return true })
	if err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.stored, name)
		wr.Job.Status.State = api.JobRemoving
	}
	return wr, err
}

func (f *fake) Scale(_ context.Context, name string, n int, o api.WriteOptions) (api.Written, error) {
	return f.change("scale", name, o, func(j *api.Job) bool {
		same := j.Replicas == n
		j.Replicas = n
		return !same
	})
}

func (f *fake) Stop(_ context.Context, name string, o api.WriteOptions) (api.Written, error) {
	return f.change("stop", name, o, func(*api.Job) bool { return true })
}

func (f *fake) Restart(_ context.Context, name string, o api.WriteOptions) (api.Written, error) {
	return f.change("restart", name, o, func(*api.Job) bool { return true })
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

func (f *fake) RestartTask(_ context.Context, id string) (api.Task, error) {
	if err := f.call("restarttask ", id); err != nil {
		return api.Task{}, err
	}
	if err := f.task(id); err != nil {
		return api.Task{}, err
	}
	t := oneTask()
	t.State, t.Restarts = api.Starting, t.Restarts+1
	return t, nil
}

func (f *fake) Logs(ctx context.Context, names []string, o api.LogOptions, each func(api.LogLine) error) (err error) {
	if err := f.call("logs ", names); err != nil {
		return err
	}
	defer func() { f.logEnded <- err }()
	for _, name := range names {
		if err := f.task(name); err != nil && !api.ValidJobName(name) {
			return err
		}
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

func (f *fake) Explain(_ context.Context, name string) (api.Explanation, error) {
	if err := f.call("explain ", name); err != nil {
		return api.Explanation{}, err
	}
	if name != "web" && name != "web.0" {
		return api.Explanation{}, api.Errorf(api.TaskNotFound, "there is no task %s", name)
	}
	end := noon.Add(time.Hour)
	return api.Explanation{
		Job: webJob().Spec(), Omitted: 1,
		Tasks: []api.TaskStory{{Task: oneTask(), Because: "n1 failed (connection refused)", Award: &api.SheetRow{Node: nodeB, NodeName: "n2", Score: 0.875, Outcome: "accepted"},
			History: []api.Attempt{{Attempt: "web.0@1", Epoch: 1, Node: nodeA, NodeName: "n1", From: noon, Until: &end, Ended: "lost"}}}},
		Refusals: []api.RefusalGroup{{Slots: []int{1}, Asked: true, Code: "no_room", Reason: "needs 64GiB; 28GiB free of 31.2GiB", Retry: "capacity", Nodes: []string{"n1"}}},
	}, nil
}

func (f *fake) Auction(_ context.Context, id string, back int) (api.Sheet, error) {
	if err := f.call("auction ", id, " ", back); err != nil {
		return api.Sheet{}, err
	}
	if id != "web.0" || back > 1 {
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
		Drivers: []string{"docker"}, Allow: []string{"privileged"}, Capacity: api.Resources{CPUs: 4000, Memory: 8 << 30}, SeenAt: noon, Restarting: api.Duration(time.Minute)}
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

func (f *fake) CordonNode(_ context.Context, id string) (api.Node, error) {
	n := oneNode()
	n.Cordoned = true
	return n, f.call("cordonnode ", id)
}

func (f *fake) LabelNode(_ context.Context, id string, change api.LabelChange) (api.Node, error) {
	n := oneNode()
	for key, value := range change {
		if delete(n.Labels, key); value != nil {
			n.Labels[key] = *value
		}
	}
	return n, f.call("labelnode ", id)
}

func (f *fake) ResumeNode(_ context.Context, id string) (api.Node, error) {
	return oneNode(), f.call("resumenode ", id)
}

func (f *fake) Leave(_ context.Context, force bool) error {
	return f.call("leave ", strconv.FormatBool(force))
}

func (f *fake) Cluster(context.Context) (api.Cluster, error) { return oneCluster(), f.call("cluster") }

func (f *fake) JoinCluster(_ context.Context, j api.Joining) (api.Joined, error) {
	return api.Joined{Already: true, Cluster: oneCluster()}, f.call("join ", j.Token, j.Peers, j.Timeout)
}

func oneCluster() api.Cluster {
	return api.Cluster{ID: "p7nsv65s", Nodes: api.NodeCount{Known: 3, Alive: 2}, Jobs: 4, Ready: true, Synced: true, Profile: "lan",
		Versions: map[string]int{"0.1.0": 2}, Alarms: []api.Alarm{{Code: "driver", Detail: "no engine"}}}
}

func (f *fake) NodeContainers(_ context.Context, node string) ([]api.Container, error) {
	if err := f.call("containers ", node); err != nil || node == "empty" {
		return nil, err
	}
	return []api.Container{oneContainer()}, nil
}

func oneContainer() api.Container {
	return api.Container{ID: "c1", Driver: "docker", Node: nodeB, Attempt: "web.0@2", Job: "web", Life: 7, Epoch: 2, State: "running",
		Resources: api.Resources{CPUs: 250, Memory: 64 << 20}, Ports: []api.Port{}, StartedAt: &noon}
}

func (f *fake) NodeDigest(_ context.Context, node string) (api.Digest, error) {
	return api.Digest{Node: nodeB, Name: "n2", Digest: "00ff", Records: 9}, f.call("digest ", node)
}

func (f *fake) NodeView(_ context.Context, node string) ([]api.Node, error) {
	if err := f.call("nodeview ", node); err != nil {
		return nil, err
	}
	return []api.Node{oneNode()}, nil
}

func (f *fake) NodeAsides(_ context.Context, node string) ([]api.Aside, error) {
	if err := f.call("nodeasides ", node); err != nil {
		return nil, err
	}
	return []api.Aside{oneAside()}, nil
}

func oneAside() api.Aside {
	spec := webJob().Spec()
	return api.Aside{Job: "web", Life: 7, Node: nodeB, NodeName: "n2", Time: noon, Reason: "node n1 did not know it", Spec: &spec, Complete: 1,
		File: "aside-1767355200000.json", Path: "/var/lib/orch/aside/aside-1767355200000.json"}
}

func (f *fake) Restore(ctx context.Context, node string, r api.Restoring, o api.WriteOptions) (api.Written, error) {
	if err := f.call("restore ", node, " ", r.File); err != nil {
		return api.Written{}, err
	}
	job := webJob()
	job.Name = r.Job
	return f.Submit(ctx, job, o)
}

func (f *fake) Ready(context.Context) error { return f.call("ready") }

func (f *fake) Version(context.Context) (api.Version, error) {
	return api.Version{Version: "0.1.0", Wire: [2]int{1, 2}, Go: "go1.26"}, f.call("version")
}

func testView() api.View {
	return api.View{Node: nodeA, Name: "n1", Alive: 2, Known: 3, Synced: true}
}

// revision counts changes that a test makes. The zero value has had none.
type revision struct {
	mu   sync.Mutex // guards what follows
	n    int
	next chan struct{} // closed by the next change; nil while nobody waits
}

func (r *revision) bump() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n++; r.next != nil {
		close(r.next)
	}
	r.next = nil
}

func (r *revision) get(ctx context.Context, _, known string) string {
	for {
		r.mu.Lock()
		if r.next == nil {
			r.next = make(chan struct{})
		}
		now, next := fmt.Sprintf("boot-%d", r.n), r.next
		r.mu.Unlock()
		if now != known {
			return now
		}
		select {
		case <-ctx.Done():
			return now
		case <-next:
		}
	}
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
	cfg := rest.Config{Service: svc, View: testView, Revision: (&revision{}).get, Log: silent()}
	if change != nil {
		change(&cfg)
	}
	return startServer(t, rest.NewServer(cfg).HTTP())
}

// startServer has h answer on a port of its own.
func startServer(t *testing.T, h *http.Server) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Config = h
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
	if res.Header.Get("Orch-Node") != "" {
		keepsPromise(t, req, res, string(body))
	}
	return res, string(body)
}
