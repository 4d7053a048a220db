package docker_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/docker"
	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
)

const (
	node = api.NodeID("12D3KooWDockerTest")
	soon = 30 * time.Second // far beyond what anything takes on a loaded machine
)

// rig is a driver on the real engine, and a way around it.
type rig struct {
	*docker.Driver
	cli     *client.Client
	cluster string
	image   string
}

func newRig(t testing.TB) rig {
	t.Helper()
	cli := dockertest.Client(t)
	r := rig{cli: cli, image: dockertest.Image(t, cli), cluster: dockertest.Cluster(t, cli)}
	r.Driver = r.open(t, node)
	return r
}

// open makes another driver for the cluster.
func (r rig) open(t testing.TB, node api.NodeID) *docker.Driver {
	t.Helper()
	return newDriver(t, docker.Config{Cluster: r.cluster, Node: node})
}

func newDriver(t testing.TB, cfg docker.Config) *docker.Driver {
	t.Helper()
	d, err := docker.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return d
}

// spec is an attempt at slot 0 of the job that runs the steps.
func (r rig) spec(job string, steps ...string) runtime.Spec {
	return runtime.Spec{
		Labels: runtime.Labels{
			Cluster: r.cluster, Node: node, Job: job, Life: 1763842000000, Epoch: 1, Boot: "b1", TemplateHash: "abc", Lock: "/run/orch.lock",
			Resources: api.Resources{CPUs: 100, Memory: 64 << 20}, Ports: []api.Port{}, StopTimeout: api.Duration(time.Second),
		},
		Image: r.image, Pull: "missing", Command: steps,
	}
}

func (r rig) start(t testing.TB, spec runtime.Spec) runtime.Container {
	t.Helper()
	c, err := r.Start(t.Context(), spec, nil)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	return c
}

// find looks a container up in the list of d.
func find(t testing.TB, d runtime.Driver, id string) (runtime.Container, bool) {
	t.Helper()
	list, err := d.List(context.Background())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	i := slices.IndexFunc(list, func(c runtime.Container) bool { return c.ID == id })
	if i < 0 {
		return runtime.Container{}, false
	}
	return list[i], true
}

// await waits until cond holds.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(soon); time.Now().Before(end); <-tick.C {
		if cond() {
			return
		}
	}
	t.Fatalf("not within %s: %s", soon, what)
}

// awaitEnd waits until a container has exited.
func awaitEnd(t testing.TB, d runtime.Driver, id string) (c runtime.Container) {
	t.Helper()
	await(t, id+" exited", func() bool {
		c, _ = find(t, d, id)
		return c.State == runtime.Exited
	})
	return c
}

// lines returns the log of a container.
func lines(t testing.TB, d runtime.Driver, id string, o api.LogOptions) []api.LogLine {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	var all []api.LogLine
	if err := d.Logs(ctx, id, o, func(l api.LogLine) error { all = append(all, l); return nil }); err != nil {
		t.Errorf("Logs(%+v): %v", o, err)
	}
	return all
}

// text is the lines alone.
func text(all []api.LogLine) []string {
	out := make([]string, len(all))
	for i, l := range all {
		out[i] = l.Line
	}
	return out
}

// nothingLeft fails if the engine has a container of the cluster.
func (r rig) nothingLeft(t testing.TB) {
	t.Helper()
	with := container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "orch.cluster="+r.cluster))}
	if list, err := r.cli.ContainerList(t.Context(), with); err != nil || len(list) != 0 {
		t.Errorf("there are %+v (%v), want nothing left behind", list, err)
	}
}
