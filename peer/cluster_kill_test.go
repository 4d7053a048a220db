package peer_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Any node may die at any moment: what it ran comes back elsewhere, nothing else
// moves, and it may come back.
func TestClusterKillOne(t *testing.T) {
	victims := map[string]func(c *cluster, asked *node) *node{
		"the one that was asked": func(_ *cluster, asked *node) *node { return asked },
		"the coordinator":        func(c *cluster, asked *node) *node { return c.coordinator(asked, "web") },
		"one that runs tasks": func(c *cluster, asked *node) *node {
			return c.pick(func(n *node) bool { return n != asked && runs("web", n) > 0 && n != c.coordinator(asked, "web") })
		},
	}
	for name, choose := range victims {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
				asked := c.nodes[2]
				c.submit(asked, service("web", 6))
				c.settle(10*time.Second, c.nodes...)
				victim := choose(c, asked)
				lost := runs("web", victim)
				killed := c.now()
				c.crash(victim)
				took := c.settle(5*time.Second, c.rest(victim)...)
				t.Logf("%d of 6 tasks were lost with %s, and back after %v", lost, victim.name, took)
				if got := c.starts(killed); len(got) != lost {
					t.Errorf("%d tasks were lost, started were %v", lost, got)
				}
				tasks, err := c.rest(victim)[0].agent.Tasks(t.Context(), api.TaskFilter{Job: "web"})
				if err != nil || len(tasks) != 6 {
					t.Errorf("got %d tasks, %v, want 6", len(tasks), err)
				}
				for _, task := range tasks {
					if moved, why := task.Epoch > 1, strings.HasPrefix(task.Reason, victim.name+" failed"); moved != why {
						t.Errorf("%s runs because %q, want to be told of the failure of %s if it moved, and only then", task.Attempt, task.Reason, victim.name)
					}
				}
				back := c.now()
				victim.start(false)
				c.settle(30*time.Second, c.nodes...)
				c.noStarts(time.Minute, "after the return")
				if got := c.starts(back); len(got) > 0 {
					t.Errorf("the return of the node started %v, want nothing", got)
				}
			})
		})
	}
}

// pick returns a node that ok likes.
func (c *cluster) pick(ok func(*node) bool) *node {
	c.t.Helper()
	i := slices.IndexFunc(c.nodes, ok)
	if i < 0 {
		c.t.Fatal("no node is as the test needs it")
	}
	return c.nodes[i]
}

// The answer is hardly out when the node that gave it is gone for good: the job is
// on the disks of others.
func TestClusterAcknowledgedAndDead(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.twice = true // the dead may have awarded what nobody else has heard of
		asked := c.nodes[4]
		c.submit(asked, service("web", 6))
		c.crash(asked)
		c.settle(10*time.Second, c.rest(asked)...)
		c.submit(c.nodes[3], service("api", 2))
		c.crash(c.nodes[3])
		c.settle(10*time.Second, c.nodes[:3]...)
	})
}

// The last node with room takes all, and gives nothing away when the others are back.
func TestClusterKillFourOfFive(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 6))
		c.settle(10*time.Second, c.nodes...)
		killed := c.now()
		c.crash(c.nodes[:4]...)
		took := c.settle(3*time.Minute, c.nodes[4]) // nobody is left to confirm what it sees
		t.Logf("all 6 on one node %v after the death of four", took)
		if got := c.starts(killed); len(got) > 6 {
			t.Errorf("started were %v, want at most 6", got)
		}
		for _, n := range c.nodes[:4] {
			n.start(false)
		}
		c.settle(time.Minute, c.nodes...)
		c.noStarts(time.Minute, "after the return of four")
	})
}

// An agent that dies and comes back before it counts as dead finds its tasks as it
// left them.
func TestClusterFailoverAfter(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		j := service("web", 6)
		j.FailoverAfter = api.Duration(30 * time.Second)
		c.submit(c.nodes[0], j)
		c.settle(10*time.Second, c.nodes...)
		before := c.placement()
		victim := c.pick(func(n *node) bool { return runs("web", n) > 0 })
		killed := c.now()
		c.kill(victim)
		time.Sleep(10 * time.Second)
		victim.start(false)
		c.settle(30*time.Second, c.nodes...)
		time.Sleep(time.Minute)
		if got := c.starts(killed); len(got) > 0 || c.placement() != before {
			t.Errorf("started were %v; before:\n%s\nafter:\n%s", got, before, c.placement())
		}
		c.crash(victim)
		lost := c.now()
		c.settle(40*time.Second, c.rest(victim)...)
		for _, h := range c.history() {
			if h.At.After(lost) && h.Event == "starting" && h.At.Sub(lost) < 30*time.Second {
				t.Errorf("%s was started %v after the death, want 30s at the least", h.Labels.Task(), h.At.Sub(lost))
			}
		}
	})
}

// An agent that dies without its tasks is replaced at once. When it is back, the
// copies that were replaced stop, and everything runs once.
func TestClusterAgentDiesTasksLive(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 6))
		c.settle(10*time.Second, c.nodes...)
		victim := c.pick(func(n *node) bool { return runs("web", n) > 0 })
		killed := c.now()
		lost := runs("web", victim)
		c.kill(victim)
		c.settle(10*time.Second, c.rest(victim)...)
		if got := c.starts(killed); len(got) != lost {
			t.Errorf("%d tasks were lost, started were %v", lost, got)
		}
		victim.start(false)
		c.settle(30*time.Second, c.nodes...)
		c.noStarts(time.Minute, "after the return")
	})
}

// A node that says that it will be back is waited for, for a minute.
func TestClusterGracefulRestart(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 6))
		c.settle(10*time.Second, c.nodes...)
		before := c.placement()
		victim := c.pick(func(n *node) bool { return runs("web", n) > 0 })
		lost := runs("web", victim)
		stopped := c.now()
		victim.stop()
		time.Sleep(50 * time.Second)
		victim.start(false)
		c.settle(30*time.Second, c.nodes...)
		time.Sleep(time.Minute)
		if got := c.starts(stopped); len(got) > 0 || c.placement() != before {
			t.Errorf("started were %v; before:\n%s\nafter:\n%s", got, before, c.placement())
		}

		stopped = c.now()
		victim.stop()
		c.noStarts(55*time.Second, "while it is waited for")
		took := c.settle(30*time.Second, c.rest(victim)...)
		if got := c.starts(stopped); len(got) != lost {
			t.Errorf("%d tasks were to move, started were %v", lost, got)
		}
		t.Logf("moved %v after the stop", took+55*time.Second)
		victim.start(false)
		c.settle(30*time.Second, c.nodes...)
		c.noStarts(time.Minute, "after the late return")
	})
}

// All lose their power at once and come back one by one, their tasks dead: every
// acknowledged job runs once, and what was removed does not.
func TestClusterPowerCut(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 6))
		c.submit(c.nodes[1], service("old", 3))
		c.settle(10*time.Second, c.nodes...)
		c.submit(c.nodes[2], service("late", 2)) // on three disks, and perhaps not yet placed
		c.did(c.nodes[3].agent.Remove(t.Context(), "old", api.WriteOptions{}))
		delete(c.want, "old")
		c.crash(c.nodes...)
		c.twice = true // who is up does not see everybody
		time.Sleep(5 * time.Minute)
		for i, n := range c.nodes {
			time.Sleep(time.Duration(i) * 4 * time.Second)
			n.start(false)
		}
		c.settle(time.Minute, c.nodes...)
		c.noStarts(2*time.Minute, "after the boot")
	})
}
