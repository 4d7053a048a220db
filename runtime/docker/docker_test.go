package docker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/docker"
	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
)

func TestNew(t *testing.T) {
	for what, cfg := range map[string]docker.Config{
		"no address":     {Host: "nonsense"},
		"ssh":            {Host: "ssh://root@vps1"},
		"an allowance":   {Allow: []string{"everything"}},
		"and a good one": {Allow: []string{"net-raw", "mounts"}},
	} {
		if _, err := docker.New(cfg); err == nil {
			t.Errorf("%s: New(%+v) gave no error", what, cfg)
		}
	}
	d := newDriver(t, docker.Config{Allow: []string{"net-raw"}})
	if d.Name() != "docker" {
		t.Errorf("Name is %q", d.Name())
	}
}

func TestLabelsAndConfinement(t *testing.T) {
	r := newRig(t)
	spec := r.spec("web", "env", "ORCH_NODE", "env", "ORCH_TASK", "env", "ORCH_EPOCH", "env", "COLOUR", "env", "ORCH_LIFE", "sleep")
	spec.Labels.Slot, spec.Labels.Epoch = 3, 1<<63
	port := freePort(t)
	spec.Labels.Ports = []api.Port{{Target: 80, Published: port, Protocol: "tcp", Mode: "host"}, {Target: 53, Published: port, Protocol: "udp", Mode: "host"}}
	spec.Env = map[string]string{"COLOUR": "blue", "ORCH_LIFE": "set by the agent"}
	spec.Limits = api.Resources{CPUs: 250, Memory: 64 << 20}
	c := r.start(t, spec)

	got, ok := find(t, r.open(t, node), c.ID) // an agent that knows nothing
	if !ok || !reflect.DeepEqual(got, c) || !reflect.DeepEqual(got.Labels, spec.Labels) {
		t.Errorf("another driver has %+v (%v), want %+v", got, ok, c)
	}
	in, err := r.cli.ContainerInspect(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(in.Name, "/orch-web-3-9223372036854775808-") {
		t.Errorf("its name is %s", in.Name)
	}
	h := in.HostConfig
	if h.NanoCPUs != 250e6 || h.Memory != 64<<20 || h.MemorySwap != 64<<20 || h.PidsLimit == nil || *h.PidsLimit != 1024 {
		t.Errorf("limits are %d cpu, %d memory, %d with swap, %v processes", h.NanoCPUs, h.Memory, h.MemorySwap, h.PidsLimit)
	}
	if h.Privileged || !slices.Contains(h.SecurityOpt, "no-new-privileges") || len(h.CapDrop) != 1 || !strings.HasSuffix(h.CapDrop[0], "NET_RAW") || len(h.Binds) > 0 || h.RestartPolicy.Name != "no" {
		t.Errorf("it is not confined: %+v", h)
	}
	if h.LogConfig.Type != "json-file" || h.LogConfig.Config["max-size"] == "" || in.Config.StopTimeout == nil || *in.Config.StopTimeout != 1 {
		t.Errorf("logs %+v, stop timeout %v", h.LogConfig, in.Config.StopTimeout)
	}
	if p := h.PortBindings["80/tcp"]; len(p) != 1 || p[0].HostPort != fmt.Sprint(port) || len(h.PortBindings["53/udp"]) != 1 {
		t.Errorf("ports are %v, want %d", h.PortBindings, port)
	}
	if in.Config.Labels["orch.task"] != "web.3" || in.Config.Labels["orch.lock"] != "/run/orch.lock" {
		t.Errorf("labels are %v", in.Config.Labels)
	}
	want := []string{string(node), "web.3", "9223372036854775808", "blue", "set by the agent"}
	await(t, "five variables", func() bool { return len(lines(t, r, c.ID, api.LogOptions{Tail: -1})) == 5 })
	if got := text(lines(t, r, c.ID, api.LogOptions{Tail: -1})); !slices.Equal(got, want) {
		t.Errorf("its environment says %q, want %q", got, want)
	}
}

func TestLimitsBeyondTheEngine(t *testing.T) {
	r := newRig(t)
	info, err := r.cli.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for job, q := range map[string]struct {
		limit api.CPUs
		want  int64
	}{"none": {0, 0}, "tiny": {1, 1e7}, "huge": {1e9, int64(info.NCPU) * 1e9}} {
		spec := r.spec(job, "sleep")
		spec.Limits.CPUs = q.limit
		in, err := r.cli.ContainerInspect(t.Context(), r.start(t, spec).ID)
		if err != nil || in.HostConfig.NanoCPUs != q.want {
			t.Errorf("%s: a limit of %s became %d (%v), want %d", job, q.limit, in.HostConfig.NanoCPUs, err, q.want)
		}
	}
}

func TestOutOfMemory(t *testing.T) {
	r := newRig(t)
	for job, q := range map[string]struct {
		steps []string
		want  runtime.Container
	}{
		"greedy":  {[]string{"eat"}, runtime.Container{OOM: true, ExitCode: 137, Reason: "out of memory"}},
		"modest":  {[]string{"exit", "3"}, runtime.Container{ExitCode: 3}},
		"signals": {[]string{"exit", "137"}, runtime.Container{ExitCode: 137, Reason: "killed by signal 9"}},
	} {
		spec := r.spec(job, q.steps...)
		spec.Limits.Memory = 32 << 20
		c := awaitEnd(t, r, r.start(t, spec).ID)
		if c.OOM != q.want.OOM || c.ExitCode != q.want.ExitCode || c.Reason != q.want.Reason || c.FinishedAt.Before(c.StartedAt) {
			t.Errorf("%s ended as %+v, want %+v", job, c, q.want)
		}
	}
}

func TestBehindOurBack(t *testing.T) {
	r := newRig(t)
	changes := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- r.Watch(ctx, func() {
			select {
			case changes <- struct{}{}:
			default:
			}
		})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch: %v", err)
		}
	}()
	told := func(what string, cond func() bool) { // looks only when told
		t.Helper()
		for late := time.After(soon); !cond(); {
			select {
			case <-changes:
			case <-late:
				t.Fatalf("not told of it: %s", what)
			}
		}
	}
	killed, removed, paused := r.start(t, r.spec("killed", "sleep")), r.start(t, r.spec("removed", "sleep")), r.start(t, r.spec("paused", "sleep"))
	find(t, r, killed.ID) // now all are known
	for what, err := range map[string]error{
		"kill":   r.cli.ContainerKill(ctx, killed.ID, "SIGKILL"),
		"remove": r.cli.ContainerRemove(ctx, removed.ID, container.RemoveOptions{Force: true}),
		"pause":  r.cli.ContainerPause(ctx, paused.ID),
	} {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	told("killed", func() bool {
		c, _ := find(t, r, killed.ID)
		return c.State == runtime.Exited && c.ExitCode == 137 && c.Reason == "killed by signal 9" && !c.OOM
	})
	told("removed", func() bool { _, ok := find(t, r, removed.ID); return !ok })
	told("paused", func() bool {
		c, _ := find(t, r, paused.ID)
		return c.State == runtime.Running && c.Reason == "paused" && c.PID == paused.PID
	})
	if err := r.Stop(ctx, removed.ID, soon); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("Stop of the removed: %v, want ErrNotFound", err)
	}
	if err := r.Stop(ctx, paused.ID, soon); err != nil {
		t.Errorf("Stop of the paused: %v", err)
	}
	if c, _ := find(t, r, paused.ID); c.State != runtime.Exited || c.ExitCode != 143 {
		t.Errorf("the paused ended as %+v, want exited with 143", c)
	}
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestPortConflict(t *testing.T) {
	r := newRig(t)
	web := r.spec("web", "listen", "80")
	port := freePort(t)
	web.Labels.Ports = []api.Port{{Target: 80, Published: port, Protocol: "tcp"}}
	c := r.start(t, web)
	other := web
	other.Labels.Job = "other"
	_, err := r.Start(t.Context(), other, nil)
	if want := fmt.Sprintf("start other.0@1: port %d is in use on this node by another container", port); err == nil || err.Error() != want {
		t.Errorf("Start: %v, want %s", err, want)
	}
	if err := r.Stop(t.Context(), c.ID, 0); err != nil {
		t.Fatal(err)
	}
	if err := r.Remove(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port = l.Addr().(*net.TCPAddr).Port
	web.Labels.Ports = []api.Port{{Target: 80, Published: port}}
	_, err = r.Start(t.Context(), web, nil)
	if want := fmt.Sprintf("port %d/tcp is in use on this node by another program", port); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("Start: %v, want %s", err, want)
	}
	r.nothingLeft(t)
}

