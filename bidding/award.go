package bidding

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// MaxAward is how many slots one award carries at the most.
const MaxAward = 256

// Sizes that an award is cut into frames by, generously: records are bytes, which
// JSON writes as four characters for three, and the answer has records of about
// answerRecord bytes where the award may have none.
const (
	frameHead    = 1 << 10
	slotHead     = 512
	answerRecord = 2 << 10
)

// advance closes bidding when it is time, awards what can be awarded, and ends
// the auction when nothing is on its way any more.
func (a *Auction) advance(now time.Time) []Effect {
	if a.Done() {
		return nil
	}
	if a.called.IsZero() {
		if !a.enough(now) {
			return nil
		}
		a.called = now
	}
	effects := a.award(now)
	if len(a.sent) == 0 {
		a.finish(now)
	}
	return effects
}

// enough says whether bidding closes: all have answered, or it is time and the
// bids in hand cover every slot, or it is high time.
func (a *Auction) enough(now time.Time) bool {
	waiting := slices.ContainsFunc(a.order, func(b *bidder) bool { return !b.answered })
	since := now.Sub(a.started)
	if len(a.open) == 0 || !waiting || since >= MaxDeadline {
		return true
	}
	a.overtime = since >= a.lot.Deadline && len(a.allocate()) < len(a.open)
	return since >= a.lot.Deadline && !a.overtime
}

// allocate places the open slots on what is left of the curves.
func (a *Auction) allocate() []Placement {
	if len(a.open) == 0 {
		return nil
	}
	barred := map[int][]api.NodeID{}
	for _, slot := range a.open {
		if o := a.offers[slot]; len(o.Barred) > 0 {
			barred[slot] = o.Barred
		}
	}
	curves := make([]Curve, 0, len(a.order))
	for _, b := range a.order {
		curves = append(curves, b.curve())
	}
	return Allocate(a.open, curves, Rules{Seed: a.lot.Seed, Barred: barred})
}

// curve is what b still offers.
func (b *bidder) curve() Curve {
	c := Curve{Node: b.ID}
	if b.cut != nil || !b.answered {
		return c
	}
	split := len(b.bid.Scores) - len(b.bid.StopFirst)
	c.Scores = b.bid.Scores[min(b.beside, split):split]
	for i, slot := range b.bid.StopFirst {
		if !b.swapped[slot] {
			c.StopFirst = append(c.StopFirst, SlotScore{Slot: slot, Score: b.bid.Scores[split+i]})
		}
	}
	return c
}

// take marks the place of the curve that p uses; giveBack undoes it.
func (b *bidder) take(p Placement) {
	if p.StopFirst {
		b.swapped[p.Slot] = true
	} else {
		b.beside++
	}
}

func (b *bidder) giveBack(p Placement) {
	if p.StopFirst {
		delete(b.swapped, p.Slot)
	} else {
		b.beside--
	}
}

// award places what can be placed and returns the awards, a few for each node.
func (a *Auction) award(now time.Time) []Effect {
	placements := a.allocate()
	if len(placements) == 0 {
		return nil
	}
	taken := make(map[int]bool, len(placements))
	byNode := map[api.NodeID][]part{}
	var nodes []api.NodeID
	for _, p := range placements {
		taken[p.Slot] = true
		a.bidders[p.Node].take(p)
		if byNode[p.Node] == nil {
			nodes = append(nodes, p.Node)
		}
		byNode[p.Node] = append(byNode[p.Node], part{Placement: p, row: len(a.rows)})
		a.rows = append(a.rows, a.row(p))
	}
	a.open = slices.DeleteFunc(a.open, func(slot int) bool { return taken[slot] })
	if a.lot.Dry {
		for _, p := range placements {
			o := a.offers[p.Slot]
			o.placed = &Placed{Slot: p.Slot, Epoch: o.Epoch, Node: p.Node, Score: p.Score, StopFirst: p.StopFirst}
		}
		return nil
	}
	var effects []Effect
	for _, node := range nodes {
		for _, parts := range a.frames(byNode[node]) {
			effects = append(effects, a.send(&sending{to: node, parts: parts, at: now, wait: AwardSilence}, now))
		}
	}
	return effects
}

// frames cuts the slots of one node into awards that fit a frame each.
func (a *Auction) frames(parts []part) [][]part {
	var out [][]part
	size := 0
	for _, p := range parts {
		need := a.offers[p.Slot].size()
		if len(out) == 0 || size+need > MaxFrame || len(out[len(out)-1]) == MaxAward {
			out, size = append(out, nil), a.headSize()
		}
		out[len(out)-1] = append(out[len(out)-1], p)
		size += need
	}
	return out
}

func (a *Auction) headSize() int { return frameHead + inJSON(len(a.lot.JobRecord)) }

// size is how much of a frame the slot takes, in the award or in the answer.
func (o *offered) size() int {
	return slotHead + inJSON(max(answerRecord, len(o.Record))) + 6*len(o.Reason) // a control character is six
}

func inJSON(bytes int) int { return (bytes+2)/3*4 + 2 }

