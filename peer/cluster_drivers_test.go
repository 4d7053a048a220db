package peer_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// An engine that does not answer takes its node out of bidding soon and, after a
// while, its tasks elsewhere. When it answers again, what is too much stops.
func TestClusterEngineHangs(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 10))
		c.settle(10*time.Second, c.nodes...)
		bad := c.nodes[2]
		had := runs("web", bad)
		bad.mood.set(true, 0, nil)
		c.submit(c.nodes[2], service("api", 10))
		took := c.within(3*time.Minute, "ten more run", func() string {
			if got := runs("api", c.nodes...); got != 10 {
				return fmt.Sprintf("%d run", got)
			}
			return ""
		})
		t.Logf("placed around the engine that hangs in %v", took)
		took = c.within(3*time.Minute, "its tasks run elsewhere", func() string {
			if got := runs("web", c.rest(bad)...); got != 10 {
				return fmt.Sprintf("%d run", got)
			}
			return ""
		})
		t.Logf("%d tasks were moved in %v", had, took)
		c.pass(30 * time.Second)
		bad.mood.set(false, 0, nil)
		c.settle(time.Minute, c.nodes...)
		c.pass(30 * time.Second)
		c.quiet(time.Minute, "once it answers")
	})
}

// Engines that fail, or take longer than they may: what can run elsewhere does, and
// what cannot runs when they are well again.
func TestClusterEnginesFail(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		broken := errors.New("no space left on device")
		for _, n := range c.nodes[:2] {
			n.mood.set(false, time.Second, broken)
		}
		c.submit(c.nodes[0], service("web", 10))
		took := c.settle(2*time.Minute, c.nodes...)
		t.Logf("placed around two that fail in %v", took)
		if got := runs("web", c.nodes[:2]...); got > 0 {
			t.Errorf("%d run where nothing can start", got)
		}
		slow := service("slow", 4)
		slow.StartTimeout = api.Duration(10 * time.Second)
		for _, n := range c.nodes {
			n.mood.set(false, 15*time.Second, nil)
		}
		c.submit(c.nodes[1], slow)
		c.pass(90 * time.Second)
		if got := runs("slow", c.nodes...); got > 0 {
			t.Errorf("%d run that take too long to start", got)
		}
		for _, n := range c.nodes {
			n.mood.set(false, 0, nil)
		}
		took = c.settle(10*time.Minute, c.nodes...)
		t.Logf("the slow ones run %v after the engines are well", took)
		c.quiet(time.Minute, "once they are well")
	})
}

// A node dies with its agent in the middle of what its engine does slowly, and comes
// back to it.
func TestClusterKillWhileStarting(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.mood.set(false, 5*time.Second, nil)
		}
		c.twice = true // what the dead have accepted, nobody may have heard of
		for i := range 8 {
			c.submit(c.nodes[i%5], service(fmt.Sprintf("job%d", i), 3))
			c.pass(time.Duration(i) * time.Second)
			n := c.nodes[(i*3)%5]
			c.kill(n)
			c.pass(time.Duration(i%4) * time.Second)
			n.start(false)
			c.pass(3 * time.Second)
		}
		c.settle(2*time.Minute, c.nodes...)
		c.pass(40 * time.Second)
		c.settle(time.Second, c.nodes...)
		c.quiet(time.Minute, "after the kills")
	})
}
