package peer_test

import (
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// A node comes back with its tasks alive and its disk as it was before all that
// happened since, or without its table; at once to the others or, for a time, to
// nobody. What was removed is gone, what was made is there, and what has completed
// is not run again.
func TestClusterOldDisk(t *testing.T) {
	for name, how := range map[string]struct{ wiped, alone bool }{
		"stale": {}, "stale and alone at first": {alone: true}, "wiped": {wiped: true}, "wiped and alone at first": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
				ctx, o := t.Context(), api.WriteOptions{}
				for _, name := range []string{"gone", "anew", "less", "more", "idle"} {
					c.submit(c.nodes[0], service(name, 5))
				}
				batch := service("calc", 5)
				batch.Type, batch.Command = api.BatchJob, []string{"batch"}
				c.submit(c.nodes[0], batch)
				c.within(10*time.Second, "thirty run", c.exactly(30, c.nodes))
				away := c.nodes[4]
				disk := away.copyDisk()
				c.pass(30 * time.Second) // the batch job completes
				c.settle(10*time.Second, c.nodes...)
				c.kill(away)
				if how.wiped {
					disk = nil
				}
				c.did(c.nodes[0].agent.Remove(ctx, "gone", o))
				c.did(c.nodes[1].agent.Remove(ctx, "anew", o))
				c.did(c.nodes[2].agent.Stop(ctx, "idle", o))
				c.did(c.nodes[3].agent.Scale(ctx, "less", 1, o))
				c.did(c.nodes[3].agent.Scale(ctx, "more", 7, o))
				c.want["less"], c.want["more"], c.want["idle"] = 1, 7, 0
				delete(c.want, "gone")
				anew := service("anew", 2)
				anew.Env["V"] = "2"
				c.submit(c.nodes[2], anew)
				c.settle(time.Minute, c.rest(away)...)
				if how.alone {
					c.split([]*node{away})
				}
				away.startFrom(disk)
				if how.alone {
					c.pass(2 * time.Minute)
					c.heal()
				}
				c.settle(2*time.Minute, c.nodes...)
				c.pass(40 * time.Second)
				back := c.now()
				c.settle(time.Second, c.nodes...)
				c.quiet(time.Minute, "after the return")
				for _, n := range c.nodes {
					if j, err := n.agent.Job(ctx, "calc"); err != nil || j.Status.State != api.JobComplete {
						t.Errorf("%s has %+v, %v, want a complete job", n.name, j.Status, err)
					}
				}
				if got := c.starts(back); len(got) > 0 {
					t.Errorf("started were %v", got)
				}
			})
		})
	}
}
