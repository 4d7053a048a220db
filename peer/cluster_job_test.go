package peer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/fake"
)

// A restart of a running job replaces one task after the other, and each new copy
// runs before the old one stops.
func TestClusterUpdateRolls(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.engine.Script = func(runtime.Spec) fake.Behaviour {
				return fake.Behaviour{StartTakes: 2 * time.Second, StopTakes: time.Second}
			}
		}
		c.submit(c.nodes[0], service("web", 6))
		c.settle(30*time.Second, c.nodes...)
		begun := c.now()
		c.did(c.nodes[1].agent.Restart(t.Context(), "web", api.WriteOptions{}))
		updated := func() string {
			j, err := c.nodes[2].agent.Job(t.Context(), "web")
			if err != nil {
				return err.Error()
			}
			if len(c.starts(begun)) < 6 || j.Status.State != api.JobRunning {
				return fmt.Sprintf("it is %s, %d were started", j.Status.State, len(c.starts(begun)))
			}
			return c.unsettled(c.nodes...)
		}
		took := c.within(2*time.Minute, "updated", updated)
		t.Logf("6 tasks updated in %v", took)
		if got := c.starts(begun); len(got) != 6 {
			t.Errorf("started were %v, want each task once", got)
		}
		low, high, starting := c.extremes("web", begun)
		if low < 6 || high > 7 || starting > 1 {
			t.Errorf("%d to %d copies ran, and %d were being started at once; want 6 or 7, and one start at a time", low, high, starting)
		}
		c.noStarts(2*time.Minute, "after the update")
	})
}

// extremes is how many copies of job ran at the least and at the most since a
// time, and how many were being started at once at the most.
func (c *cluster) extremes(job string, since time.Time) (low, high, starting int) {
	running, begun := map[string]bool{}, map[string]bool{}
	low = -1
	all := c.history()
	slices.SortStableFunc(all, func(a, b happened) int { // of one instant, a start comes last: it is an answer
		order := a.At.Compare(b.At)
		if order == 0 && (a.Event == fake.Starting) != (b.Event == fake.Starting) {
			order = 1
			if b.Event == fake.Starting {
				order = -1
			}
		}
		return order
	})
	for _, h := range all {
		if h.Labels.Job != job {
			continue
		}
		if !h.At.Before(since) && low < 0 {
			low, high = len(running), len(running)
		}
		id := h.node.name + h.ID
		switch h.Event {
		case fake.Starting:
			begun[id] = true
		case fake.Ran:
			delete(begun, id)
			running[id] = true
		case fake.Ended, fake.Gone:
			delete(begun, id)
			delete(running, id)
		}
		if !h.At.Before(since) {
			low, high, starting = min(low, len(running)), max(high, len(running)), max(starting, len(begun))
		}
	}
	return low, high, starting
}

// A batch task that has ended well is never run again, whoever dies.
func TestClusterBatchCompletesOnce(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.engine.Script = func(runtime.Spec) fake.Behaviour {
				return fake.Behaviour{Ends: true, RunFor: 20 * time.Second}
			}
		}
		j := service("calc", 4)
		j.Type = api.BatchJob
		c.submit(c.nodes[0], j)
		complete := func(n *node) func() string {
			return func() string {
				j, err := n.agent.Job(t.Context(), "calc")
				if err != nil {
					return err.Error()
				}
				if j.Status.State != api.JobComplete {
					return fmt.Sprintf("it is %s: %s", j.Status.State, j.Status.Reason)
				}
				return ""
			}
		}
		c.within(time.Minute, "complete", complete(c.nodes[0]))
		c.settle(10*time.Second, c.nodes...)
		owners := []*node{}
		for _, h := range c.history() {
			if !slices.Contains(owners, h.node) {
				owners = append(owners, h.node)
			}
		}
		c.crash(slices.Compact([]*node{owners[0], c.coordinator(c.nodes[0], "calc")})...)
		c.noStarts(5*time.Minute, "after the death of an owner and of the coordinator")
		for _, n := range c.nodes {
			if n.agent == nil {
				n.start(false)
			}
		}
		c.settle(time.Minute, c.nodes...)
		c.noStarts(10*time.Minute, "after the return")
		c.within(time.Second, "still complete", complete(c.nodes[4]))
	})
}

// A batch task whose owner dies in the middle runs again elsewhere.
func TestClusterBatchOwnerDies(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.engine.Script = func(runtime.Spec) fake.Behaviour {
				return fake.Behaviour{Ends: true, RunFor: time.Minute}
			}
		}
		j := service("calc", 1)
		j.Type = api.BatchJob
		c.submit(c.nodes[0], j)
		c.within(10*time.Second, "it runs", c.exactly(1, c.nodes))
		time.Sleep(10 * time.Second)
		owner := c.pick(func(n *node) bool { return runs("calc", n) > 0 })
		c.crash(owner)
		asked := c.rest(owner)[0]
		c.within(2*time.Minute, "complete", func() string {
			if j, err := asked.agent.Job(t.Context(), "calc"); err != nil || j.Status.State != api.JobComplete {
				return fmt.Sprintf("%+v, %v", j.Status, err)
			}
			return ""
		})
		owner.start(false)
		c.settle(time.Minute, c.nodes...)
		c.noStarts(5*time.Minute, "after the return")
	})
}

