package peer_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Thirty nodes that start at once are one cluster; five of them die at once, and
// what they ran comes back, once.
func TestClusterThirty(t *testing.T) {
	inCluster(t, 30, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[7], service("web", 60))
		took := c.settle(10*time.Second, c.nodes...)
		t.Logf("60 tasks run on 30 nodes after %v", took)
		killed, dead := c.now(), c.nodes[20:25]
		lost := runs("web", dead...)
		c.crash(dead...)
		took = c.settle(30*time.Second, c.rest(dead...)...)
		t.Logf("%d tasks are back %v after five nodes died", lost, took)
		if got := c.starts(killed); len(got) != lost {
			t.Errorf("%d tasks were lost, started were %v", lost, got)
		}
		c.restartAll()
		c.settle(time.Minute, c.nodes...)
		c.quiet(10*time.Second, "after the return of five")
	})
}

// Fifteen nodes join five while these place and start jobs: each task is started once
// all the same. (Each that joins soon coordinates some of the jobs.)
func TestClusterJoinWhilePlacing(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.mood.set(false, 2*time.Second, nil)
		}
		begun := c.now()
		c.submit(c.nodes[0], service("web", 35))
		for range 15 {
			c.add(eightCPUs).start(false)
		}
		c.submit(c.nodes[1], service("api", 30))
		for i := range 10 {
			j := service(fmt.Sprintf("calc%d", i), 3)
			j.Type, j.Command = api.BatchJob, []string{"batch"}
			c.submit(c.nodes[i%5], j)
		}
		c.within(10*time.Second, "all run", func() string {
			if got := len(c.starts(begun)); got < 95 {
				return fmt.Sprintf("%d were started", got)
			}
			return ""
		})
		c.pass(batchRuns)
		c.settle(time.Minute, c.nodes...)
		if got := c.starts(begun); len(got) != 95 {
			t.Errorf("%d starts, want one of each of 95 tasks: %v", len(got), got)
		}
	})
}

// All nodes are restarted, one after the other: the tasks do not notice. So it is
// with agents that are killed, if they are given the time to come back.
func TestClusterRollingRestart(t *testing.T) {
	inCluster(t, 7, eightCPUs, func(t *testing.T, c *cluster) {
		j := service("web", 14)
		j.FailoverAfter = api.Duration(time.Minute)
		c.submit(c.nodes[0], j)
		c.submit(c.nodes[1], service("api", 7))
		c.settle(10*time.Second, c.nodes...)
		before, begun := c.placement(), c.now()
		for _, n := range c.nodes {
			n.stop()
			c.pass(10 * time.Second)
			n.start(false)
			c.settle(30*time.Second, c.nodes...)
		}
		c.did(c.nodes[3].agent.Remove(t.Context(), "api", api.WriteOptions{}))
		delete(c.want, "api")
		c.settle(10*time.Second, c.nodes...)
		if got := c.starts(begun); len(got) > 0 {
			t.Errorf("restarts of agents started %v, want nothing", got)
		}
		after := c.placement()
		for i, n := range c.nodes {
			c.kill(n)
			c.pass(time.Duration(i) * 5 * time.Second)
			n.start(false)
			c.settle(30*time.Second, c.nodes...)
		}
		if got := c.starts(begun); len(got) > 0 || c.placement() != after {
			t.Errorf("started were %v; at first it was\n%s\nthen\n%s\nand is\n%s", got, before, after, c.placement())
		}
		c.quiet(time.Minute, "after all were restarted")
	})
}

// All lose their power, tasks included, and come back in any order and at their
// leisure, one from an old copy of its disk and one without its table: what was
// acknowledged runs once, what was removed does not.
func TestClusterStaggeredBoots(t *testing.T) {
	inCluster(t, 7, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 6))
		c.submit(c.nodes[1], service("old", 3))
		c.settle(10*time.Second, c.nodes...)
		stale := c.nodes[2].copyDisk()
		c.submit(c.nodes[3], service("late", 4))
		c.did(c.nodes[4].agent.Remove(t.Context(), "old", api.WriteOptions{}))
		delete(c.want, "old")
		c.did(c.nodes[5].agent.Scale(t.Context(), "web", 9, api.WriteOptions{}))
		c.want["web"] = 9
		c.settle(10*time.Second, c.nodes...)
		c.crash(c.nodes...)
		c.pass(10 * time.Minute)
		for i := range rand.New(rand.NewPCG(5, 1)).Perm(7) {
			switch i {
			case 2:
				c.nodes[i].startFrom(stale)
			case 4:
				c.nodes[i].startFrom(nil)
			default:
				c.nodes[i].start(false)
			}
			c.twice = true // who is up does not see everybody
			c.pass(time.Duration(i) * 3 * time.Second)
		}
		c.settle(2*time.Minute, c.nodes...)
		c.pass(40 * time.Second)
		c.settle(time.Second, c.nodes...)
		c.quiet(time.Minute, "after the boots")
	})
}
