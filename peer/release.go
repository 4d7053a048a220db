package peer

import (
	"context"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
)

// A slot of a kind that must never run twice is moved by letting it go first: a
// node that would take it refuses while its owner serves it (after_stop), the
// coordinator asks that owner to release it, the owner stops it and, when it is
// gone, writes so; then the slot is unserved and auctioned like any other. If the
// question is lost, the next auction repeats it.

// releaseOld asks the owners of slots that somebody would take, were they free, to
// let them go.
func (p *Peer) releaseOld(ctx context.Context, a Auction, result bidding.Result) {
	p.mu.Lock()
	orders := p.toRelease(a, result)
	p.mu.Unlock()
	for _, o := range orders {
		q := question{Op: "release", Job: o.Key.Job, Life: o.Key.Life, Slot: o.Key.Slot, Epoch: o.Epoch, Stamp: o.Job}
		if err := p.askNode(ctx, o.Owner, q, func(answer) error { return nil }); err != nil {
			p.log.WithError(err).WithField("task", o.Key.String()).Debug("its owner did not hear that it should let it go")
		}
	}
}

// Release asks the owner of a slot to let it go, if its record is still of that
// epoch and it does not know the job better.
type Release struct {
	Key   SlotKey
	Epoch uint64
	Owner api.NodeID
	Job   gossip.Stamp
}

// toRelease are the slots of an auction that somebody would take, were they free.
func (c *core) toRelease(a Auction, result bidding.Result) (out []Release) {
	for _, left := range result.Left {
		k := SlotKey{Job: a.Job, Life: a.Life, Slot: left.Slot}
		old, j := c.index.slot(k), c.index.jobs[a.Job]
		if left.Refused(bidding.CodeAfterStop) && old != nil && j != nil && old.State.Live() {
			out = append(out, Release{Key: k, Epoch: old.Epoch(), Owner: old.Owner(), Job: j.Stamp})
		}
	}
	return out
}

// obeyRelease ends this node's copy of a slot, if the record is exactly what the
// coordinator thinks it is and the coordinator knows the job as well as we do.
func (p *Peer) obeyRelease(k SlotKey, epoch uint64, job gossip.Stamp) {
	p.mu.Lock()
	p.letGo(k, epoch, job, time.Now())
	p.unlockAndPut()
	p.look()
}

// letGo is obeyRelease as far as this node's records are concerned.
func (c *core) letGo(k SlotKey, epoch uint64, job gossip.Stamp, now time.Time) {
	a, j := c.index.slot(k), c.index.jobs[k.Job]
	if a != nil && j != nil && a.Owner() == c.id && a.Epoch() == epoch && a.State.Live() && j.Stamp.Compare(job) <= 0 {
		c.reportLocked(Report{Key: k, Epoch: epoch, State: api.Stopping, Reason: "let go, to be placed anew"}, now)
	}
}
