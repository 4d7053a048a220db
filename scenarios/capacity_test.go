package scenarios_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestCapacityUnderAHundredSubmits hands a hundred jobs to five nodes at once,
// where sixty fit. What runs must never be more than a node has.
func TestCapacityUnderAHundredSubmits(t *testing.T) {
	const jobs, fit = 100, 60
	each := api.Resources{CPUs: 1200, Memory: 4 << 30} // twelve tasks of 0.1 cpu
	ctx, lab := startLab(t, 5, scenarios.LabConfig{Resources: each})
	over := watchCapacity(ctx, t, lab)

	var wg sync.WaitGroup
	for i := range jobs {
		wg.Go(func() {
			n := lab.Nodes()[i%5]
			if _, err := n.Service().Submit(ctx, sleeper(fmt.Sprintf("web-%02d", i), 1), api.WriteOptions{}); err != nil {
				t.Errorf("submit web-%02d to %s: %v", i, n.Name, err)
			}
		})
	}
	wg.Wait()
	awaitCounts(ctx, t, lab, fit, jobs-fit)
	err := scenarios.Throughout(ctx, 2*time.Second, func() error { return counts(ctx, lab, fit, jobs-fit) })
	if err != nil {
		t.Errorf("placed, and then: %v", err)
	}

	removed := 0
	for _, task := range tasksOf(ctx, t, lab.Nodes()[0], "") {
		if task.State == api.Running && removed < 10 {
			if _, err := lab.Nodes()[removed%5].Service().Remove(ctx, task.Job, api.WriteOptions{}); err != nil {
				t.Fatalf("remove %s: %v", task.Job, err)
			}
			removed++
		}
	}
	awaitCounts(ctx, t, lab, fit, jobs-fit-10)
	for _, fault := range over() {
		t.Error(fault)
	}
}

// TestJobLargerThanAnyNode stays pending; every node says why and what the best is
// that there is. It starts when there is room.
func TestJobLargerThanAnyNode(t *testing.T) {
	ctx, lab := startLab(t, 2, scenarios.LabConfig{})
	best, err := lab.AddNode(ctx, api.Resources{CPUs: 4000, Memory: 7 << 30})
	must(t, err)
	must(t, lab.AwaitReady(ctx))
	big := sleeper("big", 1)
	big.Resources.Memory = 64 << 30
	submit(ctx, t, lab.Nodes()[0], big)
	soon, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, n := range lab.Nodes() {
		must(t, scenarios.Eventually(soon, "big is pending with a reason", func() error {
			task, err := n.Service().Task(soon, "big.0")
			if err != nil {
				return err
			}
			if task.State != api.Pending {
				return fmt.Errorf("%s says that it is %s", n.Name, task.State)
			}
			for _, word := range []string{"64GiB", best.Name, "7GiB"} {
				if !strings.Contains(task.Reason, word) {
					return fmt.Errorf("%s says why: %q, want %s in it", n.Name, task.Reason, word)
				}
			}
			return nil
		}))
	}
	_, err = lab.AddNode(ctx, api.Resources{CPUs: 1000, Memory: 65 << 30})
	must(t, err)
	settle(ctx, t, lab, "big", 1, 20*time.Second)
}

// awaitCounts waits until every node counts so many tasks running and pending.
func awaitCounts(ctx context.Context, t *testing.T, lab *scenarios.Lab, running, pending int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	must(t, scenarios.Eventually(ctx, "what fits runs", func() error { return counts(ctx, lab, running, pending) }))
}

// counts says what is not as expected; who is pending has to say why.
func counts(ctx context.Context, lab *scenarios.Lab, running, pending int) error {
	for _, n := range lab.Nodes() {
		tasks, err := n.Service().Tasks(ctx, api.TaskFilter{})
		if err != nil {
			return err
		}
		states := map[api.TaskState]int{}
		for _, t := range tasks {
			states[t.State]++
			if t.State == api.Pending && t.Reason == "" {
				return fmt.Errorf("%s is pending and %s does not say why", t.ID, n.Name)
			}
		}
		if states[api.Running] != running || states[api.Pending] != pending {
			return fmt.Errorf("%s counts %v, want %d running and %d pending", n.Name, states, running, pending)
		}
	}
	procs, err := lab.Procs()
	if err != nil {
		return err
	}
	if got := len(scenarios.Copies(procs)); got != running {
		return fmt.Errorf("the process table has %d tasks, want %d", got, running)
	}
	return nil
}

// watchCapacity samples until the returned function is called, which says what was
// over capacity: what each node says of itself, and what the process table shows of
// tasks of 0.1 cpu.
func watchCapacity(ctx context.Context, t *testing.T, lab *scenarios.Lab) func() []string {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var faults []string
	samples := 0
	go func() {
		defer close(done)
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		for ; ; samples++ {
			faults = append(faults, overCapacity(ctx, lab)...)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func() []string {
		cancel()
		<-done
		t.Logf("%d samples of capacity", samples)
		if samples < 20 {
			faults = append(faults, fmt.Sprintf("only %d samples were taken", samples))
		}
		return faults[:min(len(faults), 10)]
	}
}

// overCapacity is one sample. A question that fails is left out: others ask whether
// nodes answer.
func overCapacity(ctx context.Context, lab *scenarios.Lab) (faults []string) {
	dirs := map[api.NodeID]map[string]bool{}
	procs, err := lab.Procs()
	if err != nil {
		return []string{err.Error()}
	}
	for _, p := range procs {
		if dirs[p.Node] == nil {
			dirs[p.Node] = map[string]bool{}
		}
		dirs[p.Node][p.Dir] = true
	}
	for _, n := range lab.Nodes() {
		if used := api.CPUs(len(dirs[n.ID()])) * 100; used > n.Offers.CPUs {
			faults = append(faults, fmt.Sprintf("processes of %s take %s cpus of %s", n.Name, used, n.Offers.CPUs))
		}
		tasks, err := n.Service().Tasks(ctx, api.TaskFilter{Node: string(n.ID())})
		if err != nil {
			continue
		}
		var used api.Resources
		for _, t := range tasks {
			if t.State.Live() || t.State == api.Stopping {
				used = used.Add(t.Resources)
			}
		}
		if !used.Fits(n.Offers) {
			faults = append(faults, fmt.Sprintf("%s says that its tasks take %s of %s", n.Name, used, n.Offers))
		}
	}
	return faults
}
