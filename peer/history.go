package peer

import (
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// What is remembered of attempts that others have followed. It is in memory only,
// and each node has its own: the table keeps the last attempt of a slot.
const (
	historyPerSlot = 8
	historySlots   = 10_000
)

// A history has, for each slot, the attempts before its last one, oldest first.
type history map[SlotKey][]api.Attempt

// add remembers an attempt at k. When there are too many slots, any other makes room.
func (h history) add(k SlotKey, a api.Attempt) {
	all := append(h[k], a)
	h[k] = all[max(0, len(all)-historyPerSlot):]
	for other := range h {
		if len(h) <= historySlots {
			return
		}
		if other != k {
			delete(h, other)
		}
	}
}

// supersede remembers old if next is another attempt at the slot. Lock held.
func (p *Peer) supersede(old, next *Assignment, now time.Time) {
	if old == nil || next == nil || old.Ran() == next.Ran() && old.Owner() == next.Owner() {
		return
	}
	a := attemptOf(old)
	if a.Ended == "" {
		until := now
		if since := p.goneSince(old.Owner()); !since.IsZero() {
			a.Ended, until = "lost", since
		} else {
			a.Ended = "moved"
		}
		if until.Before(a.From) { // clocks differ
			until = a.From
		}
		a.Until = timeOrNil(until)
	}
	p.past.add(old.Key, a)
}

// attemptOf is what a record says of its attempt.
func attemptOf(a *Assignment) api.Attempt {
	out := api.Attempt{
		Attempt: api.TaskID{Job: a.Key.Job, Index: a.Key.Slot, Epoch: a.Ran()}.String(), Epoch: a.Ran(), Node: a.Owner(),
		From: a.AcceptedAt.UTC(), Because: a.Because, Reason: a.Reason, Auction: a.Auction,
	}
	if a.State.Final() {
		out.Ended, out.Until = string(a.State), timeOrNil(a.FinishedAt)
	}
	return out
}

// goneSince is when a node was seen to go, as far as this one knows; zero while
// it is alive.
func (p *Peer) goneSince(id api.NodeID) time.Time {
	m, known := gossip.Newest(p.membership.Members())[string(id)]
	dead, _, since := p.membership.Dead(string(id))
	switch {
	case id == p.id:
		return time.Time{}
	case !known:
		return p.started
	case m.Status != gossip.MemberAlive:
		return m.Since
	case dead:
		return since
	}
	return time.Time{}
}

// nameOf is the name of a node, or its short id.
func nameOf(nodes map[api.NodeID]*nodeView, id api.NodeID) string {
	if v := nodes[id]; v != nil && v.name != "" {
		return v.name
	}
	return id.Short()
}
