package peer_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// left waits until the agents of nodes have ended since they left.
func (c *cluster) left(limit time.Duration, nodes ...*node) {
	c.t.Helper()
	took := c.within(limit, "they left", func() string {
		c.reapEnded()
		for _, n := range nodes {
			if n.agent != nil {
				return fmt.Sprintf("%s has %d containers", n.name, len(n.containers()))
			}
		}
		return ""
	})
	c.t.Logf("%v left in %v", names(nodes), took)
}

// A node drains while the coordinator dies, and dies itself in the middle of it: it
// is drained all the same.
func TestClusterDrainUnderFaults(t *testing.T) {
	inCluster(t, 6, eightCPUs, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.mood.set(false, 2*time.Second, nil)
		}
		j := service("web", 18)
		j.FailoverAfter = api.Duration(20 * time.Second)
		c.submit(c.nodes[0], j)
		c.settle(time.Minute, c.nodes...)
		c.twice = true
		boss := c.coordinator(c.nodes[0], "web")
		gone := c.pick(func(n *node) bool { return n != boss && runs("web", n) > 1 })
		if _, err := boss.agent.DrainNode(t.Context(), gone.name); err != nil {
			t.Fatal(err)
		}
		c.pass(2500 * time.Millisecond)
		c.crash(boss)
		c.pass(time.Second)
		c.kill(gone)
		c.pass(5 * time.Second)
		gone.start(false)
		c.within(2*time.Minute, "drained", func() string {
			if got := len(gone.containers()); got > 0 || runs("web", c.nodes...) != 18 {
				return fmt.Sprintf("%d containers are left, %d run in all", got, runs("web", c.nodes...))
			}
			return ""
		})
		boss.start(false)
		c.within(time.Minute, "resumed", func() string {
			if _, err := gone.agent.ResumeNode(t.Context(), "self"); err != nil {
				return err.Error()
			}
			return ""
		})
		c.settle(2*time.Minute, c.nodes...)
		c.quiet(time.Minute, "after the drain")
	})
}

// Three of six leave at once, a fourth dies meanwhile, a fifth is cut off and leaves
// when it sees the others again: the last one and who comes back have everything.
func TestClusterLeaveUnderFaults(t *testing.T) {
	inCluster(t, 7, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 8))
		c.settle(10*time.Second, c.nodes...)
		c.twice = true
		off := c.nodes[5]
		c.split([]*node{off})
		c.settle(time.Minute, c.rest(off)...)
		for _, n := range append(slices.Clone(c.nodes[1:4]), off) {
			if err := n.agent.Leave(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		c.pass(500 * time.Millisecond)
		c.crash(c.nodes[4])
		c.left(2*time.Minute, c.nodes[1:4]...)
		c.settle(time.Minute, c.nodes[0], c.nodes[6])
		if got := runs("web", c.nodes[0], c.nodes[6]); got != 8 {
			t.Errorf("%d run on the two that are left, want 8", got)
		}
		c.heal()
		c.left(2*time.Minute, off)
		c.settle(time.Minute, c.nodes[0], c.nodes[6])
		c.quiet(time.Minute, "with the two that are left")
		c.restartAll()
		c.settle(time.Minute, c.nodes...)
		if err := c.nodes[6].agent.Leave(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		c.left(time.Minute, c.nodes[6])
		c.settle(time.Minute, c.nodes[:6]...)
		c.quiet(time.Minute, "after a forced leave")
	})
}

// A job that is frozen in a partition is replaced nowhere as long as its nodes may
// be well: not when they are cut off, nor when they are dead. It is when they leave
// or are removed.
func TestClusterFreeze(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		j := service("web", 5)
		j.OnPartition = "freeze"
		c.submit(c.nodes[0], j)
		c.settle(10*time.Second, c.nodes...)
		before := c.placement()
		c.split(c.nodes[:2])
		c.noStarts(2*time.Minute, "in the partition")
		c.heal()
		c.settle(time.Minute, c.nodes...)
		c.kill(c.nodes[1])
		c.noStarts(2*time.Minute, "while one is dead")
		c.nodes[1].start(false)
		c.settle(time.Minute, c.nodes...)
		if got := c.placement(); got != before {
			t.Errorf("it was\n%s\nand is\n%s", before, got)
		}
		owner := c.ownerOf("web.3")
		c.crash(owner)
		c.noStarts(2*time.Minute, "while one is dead with its tasks")
		asked := c.rest(owner)[0]
		if _, err := asked.agent.RemoveNode(t.Context(), owner.name); err != nil {
			t.Fatal(err)
		}
		took := c.within(time.Minute, "replaced", func() string {
			if got := runs("web", c.rest(owner)...); got != 5 {
				return fmt.Sprintf("%d run", got)
			}
			return ""
		})
		t.Logf("replaced %v after the node was removed", took)
		owner.start(false)
		c.settle(time.Minute, c.nodes...)
		owner = c.ownerOf("web.0")
		if err := owner.agent.Leave(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		c.left(time.Minute, owner)
		c.settle(time.Minute, c.rest(owner)...)
		c.quiet(time.Minute, "after it left")
	})
}
