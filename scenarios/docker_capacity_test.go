package scenarios_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestDockerCapacityUnderManySubmits hands fifty jobs to five nodes at once, where
// thirty fit. What the engine runs for a node, by the limits that it enforces, must
// never be more than the node offers.
func TestDockerCapacityUnderManySubmits(t *testing.T) {
	t.Parallel()
	const jobs, fit = 50, 30
	offers := api.Resources{CPUs: 600, Memory: 192 << 20} // six tasks
	task := api.Resources{CPUs: 100, Memory: 32 << 20}
	ctx, lab := startDocker(t, 5, scenarios.LabConfig{Resources: offers})
	over := watchLimits(ctx, t, lab, offers)

	var wg sync.WaitGroup
	for i := range jobs {
		job := boxes(t, fmt.Sprintf("web-%02d", i), 1)
		job.Resources, job.Limits = task, task
		wg.Go(func() {
			n := lab.Nodes()[i%5]
			if _, err := n.Service().Submit(ctx, job, api.WriteOptions{}); err != nil {
				t.Errorf("submit %s to %s: %v", job.Name, n.Name, err)
			}
		})
	}
	wg.Wait()
	state := func(ctx context.Context) error {
		list, err := lab.Containers(ctx)
		if err != nil {
			return err
		}
		running := 0
		for _, c := range list {
			if c.Runs() {
				running++
			}
		}
		tasks, err := lab.Nodes()[0].Service().Tasks(ctx, api.TaskFilter{State: api.Pending})
		if err != nil {
			return err
		}
		if running != fit || len(tasks) != jobs-fit {
			return fmt.Errorf("%d containers run and %d tasks are pending, want %d and %d", running, len(tasks), fit, jobs-fit)
		}
		return nil
	}
	eventually(ctx, t, "what fits runs", 60*time.Second, state)
	must(t, scenarios.Throughout(ctx, 2*time.Second, func() error { return state(ctx) }))

	running := tasksOf(ctx, t, lab.Nodes()[0], "")
	running = slices.DeleteFunc(running, func(t api.Task) bool { return t.State != api.Running })
	for i, task := range running[:10] {
		if _, err := lab.Nodes()[i%5].Service().Remove(ctx, task.Job, api.WriteOptions{}); err != nil {
			t.Fatalf("remove %s: %v", task.Job, err)
		}
	}
	eventually(ctx, t, "what waited runs", 60*time.Second, func(ctx context.Context) error {
		tasks, err := lab.Nodes()[0].Service().Tasks(ctx, api.TaskFilter{State: api.Running})
		if err == nil && len(tasks) != fit {
			err = fmt.Errorf("%d run, want %d", len(tasks), fit)
		}
		return err
	})
	for _, fault := range over() {
		t.Error(fault)
	}
}

// watchLimits samples until the returned function is called, which says when a node
// had more than it offers.
func watchLimits(ctx context.Context, t testing.TB, lab *scenarios.Lab, offers api.Resources) func() []string {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var faults []string
	samples, most := 0, api.Resources{}
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		limits := map[string]api.Resources{} // by container; they never change
		for ; ctx.Err() == nil; samples++ {
			used, err := usedByNode(ctx, lab, limits)
			if err != nil && ctx.Err() == nil {
				faults = append(faults, err.Error())
			}
			for node, u := range used {
				most = api.Resources{CPUs: max(most.CPUs, u.CPUs), Memory: max(most.Memory, u.Memory)}
				if !u.Fits(offers) {
					faults = append(faults, fmt.Sprintf("containers of %s may take %s of %s", node.Short(), u, offers))
				}
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return func() []string {
		cancel()
		<-done
		t.Logf("%d samples of capacity; the most that a node had was %s of %s", samples, most, offers)
		if samples < 10 || most != offers {
			faults = append(faults, fmt.Sprintf("%d samples, the most is %s: want some, and a node that was full", samples, most))
		}
		return faults[:min(len(faults), 10)]
	}
}

// usedByNode sums up the limits of the running containers of each node, as docker
// inspect tells them.
func usedByNode(ctx context.Context, lab *scenarios.Lab, limits map[string]api.Resources) (map[api.NodeID]api.Resources, error) {
	list, err := lab.Containers(ctx)
	if err != nil {
		return nil, err
	}
	used := map[api.NodeID]api.Resources{}
	for _, c := range list {
		if !c.Runs() {
			continue
		}
		limit, ok := limits[c.ID]
		if !ok {
			in, err := lab.Engine().ContainerInspect(ctx, c.ID)
			if cerrdefs.IsNotFound(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			limit = api.Resources{CPUs: api.CPUs(in.HostConfig.NanoCPUs / 1e6), Memory: api.Bytes(in.HostConfig.Memory)}
			limits[c.ID] = limit
		}
		used[c.Node] = used[c.Node].Add(limit)
	}
	return used, nil
}