func TestNoSuchImageOrProgram(t *testing.T) {
	r := newRig(t)
	nope := importImage(t, r.cli, `ENTRYPOINT ["/nope"]`)
	for what, q := range map[string]struct {
		image, pull string
		words       []string
		pulls       bool
	}{
		"never":       {"localhost:1/none:v1", "never", []string{"localhost:1/none:v1 is not on this node", "never to pull"}, false},
		"unreachable": {"localhost:1/none:v1", "missing", []string{"image localhost:1/none:v1: ", "connection refused"}, true},
		"always":      {"localhost:1/none", "always", []string{"image localhost:1/none: ", "connection refused"}, true},
		"no image":    {"", "missing", []string{"needs an image"}, false},
		"no name":     {"Not An Image", "missing", []string{"invalid reference format"}, false},
		"no program":  {nope, "missing", []string{`cannot run "/nope": `, "no such file"}, false},
	} {
		spec := r.spec("web")
		spec.Image, spec.Pull = q.image, q.pull
		pulls := false
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		_, err := r.Start(ctx, spec, func(s api.TaskState, detail string) { pulls = pulls || s == api.Pulling && detail != "" })
		cancel()
		if err == nil || pulls != q.pulls {
			t.Errorf("%s: %v, told of a pull: %v; want an error and %v", what, err, pulls, q.pulls)
			continue
		}
		for _, word := range q.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error is %q; it lacks %q", what, err, word)
			}
		}
		if strings.Contains(err.Error(), "daemon") {
			t.Errorf("%s: the error is %q, want none of the client's preface", what, err)
		}
	}
	if r.HasImage("localhost:1/none:v1") || !r.HasImage(r.image) || !r.HasImage("docker.io/"+r.image) || r.HasImage("Not An Image") {
		t.Error("HasImage does not tell what is there from what is not")
	}
	r.nothingLeft(t)
}

