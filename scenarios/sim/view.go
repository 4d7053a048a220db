package sim

import (
	"maps"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// keepalive is how long a connection that brings nothing is held for good.
const keepalive = 12 * time.Second

// view brings what gossip says on an agent up to date, and the connections with it.
func (a *agent) view() {
	s, changed := a.sim, false
	for _, h := range s.hosts {
		if b := h.agent; b != nil && b != a && s.reaches(a.host, h) && s.now >= a.wrong[b.id] {
			changed = a.sees(b) || changed
		}
	}
	for _, id := range sortedKeys(a.members) {
		m := a.members[id]
		if id == a.id || m.Status != gossip.MemberAlive {
			continue
		}
		switch h := s.byID[id]; {
		case h != nil && h.left && s.reaches(a.host, h):
			m.Status, m.Since, changed = gossip.MemberLeft, a.now(), true
		case s.now < a.wrong[id], s.now-a.link(id).seen >= detection:
			m.Status, m.Since, changed = gossip.MemberFailed, a.now(), true
		}
	}
	a.connections()
	if own := a.members[a.id]; !maps.Equal(own.Tags, a.tags) {
		own.Tags, changed = a.tags, true
	}
	if changed {
		a.viewChanged()
	}
	a.act(a.detector.Tick(a.now()))
}

// sees takes in that b is there, and what it says of itself.
func (a *agent) sees(b *agent) (changed bool) {
	a.link(b.id).seen = a.sim.now
	m := a.members[b.id]
	if m == nil || m.Boot != b.boot || m.Status != gossip.MemberAlive {
		a.members[b.id] = a.member(gossip.MemberAlive, b)
		return true
	}
	if !maps.Equal(m.Tags, b.tags) {
		m.Tags = b.tags
		return true
	}
	return false
}

func (a *agent) viewChanged() {
	a.sorted = nil
	alive := map[string]string{}
	for id, m := range a.members {
		if id != a.id && m.Status == gossip.MemberAlive {
			alive[string(id)] = m.Boot
		}
	}
	a.act(a.detector.Members(alive, detection))
	a.lookSoon()
}

// connections makes those that are lacking, and ends those that have long brought nothing.
func (a *agent) connections() {
	for _, h := range a.sim.hosts {
		if h == a.host || h.agent == nil {
			continue
		}
		b := h.agent
		l := a.link(b.id)
		switch talks := a.sim.talks(a.host, h); {
		case talks && !l.connected:
			a.connected(b)
			b.connected(a)
		case talks:
			l.broken = 0
		case l.connected && l.broken == 0:
			l.broken = a.sim.now
		case l.connected && a.sim.now-l.broken > keepalive:
			a.disconnected(b.id, b.boot)
		}
	}
}

func (a *agent) connected(b *agent) {
	l := a.link(b.id)
	if l.connected && l.boot == b.boot {
		return
	}
	l.connected, l.boot, l.synced, l.broken, l.syncing = true, b.boot, false, 0, 0
	a.detector.Connected(string(b.id))
	a.after(a.sim.upTo(50*time.Millisecond), func() { a.sync(b.id) })
}

func (a *agent) disconnected(id api.NodeID, boot string) {
	l := a.link(id)
	if !l.connected || l.boot != boot {
		return
	}
	l.connected, l.synced, l.broken, l.syncing = false, false, 0, 0
	a.act(a.detector.Disconnected(string(id)))
	a.lookSoon()
}

// act dials, or lets a helper dial, for the detector.
func (a *agent) act(acts []gossip.DetectorAction) {
	for _, act := range acts {
		id := api.NodeID(act.ID)
		if act.Helper == "" {
			a.after(a.sim.between(time.Millisecond, 5*time.Millisecond), func() {
				r := a.sim.dial(a.host, id)
				a.decided(func() { a.act(a.detector.Probed(act.ID, act.Round, r, a.now())) })
			})
			continue
		}
		a.ask(api.NodeID(act.Helper), func(dst *agent, answer func(func())) {
			r := a.sim.dial(dst.host, id)
			answer(func() {
				a.decided(func() { a.detector.Confirmed(act.ID, act.Helper, act.Round, r, a.now()) })
			})
		}, func(error) {
			a.decided(func() { a.detector.Confirmed(act.ID, act.Helper, act.Round, gossip.ProbeUnclear, a.now()) })
		})
	}
}

// decided looks at the world anew if the detector has changed its mind, and later
// does what it has due.
func (a *agent) decided(step func()) {
	before := a.detector.Version()
	step()
	if a.detector.Version() != before {
		a.lookSoon()
	}
	if next := a.detector.Next(); !next.IsZero() {
		a.after(max(time.Millisecond, next.Sub(a.now())), func() { a.act(a.detector.Tick(a.now())) })
	}
}

// dial is what a plain dial from a host to a node shows.
func (s *Sim) dial(from *host, id api.NodeID) gossip.ProbeResult {
	h := s.byID[id]
	if h == nil { // its address is another node's now, or nobody's
		return gossip.ProbeUnclear
	}
	switch there, back := s.cut[[2]int{from.index, h.index}], s.cut[[2]int{h.index, from.index}]; {
	case there == resetting || back == resetting:
		return gossip.ProbeRefused
	case there != open || back != open:
		return gossip.ProbeUnclear
	case h.agent == nil:
		return gossip.ProbeRefused
	}
	return gossip.ProbeOpen
}
