package peer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// loop looks once a second, and soon after a change, until ctx ends.
func (p *Peer) loop(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-p.wake:
		}
		began := time.Now()
		p.turn(ctx, began)
		p.turns.Add(1)
		pause.Reset(lookPause + min(lookShare*time.Since(began), lookPauseMax))
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
	}
}

// watchdog ends a node whose loop does not turn any more: to all others it looks
// alive. It counts its own ticks, not time, so that a machine that slept is not
// taken for a stuck one.
func (p *Peer) watchdog(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, missed := p.turns.Load(), 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if now := p.turns.Load(); now != last {
			last, missed = now, 0
			continue
		}
		if missed++; missed == watchdogTicks && p.cfg.Stuck != nil {
			p.cfg.Stuck()
		}
	}
}

// turn is one look: what is the world like, what should be done, begin it.
func (p *Peer) turn(ctx context.Context, now time.Time) {
	p.mu.Lock()
	p.becomeReady(now)
	p.publish(now)
	if !p.ready {
		p.mu.Unlock()
		return
	}
	member, enroll := p.enroll(now)
	nodes := p.nodes(now)
	w, actions := p.decide(nodes, now)
	p.tellNodes(nodes, now)
	p.tellUnserved(w, nodes)
	begin := append(p.queued, p.begin(actions, now)...)
	p.queued = nil
	if p.hasLeft() {
		poke(p.left)
	}
	if enroll {
		p.outbox = append(p.outbox, member)
	}
	p.unlockAndPut()
	for _, f := range begin {
		p.ops.Add(1)
		go func() {
			defer p.ops.Done()
			f(ctx)
			p.look()
		}()
	}
}

// world is the value that the plan looks at. Lock held, also while it is used.
func (c *core) world(nodes map[api.NodeID]*nodeView, now time.Time) *World {
	states := make(map[api.NodeID]NodeState, len(nodes))
	for id, v := range nodes {
		s := v.NodeState
		s.Name, s.Why = v.name, v.why
		states[id] = s
	}
	jobs := slices.DeleteFunc(c.index.sortedJobs(), func(j *JobRecord) bool { return !c.index.canRead(j.Spec.Name) }) // who can read them plans
	return &World{
		Self: c.id, Now: now, Since: c.readySince, Jobs: jobs, Slots: c.index.slot, Changed: c.changedAt,
		Nodes: states, Absent: c.absent(), Memory: c.memory, MoveAt: c.moveAt, Busy: c.auctions, Random: c.random,
	}
}

// local is the value that Reconcile looks at. Lock held, also while it is used.
func (c *core) local(nodes map[api.NodeID]*nodeView, now time.Time) *Local {
	l := &Local{
		Self: c.id, Boot: c.boot, Now: now, Jobs: c.index.jobs, Slots: map[SlotKey]*Assignment{},
		Containers: c.containers, Unlisted: c.unlisted, Busy: map[SlotKey]bool{}, Changed: c.changedAt,
		Alive:      func(id api.NodeID) bool { v := nodes[id]; return v != nil && v.Alive },
		LivesKnown: c.livesKnown(nodes, now),
		Unread: func(job string) (int64, bool) {
			u, ok := c.index.unread[job]
			return int64(u.stamp.Major), ok
		},
	}
	for k := range c.busy {
		l.Busy[k] = true
	}
	mine := map[SlotKey]bool{}
	for _, h := range c.containers {
		mine[h.Key()] = true
	}
	for _, of := range c.index.slots {
		for k, a := range of {
			if a.Owner() == c.id || mine[k] {
				l.Slots[k] = a
			}
		}
	}
	return l
}

// livesKnown says whether a life that the table does not have may be taken for a
// removed one: this node has been up for the boot grace, and has compared tables
// with everyone alive and, if it knows of others at all, with at least one. Lock held.
func (c *core) livesKnown(nodes map[api.NodeID]*nodeView, now time.Time) bool {
	if now.Sub(c.started) < bootGrace {
		return false
	}
	others, synced := 0, 0
	for id, v := range nodes {
		if id == c.id || v.Left {
			continue
		}
		others++
		switch {
		case c.around.Synced(id):
			synced++
		case v.Alive:
			return false
		}
	}
	return others == 0 || synced > 0
}

// capacityGrew lets pending slots be auctioned again at once when a node has more
// room than before, or is new. Lock held.
func (c *core) capacityGrew(nodes map[api.NodeID]*nodeView) {
	grew := false
	for id, v := range nodes {
		if !v.Alive || v.State != StateReady || v.cordoned() {
			delete(c.freeSeen, id)
			continue
		}
		old, known := c.freeSeen[id]
		if !known || v.free.CPUs > old.CPUs || v.free.Memory > old.Memory {
			grew = true
		}
		c.freeSeen[id] = v.free
	}
	if !grew {
		return
	}
	for _, m := range c.memory {
		m.RetryAt = time.Time{}
	}
	clear(c.moveAt)
}

// noteDrivers remembers since when live nodes cannot use a driver that they had.
// Lock held.
func (c *core) noteDrivers(nodes map[api.NodeID]*nodeView, now time.Time) {
	for id, v := range nodes {
		if !v.Alive || v.State == StateStarting {
			delete(c.lostDrivers, id)
			continue
		}
		had := c.lostDrivers[id]
		if had == nil {
			had = map[string]time.Time{}
			c.lostDrivers[id] = had
		}
		for _, d := range v.drivers {
			had[d] = time.Time{} // it works
		}
		for d, since := range had {
			if slices.Contains(v.drivers, d) {
				continue
			}
			if since.IsZero() {
				had[d] = now
			}
			if v.Lost == nil {
				v.Lost = map[string]time.Time{}
			}
			v.Lost[d] = had[d]
		}
	}
}

// begin turns actions into functions to run beside the loop, and marks what they
// are about as busy. Lock held.
func (p *Peer) begin(actions []Action, now time.Time) []func(context.Context) {
	var out []func(context.Context)
	for _, a := range actions {
		var f func(context.Context)
		switch a := a.(type) {
		case Auction:
			f = p.beginAuction(a)
		case Ask:
			f = p.beginAsk(a, now)
		case Start:
			f = p.beginStart(a)
		case Stop:
			f = p.beginStop(a)
		case Remove:
			f = p.beginRemove(a)
		}
		if f != nil {
			p.log.WithField("action", a.String()).Debug("begin")
			out = append(out, f)
		}
	}
	return out
}

// unlockAndPut gives up the lock and then hands what was written under it to the
// table, which calls back into this node. It does not wait for the disk.
func (p *Peer) unlockAndPut() {
	recs := p.takeOutbox()
	p.mu.Unlock()
	for _, r := range recs { // one by one: one that was overtaken holds up no other
		p.putFailed(r, p.replica.PutLazy(r))
	}
}

// putFailed sets the index right after a record did not get into the table.
// Overtaken is no error: the index gets the greater record, or has it. A record of
// a life that has just ended has no place anywhere. In a full table what was there
// stands.
func (p *Peer) putFailed(r gossip.Record, err error) {
	switch {
	case err == nil:
	case errors.Is(err, gossip.ErrNotKept):
		p.mu.Lock()
		p.index.drop(r.Key)
		p.mu.Unlock()
	case errors.Is(err, gossip.ErrFull):
		p.log.WithError(err).Warn("a record has no room in the table")
		p.mu.Lock()
		p.index.drop(r.Key)
		if there, ok := p.replica.Get(r.Key); ok {
			p.index.apply(there)
		}
		p.mu.Unlock()
	default:
		p.log.WithError(err).Debug("a record was overtaken")
	}
}
