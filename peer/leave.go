package peer

import (
	"context"
	"errors"
	"time"

	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/runtime"
)

// ErrLeft is returned by Run when the node has left the cluster for good.
var ErrLeft = errors.New("the node has left the cluster")

// leaveTimeout is how long the last steps of leaving may take: to spread that this
// node is no member any more, and to say so in gossip.
const leaveTimeout = 5 * time.Second

// Leave begins to leave the cluster: the node gives up its tasks and, when the
// last has gone elsewhere, ends Run with ErrLeft. With force it stops them and
// does not wait until they run elsewhere.
func (p *Peer) Leave(ctx context.Context, force bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.readyLocked(); err != nil {
		return err
	}
	p.leaving, p.forced = true, p.forced || force
	p.log.WithField("force", force).Info("leaving the cluster")
	p.look()
	return nil
}

// hasLeft says whether there is nothing left to wait for. Lock held.
func (c *core) hasLeft() bool {
	if !c.leaving || c.forced {
		return c.leaving
	}
	if _, tasks := c.ledger(); tasks > 0 || len(c.busy) > 0 {
		return false
	}
	for _, h := range c.containers {
		if h.State != runtime.Exited {
			return false
		}
	}
	return true
}

// depart does the last steps of leaving: end what still runs, take this node out
// of the members, and say goodbye for good.
func (p *Peer) depart() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	p.stopAll()
	p.mu.Lock()
	old := p.index.members[p.id]
	p.mu.Unlock()
	if old != nil && !old.Removed {
		r, err := p.removal(old, time.Now())
		if err == nil {
			_, err = p.replica.Replicate(ctx, p.disksWanted(), r)
		}
		if err != nil {
			p.log.WithError(err).Warn("the others may count this node as failed: orch node rm makes them forget it")
		}
	}
	if err := p.membership.Leave(ctx); err != nil {
		p.log.WithError(err).Warn("the others may not have heard that this node left")
	}
}

// removal is the record by which a member is none any more.
func (c *core) removal(old *MemberRecord, now time.Time) (gossip.Record, error) {
	next := *old
	next.Removed = true
	next.Stamp.Mid, next.Stamp.Minor, next.Stamp.Writer = removedMid, old.Stamp.Minor+1, c.writer()
	return next.record(now)
}

// stopAll ends and forgets every container of this node, each with its own grace.
func (p *Peer) stopAll() {
	p.mu.Lock()
	all := p.containers
	p.mu.Unlock()
	for _, h := range all {
		p.ops.Go(func() {
			d := p.drivers[h.Driver]
			grace := time.Duration(h.Labels.StopTimeout)
			ctx, cancel := context.WithTimeout(context.Background(), grace+engineWait)
			defer cancel()
			err := d.Stop(ctx, h.ID, grace)
			if err == nil {
				err = d.Remove(ctx, h.ID)
			}
			if err != nil && !errors.Is(err, runtime.ErrNotFound) {
				p.log.WithField("task", h.Labels.Task()).WithError(err).Error("not stopped; it is left behind")
			}
		})
	}
	p.ops.Wait()
}
