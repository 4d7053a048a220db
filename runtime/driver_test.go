package runtime_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/docker"
	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
	"github.com/exitae337/orchestergo/runtime/fake"
	"github.com/exitae337/orchestergo/runtime/process"
)

const (
	cluster = "contract"
	node    = api.NodeID("12D3KooWContract")
	soon    = 20 * time.Second // far beyond what anything takes on a loaded machine
)

// rig is one driver under test.
type rig struct {
	runtime.Driver
	cluster  string                                  // whose containers it runs
	image    string                                  // of which it runs them
	commands map[string][]string                     // what does "run", "stubborn", "fail" and "print"
	reopen   func(t *testing.T) runtime.Driver       // the driver of the next agent
	kill     func(t *testing.T, c runtime.Container) // ends a container behind the driver's back
	settle   func(t *testing.T, c runtime.Container) // waits until a container that runs takes SIGTERM; or nil
}

// rigs prepares what all tests of a driver share, and returns what makes the
// driver anew for each.
var rigs = map[string]func(t *testing.T) func(t *testing.T) rig{
	"process": func(*testing.T) func(t *testing.T) rig { return processRig },
	"fake":    func(*testing.T) func(t *testing.T) rig { return fakeRig },
	"docker":  dockerRig,
}

func processRig(t *testing.T) rig {
	dir := t.TempDir()
	open := func(t *testing.T) runtime.Driver {
		t.Helper()
		d, err := process.New(process.Config{Dir: dir, Cluster: cluster, Node: node})
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		return d
	}
	return rig{
		Driver: open(t), reopen: open, cluster: cluster,
		commands: map[string][]string{
			"run":      {"sleep", "1000"},
			"stubborn": {"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done"},
			"fail":     {"sh", "-c", "exit 7"},
			"print":    {"sh", "-c", "echo one; echo two; echo three; exec sleep 1000"},
		},
		kill: func(t *testing.T, c runtime.Container) {
			if err := syscall.Kill(-c.PID, syscall.SIGKILL); err != nil {
				t.Errorf("kill group %d: %v", c.PID, err)
			}
		},
	}
}

func fakeRig(*testing.T) rig {
	d := fake.New(node, cluster)
	d.Script = func(s runtime.Spec) fake.Behaviour {
		return map[string]fake.Behaviour{
			"stubborn": {StopTakes: time.Hour, Output: []string{"ready"}},
			"fail":     {Ends: true, ExitCode: 7},
			"print":    {Output: []string{"one", "two", "three"}},
		}[s.Command[0]]
	}
	return rig{
		Driver: d, reopen: func(*testing.T) runtime.Driver { return d }, cluster: cluster,
		commands: map[string][]string{"run": {"run"}, "stubborn": {"stubborn"}, "fail": {"fail"}, "print": {"print"}},
		kill:     func(_ *testing.T, c runtime.Container) { d.Kill(c.ID, 137) },
	}
}

func dockerRig(t *testing.T) func(t *testing.T) rig {
	cli := dockertest.Client(t)
	image := dockertest.Image(t, cli)
	return func(t *testing.T) rig {
		own := dockertest.Cluster(t, cli)
		open := func(t *testing.T) runtime.Driver {
			t.Helper()
			d, err := docker.New(docker.Config{Cluster: own, Node: node})
			if err != nil {
				t.Fatalf("New: %v", err)
			}
			return d
		}
		r := rig{
			Driver: open(t), reopen: open, cluster: own, image: image,
			commands: map[string][]string{
				"run":      {"out", "ready", "sleep"},
				"stubborn": {"ignore", "out", "ready", "sleep"},
				"fail":     {"exit", "7"},
				"print":    {"out", "one", "out", "two", "out", "three", "sleep"},
			},
			kill: func(t *testing.T, c runtime.Container) {
				if err := cli.ContainerKill(context.Background(), c.ID, "SIGKILL"); err != nil {
					t.Errorf("kill: %v", err)
				}
			},
		}
		r.settle = func(t *testing.T, c runtime.Container) { awaitLine(t, r, c) }
		return r
	}
}

