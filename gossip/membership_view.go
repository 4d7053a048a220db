package gossip

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
)

// unhealthy is the health score of Serf from which a node is held for cut off. An
// isolated node needs a minute and more to declare all others failed; the score
// shows it after some 2 s.
const unhealthy = 3

// Members returns all boots of all nodes that Serf knows, this one included,
// ordered by ID and start. The caller owns the slice, but not the tags.
func (m *Membership) Members() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	members := make([]Member, 0, len(m.members))
	for _, mem := range m.members {
		members = append(members, mem)
	}
	sortMembers(members)
	return members
}

// Self returns this boot as the others see it.
func (m *Membership) Self() Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.members[serfName(m.cfg.ID, m.cfg.Boot)]
}

// GossipPort is the port in use, TCP and UDP; 0 before Open.
func (m *Membership) GossipPort() int { return m.Self().GossipPort }

// Dead is the verdict of the fast detector: whether the node was found dead before
// Serf noticed, why, and since when. It says nothing about nodes that Serf itself
// holds for failed or left.
func (m *Membership) Dead(id string) (dead bool, why string, since time.Time) {
	if m.watcher == nil {
		return false, "", time.Time{}
	}
	return m.watcher.dead(id)
}

// Isolated says whether this node is likely cut off: its own probes fail, or none
// of the nodes that it knows, or has in its book, is alive.
func (m *Membership) Isolated() bool {
	if m.serf == nil {
		return false
	}
	if m.serf.Memberlist().GetHealthScore() >= unhealthy {
		return true
	}
	known := map[string]bool{}
	m.bookMu.Lock()
	for id := range m.book.peers {
		known[id] = true
	}
	m.bookMu.Unlock()
	for id, mem := range Newest(m.Members()) {
		switch {
		case id == m.cfg.ID:
		case mem.Status == MemberLeft:
			delete(known, id)
		case mem.Status == MemberAlive:
			if dead, _, _ := m.Dead(id); !dead {
				return false
			}
			known[id] = true
		default:
			known[id] = true
		}
	}
	delete(known, m.cfg.ID)
	return len(known) > 0
}

// newest returns the boot of id that counts.
func (m *Membership) newest(id string) (Member, bool) {
	mem, ok := Newest(m.Members())[id]
	return mem, ok
}

// others returns the living members but this node.
func (m *Membership) others() map[string]Member {
	all := Newest(m.Members())
	maps.DeleteFunc(all, func(id string, mem Member) bool { return id == m.cfg.ID || mem.Status != MemberAlive })
	return all
}

// WireOf is the versions of the protocol that a node speaks, if it is known.
func (m *Membership) WireOf(id string) (Wire, bool) {
	mem, ok := m.newest(id)
	return mem.Wire, ok
}

// alive are the newest boots of the nodes of which one is alive, among members.
func alive(members map[string]Member) map[string]Member {
	newest := Newest(slices.Collect(maps.Values(members)))
	maps.DeleteFunc(newest, func(_ string, mem Member) bool { return mem.Status != MemberAlive })
	return newest
}

// watch reads Serf again whenever it says something, and tells everyone. It alone
// tells, so that nobody hears older news after newer.
func (m *Membership) watch(ctx context.Context) {
	slow := time.NewTicker(slowLook)
	defer slow.Stop()
	told := -1
	for {
		m.refresh()
		m.mu.Lock()
		version := m.version
		m.mu.Unlock()
		if version != told {
			told = version
			m.tell()
		}
		select {
		case <-ctx.Done():
			return
		case <-slow.C:
		case <-m.dirty:
		}
	}
}

func (m *Membership) tell() {
	others := m.others()
	if m.watcher != nil {
		alive := make(map[string]string, len(others))
		for id, mem := range others {
			alive[id] = mem.Boot
		}
		m.watcher.members(alive, m.cfg.Profile.DetectionTime(len(others)+1))
		wakeUp(m.connector.wake)
	}
	wakeUp(m.callNow)
	m.cfg.OnChange()
}

// refresh notes what Serf knows now.
func (m *Membership) refresh() {
	m.refreshMu.Lock()
	defer m.refreshMu.Unlock()
	now := time.Now()
	fresh := map[string]Member{}
	for _, s := range m.serf.Members() {
		mem, ok := parseMember(s)
		if !ok {
			m.log.WithField("name", s.Name).Debug("ignoring a member that is not a node of orch")
			continue
		}
		fresh[s.Name] = mem
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := len(fresh) != len(m.members)
	for name, mem := range fresh {
		old, known := m.members[name]
		if known && old.equal(mem) {
			fresh[name] = old
			continue
		}
		changed = true
		mem.Since = now
		if known && old.Status == mem.Status {
			mem.Since = old.Since
		} else if mem.ID != m.cfg.ID {
			m.log.WithFields(logrus.Fields{"node": mem.ID, "boot": mem.Boot, "addr": mem.gossipAddr()}).Infof("member is %s", mem.Status)
		}
		fresh[name] = mem
	}
	m.members = fresh
	if len(m.apart) > 0 {
		m.metUp(alive(fresh))
	}
	if changed {
		m.version++
		wakeUp(m.dirty)
	}
}

// isSelf says whether addr is this node's own gossip port.
func (m *Membership) isSelf(addr netip.AddrPort) bool {
	self := m.Self()
	if int(addr.Port()) != self.GossipPort {
		return false
	}
	return addr.Addr() == self.Addr || m.cfg.Transport == nil && m.cfg.Bind == "" && addr.Addr().IsLoopback() ||
		addr.Addr().String() == m.cfg.Bind
}

// missing returns the addresses to call: of the nodes in the book that are not
// alive, and of the seeds at which no living member is known.
func (m *Membership) missing(newest map[string]Member) []string {
	alive := map[string]bool{}
	for _, mem := range newest {
		if mem.Status == MemberAlive {
			alive[mem.gossipAddr().String()] = true
		}
	}
	var missing []string
	m.bookMu.Lock()
	for id, p := range m.book.peers {
		if id != m.cfg.ID && newest[id].Status != MemberAlive {
			missing = append(missing, p.Addr.String())
		}
	}
	seeds := m.seeds
	m.bookMu.Unlock()
	for _, seed := range seeds {
		if target, err := gossipTarget(seed); err == nil {
			missing = append(missing, target)
		}
	}
	missing = slices.DeleteFunc(missing, func(addr string) bool {
		ap, err := netip.ParseAddrPort(addr)
		return alive[addr] || err == nil && m.isSelf(ap)
	})
	slices.Sort(missing)
	return slices.Compact(missing)
}
