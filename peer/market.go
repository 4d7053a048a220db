package peer

import (
	"context"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
)

// openAuctions makes both sides of the auction.
func (p *Peer) openAuctions() {
	handlers := bidding.Handlers{Bid: p.bid, Award: p.award}
	p.auctioneer = bidding.NewAuctioneer(bidding.AuctioneerConfig{
		Host: p.host, Self: p.id, Boot: p.boot, Name: p.cfg.Name, Local: handlers, Settle: p.settle, Alive: p.isAlive,
		Wire: p.wireOf, Log: p.log,
	})
	p.server = bidding.Serve(p.host, handlers, p.log)
}

func (p *Peer) isAlive(id api.NodeID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.nodes(time.Now())[id]
	return v != nil && v.Alive
}

// wireOf is the versions of the protocol that a node speaks, as it says in gossip.
func (p *Peer) wireOf(id api.NodeID) (oldest, newest int) {
	w, ok := p.membership.WireOf(string(id))
	if !ok {
		return bidding.WireMin, bidding.WireMax
	}
	return w.Min, w.Max
}

// beginAuction prepares an auction of slots. Lock held.
func (p *Peer) beginAuction(a Auction) func(context.Context) {
	if len(p.auctions) >= maxAuctions {
		return nil // the next look asks again
	}
	lot, ok := p.lot(a, time.Now())
	if !ok {
		return nil
	}
	p.auctions[a.Job] = true
	p.lost(a, p.nodes(time.Now()))
	return func(ctx context.Context) {
		began := time.Now()
		result, _ := p.auctioneer.Hold(ctx, lot)
		p.metrics.auctioned(time.Since(began), len(a.Slots), result)
		p.releaseOld(ctx, a, result)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.auctions, a.Job)
		p.remember(a, lot.ID, result, time.Now())
	}
}

// lot is what is put up for auction. Lock held.
func (c *core) lot(a Auction, now time.Time) (bidding.Lot, bool) {
	j := c.index.jobs[a.Job]
	jobRec, ok := c.around.Get(jobKey(a.Job))
	if j == nil || !ok || j.Stamp.Compare(jobRec.Stamp) != 0 {
		return bidding.Lot{}, false // changing just now
	}
	nodes := c.nodes(now)
	lot := c.emptyLot(j, a, nodes)
	lot.JobRecord = encodeRecord(jobRec)
	w := c.world(nodes, now)
	for _, i := range a.Slots {
		reason := a.Reason
		if !a.Move {
			reason = w.whyUnserved(j, c.index.slot(j.Slot(i)))
		}
		lot.Slots = append(lot.Slots, c.lotSlot(j, i, reason, now))
	}
	return lot, true
}

// emptyLot is a lot of slots of j, of which only whom to ask and what is known so
// far; j need not be stored. Lock held.
func (c *core) emptyLot(j *JobRecord, a Auction, nodes map[api.NodeID]*nodeView) bidding.Lot {
	call := bidding.Call{
		Wire: bidding.WireMax, Auction: c.newID(), Job: j.Spec, Life: a.Life, TemplateHash: j.Hash, Slots: a.Slots,
		Siblings: map[api.NodeID]int{}, Zones: map[string]int{},
	}
	for i := range j.Spec.Replicas {
		s := c.index.slot(j.Slot(i))
		if s == nil || !s.State.Live() || slices.Contains(a.Slots, i) {
			continue
		}
		if v := nodes[s.Owner()]; v != nil && v.Alive {
			call.Siblings[s.Owner()]++
			if v.zone != "" {
				call.Zones[v.zone]++
			}
		}
	}
	for _, v := range nodes {
		if _, ok := call.Zones[v.zone]; v.Alive && v.zone != "" && !ok {
			call.Zones[v.zone] = 0
		}
	}
	all := candidates(nodes)
	ask, notAsked := bidding.Shortlist(call, all, c.random)
	return bidding.Lot{
		ID: call.Auction, Call: call, Candidates: ask, NotAsked: notAsked, Known: len(all),
		Reason: a.Reason, Auctioneer: c.id, AuctioneerName: c.cfg.Name, Boot: c.boot, StopFirst: j.Spec.StopFirst(),
		Seed: rendezvous(call.Auction, c.id),
	}
}

