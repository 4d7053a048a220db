package peer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// DrainNode has a node give up its tasks, see api.Service.
func (p *Peer) DrainNode(ctx context.Context, id string) (api.Node, error) {
	return p.tell(ctx, id, question{Op: "drain", On: true}, func(n *api.Node, _ answer) { n.Status = api.NodeDraining })
}

// CordonNode has a node take no new tasks, see api.Service.
func (p *Peer) CordonNode(ctx context.Context, id string) (api.Node, error) {
	return p.tell(ctx, id, question{Op: "cordon"}, func(n *api.Node, _ answer) { n.Cordoned = true })
}

// ResumeNode undoes DrainNode and CordonNode, see api.Service.
func (p *Peer) ResumeNode(ctx context.Context, id string) (api.Node, error) {
	return p.tell(ctx, id, question{Op: "drain"}, func(n *api.Node, _ answer) { n.Status, n.Cordoned = api.NodeReady, false })
}

// LabelNode gives a node labels, see api.Service.
func (p *Peer) LabelNode(ctx context.Context, id string, change api.LabelChange) (api.Node, error) {
	if err := change.Validate(); err != nil {
		return api.Node{}, err
	}
	return p.tell(ctx, id, question{Op: "label", Labels: change}, func(n *api.Node, a answer) {
		n.Labels = map[string]string{}
		maps.Copy(n.Labels, a.Labels)
	})
}

// tell has the named node do something to itself: only a node writes what is said
// of it. It returns the node as done makes it of what is known here and the answer.
func (p *Peer) tell(ctx context.Context, id string, q question, done func(*api.Node, answer)) (api.Node, error) {
	n, err := p.Node(ctx, id)
	if err != nil {
		return n, err
	}
	if n.Status == api.NodeFailed || n.Status == api.NodeLeft || n.Status == api.NodeRestarting {
		why := "it has to be back first"
		if q.On {
			why = "what it ran is placed elsewhere anyway"
		}
		return n, api.Errorf(api.NodeUnreachable, "node %s is %s: %s", n.Name, n.Status, why)
	}
	err = p.askNode(ctx, n.ID, q, func(a answer) error { done(&n, a); return nil })
	return n, err
}

// obey does to this node what it was told.
func (p *Peer) obey(ctx context.Context, q question) answer {
	m, err := p.amend(ctx, func(m *MemberRecord) error {
		switch q.Op {
		case "cordon":
			m.Cordoned = true
			return nil
		case "label":
			return p.relabel(m, q.Labels)
		}
		if p.leaving && q.On {
			return api.Errorf(api.Invalid, "node %s is leaving already", p.cfg.Name)
		}
		p.leaving = false
		m.Draining, m.Cordoned = q.On, m.Cordoned && q.On
		return nil
	})
	if err != nil {
		return answer{Error: asAPIError(err)}
	}
	return answer{Labels: m.Labels}
}

// relabel changes the labels that m was given. Lock held.
func (c *core) relabel(m *MemberRecord, change api.LabelChange) error {
	if err := change.Validate(); err != nil {
		return err
	}
	given := maps.Clone(m.Given)
	if given == nil {
		given = map[string]string{}
	}
	for key, value := range change {
		if value == nil {
			delete(given, key)
		} else {
			given[key] = *value
		}
	}
	if len(given) > api.MaxGivenLabels {
		return api.Errorf(api.Invalid, "node %s would be given %d labels (at most %d)", c.cfg.Name, len(given), api.MaxGivenLabels)
	}
	m.Given, m.Labels = given, c.labels(given)
	return nil
}

// labels are those that this node was started with and, above them, what it was given.
func (c *core) labels(given map[string]string) map[string]string {
	all := map[string]string{} // also without any: as it is read back, or each look would write it anew
	maps.Copy(all, c.cfg.Labels)
	maps.Copy(all, given)
	return all
}

// zone is this node's zone as it gossips and bids with it. Lock held.
func (c *core) zone() string {
	zone := c.cfg.Labels["zone"]
	if m := c.index.members[c.id]; m != nil && !m.Removed {
		if given, ok := m.Given["zone"]; ok {
			zone = given
		}
	}
	return shortened(zone, maxZone)
}

// amend changes what this node's member record says of it, beyond what it finds
// when it starts: that stays so after a restart. What comes between the look and
// the write is looked at again. It returns the record as it is then; change gets a
// copy of it, with the lock held.
func (p *Peer) amend(ctx context.Context, change func(*MemberRecord) error) (*MemberRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for {
		m, err := p.tryAmend(ctx, change)
		if !errors.Is(err, gossip.ErrStale) || ctx.Err() != nil {
			return m, err
		}
	}
}

func (p *Peer) tryAmend(ctx context.Context, change func(*MemberRecord) error) (*MemberRecord, error) {
	p.mu.Lock()
	next, changed, err := p.amended(change)
	p.mu.Unlock()
	if err != nil || !changed {
		p.look()
		return next, err
	}
	r, err := next.record(time.Now())
	if err != nil {
		return nil, err
	}
	if _, err := p.replica.Replicate(ctx, p.disksWanted(), r); errors.Is(err, gossip.ErrFull) {
		return nil, p.tableFull(err)
	} else if err != nil {
		return nil, fmt.Errorf("store what is said of node %s: %w", p.cfg.Name, err)
	}
	p.look()
	return next, nil
}

// amended is this node's member record as change makes it, and whether that is another.
// Lock held.
func (c *core) amended(change func(*MemberRecord) error) (next *MemberRecord, changed bool, err error) {
	if err := c.readyLocked(); err != nil {
		return nil, false, err
	}
	old := c.index.members[c.id]
	if old == nil || old.Removed {
		return nil, false, api.Errorf(api.NotReady, "node %s is no member at the moment", c.cfg.Name)
	}
	m := *old
	if err := change(&m); err != nil {
		return nil, false, err
	}
	if m.same(old) {
		return old, false, nil
	}
	m.Stamp.Minor, m.Stamp.Writer = old.Stamp.Minor+1, c.writer()
	return &m, true, nil
}
