package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/runtime"
)

// heardSlots is how many slots a bidder remembers the sendings of.
const heardSlots = 4096

// ledger is what this node has committed: records that say that it has a slot,
// and containers that exist, whichever is larger, until the engine says that they
// are gone. Also how many attempts these are. Lock held.
func (c *core) ledger() (bidding.Ledger, int) {
	var claims []bidding.Claim
	kept := map[SlotKey]uint64{} // epoch of the container kept for a later record
	bySlot := map[SlotKey][]Held{}
	for _, h := range c.containers {
		bySlot[h.Key()] = append(bySlot[h.Key()], h)
	}
	for _, of := range c.index.slots {
		for k, a := range of {
			if a.Owner() != c.id || a.State.Final() {
				continue
			}
			j := c.index.jobs[k.Job]
			if j == nil || j.Life() != k.Life {
				continue
			}
			claim := bidding.Claim{Job: k.Job, Life: k.Life, Slot: k.Slot, Epoch: a.Epoch(), Resources: j.Spec.Resources, Ports: j.Spec.Ports}
			if h := serving(a, bySlot[k]); h != nil {
				kept[k] = h.Labels.Epoch
				claim.Resources, claim.Ports = claim.Resources.Max(h.Labels.Resources), h.Labels.Ports
			}
			claims = append(claims, claim)
		}
	}
	for _, h := range c.containers {
		l := h.Labels
		if h.State == runtime.Exited || kept[h.Key()] == l.Epoch {
			continue
		}
		claims = append(claims, bidding.Claim{Job: l.Job, Life: l.Life, Slot: l.Slot, Epoch: l.Epoch, Resources: l.Resources, Ports: l.Ports})
	}
	return bidding.NewLedger(c.cfg.Capacity, claims), len(claims)
}

// bidder is this node as a bid for a job sees it. Lock held.
func (c *core) bidder(j api.Job, life int64, hash string, slots []int, now time.Time) bidding.Bidder {
	ledger, _ := c.ledger()
	b := bidding.Bidder{
		ID: c.id, Name: c.cfg.Name, Drivers: map[string]string{}, Zone: c.zone(),
		Allow: c.cfg.Allow, MaxStarts: c.width, Ledger: ledger, Old: map[int]uint64{},
	}
	for name := range c.drivers {
		b.Drivers[name] = c.usable[name]
	}
	for _, of := range c.index.slots {
		for _, a := range of {
			if a.Owner() == c.id && a.State.Live() && a.State != api.Running && !a.waits() {
				b.Starting++
			}
		}
	}
	if f := c.failures[j.Name]; f != nil && f.hash == hash && now.Sub(f.at) < steady {
		b.RecentFailures = f.count
		if left := f.until.Sub(now); left > 0 {
			b.Excluded = &api.Refusal{
				Code: "excluded", Retry: "after", After: api.Duration(left.Round(time.Millisecond)),
				Reason: fmt.Sprintf("%s failed here %s ago, sits out for %s more", f.what, now.Sub(f.at).Round(time.Second), left.Round(time.Second)),
			}
		}
	}
	if m := c.index.members[c.id]; m != nil && m.Cordoned {
		b.Closed = &api.Refusal{Code: "cordoned", Retry: "never", Reason: "is cordoned"}
	}
	if st := c.state(); st == StateDraining || st == StateLeaving {
		b.Closed = &api.Refusal{Code: "draining", Retry: "never", Reason: "is " + st}
	}
	if !c.ready {
		b.Closed = &api.Refusal{Code: "not_ready", Retry: "after", After: api.Duration(time.Second), Reason: c.notReady}
	}
	for _, i := range slots {
		k := SlotKey{Job: j.Name, Life: life, Slot: i}
		for _, h := range c.containers {
			if h.Key() == k && h.State != runtime.Exited {
				b.Old[i] = h.Labels.Epoch
			}
		}
	}
	meddle(c.meddling.Bidder, &b)
	return b
}

