package scenarios_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// startNetwork is startLab with nodes that have a network of their own.
func startNetwork(t *testing.T, nodes int) (context.Context, *scenarios.Lab) {
	t.Helper()
	needNetwork(t)
	return startLab(t, nodes, scenarios.LabConfig{Network: true})
}

// TestSplit cuts two of five nodes off, by silence and by a firewall that refuses. Each
// side serves all; what must not run twice does not; both take requests and say what they
// are worth. After the heal each task runs once, and the frozen ones have never moved.
func TestSplit(t *testing.T) {
	t.Parallel()
	for _, loss := range []scenarios.Loss{scenarios.Silence, scenarios.Refusal} {
		t.Run(string(loss), func(t *testing.T) {
			t.Parallel()
			ctx, lab := startNetwork(t, 5)
			left, right := lab.Nodes()[:2], lab.Nodes()[2:]
			frozen := sleeper("cold", 5)
			frozen.OnPartition = "freeze"
			submit(ctx, t, left[0], frozen)
			submit(ctx, t, right[0], sleeper("web", 6))
			submit(ctx, t, right[0], sleeper("old", 3))
			for job, replicas := range map[string]int{"cold": 5, "web": 6, "old": 3} {
				settle(ctx, t, lab, job, replicas, 20*time.Second)
			}
			before := copiesOf(t, lab, "cold")

			must(t, lab.Cut(ctx, &scenarios.Cut{From: left, To: right, BothWays: true, Loss: loss}))
			for _, side := range [][]*scenarios.Node{left, right} {
				serves(ctx, t, lab, "web", 6, side)
			}
			for job, at := range map[string]*scenarios.Node{"few": left[0], "many": right[0]} {
				w, err := at.Service().Submit(ctx, sleeper(job, 2), api.WriteOptions{})
				if err != nil || w.Disks > 3 || w.Durable() != (job == "many") {
					t.Errorf("submit %s: on %d of %d disks, %v; its side has %s", job, w.Disks, w.Wanted, err, job)
				}
			}
			if _, err := left[1].Service().Remove(ctx, "old", api.WriteOptions{}); err != nil {
				t.Errorf("remove a job in the minority: %v", err)
			}
			must(t, scenarios.Throughout(ctx, 3*time.Second, func() error { return unmoved(t, lab, "cold", before) }))

			must(t, lab.Mend(ctx))
			for job, replicas := range map[string]int{"cold": 5, "web": 6, "few": 2, "many": 2} {
				settle(ctx, t, lab, job, replicas, 40*time.Second)
			}
			eventually(ctx, t, "what was removed on one side is gone", 20*time.Second, func(ctx context.Context) error { return lab.CheckGone(ctx, "old") })
			must(t, lab.AwaitReady(ctx))
			must(t, unmoved(t, lab, "cold", before))
			lasts(ctx, t, lab, "web", 6)
		})
	}
}

// TestOneWay keeps what others send from reaching one node, and then what it sends from
// reaching them. Its tasks are served whatever each side thinks, and once after the heal.
func TestOneWay(t *testing.T) {
	t.Parallel()
	for _, deaf := range []bool{true, false} {
		t.Run(map[bool]string{true: "deaf", false: "mute"}[deaf], func(t *testing.T) {
			t.Parallel()
			ctx, lab := startNetwork(t, 4)
			submit(ctx, t, lab.Nodes()[0], sleeper("web", 6))
			settle(ctx, t, lab, "web", 6, 20*time.Second)
			victim := fullest(ctx, t, lab, "web")
			others := slices.DeleteFunc(lab.Nodes(), func(n *scenarios.Node) bool { return n == victim })
			cut := &scenarios.Cut{From: []*scenarios.Node{victim}, To: others, Loss: scenarios.Silence}
			if deaf {
				cut.From, cut.To = cut.To, cut.From
			}
			must(t, lab.Cut(ctx, cut))
			serves(ctx, t, lab, "web", 6, others)
			submit(ctx, t, others[0], sleeper("api", 3))
			serves(ctx, t, lab, "api", 3, others)
			must(t, lab.Mend(ctx, cut))
			settle(ctx, t, lab, "web", 6, 40*time.Second)
			settle(ctx, t, lab, "api", 3, 40*time.Second)
			must(t, lab.AwaitReady(ctx))
			lasts(ctx, t, lab, "web", 6)
		})
	}
}