func (r rig) spec(what string) runtime.Spec {
	return runtime.Spec{
		Labels: runtime.Labels{
			Cluster: r.cluster, Node: node, Job: "web", Life: 1763842000000, Slot: 3, Epoch: 2, Boot: "b1", TemplateHash: "abc",
			Resources: api.Resources{CPUs: 100, Memory: 64 << 20}, Ports: []api.Port{}, StopTimeout: api.Duration(time.Second),
		},
		Image: r.image, Command: r.commands[what],
	}
}

// start starts an attempt and sees to it that it does not outlive the test.
func (r rig) start(t *testing.T, spec runtime.Spec) runtime.Container {
	t.Helper()
	c, err := r.Start(t.Context(), spec, nil)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		err := r.Stop(ctx, c.ID, 0)
		if err == nil { // away before its directory, in which the driver that started it may still be writing
			err = r.Remove(ctx, c.ID)
		}
		if err != nil && !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("cleanup: %v", err)
		}
	})
	if r.settle != nil && slices.Equal(spec.Command, r.commands["run"]) {
		r.settle(t, c)
	}
	return c
}

// awaitLine waits until a container has written something.
func awaitLine(t *testing.T, d runtime.Driver, c runtime.Container) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	written := errors.New("written")
	err := d.Logs(ctx, c.ID, api.LogOptions{Follow: true, Tail: -1}, func(api.LogLine) error { return written })
	if !errors.Is(err, written) {
		t.Fatalf("it does not say that it is ready: %v", err)
	}
}

// startStubborn starts one that ignores SIGTERM, and waits until it does.
func (r rig) startStubborn(t *testing.T) runtime.Container {
	t.Helper()
	c := r.start(t, r.spec("stubborn"))
	awaitLine(t, r, c)
	return c
}

// find looks an attempt up in the list of d.
func find(t *testing.T, d runtime.Driver, id string) (runtime.Container, bool) {
	t.Helper()
	list, err := d.List(context.Background())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	if !slices.IsSortedFunc(list, func(a, b runtime.Container) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("List is not sorted by ID: %v", list)
	}
	i := slices.IndexFunc(list, func(c runtime.Container) bool { return c.ID == id })
	if i < 0 {
		return runtime.Container{}, false
	}
	return list[i], true
}

// await waits until the container is in a state.
func await(t *testing.T, d runtime.Driver, id string, state runtime.State) runtime.Container {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var c runtime.Container
	for end := time.Now().Add(soon); time.Now().Before(end); <-tick.C {
		if c, _ = find(t, d, id); c.State == state {
			return c
		}
	}
	t.Fatalf("%s is %q after %s, want %q", id, c.State, soon, state)
	return c
}