// bid answers a call from the live ledger.
func (p *Peer) bid(_ context.Context, _ api.NodeID, call bidding.Call) bidding.Bid {
	d, here := p.drivers[call.Job.Driver], false
	if d != nil {
		here = d.HasImage(call.Job.Image) // may ask the engine: not with the lock held
	}
	p.mu.Lock()
	b := p.bidder(call.Job, call.Life, call.TemplateHash, call.Slots, time.Now())
	p.mu.Unlock()
	b.HasImage = here
	p.metrics.bids.Inc()
	return bidding.MakeBid(call, b)
}

// award decides an award, writes what it accepts to disk, and answers with this
// node's current records, which are the truth whatever came of the award.
func (p *Peer) award(ctx context.Context, from api.NodeID, aw bidding.Award) bidding.Answer {
	jobRec, refusal := p.mergeAward(from, aw)
	refusals := refuseAll(aw, refusal)
	if refusal == nil {
		p.accepting.Lock()
		p.mu.Lock()
		recs := p.accept(from, aw, jobRec, refusals, time.Now())
		p.mu.Unlock()
		p.accepting.Unlock()
		p.storeAccepted(ctx, recs)
	}
	p.metrics.awarded(refusals)
	return p.answer(aw, jobRec, refusals)
}

// answer is what this node's records say of what was awarded.
func (c *core) answer(aw bidding.Award, jobRec gossip.Record, refusals []*api.Refusal) bidding.Answer {
	ans := bidding.Answer{Wire: bidding.WireMax}
	if r, ok := c.around.Get(jobRec.Key); ok {
		ans.Job = encodeRecord(r)
	}
	for i, s := range aw.Slots {
		as := bidding.AnswerSlot{Slot: s.Slot, Refusal: refusals[i]}
		if k, ok := awardKey(jobRec, s.Slot); ok {
			if r, ok := c.around.Get(slotRecordKey(k)); ok {
				as.Record = encodeRecord(r)
			}
		}
		ans.Slots = append(ans.Slots, as)
	}
	return ans
}

// storeAccepted puts what was accepted on disk, together if possible.
func (p *Peer) storeAccepted(ctx context.Context, recs []gossip.Record) {
	if len(recs) == 0 {
		return
	}
	// Accepted is accepted, also when the auctioneer does not wait any longer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := p.replica.Put(ctx, recs...); errors.Is(err, gossip.ErrStale) || errors.Is(err, gossip.ErrNotKept) || errors.Is(err, gossip.ErrFull) {
		for _, r := range recs {
			p.putFailed(r, p.replica.Put(ctx, r))
		}
	} else if err != nil {
		p.log.WithError(err).Warn("an accepted award could not be stored")
	}
	p.look()
}

// catchUp brings the index up to date for records just merged: the table may be
// telling of other changes first.
func (p *Peer) catchUp(recs []gossip.Record) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range recs {
		if cur, ok := p.replica.Get(r.Key); ok {
			p.note(cur, now)
		}
	}
}

func awardKey(job gossip.Record, slot int) (SlotKey, bool) {
	if len(job.Key) < 3 || slot < 0 || slot >= api.MaxReplicas {
		return SlotKey{}, false
	}
	return SlotKey{Job: job.Key[2:], Life: int64(job.Stamp.Major), Slot: slot}, true
}

// refuseAll is the same answer for every slot of an award.
func refuseAll(aw bidding.Award, why *api.Refusal) []*api.Refusal {
	out := make([]*api.Refusal, len(aw.Slots))
	for i := range out {
		out[i] = why
	}
	return out
}

// mergeAward takes the records of an award into the table, before anything is
// decided. Only a node that this one has synced with may hand it records.
func (p *Peer) mergeAward(from api.NodeID, aw bidding.Award) (gossip.Record, *api.Refusal) {
	recs, refusal := awardRecords(aw)
	if len(recs) == 0 {
		return gossip.Record{}, refusal
	}
	if refusal != nil || from == p.id {
		return recs[0], refusal
	}
	pid, err := peerID(from)
	if err != nil {
		return recs[0], malformed(err)
	}
	if !p.replica.ReceiveLazy(pid, recs...) {
		return recs[0], notSynced()
	}
	p.catchUp(recs)
	return recs[0], nil
}

func malformed(err error) *api.Refusal {
	return &api.Refusal{Code: "malformed", Retry: "never", Reason: err.Error()}
}

