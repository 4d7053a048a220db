package peer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Nodes lists the nodes, see api.Service.
func (p *Peer) Nodes(context.Context) ([]api.Node, error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []api.Node{}
	for _, v := range p.nodes(now) {
		if !v.Left {
			out = append(out, p.node(v, now))
		}
	}
	slices.SortFunc(out, func(a, b api.Node) int {
		return strings.Compare(a.Name+string(a.ID), b.Name+string(b.ID))
	})
	return out, nil
}

// node is a node as users see it. Lock held.
func (p *Peer) node(v *nodeView, now time.Time) api.Node {
	n := api.Node{
		ID: v.ID, ShortID: v.ID.Short(), Name: v.name, Self: v.ID == p.id, Address: v.address, Version: v.version,
		Labels: map[string]string{}, Drivers: append([]string{}, v.drivers...), Allow: append([]string{}, v.allow...), Capacity: v.capacity, Free: v.free, Tasks: v.tasks, SeenAt: now.UTC(), Reason: cmp.Or(v.why, v.fault),
		Reachable: v.ID == p.id, Cordoned: v.cordoned(),
	}
	if v.member != nil {
		n.Labels, n.OS, n.Arch = maps.Clone(v.member.Labels), v.member.OS, v.member.Arch
	}
	if pid, err := peerID(v.ID); err == nil && !n.Self {
		n.Reachable = p.connected(pid)
	}
	if n.Status = v.status(); !v.Alive && !v.Left {
		n.SeenAt, n.Tasks, n.Free = v.since.UTC(), 0, api.Resources{}
		if n.Status == api.NodeRestarting {
			n.Restarting = api.Duration(v.UnknownUntil.Sub(now).Round(time.Second))
		}
	}
	if n.Self && !p.ready {
		n.Reason = p.notReady
	}
	return n
}

// status is what users are told that the node is.
func (v *nodeView) status() api.NodeStatus {
	switch {
	case v.Left:
		return api.NodeLeft
	case v.Alive && v.Moving() && v.tasks == 0:
		return api.NodeDrained
	case v.Alive && v.Moving():
		return api.NodeDraining
	case v.Alive:
		return api.NodeStatus(v.State)
	case v.why == "restarting":
		return api.NodeRestarting
	}
	return api.NodeFailed
}

// isNode says whether want is the node's name, its id or its short id.
func isNode(want string, id api.NodeID, name string) bool {
	return want == name || want == string(id) || want == id.Short()
}

// beginsNode says whether want is the beginning of the node's id, with or without
// what all ids begin with.
func beginsNode(want string, id api.NodeID) bool {
	return len(id) > 8 && want != "" && (len(want) > 8 && strings.HasPrefix(string(id), want) || strings.HasPrefix(string(id[8:]), want))
}

// Node returns one node, see api.Service. What names one exactly is not taken for
// the beginning of another's id.
func (p *Peer) Node(_ context.Context, id string) (api.Node, error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var found, begins []api.Node
	for _, v := range p.nodes(now) {
		switch {
		case isNode(id, v.ID, v.name), id == "self" && v.ID == p.id:
			found = append(found, p.node(v, now))
		case beginsNode(id, v.ID):
			begins = append(begins, p.node(v, now))
		}
	}
	if len(found) == 0 {
		found = begins
	}
	switch len(found) {
	case 0:
		return api.Node{}, api.Errorf(api.NodeNotFound, "no node is named %.80q", id).WithHint("orch nodes lists them")
	case 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i, n := range found {
		ids[i] = n.ShortID
	}
	slices.Sort(ids)
	return api.Node{}, api.Errorf(api.AmbiguousName, "%q is the name of %d nodes: %s", id, len(found), strings.Join(ids, ", ")).
		WithHint("name it by one of these short ids")
}