func TestForeignContainers(t *testing.T) {
	r := newRig(t)
	theirs := r.start(t, r.spec("ours", "sleep")) // for its labels
	in, err := r.cli.ContainerInspect(t.Context(), theirs.ID)
	if err != nil {
		t.Fatal(err)
	}
	labels := func(change map[string]string) map[string]string {
		all := map[string]string{}
		for k, v := range in.Config.Labels {
			all[k] = v
		}
		for k, v := range change {
			all[k] = v
		}
		return all
	}
	other := dockertest.Cluster(t, r.cli)
	taken := strings.Replace(strings.TrimPrefix(in.Name, "/"), "-ours-", "-taken-", 1)
	sentinels := map[string]string{}
	for what, q := range map[string]struct {
		name   string
		labels map[string]string
	}{
		"bare":    {"", nil},
		"cluster": {"", labels(map[string]string{"orch.cluster": other})},
		"node":    {"", labels(map[string]string{"orch.node": "12D3KooWSibling", "orch.boot": "b7"})},
		"broken":  {"", labels(map[string]string{"orch.life": "long"})},
		"name":    {taken, nil},
	} {
		made, err := r.cli.ContainerCreate(t.Context(), &container.Config{Image: r.image, Cmd: []string{"sleep"}, Labels: q.labels}, nil, nil, nil, q.name)
		if err == nil {
			t.Cleanup(func() {
				err := r.cli.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true})
				if err != nil && !cerrdefs.IsNotFound(err) {
					t.Errorf("remove %s: %v", what, err)
				}
			})
			err = r.cli.ContainerStart(t.Context(), made.ID, container.StartOptions{})
		}
		if err != nil {
			t.Fatalf("sentinel %s: %v", what, err)
		}
		sentinels[what] = made.ID
	}
	for what, id := range sentinels {
		for call, err := range map[string]error{
			"Stop":   r.Stop(t.Context(), id, 0),
			"Remove": r.Remove(t.Context(), id),
			"Logs":   r.Logs(t.Context(), id, api.LogOptions{Tail: -1}, func(api.LogLine) error { return nil }),
		} {
			if !errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("%s of %s: %v, want ErrNotFound", call, what, err)
			}
		}
	}
	if _, err := r.Start(t.Context(), r.spec("taken", "sleep"), nil); err == nil || errors.Is(err, runtime.ErrBusy) || !strings.Contains(err.Error(), "taken by a container that is not of orch") {
		t.Errorf("Start under a foreign name: %v, want words for it", err)
	}
	if list, err := r.List(t.Context()); err != nil || len(list) != 1 || list[0].ID != theirs.ID {
		t.Errorf("List = %+v (%v), want our own alone", list, err)
	}
	all, err := r.Siblings(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != sentinels["node"] || all[0].Labels.Node != "12D3KooWSibling" || all[0].Labels.Boot != "b7" || all[0].State != runtime.Running {
		t.Fatalf("Siblings = %+v (%v), want the sibling's alone", all, err)
	}
	if err := r.cli.ContainerKill(t.Context(), all[0].ID, "SIGKILL"); err != nil { // exited ones are listed too
		t.Fatal(err)
	}
	await(t, "the sibling's is seen to have exited", func() bool {
		all, err = r.Siblings(t.Context())
		return err == nil && len(all) == 1 && all[0].State == runtime.Exited && !all[0].FinishedAt.IsZero()
	})
	for what, id := range sentinels { // whatever somebody says that they are
		said := all[0]
		said.ID = id
		if err := r.Reap(t.Context(), said); what == "cluster" && err == nil {
			t.Errorf("Reap of %s gave no error", what)
		}
	}
	if err := r.Reap(t.Context(), theirs); err == nil {
		t.Error("Reap of our own gave no error")
	}
	if list, err := r.Siblings(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("after Reap there is %+v (%v), want nothing", list, err)
	}
	delete(sentinels, "node")
	sentinels["ours"] = theirs.ID
	for what, id := range sentinels {
		if now, err := r.cli.ContainerInspect(t.Context(), id); err != nil || !now.State.Running {
			t.Errorf("%s was touched (%v)", what, err)
		}
	}
}

func TestHalfStarted(t *testing.T) {
	r := newRig(t)
	spec := r.spec("web", "out", "ready", "sleep")
	c := r.start(t, spec)
	in, err := r.cli.ContainerInspect(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{r.Stop(t.Context(), c.ID, 0), r.Remove(t.Context(), c.ID)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	made, err := r.cli.ContainerCreate(t.Context(), in.Config, in.HostConfig, nil, nil, in.Name) // as by an agent killed at it
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := find(t, r, made.ID); got.State != runtime.Created || got.Labels.Task() != spec.Labels.Task() {
		t.Errorf("List has %+v, want it created", got)
	}
	if _, err := r.Start(t.Context(), spec, nil); !errors.Is(err, runtime.ErrBusy) {
		t.Errorf("Start: %v, want ErrBusy", err)
	}
	if err := r.Stop(t.Context(), made.ID, soon); err != nil {
		t.Errorf("Stop: %v", err)
	}
	r.nothingLeft(t)
	r.start(t, spec)
}