func (c *core) lotSlot(j *JobRecord, i int, reason string, now time.Time) bidding.LotSlot {
	k := j.Slot(i)
	s := bidding.LotSlot{Slot: i, Epoch: c.unanswered[k] + 1, Reason: reason}
	a := c.index.slot(k)
	if a == nil {
		return s
	}
	s.Epoch = max(s.Epoch, a.Epoch()+1)
	if a.StartedAt.IsZero() || a.State == api.Failed || now.Sub(a.StartedAt) < steady {
		s.Failures = a.Failures
	}
	if r, ok := c.around.Get(slotRecordKey(k)); ok {
		s.Record = encodeRecord(r)
	}
	return s
}

// remember takes in how an auction ended. Lock held.
func (c *core) remember(a Auction, id string, result bidding.Result, now time.Time) {
	j := c.index.jobs[a.Job]
	for _, u := range result.Unanswered {
		k := SlotKey{Job: a.Job, Life: a.Life, Slot: u.Slot}
		c.unanswered[k] = max(c.unanswered[k], u.Epoch)
	}
	for _, placed := range result.Placed { // its record may have been lost with whoever accepted, right after it said so
		k := SlotKey{Job: a.Job, Life: a.Life, Slot: placed.Slot}
		if rec := c.index.slot(k); rec == nil || rec.Epoch() < placed.Epoch {
			c.unanswered[k] = max(c.unanswered[k], placed.Epoch)
		}
	}
	for _, left := range result.Left {
		k := SlotKey{Job: a.Job, Life: a.Life, Slot: left.Slot}
		if a.Move {
			c.moveAt[k] = now.Add(bidding.Backoff(3, c.random()))
			c.noteStay(k, left)
			continue
		}
		m := c.memory[k]
		if m == nil {
			continue // served meanwhile
		}
		m.Tries++
		if c.hooks.retried != nil {
			c.hooks.retried(k.Job)
		}
		m.RetryAt, m.Why, m.Sheet, m.TakeOver = now.Add(bidding.Backoff(m.Tries, c.random())), left.Why, id, false
		m.Since = now // whoever took over leaves it to the coordinator again for a while
	}
	if j == nil || j.Removed {
		for k := range c.unanswered {
			if k.Job == a.Job {
				delete(c.unanswered, k)
			}
		}
	}
}

// settle merges the records of an answer and says what they say of each slot.
func (p *Peer) settle(ctx context.Context, from api.NodeID, aw bidding.Award, ans bidding.Answer) []bidding.Outcome {
	recs := answerRecords(ans)
	if pid, err := peerID(from); err == nil && from != p.id {
		p.replica.ReceiveLazy(pid, recs...) // false: the next sync brings them
		p.catchUp(recs)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outcomes(from, aw, ans, time.Now())
}

// answerRecords are the records that an answer has.
func answerRecords(ans bidding.Answer) []gossip.Record {
	var recs []gossip.Record
	if job, err := decodeRecord(ans.Job); err == nil {
		recs = append(recs, job)
	}
	for _, s := range ans.Slots {
		if r, a := answered(s); a != nil {
			recs = append(recs, r)
		}
	}
	return recs
}

// answered is the record that an answer has of a slot, or nil.
func answered(s bidding.AnswerSlot) (gossip.Record, *Assignment) {
	r, err := decodeRecord(s.Record)
	if err != nil {
		return gossip.Record{}, nil
	}
	a, err := decodeAssignment(r)
	if err != nil {
		a = unreadSlot(r, err)
	}
	if a == nil || a.Key.Slot != s.Slot {
		return gossip.Record{}, nil
	}
	return r, a
}

// outcomes is what an answer says of each slot that was awarded.
func (c *core) outcomes(from api.NodeID, aw bidding.Award, ans bidding.Answer, now time.Time) []bidding.Outcome {
	bySlot := map[int]bidding.AnswerSlot{}
	for _, s := range ans.Slots {
		bySlot[s.Slot] = s
	}
	nodes := c.nodes(now)
	out := make([]bidding.Outcome, 0, len(aw.Slots))
	for _, s := range aw.Slots {
		o := bidding.Outcome{Slot: s.Slot, Refusal: bySlot[s.Slot].Refusal}
		if _, a := answered(bySlot[s.Slot]); a != nil && a.Key.Slot == s.Slot {
			v := nodes[a.Owner()]
			o.Epoch = a.Epoch()
			o.Accepted = a.Epoch() == s.Epoch && a.Owner() == from // and if it has failed by now, the plan waits before the next attempt
			o.Unserved = a.State != api.Complete && !(a.State.Live() && v != nil && v.Alive)
		}
		out = append(out, o)
	}
	return out
}
