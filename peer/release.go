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
	for _, left := range result.Left {
		if !left.Refused(bidding.CodeAfterStop) {
			continue
		}
		k := SlotKey{Job: a.Job, Life: a.Life, Slot: left.Slot}
		p.mu.Lock()
		old, j := p.index.slot(k), p.index.jobs[a.Job]
		p.mu.Unlock()
		if old == nil || j == nil || !old.State.Live() {
			continue
		}
		q := question{Op: "release", Job: k.Job, Life: k.Life, Slot: k.Slot, Epoch: old.Epoch(), Stamp: j.Stamp}
		if err := p.askNode(ctx, old.Owner(), q, func(answer) error { return nil }); err != nil {
			p.log.WithError(err).WithField("task", k.String()).Debug("its owner did not hear that it should let it go")
		}
	}
}

// obeyRelease ends this node's copy of a slot, if the record is exactly what the
// coordinator thinks it is and the coordinator knows the job as well as we do.
func (p *Peer) obeyRelease(k SlotKey, epoch uint64, job gossip.Stamp) {
	p.mu.Lock()
	a, j := p.index.slot(k), p.index.jobs[k.Job]
	if a != nil && j != nil && a.Owner() == p.id && a.Epoch() == epoch && a.State.Live() && j.Stamp.Compare(job) <= 0 {
		p.reportLocked(Report{Key: k, Epoch: epoch, State: api.Stopping, Reason: "let go, to be placed anew"}, time.Now())
	}
	p.unlockAndPut()
	p.look()
}
