package peer

import (
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
		Labels: map[string]string{}, Drivers: v.drivers, Capacity: v.capacity, Free: v.free, Tasks: v.tasks, SeenAt: now.UTC(), Reason: v.why,
		Reachable: v.ID == p.id,
	}
	if n.Drivers == nil {
		n.Drivers = []string{}
	}
	if v.member != nil {
		n.Labels, n.OS, n.Arch = maps.Clone(v.member.Labels), v.member.OS, v.member.Arch
	}
	if pid, err := peerID(v.ID); err == nil && !n.Self {
		n.Reachable = p.connected(pid)
	}
	switch {
	case v.Left:
		n.Status = api.NodeLeft
	case v.Alive:
		n.Status = api.NodeStatus(v.State)
		if v.Moving() {
			n.Status = api.NodeDraining
			if v.tasks == 0 {
				n.Status = api.NodeDrained
			}
		}
	default:
		n.Status, n.SeenAt, n.Tasks, n.Free = api.NodeFailed, v.since.UTC(), 0, api.Resources{}
		if v.why == "restarting" {
			n.Status, n.Restarting = api.NodeRestarting, api.Duration(v.UnknownUntil.Sub(now).Round(time.Second))
		}
	}
	if n.Self && !p.ready {
		n.Reason = p.notReady
	}
	return n
}

// matchesNode says whether want names the node: its name, its id, its short id,
// or the beginning of its id, with or without what all ids begin with.
func matchesNode(want string, id api.NodeID, name string) bool {
	return want == name || want == string(id) ||
		len(want) >= 4 && (strings.HasPrefix(string(id), want) && len(want) > 8 || len(id) > 8 && strings.HasPrefix(string(id[8:]), want))
}

// Node returns one node, see api.Service.
func (p *Peer) Node(_ context.Context, id string) (api.Node, error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []api.Node
	for _, v := range p.nodes(now) {
		if matchesNode(id, v.ID, v.name) || id == "self" && v.ID == p.id {
			found = append(found, p.node(v, now))
		}
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