// TestPartialPartition cuts a single link: each end still hears of the other through the
// others. Nothing moves, and a request at one end is known at the other.
func TestPartialPartition(t *testing.T) {
	t.Parallel()
	for _, loss := range []scenarios.Loss{scenarios.Silence, scenarios.Refusal} {
		t.Run(string(loss), func(t *testing.T) {
			t.Parallel()
			ctx, lab := startNetwork(t, 4)
			submit(ctx, t, lab.Nodes()[0], sleeper("web", 6))
			settle(ctx, t, lab, "web", 6, 20*time.Second)
			before := copiesOf(t, lab, "web")
			a, b := lab.Nodes()[:1], lab.Nodes()[1:2]
			must(t, lab.Cut(ctx, &scenarios.Cut{From: a, To: b, BothWays: true, Loss: loss}))
			must(t, scenarios.Throughout(ctx, 8*time.Second, func() error { return unmoved(t, lab, "web", before) }))
			if _, err := a[0].Service().Submit(ctx, sleeper("api", 4), api.WriteOptions{}); err != nil {
				t.Fatalf("submit at one end: %v", err)
			}
			settle(ctx, t, lab, "api", 4, 30*time.Second)
			w, err := b[0].Service().Scale(ctx, "api", 2, api.WriteOptions{})
			if err != nil || !w.Durable() {
				t.Errorf("scale at the other end: on %d of %d disks, %v", w.Disks, w.Wanted, err)
			}
			settle(ctx, t, lab, "api", 2, 30*time.Second)
			must(t, lab.Mend(ctx))
			must(t, lab.AwaitReady(ctx))
			must(t, unmoved(t, lab, "web", before))
			settle(ctx, t, lab, "api", 2, 20*time.Second)
		})
	}
}

// lasts waits until a job is as it should be and stays so. Right after a heal a node can
// still find one dead that it did not hear before.
func lasts(ctx context.Context, t *testing.T, lab *scenarios.Lab, job string, want int) {
	t.Helper()
	eventually(ctx, t, job+" stays as it should be", 40*time.Second, func(ctx context.Context) error {
		return scenarios.Throughout(ctx, 3*time.Second, func() error { return lab.CheckJob(ctx, job, want) })
	})
}

// serves waits until each of a side says that so many tasks of a job run, all on nodes of
// the side, and the process table has them.
func serves(ctx context.Context, t *testing.T, lab *scenarios.Lab, job string, want int, side []*scenarios.Node) {
	t.Helper()
	eventually(ctx, t, fmt.Sprintf("%s and %d others run all of %s", side[0].Name, len(side)-1, job), 30*time.Second, func(ctx context.Context) error {
		procs, err := lab.Procs()
		if err != nil {
			return err
		}
		for _, n := range side {
			tasks, err := n.Service().Tasks(ctx, api.TaskFilter{Job: job, State: api.Running})
			if err != nil {
				return err
			}
			here := 0
			for _, task := range tasks {
				runs := slices.ContainsFunc(procs, func(p scenarios.Proc) bool { return p.Node == task.Node && filepath.Base(p.Dir) == task.ContainerID })
				if owner := lab.NodeByID(task.Node); slices.Contains(side, owner) && runs {
					here++
				}
			}
			if here != want {
				return fmt.Errorf("%s sees %d of %d there: %s", n.Name, here, want, scenarios.Brief(tasks))
			}
		}
		return nil
	})
}

// copiesOf is where each task of a job runs, by the process table.
func copiesOf(t *testing.T, lab *scenarios.Lab, job string) map[string]string {
	t.Helper()
	procs, err := lab.Procs()
	must(t, err)
	copies := map[string]string{}
	for _, p := range procs {
		if id, err := api.ParseTaskID(p.Task); err == nil && id.Job == job {
			copies[p.Dir] = p.Task
		}
	}
	return copies
}

// unmoved says how the copies of a job are others than before.
func unmoved(t *testing.T, lab *scenarios.Lab, job string, before map[string]string) error {
	t.Helper()
	if now := copiesOf(t, lab, job); !maps.Equal(now, before) {
		return fmt.Errorf("the copies of %s became %v, want %v", job, now, before)
	}
	return nil
}