// A task that fails is tried again after growing pauses. When it can run
// elsewhere, it soon does: a node where it failed sits out.
func TestClusterFailingTask(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		bad := errors.New("no such program")
		for _, n := range c.nodes {
			n.engine.Script = func(s runtime.Spec) fake.Behaviour {
				if s.Labels.Job == "broken" || n != c.nodes[3] && s.Labels.Job == "picky" {
					return fake.Behaviour{StartErr: bad}
				}
				return fake.Behaviour{}
			}
		}
		j := service("broken", 1)
		c.submit(c.nodes[0], j)
		delete(c.want, "broken")
		time.Sleep(30 * time.Minute)
		var at []time.Time
		var tried []string
		on := map[string]bool{}
		for _, h := range c.history() {
			if h.Event == fake.Starting {
				at = append(at, h.At)
				tried = append(tried, fmt.Sprintf("%s on %s", h.Labels.Task(), h.node.name))
				on[h.node.name] = true
			}
		}
		var pauses []time.Duration
		for i := range at[1:] {
			pauses = append(pauses, at[i+1].Sub(at[i]))
		}
		t.Logf("tried %v with pauses %v", tried, pauses)
		if len(pauses) < 8 || len(pauses) > 25 {
			t.Fatalf("%d attempts in 30 minutes, want some: pauses %v", len(at), pauses)
		}
		for i := range pauses[4:] {
			if pauses[i+4] < pauses[i] && pauses[i] < 2*time.Minute {
				t.Errorf("pauses do not grow: %v", pauses)
				break
			}
		}
		if last := pauses[len(pauses)-1]; last < 2*time.Minute || last > 6*time.Minute {
			t.Errorf("the last pause is %v, want 2 to 6 minutes", last)
		}
		if len(on) < 3 {
			t.Errorf("it was tried on %v only", sorted(on))
		}
		c.did(c.nodes[1].agent.Remove(t.Context(), "broken", api.WriteOptions{}))
		c.submit(c.nodes[0], service("picky", 1))
		took := c.settle(2*time.Minute, c.nodes...)
		t.Logf("picky found its node after %v: %v", took, c.starts(time.Now().Add(-took-time.Second)))
	})
}

// A task that ends by itself is first started again where it is.
func TestClusterRestartInPlace(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 3))
		c.settle(10*time.Second, c.nodes...)
		begun := c.now()
		n := c.pick(func(n *node) bool { return runs("web", n) > 0 })
		h := n.containers()[0]
		n.engine.Kill(h.ID, 1)
		time.Sleep(500 * time.Millisecond)
		for _, at := range c.nodes {
			task, err := at.agent.Task(t.Context(), h.Labels.Task().String())
			if err != nil || task.State != api.Starting || task.PID != 0 || task.Restarts != 0 || task.FinishedAt == nil || !strings.HasSuffix(task.Reason, ", restarts in 1s (1 of 3)") {
				t.Errorf("half a second after its end, %s says of it: %+v, %v", at.name, task, err)
			}
			job, err := at.agent.Job(t.Context(), "web")
			if err != nil || job.Status.State != api.JobDegraded || job.Status.Running != 2 || job.Status.Reason != h.Labels.Task().Slot()+": "+task.Reason {
				t.Errorf("and of the job: %+v, %v", job.Status, err)
			}
		}
		c.settle(10*time.Second, c.nodes...)
		task, err := n.agent.Task(t.Context(), h.Labels.Task().String())
		if err != nil || task.State != api.Running || task.Restarts != 1 || task.FinishedAt != nil || !strings.HasPrefix(task.Reason, "restarted in place: ") {
			t.Errorf("then it says: %+v, %v", task, err)
		}
		if got := c.starts(begun); len(got) != 1 || !strings.HasPrefix(got[0], h.Labels.Task().String()+" on "+n.name) {
			t.Errorf("started were %v, want %s on %s", got, h.Labels.Task(), n.name)
		}
	})
}

// Scaling, stopping and restarting a job.
func TestClusterScaleStopRestart(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 3))
		c.settle(10*time.Second, c.nodes...)
		zero := c.pick(func(n *node) bool {
			return slices.ContainsFunc(n.containers(), func(h runtime.Container) bool { return h.Labels.Slot == 0 })
		})
		id := zero.containers()[0].ID
		for i, count := range []int{1, 3, 0, 2, 3} {
			if _, err := c.nodes[i].agent.Scale(t.Context(), "web", count, api.WriteOptions{}); err != nil {
				t.Fatal(err)
			}
			c.want["web"] = count
			took := c.settle(30*time.Second, c.nodes...)
			t.Logf("scaled to %d in %v", count, took)
			if count > 0 && i < 2 && !slices.ContainsFunc(zero.containers(), func(h runtime.Container) bool { return h.ID == id }) {
				t.Errorf("scaling to %d restarted slot 0", count)
			}
		}
		c.did(c.nodes[1].agent.Stop(t.Context(), "web", api.WriteOptions{}))
		c.want["web"] = 0
		c.within(30*time.Second, "stopped", func() string {
			if got := runs("web", c.nodes...); got > 0 {
				return fmt.Sprintf("%d run", got)
			}
			return ""
		})
		c.noStarts(10*time.Minute, "while stopped")
		c.did(c.nodes[2].agent.Restart(t.Context(), "web", api.WriteOptions{}))
		c.want["web"] = 3
		took := c.settle(30*time.Second, c.nodes...)
		t.Logf("running again after %v", took)
	})
}
