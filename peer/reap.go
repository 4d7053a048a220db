package peer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/runtime"
)

// When agents share a machine, the death of one leaves its containers running
// under an engine, or a kernel, that lives on. Its slots run elsewhere by then, so
// some other agent there has to end them. It does so only if three things agree:
// the table does not want the container, gossip has had its node dead for a
// minute, and the lock that a living agent of that node holds is free. The last
// one tells a dead agent from one that is only cut off.

const (
	reapEvery = 10 * time.Second
	reapAfter = 60 * time.Second // dead to gossip for so long
)

// Leftover is a container of a dead sibling, and what this node knows of it.
type Leftover struct {
	runtime.Container
	Job        *JobRecord
	Slot       *Assignment
	Gone       bool // its node has left or was removed: it does not come back
	LivesKnown bool // as in Local
	Now        time.Time
}

// Superfluous says why the table does not want the container where it is, or "".
// One that has exited is kept for its logs, as its node would keep it, while that
// may come back.
func (o Leftover) Superfluous() string {
	l, j, a := o.Labels, o.Job, o.Slot
	switch {
	case j == nil || j.Life() < l.Life:
		if o.LivesKnown {
			return "nobody knows its job"
		}
		return ""
	case j.Life() > l.Life, j.Removed:
		return "its job was removed"
	case o.State == runtime.Exited && o.Gone:
		return "its node is gone for good"
	case o.State == runtime.Exited && o.Now.Sub(o.FinishedAt) > logsKept:
		return "its logs were kept long enough"
	case o.State == runtime.Exited:
		return ""
	case !j.Wants(l.Slot):
		return "the slot is not wanted"
	case a != nil && a.Owner() != l.Node && (a.State == api.Running || a.State == api.Complete || j.Spec.StopFirst()):
		return "the slot is another node's" // until it runs there, this copy may be the only one
	}
	return ""
}

// watchSiblings ends what dead siblings left, until ctx ends.
func (p *Peer) watchSiblings(ctx context.Context) error {
	tick := time.NewTimer(reapEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			tick.Reset(reapEvery + time.Duration(jitter()*float64(reapEvery))) // not all siblings at once
		}
		for name, d := range p.drivers {
			r, ok := d.(runtime.Reaper)
			if !ok || !p.someoneLongDead() {
				continue
			}
			lctx, cancel := context.WithTimeout(ctx, engineWait)
			siblings, err := r.Siblings(lctx)
			cancel()
			if err != nil && ctx.Err() == nil {
				p.log.WithError(err).WithField("driver", name).Warn("containers of siblings cannot be listed")
			}
			for _, c := range siblings {
				p.reap(ctx, r, c)
			}
		}
	}
}

// reap ends one sibling's container if that is due.
func (p *Peer) reap(ctx context.Context, r runtime.Reaper, c runtime.Container) {
	l := c.Labels
	now := time.Now()
	p.mu.Lock()
	why := p.leftover(c, now)
	p.mu.Unlock()
	if why == "" || !lockFree(l.Lock) {
		return
	}
	log := p.log.WithField("task", l.Task().String()).WithField("of", l.Node.Short()).WithField("why", why)
	rctx, cancel := context.WithTimeout(ctx, engineWait)
	defer cancel()
	if err := r.Reap(rctx, c); err != nil {
		log.WithError(err).Warn("a dead sibling's container could not be ended, trying again")
		return
	}
	log.Warn("ended a container that a dead sibling left")
}

// leftover says why a sibling's container is to be ended, or "". Lock held.
func (c *core) leftover(h runtime.Container, now time.Time) string {
	l := h.Labels
	if !c.ready || !c.longDead(string(l.Node), now) {
		return ""
	}
	if !c.index.canRead(l.Job) {
		return "" // who can read it may want it
	}
	o := Leftover{
		Container: h, Job: c.index.jobs[l.Job], Slot: c.index.slot(SlotKey{Job: l.Job, Life: l.Life, Slot: l.Slot}),
		LivesKnown: c.livesKnown(c.nodes(now), now), Now: now,
	}
	m := c.index.members[l.Node]
	o.Gone = m == nil && o.LivesKnown || m != nil && m.Removed
	return o.Superfluous()
}

// someoneLongDead says whether there can be anything to reap, so that a healthy
// cluster does not look for it.
func (p *Peer) someoneLongDead() bool {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.started) < reapAfter {
		return false
	}
	for id, v := range p.nodes(now) {
		if id != p.id && !v.Alive {
			return true
		}
	}
	for _, m := range p.index.members {
		if m.Removed {
			return true
		}
	}
	return false
}

// longDead says whether gossip itself, not the faster path, has had a node dead
// or away for long enough. A node that it does not know was dead before this one
// started. Lock held.
func (c *core) longDead(id string, now time.Time) bool {
	since := c.started
	if m, ok := gossip.Newest(c.around.Members())[id]; ok {
		if m.Status == gossip.MemberAlive {
			return false
		}
		since = m.Since
	}
	return now.Sub(since) >= reapAfter
}

// lockFree says whether no living agent holds the lock file at path.
func lockFree(path string) bool {
	if path == "" {
		return false
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil // given back by closing
}