func notSynced() *api.Refusal {
	return &api.Refusal{Code: "not_synced", Retry: "after", After: api.Duration(time.Second), Reason: "has not yet compared tables with the auctioneer"}
}

// awardRecords are the records that an award has, that of the job first.
func awardRecords(aw bidding.Award) ([]gossip.Record, *api.Refusal) {
	job, err := decodeRecord(aw.Job)
	if err != nil {
		return nil, malformed(err)
	}
	recs := []gossip.Record{job}
	if j, err := decodeJob(job); err != nil {
		return nil, malformed(err)
	} else if j.Removed {
		return recs, &api.Refusal{Code: "not_wanted", Retry: "never", Reason: "the job was removed"}
	}
	for _, s := range aw.Slots {
		if len(s.Record) == 0 {
			continue
		}
		r, err := decodeRecord(s.Record)
		if err != nil {
			return nil, malformed(err)
		}
		recs = append(recs, r)
	}
	return recs, nil
}

// accept decides each slot of an award against the ledger and takes what it
// accepts into the index, so that the next decision counts it. It fills refusals
// and returns the records to store.
func (c *core) accept(from api.NodeID, aw bidding.Award, jobRec gossip.Record, refusals []*api.Refusal, now time.Time) []gossip.Record {
	nodes := c.nodes(now)
	var out []gossip.Record
	for i, s := range aw.Slots {
		k, ok := awardKey(jobRec, s.Slot)
		if !ok {
			refusals[i] = &api.Refusal{Code: "malformed", Retry: "never", Reason: "no such slot"}
			continue
		}
		j := c.index.jobs[k.Job]
		st := c.standing(k, j, jobRec, nodes)
		st.LastSeq = c.heard.Note(bidding.HeardKey{Auctioneer: from, Boot: aw.Boot, Job: k.Job, Life: k.Life, Slot: k.Slot}, aw.Seq)
		meddle(c.meddling.Standing, &st)
		b := c.bidder(st.Job, k.Life, hashOf(j), []int{s.Slot}, now)
		v := bidding.Consider(aw, s, st, b)
		refusals[i] = v.Refusal
		if !v.Accept || v.Already {
			continue
		}
		a := &Assignment{
			State: api.Accepted, Hash: j.Hash, Failures: s.Failures, StopFirst: v.StopFirst, Auction: aw.Auction, Auctioneer: from,
			Because: s.Reason, Won: cut(s.Won, 100), Reason: s.Reason, AcceptedAt: now, Key: k,
			Stamp: gossip.Stamp{Major: s.Epoch, Mid: string(c.id), Minor: 1, Writer: c.writer()},
		}
		r, err := a.record(now)
		if err != nil {
			refusals[i] = &api.Refusal{Code: "malformed", Retry: "never", Reason: err.Error()}
			continue
		}
		c.note(r, now)
		out = append(out, r)
	}
	return out
}

func hashOf(j *JobRecord) string {
	if j == nil {
		return ""
	}
	return j.Hash
}

// standing is what this node knows of an awarded slot. Lock held.
func (c *core) standing(k SlotKey, j *JobRecord, award gossip.Record, nodes map[api.NodeID]*nodeView) bidding.Standing {
	st := bidding.Standing{Life: k.Life}
	if j != nil {
		st.Job = j.Spec
		st.JobIsMine = j.Stamp.Compare(award.Stamp) == 0
		st.Wanted = j.Life() == k.Life && j.Wants(k.Slot)
	}
	a := c.index.slot(k)
	if a != nil {
		st.Known, st.Epoch, st.Owner, st.Complete = true, a.Epoch(), a.Owner(), a.State == api.Complete
		st.Served = a.State.Live() || a.State == api.Stopping // until it is gone, for kinds that must not run twice
		v := nodes[a.Owner()]
		st.OwnerAlive, st.OwnerAway = v != nil && v.Alive, v != nil && !v.Alive && !v.Left
	}
	for _, h := range c.containers {
		if h.Key() != k {
			continue
		}
		st.LabelEpoch = max(st.LabelEpoch, h.Labels.Epoch)
		if h.State != runtime.Exited {
			st.OldCopy = true
			st.Keeps = st.Keeps || h.State == runtime.Running && h.Labels.TemplateHash == hashOf(j)
		}
	}
	return st
}
