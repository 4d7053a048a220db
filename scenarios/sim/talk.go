package sim

import (
	"errors"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// wait is how long an answer is waited for.
const wait = 3 * time.Second

// send brings something to another agent some time later, unless it is lost on the
// way, or the other one is another boot by then.
func (a *agent) send(to api.NodeID, do func(dst *agent)) {
	s := a.sim
	if to == a.id {
		a.after(0, func() { do(a) })
		return
	}
	h := s.byID[to]
	if h == nil || h.agent == nil || h.agent.id != to {
		return
	}
	dst := h.agent
	copies := 1
	if s.busy() && s.chance(s.noise.twice) {
		copies = 2
	}
	for range copies {
		if s.busy() && s.chance(s.noise.lost) {
			continue
		}
		s.after(s.delay(), func() {
			if dst.lives() && s.passes(a.host, dst.host) {
				do(dst)
			}
		})
	}
}

// ask is a question to another node. Serve may answer at any time, by what is to
// happen here; without an answer fail is called.
func (a *agent) ask(to api.NodeID, serve func(dst *agent, answer func(func())), fail func(error)) {
	over := false
	a.send(to, func(dst *agent) {
		serve(dst, func(take func()) {
			dst.send(a.id, func(*agent) {
				if !over {
					over = true
					take()
				}
			})
		})
	})
	a.after(wait, func() {
		if !over {
			over = true
			fail(errors.New("no answer"))
		}
	})
}

// spread pushes news to all that are alive, but to those who were not synced with.
func (a *agent) spread(recs []gossip.Record, but api.NodeID) {
	if len(recs) == 0 {
		return
	}
	for _, id := range a.core.Alive() {
		if api.NodeID(id) != but {
			a.post(api.NodeID(id), recs)
		}
	}
}

// post gathers what goes to one peer for a moment.
func (a *agent) post(id api.NodeID, recs []gossip.Record) {
	l := a.link(id)
	l.out = append(l.out, recs...)
	if len(l.out) > len(recs) {
		return // on its way
	}
	late := time.Duration(0)
	if h := a.sim.byID[id]; h != nil {
		late = max(0, h.lags-a.sim.now)
	}
	a.after(40*time.Millisecond+late, func() {
		out := l.out
		l.out = nil
		l.behind = true // until it is known that it got there: a sync in the worst case
		a.push(id, out, func() { l.behind = false })
	})
}

// synced says whether a sync with a peer was completed since they connected, as far
// as this side knows.
func (a *agent) synced(id api.NodeID) bool {
	return id == a.id || a.sim.bug.PushUnsynced || a.link(id).synced
}

// trusts says whether records in a message of another agent may be merged: both
// sides had synced. What was sent before that comes before that, since one connection
// keeps the order, so whether the other had is asked when it sends.
func (a *agent) trusts(from *agent, sent bool) bool {
	return sent && a.synced(from.id) && (a == from || a.sim.bug.PushUnsynced || a.link(from.id).boot == from.boot)
}

// push brings records to a peer's disk. It takes none from who has not synced with it.
func (a *agent) push(id api.NodeID, recs []gossip.Record, done func()) {
	sent := a.synced(id)
	recs = slices.DeleteFunc(recs, func(r gossip.Record) bool { _, ok := a.table.Get(r.Key); return !ok })
	if !sent || len(recs) == 0 {
		a.sync(id)
		return
	}
	a.ask(id, func(dst *agent, answer func(func())) {
		if !dst.trusts(a, sent) {
			dst.sync(a.id)
			return
		}
		dst.took(dst.table.Merge(dst.now(), recs...), a.id)
		dst.durable(func() { answer(done) })
	}, func(error) {})
}

// conversation is one sync. Its messages come in order, or it breaks off.
type conversation struct {
	n        int
	sides    [2]*agent
	sessions [2]*gossip.Session
	boots    [2]string
	over     bool
}

// sync begins a sync with a peer, unless one is under way.
func (a *agent) sync(id api.NodeID) {
	l := a.link(id)
	if h := a.sim.byID[id]; l.syncing != 0 || !l.connected || h == nil || max(h.lags, a.host.lags) > a.sim.now {
		return
	}
	a.sim.syncs++
	c := &conversation{n: a.sim.syncs}
	l.syncing = c.n
	a.after(5*time.Second, func() {
		if l.syncing == c.n {
			l.syncing, l.behind, c.over = 0, true, true
		}
	})
	a.durable(func() {
		h := a.sim.byID[id]
		if h == nil || h.agent == nil || h.agent.id != id || !l.connected {
			return
		}
		dst := h.agent
		c.sides, c.boots = [2]*agent{a, dst}, [2]string{a.boot, dst.boot}
		var hello gossip.SyncMessage
		c.sessions[0], hello = a.table.StartSync(a.now(), a.syncArgs(id))
		c.send(0, []gossip.SyncMessage{hello}, false)
	})
}

func (a *agent) syncArgs(id api.NodeID) gossip.SyncArgs {
	return gossip.SyncArgs{Peer: string(id), Boot: a.boot, Members: a.others(), Heard: true}
}

// send brings messages of one side to the other.
func (c *conversation) send(from int, msgs []gossip.SyncMessage, last bool) {
	a, to := c.sides[from], c.sides[1-from]
	if last && len(msgs) == 0 {
		return
	}
	sent := false
	a.send(to.id, func(dst *agent) {
		if dst != to || c.over || sent || !a.lives() {
			return
		}
		sent = true // a stream brings nothing twice
		if c.sessions[1-from] == nil {
			c.sessions[1-from] = dst.table.AnswerSync(dst.now(), dst.syncArgs(a.id))
		}
		for _, m := range msgs {
			if !c.step(1-from, m) {
				return
			}
		}
	})
}

// step takes one message on one side, and says whether more may come.
func (c *conversation) step(side int, m gossip.SyncMessage) bool {
	a, other := c.sides[side], c.sides[1-side]
	out, err := c.sessions[side].Step(a.now(), m)
	a.took(out.Merged, other.id)
	if err != nil {
		if c.over = true; !errors.Is(err, gossip.ErrProtocol) {
			return false // broken off, to be begun anew
		}
		a.sim.broken("sync of " + a.host.name + " with " + other.host.name + ": " + err.Error())
		return false
	}
	if len(out.Aside) > 0 && a.sim.bug.NoAside {
		a.took(a.table.Load(a.now(), out.Aside...), "")
	} else if len(out.Aside) > 0 {
		keys := make([]string, len(out.Aside))
		for i, r := range out.Aside {
			keys[i] = r.Key
			a.sim.setAside(r)
		}
		a.core.Take(a.now(), nil, keys)
		a.commit(nil, keys)
	}
	rest := func() {
		if out.Complete {
			a.completed(c, side)
		}
		if len(out.Send) > 0 {
			c.send(side, out.Send, out.Over)
		}
	}
	if out.Durable {
		a.durable(rest)
	} else {
		rest()
	}
	return !out.Over
}

// completed marks a sync as complete on one side.
func (a *agent) completed(c *conversation, side int) {
	l := a.link(c.sides[1-side].id)
	if l.connected && l.boot == c.boots[1-side] {
		l.synced, l.behind = true, false
	}
	a.ever = true
	if l.syncing == c.n {
		l.syncing = 0
	}
	a.commit(nil, nil)
	a.lookSoon()
}

// syncWithSomebody is the anti-entropy: with a random peer, and one known to be behind.
func (a *agent) syncWithSomebody() {
	var all []api.NodeID
	for _, id := range a.core.Alive() {
		if l := a.link(api.NodeID(id)); l.connected && l.syncing == 0 {
			all = append(all, api.NodeID(id))
		}
	}
	if len(all) == 0 {
		return
	}
	first := a.sim.rng.IntN(len(all))
	a.sync(all[first])
	for i, id := range all {
		if l := a.link(id); i != first && (l.behind || !l.synced) {
			a.sync(id)
			return
		}
	}
}
