package peer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Links that are bad for some and good for others: while that lasts, jobs are
// placed, changed and healed among those who are seen by all, and then there is
// quiet. The first two nodes are those of the bad link.
func TestClusterBadLinks(t *testing.T) {
	for name, link := range map[string]struct {
		cut  func(c *cluster, a, b *node)
		lost int  // so many of the first nodes are out of everybody's sight
		loud bool // gossip holds one now and then for dead that is not, and its tasks move
	}{
		"two do not reach each other": {cut: func(c *cluster, a, b *node) { c.cut(a, b) }},
		"one does not reach another":  {cut: func(c *cluster, a, b *node) { c.cutOneWay(a, b) }},
		"one reaches only one other": {loud: true, cut: func(c *cluster, a, b *node) {
			for _, n := range c.rest(a, b) {
				c.cut(a, n)
			}
		}},
		"one is not heard": {lost: 1, cut: func(c *cluster, a, _ *node) {
			for _, n := range c.rest(a) {
				c.cutOneWay(a, n)
			}
		}},
		"one does not hear": {lost: 1, cut: func(c *cluster, a, _ *node) {
			for _, n := range c.rest(a) {
				c.cutOneWay(n, a)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
				ctx, o := t.Context(), api.WriteOptions{}
				c.submit(c.nodes[0], service("web", 6))
				c.submit(c.nodes[1], service("api", 6))
				c.settle(10*time.Second, c.nodes...)
				link.cut(c, c.nodes[0], c.nodes[1])
				seen := c.nodes[link.lost:]
				c.settle(2*time.Minute, seen...)
				c.pass(10 * time.Second)
				for i, n := range seen {
					c.submit(n, service(fmt.Sprintf("job%d", i), 2))
				}
				c.did(seen[0].agent.Restart(ctx, "web", o))
				c.did(seen[1].agent.Scale(ctx, "api", 8, o))
				c.want["api"] = 8
				took := c.settle(2*time.Minute, seen...)
				t.Logf("jobs were placed and changed in %v", took)
				died := c.nodes[4]
				c.crash(died)
				took = c.settle(2*time.Minute, c.rest(append(c.nodes[:link.lost:link.lost], died)...)...)
				t.Logf("healed after %v", took)
				died.start(false)
				c.settle(2*time.Minute, seen...)
				c.pass(30 * time.Second)
				switch begun := c.now(); {
				case link.loud:
					c.pass(3 * time.Minute)
					if got := c.starts(begun); len(got) > 12 {
						t.Errorf("started were %v in three minutes, want few", got)
					}
				case link.lost == 0:
					c.quiet(time.Minute, "with the bad link")
				default: // the one that is cut off has yet to find out, one by one, that it is
					c.pass(time.Minute)
					for _, start := range c.starts(begun) {
						if !strings.Contains(start, " on n0 ") {
							t.Errorf("with the bad link: started %s, want nothing", start)
						}
					}
				}
				c.heal()
				c.settle(2*time.Minute, c.nodes...)
				c.pass(20 * time.Second)
				c.settle(time.Second, c.nodes...)
				c.quiet(30*time.Second, "after the heal")
			})
		})
	}
}

// A link between two nodes, and then all links of one, come and go.
func TestClusterFlappingLinks(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 10))
		c.settle(10*time.Second, c.nodes...)
		begun := c.now()
		for i := range 15 {
			c.cut(c.nodes[0], c.nodes[1])
			c.pass(time.Duration(1+i%5) * time.Second)
			c.heal()
			c.pass(time.Duration(1+i%3) * time.Second)
		}
		c.settle(time.Minute, c.nodes...)
		if got := c.starts(begun); len(got) > 0 {
			t.Errorf("started were %v, want nothing: the others saw both all the time", got)
		}
		begun = c.now()
		for i := range 15 {
			c.split(c.nodes[:1])
			c.pass(time.Duration(1+3*(i%5)) * time.Second)
			c.heal()
			c.pass(time.Duration(1+i%4) * time.Second)
		}
		c.settle(2*time.Minute, c.nodes...)
		t.Logf("%d starts for 15 outages of one node", len(c.starts(begun)))
		c.pass(time.Minute)
		c.settle(time.Second, c.nodes...)
		c.quiet(time.Minute, "once it is stable")
	})
}

// A network that loses packets and is slow with everything else. Nothing is held for
// dead that lives, and what does die comes back.
func TestClusterSlowNetwork(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.twice = true // answers to awards come late
		c.net.SetLoss(0.2)
		c.net.SetDelay(5*time.Millisecond, 100*time.Millisecond)
		c.submit(c.nodes[0], service("web", 10))
		took := c.settle(time.Minute, c.nodes...)
		t.Logf("placed after %v", took)
		calm := c.now()
		c.pass(3 * time.Minute)
		if got := c.starts(calm); len(got) > 0 {
			t.Errorf("started were %v, though nobody has died", got)
		}
		c.crash(c.nodes[3])
		took = c.settle(time.Minute, c.rest(c.nodes[3])...)
		t.Logf("healed after %v", took)
		c.nodes[3].start(false)
		c.settle(time.Minute, c.nodes...)
		c.did(c.nodes[1].agent.Restart(t.Context(), "web", api.WriteOptions{}))
		took = c.settle(2*time.Minute, c.nodes...)
		t.Logf("restarted after %v", took)
		c.quiet(time.Minute, "in a slow network")
		c.net.SetLoss(0)
		c.net.SetDelay(0, 0)
		c.settle(30*time.Second, c.nodes...)
	})
}
