package peer_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/fake"
)

// A node that drains gives its tasks away, each new copy running before the old
// one stops, and takes none until it is resumed; also across a restart.
func TestClusterDrain(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.script(fake.Behaviour{StartTakes: time.Second, StopTakes: time.Second})
		c.submit(c.nodes[0], service("web", 10))
		c.settle(30*time.Second, c.nodes...)
		victim := c.pick(func(n *node) bool { return runs("web", n) > 1 })
		had := runs("web", victim)
		begun := c.now()
		if _, err := c.rest(victim)[0].agent.DrainNode(t.Context(), victim.name); err != nil {
			t.Fatal(err)
		}
		empty := func() string {
			if got := len(victim.containers()); got > 0 {
				return fmt.Sprintf("%d containers are left", got)
			}
			return ""
		}
		took := c.within(time.Minute, "drained", empty)
		t.Logf("%d tasks moved in %v", had, took)
		if low, high, _ := c.extremes("web", begun); low < 10 || high > 12 || len(c.starts(begun)) != had {
			t.Errorf("%d to %d copies ran, started were %v; want never less than 10, and %d starts", low, high, c.starts(begun), had)
		}
		c.noStarts(time.Minute, "once drained")
		victim.stop()
		victim.start(false)
		c.within(30*time.Second, "back, and drained to all", func() string {
			for _, n := range c.nodes {
				if v, err := n.agent.Node(t.Context(), victim.name); err != nil || v.Status != api.NodeDrained {
					return fmt.Sprintf("to %s it is %s, %v", n.name, v.Status, err)
				}
			}
			return ""
		})
		c.submit(victim, service("api", 10))
		c.within(30*time.Second, "twenty run", c.exactly(20, c.nodes))
		if why := empty(); why != "" {
			t.Error(why)
		}
		if _, err := victim.agent.ResumeNode(t.Context(), "self"); err != nil {
			t.Fatal(err)
		}
		c.settle(30*time.Second, c.nodes...)
		c.noStarts(time.Minute, "after it was resumed")
	})
}

// Drains, cordons and resumes of one node at the same time, asked of several, are all
// done in some order; the last resume undoes whatever there is.
func TestClusterDrainAndResumeAtOnce(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		victim := c.nodes[0]
		var asked sync.WaitGroup
		for i := range 60 {
			asked.Go(func() {
				a := c.nodes[i%3].agent
				do := []func(context.Context, string) (api.Node, error){a.DrainNode, a.ResumeNode, a.CordonNode, a.ResumeNode}[i%4]
				if _, err := do(t.Context(), victim.name); err != nil {
					t.Error(err)
				}
			})
		}
		asked.Wait()
		for _, do := range []func(context.Context, string) (api.Node, error){victim.agent.CordonNode, victim.agent.DrainNode, victim.agent.ResumeNode} {
			if _, err := do(t.Context(), "self"); err != nil {
				t.Fatal(err)
			}
		}
		c.within(10*time.Second, "all see it ready", c.seen(victim, func(n api.Node) bool { return n.Status == api.NodeReady && !n.Cordoned }))
	})
}

// script sets how all tasks behave.
func (c *cluster) script(b fake.Behaviour) {
	for _, n := range c.nodes {
		n.engine.Script = func(runtime.Spec) fake.Behaviour { return b }
	}
}

// A batch task on a node that drains never runs twice at once: it is stopped, and
// then begun anew elsewhere.
func TestClusterDrainBatch(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.script(fake.Behaviour{Ends: true, RunFor: time.Minute, StopTakes: 2 * time.Second})
		j := service("calc", 2)
		j.Type = api.BatchJob
		c.submit(c.nodes[0], j)
		c.within(10*time.Second, "both run", c.exactly(2, c.nodes))
		time.Sleep(10 * time.Second)
		owner := c.pick(func(n *node) bool { return runs("calc", n) > 0 })
		begun := c.now()
		if _, err := owner.agent.DrainNode(t.Context(), "self"); err != nil {
			t.Fatal(err)
		}
		c.within(3*time.Minute, "complete", func() string {
			if j, err := owner.agent.Job(t.Context(), "calc"); err != nil || j.Status.State != api.JobComplete {
				return fmt.Sprintf("%+v, %v", j.Status, err)
			}
			return ""
		})
		if _, high, _ := c.extremes("calc", begun); high > 2 {
			t.Errorf("%d copies of two tasks ran at once", high)
		}
		t.Logf("complete %v after the drain; started were %v", time.Since(begun), c.starts(begun))
	})
}

// A node that leaves gives its tasks away and is no member any more; what it was
// before does not keep it from joining again.
func TestClusterLeave(t *testing.T) {
	inCluster(t, 4, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 8))
		c.settle(10*time.Second, c.nodes...)
		gone := c.nodes[3]
		begun := c.now()
		had := runs("web", gone)
		if err := gone.agent.Leave(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		c.within(2*time.Minute, "it ends", func() string {
			select {
			case <-gone.agent.done:
				return ""
			default:
				return fmt.Sprintf("%d tasks are left", runs("web", gone))
			}
		})
		gone.agent = nil
		c.settle(30*time.Second, c.nodes[:3]...)
		if low, _, _ := c.extremes("web", begun); low < 8 || len(c.starts(begun)) != had {
			t.Errorf("%d copies ran at the least, started were %v; want 8, and %d starts", low, c.starts(begun), had)
		}
		for _, n := range c.nodes[:3] {
			if all, err := n.agent.Nodes(t.Context()); err != nil || len(all) != 3 {
				t.Errorf("%s lists %d nodes, %v; want 3", n.name, len(all), err)
			}
		}
		gone.start(false)
		c.settle(time.Minute, c.nodes...)
		c.noStarts(time.Minute, "after it has joined again")
	})
}
