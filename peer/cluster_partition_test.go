package peer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/peer"
)

// Each side of a partition keeps all tasks alive; after the heal each runs once,
// and nothing is started for it.
func TestClusterPartition(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 6))
		c.settle(10*time.Second, c.nodes...)
		left, right := c.nodes[:2], c.nodes[2:]
		c.twice = true
		c.net.Partition(names(left))
		c.settle(time.Minute, left...)
		c.settle(time.Minute, right...)
		for _, side := range [][]*node{left, right} {
			if got := runs("web", side...); got != 6 {
				t.Errorf("%v run %d tasks, want 6", names(side), got)
			}
		}
		c.noStarts(10*time.Second, "in the partition") // long enough that news from the other side are known for what they are
		healed := c.now()
		c.net.Heal()
		took := c.settle(time.Minute, c.nodes...)
		if got := c.starts(healed); len(got) > 0 {
			t.Errorf("the heal, which took %v, started %v, want nothing: each side had all that it needs", took, got)
		}
		c.noStarts(time.Minute, "after the heal")
	})
}

// What one side removes while it cannot reach the other is gone from both after
// the heal, also if the other side has changed it meanwhile, and stays gone.
func TestClusterRemoveDuringPartition(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 4))
		c.submit(c.nodes[0], service("api", 2))
		c.settle(10*time.Second, c.nodes...)
		left, right := c.nodes[:2], c.nodes[2:]
		c.twice = true
		c.net.Partition(names(left))
		c.settle(time.Minute, left...)
		c.settle(time.Minute, right...)
		c.did(left[0].agent.Remove(t.Context(), "web", api.WriteOptions{}))
		c.did(right[0].agent.Scale(t.Context(), "web", 5, api.WriteOptions{}))
		c.did(right[1].agent.Restart(t.Context(), "web", api.WriteOptions{}))
		c.did(right[1].agent.Scale(t.Context(), "api", 3, api.WriteOptions{}))
		time.Sleep(10 * time.Second)
		c.net.Heal()
		delete(c.want, "web")
		c.want["api"] = 3
		c.settle(time.Minute, c.nodes...)
		c.noStarts(10*time.Minute, "after the removal")
		if _, err := right[2].agent.Job(t.Context(), "web"); api.CodeOf(err) != api.JobNotFound {
			t.Errorf("the removed job is there: %v", err)
		}
		// The name is free again, on every node.
		c.submit(right[2], service("web", 2))
		c.settle(10*time.Second, c.nodes...)
	})
}

// A node is away, with its tasks, while a job is removed. Its return stops them.
func TestClusterReturnsToARemovedJob(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 5))
		c.settle(10*time.Second, c.nodes...)
		away := c.pick(func(n *node) bool { return runs("web", n) > 0 })
		c.kill(away)
		asked := c.rest(away)[0]
		c.did(asked.agent.Remove(t.Context(), "web", api.WriteOptions{}))
		delete(c.want, "web")
		c.settle(30*time.Second, c.rest(away)...)
		if runs("web", away) == 0 {
			t.Fatal("the tasks of a dead agent stopped: the test tests nothing")
		}
		time.Sleep(10 * time.Minute)
		back := c.now()
		away.start(false)
		c.settle(2*time.Minute, c.nodes...)
		if got := c.starts(back); len(got) > 0 {
			t.Errorf("started were %v", got)
		}
	})
}

// Two nodes change one job on two sides of a partition: one of the changes wins
// everywhere.
func TestClusterConflict(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 4))
		c.settle(10*time.Second, c.nodes...)
		left, right := c.nodes[:2], c.nodes[2:]
		c.twice = true
		c.net.Partition(names(left))
		c.settle(time.Minute, left...)
		c.settle(time.Minute, right...)
		c.did(left[0].agent.Scale(t.Context(), "web", 2, api.WriteOptions{}))
		c.did(right[0].agent.Scale(t.Context(), "web", 3, api.WriteOptions{}))
		time.Sleep(10 * time.Second)
		c.net.Heal()
		c.within(time.Minute, "one change won everywhere", func() string {
			for _, n := range c.nodes {
				j, err := n.agent.Job(t.Context(), "web")
				if err != nil {
					return err.Error()
				}
				if n == c.nodes[0] {
					c.want["web"] = j.Replicas
				} else if j.Replicas != c.want["web"] {
					return fmt.Sprintf("%s has %d replicas, n0 %d", n.name, j.Replicas, c.want["web"])
				}
			}
			return c.unsettled(c.nodes...)
		})
	})
}

// A coordinator that neither asks nor answers anybody, though gossip holds it for
// alive, does not keep its jobs from being served.
func TestClusterSilentCoordinator(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		mute := c.nodes[4]
		name := c.nameFor(mute)
		mute.agent.host.mute.Store(true)
		c.twice = true // several may take over at once
		j := service(name, 3)
		j.Resources = eightCPUs // a copy fills a node; the mute one could give one to itself
		begun := c.now()
		c.submit(c.nodes[0], j)
		took := c.within(25*time.Second, "three copies run", func() string {
			if got := runs(name, c.nodes...); got < 3 {
				return fmt.Sprintf("%d run: %s", got, c.why(c.nodes[0], name+".0"))
			}
			return ""
		})
		t.Logf("taken over and running after %v", took)
		mute.agent.host.mute.Store(false)
		c.settle(30*time.Second, c.nodes...)
		t.Logf("started were %v", c.starts(begun))
	})
}

// nameFor finds the name of a job that n will coordinate.
func (c *cluster) nameFor(n *node) string {
	nodes := map[api.NodeID]peer.NodeState{}
	for _, m := range c.nodes {
		nodes[m.id] = peer.NodeState{ID: m.id, Alive: true, State: "ready"}
	}
	for i := 0; ; i++ {
		if name := fmt.Sprintf("job%d", i); peer.Ranks(name, nodes)[0] == n.id {
			return name
		}
	}
}