// behaviours are what every driver promises.
var behaviours = map[string]func(t *testing.T, r rig){
	"starts and lists": func(t *testing.T, r rig) {
		spec := r.spec("run")
		before := time.Now()
		c := r.start(t, spec)
		got, ok := find(t, r, c.ID)
		if !ok || got.State != runtime.Running || !got.FinishedAt.IsZero() {
			t.Errorf("List has %+v (%v), want it running", got, ok)
		}
		if got.Labels.Task() != spec.Labels.Task() || got.Labels.Life != spec.Labels.Life || got.Labels.Boot != "b1" ||
			got.Labels.TemplateHash != "abc" || got.Labels.Resources != spec.Labels.Resources || got.Labels.StopTimeout != spec.Labels.StopTimeout {
			t.Errorf("labels came back as %+v, want %+v", got.Labels, spec.Labels)
		}
		if got.StartedAt.Before(before) || got.StartedAt.After(time.Now()) {
			t.Errorf("started at %s, want between %s and now", got.StartedAt, before)
		}
		if err := r.Check(t.Context()); err != nil {
			t.Errorf("Check: %v", err)
		}
		if !r.HasImage(r.image) {
			t.Errorf("HasImage(%q) is false, want true", r.image)
		}
	},
	"refuses a second start": func(t *testing.T, r rig) {
		c := r.start(t, r.spec("run"))
		if _, err := r.Start(t.Context(), r.spec("run"), nil); !errors.Is(err, runtime.ErrBusy) {
			t.Errorf("second Start: %v, want ErrBusy", err)
		}
		if got, _ := find(t, r, c.ID); got.State != runtime.Running || got.PID != c.PID {
			t.Errorf("the first is now %+v, want it untouched", got)
		}
	},
	"starts once of many at once": func(t *testing.T, r rig) {
		results := make(chan error)
		for range 8 {
			go func() { _, err := r.Start(t.Context(), r.spec("run"), nil); results <- err }()
		}
		won := 0
		for range 8 {
			if err := <-results; err == nil {
				won++
			} else if !errors.Is(err, runtime.ErrBusy) {
				t.Errorf("Start: %v, want ErrBusy", err)
			}
		}
		list, err := r.List(t.Context())
		for _, c := range list {
			if err := r.Stop(context.Background(), c.ID, 0); err != nil {
				t.Errorf("Stop: %v", err)
			}
		}
		if won != 1 || len(list) != 1 || err != nil {
			t.Errorf("%d starts won and %d containers are there (%v), want 1 and 1", won, len(list), err)
		}
	},
	"tells attempts apart": func(t *testing.T, r rig) {
		ids := map[string]bool{}
		for _, change := range []func(*runtime.Labels){
			func(*runtime.Labels) {},
			func(l *runtime.Labels) { l.Epoch++ },
			func(l *runtime.Labels) { l.Slot++ },
			func(l *runtime.Labels) { l.Life++ },
			func(l *runtime.Labels) { l.Job = "db" },
		} {
			spec := r.spec("run")
			change(&spec.Labels)
			ids[r.start(t, spec).ID] = true
		}
		if list, err := r.List(t.Context()); len(list) != 5 || len(ids) != 5 || err != nil {
			t.Errorf("%d containers with %d IDs (%v), want 5 and 5", len(list), len(ids), err)
		}
	},
	"keeps the exit code": func(t *testing.T, r rig) {
		c := await(t, r, r.start(t, r.spec("fail")).ID, runtime.Exited)
		if c.ExitCode != 7 || c.FinishedAt.IsZero() || c.PID != 0 {
			t.Errorf("ended as %+v, want code 7, an end, no process", c)
		}
	},
	"replaces an exited one": func(t *testing.T, r rig) {
		await(t, r, r.start(t, r.spec("fail")).ID, runtime.Exited)
		c := r.start(t, r.spec("run"))
		list, err := r.List(t.Context())
		if err != nil || len(list) != 1 || list[0].ID != c.ID || list[0].State != runtime.Running {
			t.Errorf("List = %+v (%v), want the second alone, running", list, err)
		}
	},
	"stops": func(t *testing.T, r rig) {
		c := r.start(t, r.spec("run"))
		if err := r.Stop(t.Context(), c.ID, soon); err != nil {
			t.Fatalf("Stop: %v", err)
		}
		got, _ := find(t, r, c.ID)
		if got.State != runtime.Exited || got.ExitCode != 143 || got.Reason != "killed by signal 15" {
			t.Errorf("after Stop: %+v, want exited by signal 15", got)
		}
		if err := r.Stop(t.Context(), c.ID, 0); err != nil {
			t.Errorf("Stop of an exited one: %v, want nil", err)
		}
	},
	"kills after grace": func(t *testing.T, r rig) {
		c := r.startStubborn(t)
		begun, grace := time.Now(), 300*time.Millisecond
		if err := r.Stop(t.Context(), c.ID, grace); err != nil {
			t.Fatalf("Stop: %v", err)
		}
		if took := time.Since(begun); took < grace {
			t.Errorf("Stop took %s, want at least the grace of %s", took, grace)
		}
		if got, _ := find(t, r, c.ID); got.State != runtime.Exited || got.ExitCode != 137 {
			t.Errorf("after Stop: %+v, want exited with 137", got)
		}
	},
	"stop ends with its context": func(t *testing.T, r rig) {
		c := r.startStubborn(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := r.Stop(ctx, c.ID, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop: %v, want the context's error", err)
		}
		if got, _ := find(t, r, c.ID); got.State != runtime.Running {
			t.Errorf("it is %q, want running", got.State)
		}
	},
	"removes": func(t *testing.T, r rig) {
		c := r.start(t, r.spec("run"))
		if err := r.Remove(t.Context(), c.ID); err == nil {
			t.Error("Remove of a running one: nil, want an error")
		}
		if err := r.Stop(t.Context(), c.ID, soon); err != nil {
			t.Fatalf("Stop: %v", err)
		}
		if err := r.Remove(t.Context(), c.ID); err != nil {
			t.Errorf("Remove: %v", err)
		}
		if got, ok := find(t, r, c.ID); ok {
			t.Errorf("it is still listed: %+v", got)
		}
	},
	"knows what is not there": func(t *testing.T, r rig) {
		for _, id := range []string{"", ".", "..", "../x", "nobody", "web.1.1.1", "/etc", "a\x00b"} {
			each := func(api.LogLine) error { return nil }
			for name, err := range map[string]error{
				"Stop":   r.Stop(t.Context(), id, 0),
				"Remove": r.Remove(t.Context(), id),
				"Logs":   r.Logs(t.Context(), id, api.LogOptions{Tail: -1}, each),
			} {
				if !errors.Is(err, runtime.ErrNotFound) {
					t.Errorf("%s(%q): %v, want ErrNotFound", name, id, err)
				}
			}
		}
	},
	"refuses hostile and foreign labels": func(t *testing.T, r rig) {
		for name, change := range map[string]func(*runtime.Labels){
			"path":       func(l *runtime.Labels) { l.Job = "../x" },
			"no name":    func(l *runtime.Labels) { l.Job = "" },
			"hidden":     func(l *runtime.Labels) { l.Job = ".x" },
			"newline":    func(l *runtime.Labels) { l.Job = "web\n" },
			"slot":       func(l *runtime.Labels) { l.Slot = -1 },
			"life":       func(l *runtime.Labels) { l.Life = -1 },
			"other node": func(l *runtime.Labels) { l.Node = "12D3KooWOther" },
			"cluster":    func(l *runtime.Labels) { l.Cluster = "other" },
		} {
			spec := r.spec("run")
			change(&spec.Labels)
			if c, err := r.Start(t.Context(), spec, nil); err == nil {
				t.Errorf("%s: started as %s, want an error", name, c.ID)
				_ = r.Stop(context.Background(), c.ID, 0)
			}
		}
		if list, err := r.List(t.Context()); len(list) != 0 || err != nil {
			t.Errorf("List = %v (%v), want nothing left behind", list, err)
		}
	},
	"watches": func(t *testing.T, r rig) {
		changes := watch(t, r)
		c := r.start(t, r.spec("run"))
		drain(changes)
		r.kill(t, c)
		awaitChange(t, r, changes, c.ID, runtime.Exited)
		if got, _ := find(t, r, c.ID); got.ExitCode != 137 || got.Reason != "killed by signal 9" {
			t.Errorf("ended as %+v, want killed by signal 9", got)
		}
	},
	"watch ends with its context": func(t *testing.T, r rig) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Watch(ctx, func() {}) }()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v, want nil", err)
		}
	},
	"is adopted": func(t *testing.T, r rig) {
		c := r.start(t, r.spec("run"))
		next := r.reopen(t)
		got, ok := find(t, next, c.ID)
		if !ok || got.State != runtime.Running || got.PID != c.PID || !got.StartedAt.Equal(c.StartedAt) || got.Labels.Boot != "b1" {
			t.Fatalf("the next driver has %+v (%v), want %+v", got, ok, c)
		}
		if _, err := next.Start(t.Context(), r.spec("run"), nil); !errors.Is(err, runtime.ErrBusy) {
			t.Errorf("Start: %v, want ErrBusy", err)
		}
		changes := watch(t, next)
		drain(changes)
		if err := next.Stop(t.Context(), c.ID, soon); err != nil {
			t.Fatalf("Stop: %v", err)
		}
		if got, _ := find(t, next, c.ID); got.State != runtime.Exited || got.ExitCode != 143 {
			t.Errorf("after Stop: %+v, want exited with 143", got)
		}
		awaitChange(t, next, changes, c.ID, runtime.Exited)
	},
	"notices the end of an adopted one": func(t *testing.T, r rig) {
		c := r.start(t, r.spec("run"))
		next := r.reopen(t)
		changes := watch(t, next)
		r.kill(t, c)
		awaitChange(t, next, changes, c.ID, runtime.Exited)
	},
	"gives logs": func(t *testing.T, r rig) {
		c := r.start(t, r.spec("print"))
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		var got []string
		enough := errors.New("enough")
		err := r.Logs(ctx, c.ID, api.LogOptions{Follow: true, Tail: -1}, func(l api.LogLine) error {
			if got = append(got, l.Line); len(got) == 3 {
				return enough
			}
			return nil
		})
		if want := []string{"one", "two", "three"}; !errors.Is(err, enough) || !slices.Equal(got, want) {
			t.Fatalf("Logs = %q (%v), want %q and the error of each", got, err, want)
		}
		for _, q := range []struct {
			name string
			o    api.LogOptions
			want []string
		}{
			{"all", api.LogOptions{Tail: -1}, []string{"one", "two", "three"}},
			{"tail", api.LogOptions{Tail: 2}, []string{"two", "three"}},
			{"long tail", api.LogOptions{Tail: 9}, []string{"one", "two", "three"}},
			{"none", api.LogOptions{Tail: 0}, nil},
			{"stdout", api.LogOptions{Tail: -1, Streams: []string{"stdout"}}, []string{"one", "two", "three"}},
			{"stderr", api.LogOptions{Tail: -1, Streams: []string{"stderr"}}, nil},
			{"since long ago", api.LogOptions{Tail: -1, Since: time.Now().Add(-time.Hour)}, []string{"one", "two", "three"}},
			{"since the future", api.LogOptions{Tail: -1, Since: time.Now().Add(time.Hour)}, nil},
			{"until the future", api.LogOptions{Tail: 2, Until: time.Now().Add(time.Hour)}, []string{"two", "three"}},
			{"until long ago", api.LogOptions{Tail: -1, Until: time.Now().Add(-time.Hour)}, nil},
		} {
			if got := logs(t, r, c.ID, q.o); !slices.Equal(got, q.want) {
				t.Errorf("%s: %q, want %q", q.name, got, q.want)
			}
		}
	},
	"follows logs to the end": func(t *testing.T, r rig) {
		c := r.start(t, r.spec("print"))
		done := make(chan []string)
		go func() { done <- logs(t, r, c.ID, api.LogOptions{Follow: true, Tail: -1}) }()
		select {
		case got := <-done:
			t.Fatalf("following ended with %q while it runs", got)
		case <-time.After(50 * time.Millisecond): // not proof, but any time would do
		}
		for deadline := time.After(soon); len(logs(t, r, c.ID, api.LogOptions{Tail: -1})) < 3; {
			select {
			case <-deadline:
				t.Fatal("it does not print")
			case <-time.After(10 * time.Millisecond):
			}
		}
		if err := r.Stop(t.Context(), c.ID, soon); err != nil {
			t.Fatalf("Stop: %v", err)
		}
		if got, want := <-done, []string{"one", "two", "three"}; !slices.Equal(got, want) {
			t.Errorf("followed %q, want %q", got, want)
		}
		if got, want := logs(t, r, c.ID, api.LogOptions{Tail: 1}), []string{"three"}; !slices.Equal(got, want) {
			t.Errorf("logs of a stopped one: %q, want %q", got, want)
		}
	},
}

