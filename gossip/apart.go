package gossip

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// ErrVersions is in the error of whoever cannot join since its release of orch is too
// far from that of a member.
var ErrVersions = errors.New("the versions of orch are too far apart")

// Wire is the versions of the protocol between nodes that somebody speaks.
type Wire struct{ Min, Max int }

func (w Wire) String() string { return fmt.Sprintf("%d to %d", w.Min, w.Max) }

// meets says whether there is a version that both know.
func (w Wire) meets(o Wire) bool { return w.Min <= o.Max && o.Min <= w.Max }

// tag is w as a tag, "1-2"; parseWire reads it. A node that says nothing is of the
// first release, which had no such tag.
func (w Wire) tag() string { return fmt.Sprintf("%d-%d", w.Min, w.Max) }

func parseWire(tag string) (w Wire, ok bool) {
	if tag == "" {
		return Wire{1, 1}, true
	}
	oldest, newest, _ := strings.Cut(tag, "-")
	var err1, err2 error
	w.Min, err1 = strconv.Atoi(oldest)
	w.Max, err2 = strconv.Atoi(newest)
	return w, err1 == nil && err2 == nil && w.Min >= 0 && w.Min <= w.Max
}

// Apart is two nodes of which neither speaks a version of the protocol that the other
// knows. They cannot be in one cluster: one is kept out.
type Apart struct {
	Node, With Member
	Seen       time.Time
}

// Concerns says whether the node is one of the two.
func (a Apart) Concerns(id string) bool { return a.Node.ID == id || a.With.ID == id }

func (a Apart) String() string {
	older := a.Node
	if a.With.Wire.Max < a.Node.Wire.Max {
		older = a.With
	}
	return fmt.Sprintf("node %s speaks the protocol between nodes in the versions %s, node %s in %s: upgrade orch on node %s first",
		a.Node.where(), a.Node.Wire, a.With.where(), a.With.Wire, older.where())
}

// where names a node that need not be a member.
func (m Member) where() string { return m.gossipAddr().String() }

// Apart lists who was kept out lately for the versions that it speaks, or is the reason
// why this node is: as long as they go on calling each other.
func (m *Membership) Apart() []Apart {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.apart, func(_ string, a Apart) bool { return time.Since(a.Seen) > 3*m.cfg.Profile.redialCap() })
	return slices.SortedFunc(maps.Values(m.apart), func(a, b Apart) int {
		return cmp.Or(strings.Compare(a.Node.ID, b.Node.ID), strings.Compare(a.With.ID, b.With.ID))
	})
}

// gatekeeper keeps nodes out with whom nothing could be exchanged: else they would be
// seen alive, and be apart without anybody knowing.
type gatekeeper struct{ m *Membership }

// NotifyMerge is asked at both ends of a join. It refuses when anybody who is alive
// here and anybody who is alive there have no version in common, and not only these two
// ends: else the one would come in through the other.
func (g gatekeeper) NotifyMerge(nodes []*memberlist.Node) error {
	var there []Member
	for _, n := range nodes {
		if n.State != memberlist.StateAlive && n.State != memberlist.StateSuspect {
			continue // an earlier boot may have been of any release
		}
		if mem, ok := readNode(n); ok {
			there = append(there, mem)
		}
	}
	here := g.m.others()
	here[g.m.cfg.ID] = g.self()
	return g.m.keepOut(here, Newest(there))
}

// NotifyAlive is asked of every node that is told of. It is refused if this node itself
// cannot talk with it.
func (g gatekeeper) NotifyAlive(n *memberlist.Node) error {
	mem, ok := readNode(n)
	if !ok || mem.ID == g.m.cfg.ID {
		return nil
	}
	return g.m.keepOut(map[string]Member{g.m.cfg.ID: g.self()}, map[string]Member{mem.ID: mem})
}

// self is this node, also before it has read of itself.
func (g gatekeeper) self() Member {
	self := g.m.Self()
	self.ID, self.Wire = g.m.cfg.ID, g.m.wire
	return self
}

// readNode is a node of memberlist as a member.
func readNode(n *memberlist.Node) (Member, bool) {
	tags := map[string]string{}
	if len(n.Meta) > 0 { // the first byte says that Serf wrote it
		if err := codec.NewDecoder(bytes.NewReader(n.Meta[1:]), &codec.MsgpackHandle{}).Decode(&tags); err != nil {
			return Member{}, false
		}
	}
	return parseMember(serf.Member{Name: n.Name, Addr: n.Addr, Port: n.Port, Tags: tags, Status: serf.StatusAlive})
}

// keepOut says that somebody there has no version in common with somebody here, if so.
// It remembers one such pair, this node's if there is one, and logs it once.
func (m *Membership) keepOut(here, there map[string]Member) error {
	var found []Apart
	for _, h := range here {
		for _, t := range there {
			if h.ID != t.ID && !h.Wire.meets(t.Wire) {
				found = append(found, Apart{Node: t, With: h, Seen: time.Now()})
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	first := slices.MinFunc(found, func(a, b Apart) int {
		if own := a.Concerns(m.cfg.ID); own != b.Concerns(m.cfg.ID) {
			if own {
				return -1
			}
			return 1
		}
		return strings.Compare(a.String(), b.String())
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	key := first.Node.ID + " " + first.With.ID
	if old, known := m.apart[key]; !known || old.Node.Wire != first.Node.Wire || old.With.Wire != first.With.Wire {
		m.log.Warnf("%v: %v", ErrVersions, first)
	}
	m.apart[key] = first
	return fmt.Errorf("%w: %v", ErrVersions, first)
}

// metUp forgets that nodes were apart once they are members of one cluster.
func (m *Membership) metUp(alive map[string]Member) {
	maps.DeleteFunc(m.apart, func(_ string, a Apart) bool {
		n, ok := alive[a.Node.ID]
		w, with := alive[a.With.ID]
		return ok && with && n.Wire.meets(w.Wire)
	})
}