// dropUnsendable leaves slots whose award would not fit a frame.
func (a *Auction) dropUnsendable() {
	a.open = slices.DeleteFunc(a.open, func(slot int) bool {
		o := a.offers[slot]
		size := a.headSize() + o.size()
		if size > MaxFrame {
			o.refuse("", refuse(CodeTooLarge, RetryNever, "an award would take %d bytes; the limit is %d: make the job smaller", size, MaxFrame))
			o.over = true
		}
		return o.over
	})
}

// send numbers s and makes the message.
func (a *Auction) send(s *sending, now time.Time) Effect {
	s.due = now.Add(s.wait)
	aw := &Award{Wire: WireMax, Auction: a.lot.ID, Boot: a.lot.Boot, Seq: a.seq.Next(), Job: a.lot.JobRecord}
	for _, p := range s.parts {
		o := a.offers[p.Slot]
		aw.Slots = append(aw.Slots, AwardSlot{Slot: p.Slot, Epoch: o.Epoch, Failures: o.Failures, Record: o.Record, Reason: o.Reason, Won: won(a.rows[p.row]), StopFirst: p.StopFirst})
	}
	a.sent[aw.Seq] = s
	return Effect{To: s.to, Award: aw}
}

// won says in short why a slot goes where it goes.
func won(row api.SheetRow) string {
	if row.RunnerUp == "" {
		return fmt.Sprintf("%.3f, nobody else bid", row.Score)
	}
	return fmt.Sprintf("%.3f before %.40s %.3f", row.Score, label(row.RunnerUp, row.RunnerUpName), row.RunnerUpScore)
}

// settle takes in the answer for one slot.
func (a *Auction) settle(p part, o Outcome, took time.Duration) {
	of, b, row := a.offers[p.Slot], a.bidders[p.Node], &a.rows[p.row]
	row.TookMS = milliseconds(took)
	if o.Accepted {
		row.Outcome = "accepted"
		of.placed = &Placed{Slot: p.Slot, Epoch: of.Epoch, Node: p.Node, Score: p.Score, StopFirst: p.StopFirst}
		return
	}
	refusal := o.Refusal
	if refusal == nil {
		refusal = refuseFor(time.Second, CodeStaleEpoch, "its record of the slot says otherwise")
	}
	row.Outcome, row.Reason = "refused", refusal.Reason
	of.refuse(p.Node, refusal)
	b.giveBack(p.Placement)
	known := o.Epoch >= of.Epoch
	switch {
	case known && (!o.Unserved || o.Epoch >= MaxEpoch-1 || of.raises == maxRaises):
		of.over = true // somebody has it, or everybody moves too fast: the next plan will see
	case refusal.Code == CodeStaleAward, refusal.Code == CodeNotWanted:
		of.over = true // a later auction of ours has it; nobody else wants it either
	case known:
		of.Epoch, of.raises = o.Epoch+1, of.raises+1
	default:
		of.Barred = append(of.Barred, p.Node)
	}
	if !aboutSlot(refusal.Code) {
		b.cut = refusal
	}
	a.reopen(of)
}

// silent handles sending seq that got no answer: a service goes elsewhere; what
// must not run twice is sent to the same node again.
func (a *Auction) silent(seq uint64, why string, now time.Time) []Effect {
	if !a.lot.StopFirst {
		a.giveUp(seq, why, now)
		return nil
	}
	s := a.sent[seq]
	delete(a.sent, seq)
	s.wait = min(2*s.wait, maxSilence)
	return []Effect{a.send(s, now)}
}

// giveUp stops waiting for sending seq. Its slots may have been accepted, so they
// are open again above their epoch, and the node gets nothing more.
func (a *Auction) giveUp(seq uint64, why string, now time.Time) {
	s := a.sent[seq]
	delete(a.sent, seq)
	b := a.bidders[s.to]
	if b.cut == nil {
		b.cut = refuseFor(time.Second, CodeNoAnswer, "no answer to an award: %s", why)
	}
	for _, p := range s.parts {
		row, o := &a.rows[p.row], a.offers[p.Slot]
		row.Outcome, row.Reason, row.TookMS = "silent", why, milliseconds(now.Sub(s.at))
		o.refuse(s.to, refuseFor(time.Second, CodeNoAnswer, "no answer to an award: %s", why))
		o.unanswered = o.Epoch
		if o.Epoch++; o.Epoch >= MaxEpoch {
			o.over = true
		}
		a.reopen(o)
	}
}

// reopen offers a slot again unless it is over.
func (a *Auction) reopen(o *offered) {
	if o.over {
		return
	}
	at, _ := slices.BinarySearch(a.open, o.Slot)
	a.open = slices.Insert(a.open, at, o.Slot)
}

func (o *offered) refuse(node api.NodeID, refusal *api.Refusal) {
	o.refusals = append(o.refusals, NodeRefusal{Node: node, Refusal: *refusal})
}

func (a *Auction) finish(now time.Time) { a.ended = now }

// checkBid is what is wrong with a bid, for this auction.
func (a *Auction) checkBid(bid Bid) error {
	if err := bid.Check(); err != nil {
		return err
	}
	if beside := len(bid.Scores) - len(bid.StopFirst); beside > len(a.lot.Call.Slots) {
		return fmt.Errorf("%d copies for %d slots", beside, len(a.lot.Call.Slots))
	}
	for _, slot := range bid.StopFirst {
		if a.offers[slot] == nil {
			return errors.New("it speaks of a slot that is not on offer")
		}
	}
	return nil
}
