package peer_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime/fake"
)

// sights is what was seen of a cluster while it ran, to hold against what follows.
type sights struct {
	watchedAt time.Time
	digests   map[*node]string
	stamps    map[*node]map[string]gossip.Stamp
	complete  map[*node]map[peer.SlotKey]time.Time // since when a node knows that a task is complete
	reach     []reach
}

// reach says who could reach whom from a time on, until the next one.
type reach struct {
	at              time.Time
	apart, together map[[2]*node]bool // not at all, and both ways
}

func newSights() sights {
	return sights{digests: map[*node]string{}, stamps: map[*node]map[string]gossip.Stamp{}, complete: map[*node]map[peer.SlotKey]time.Time{}}
}

// pass lets time pass, and looks at every node once a second.
func (c *cluster) pass(d time.Duration) {
	for left := d; left > 0; left -= min(left, time.Second) {
		time.Sleep(min(left, time.Second))
		if now := time.Now(); now.Sub(c.watchedAt) >= time.Second {
			c.watchedAt = now
			c.watch()
		}
	}
}

// watch fails the test if a node's table has gone back behind what it had before,
// and notes what each knows to be complete.
func (c *cluster) watch() {
	for _, n := range c.nodes {
		a := n.agent
		if a == nil || a.over() {
			continue
		}
		if d := a.Digest(); d == c.digests[n] {
			continue
		} else {
			c.digests[n] = d
		}
		now, old := a.Stamps(), c.stamps[n]
		c.stamps[n] = now
		for key, was := range old {
			if is, there := now[key]; !there && c.retention == 0 && !endedWith(key, now) { // else it may be forgotten, or set aside
				c.t.Errorf("at %s %s has lost %s %+v", clock(time.Now()), n.name, key, was)
			} else if there && is.Compare(was) < 0 {
				c.t.Errorf("at %s %s has gone back from %+v to %+v of %s", clock(time.Now()), n.name, was, is, key)
			}
		}
		if c.complete[n] == nil {
			c.complete[n] = map[peer.SlotKey]time.Time{}
		}
		for _, k := range a.Completed() {
			if c.complete[n][k].IsZero() {
				c.complete[n][k] = time.Now()
			}
		}
	}
}

// endedWith says whether a record of a slot is gone since its job has another life.
func endedWith(key string, now map[string]gossip.Stamp) bool {
	k, err := peer.ParseSlotKey(key)
	return err == nil && int64(now[peer.JobKey(k.Job)].Major) > k.Life
}

// over says whether the agent has ended by itself.
func (a *agent) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// died forgets what n was seen to have and may not have had on its disk.
func (c *cluster) died(n *node) {
	delete(c.digests, n)
	delete(c.stamps, n)
	for k, since := range c.complete[n] {
		if time.Since(since) < time.Second {
			delete(c.complete[n], k)
		}
	}
}

// links notes who reaches whom from now on.
func (c *cluster) links() {
	r := reach{at: time.Now(), apart: map[[2]*node]bool{}, together: map[[2]*node]bool{}}
	for i, a := range c.nodes {
		for _, b := range c.nodes[:i] {
			there, back := c.net.Reach(a.name, b.name), c.net.Reach(b.name, a.name)
			up := a.agent != nil && b.agent != nil
			r.apart[pair(a, b)] = !up || !there && !back
			r.together[pair(a, b)] = up && there && back
		}
	}
	c.reach = append(c.reach, r)
}

func pair(a, b *node) [2]*node {
	if a.name > b.name {
		a, b = b, a
	}
	return [2]*node{a, b}
}

// parted returns since when a and b could not reach each other at a time, and since
// when they could before that.
func (c *cluster) parted(a, b *node, at time.Time) (since, together time.Time) {
	since, together = at, at
	i := len(c.reach) - 1
	for ; i >= 0 && c.reach[i].at.After(at); i-- {
	}
	for ; i >= 0 && c.reach[i].apart[pair(a, b)]; i-- {
		since, together = c.reach[i].at, c.reach[i].at
	}
	for ; i >= 0 && c.reach[i].together[pair(a, b)]; i-- {
		together = c.reach[i].at
	}
	return since, together
}

// known is how long news takes at the most to reach everybody, and longer.
const known = 10 * time.Second

// checkFrozen checks that no task of a job that is to be frozen in a partition was
// started on one node while it ran on another that was out of reach, and had been
// running there before. (What nobody ran can be placed on both sides.)
func (c *cluster) checkFrozen() {
	running := map[string]map[*node]time.Time{}
	for _, h := range c.history() {
		if !c.frozen[h.Labels.Job] {
			continue
		}
		slot := fmt.Sprintf("%s %d", h.Labels.Task().Slot(), h.Labels.Life)
		switch h.Event {
		case fake.Ran:
			if running[slot] == nil {
				running[slot] = map[*node]time.Time{}
			}
			running[slot][h.node] = h.At
		case fake.Ended, fake.Gone:
			delete(running[slot], h.node)
		case fake.Starting:
			for other, ran := range running[slot] {
				since, together := c.parted(other, h.node, h.At)
				if other != h.node && h.At.Sub(since) > known/2 && since.Sub(together) > known && since.Sub(ran) > known {
					c.t.Errorf("at %s %s started %s, which is frozen on %s since %s", clock(h.At), h.node.name, h.Labels.Task(), other.name, clock(since))
				}
			}
		}
	}
}

// quiet fails the test if, in a time without faults, anything is started, auctioned
// or written.
func (c *cluster) quiet(wait time.Duration, what string) {
	c.t.Helper()
	live := c.live()
	digest, auctions, before := live[0].agent.Digest(), c.auctions(), c.placement()
	begun := c.now()
	c.pass(wait)
	if got := c.starts(begun); len(got) > 0 {
		c.t.Errorf("%s: started in %v: %v, want nothing", what, wait, got)
	}
	if got := c.auctions(); !slices.Equal(got, auctions) {
		c.t.Errorf("%s: auctions were held in %v: the last are %v, and were %v", what, wait, got, auctions)
	}
	if got := live[0].agent.Digest(); got != digest {
		c.t.Errorf("%s: the table has changed in %v", what, wait)
	}
	if got := c.placement(); got != before {
		c.t.Errorf("%s: it was\n%s\nand is\n%s", what, before, got)
	}
	if why := c.leftBehind(); why != "" {
		c.t.Errorf("%s: %s", what, why)
	}
}

// live are the nodes with an agent.
func (c *cluster) live() []*node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *node) bool { return n.agent == nil })
}

// leftBehind names a container, also one that has exited, that belongs to no job.
func (c *cluster) leftBehind() string {
	var out []string
	for _, n := range c.live() {
		all, err := n.engine.List(c.t.Context())
		if err != nil {
			return err.Error()
		}
		for _, h := range all {
			j, err := n.agent.Job(c.t.Context(), h.Labels.Job)
			if api.CodeOf(err) == api.JobNotFound || err == nil && j.CreatedAt.UnixMilli() != h.Labels.Life {
				out = append(out, fmt.Sprintf("%s has %s %s of a job that is gone", n.name, h.State, h.ID))
			}
		}
	}
	return strings.Join(out, ", ")
}