// logs returns the lines of a container.
func logs(t *testing.T, d runtime.Driver, id string, o api.LogOptions) []string {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	var lines []string
	err := d.Logs(ctx, id, o, func(l api.LogLine) error { lines = append(lines, l.Line); return nil })
	if err != nil {
		t.Errorf("Logs(%+v): %v", o, err)
	}
	return lines
}

// watch watches d during the test.
func watch(t *testing.T, d runtime.Driver) <-chan struct{} {
	changes := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		err := d.Watch(ctx, func() {
			select {
			case changes <- struct{}{}:
			default:
			}
		})
		if err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return changes
}

// drain takes a call that has come already.
func drain(changes <-chan struct{}) {
	select {
	case <-changes:
	default:
	}
}

// awaitChange looks only when told of a change, until the container is in a state.
func awaitChange(t *testing.T, d runtime.Driver, changes <-chan struct{}, id string, state runtime.State) {
	t.Helper()
	late := time.After(soon)
	for {
		select {
		case <-changes:
			if c, _ := find(t, d, id); c.State == state {
				return
			}
		case <-late:
			t.Fatalf("no call of changed for %s being %s within %s", id, state, soon)
		}
	}
}

func TestDrivers(t *testing.T) {
	for name, prepare := range rigs {
		t.Run(name, func(t *testing.T) {
			open := prepare(t)
			for what, check := range behaviours {
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					check(t, open(t))
				})
			}
		})
	}
}
