package bidding

import (
	"time"

	"github.com/exitae337/orchestergo/api"
)

// MaxEpoch is the epoch that marks a batch slot as complete for ever. Nothing is
// awarded at or above it. It is the greatest integer that every JSON reader keeps.
const MaxEpoch = 1<<53 - 1

// Standing is what a bidder knows of one awarded slot, read under the lock that
// guards its records and its ledger, after it has merged the award's records.
type Standing struct {
	Job  api.Job // the specification in the bidder's own record
	Life int64
	// JobIsMine says that the award's job record is now exactly the bidder's own.
	JobIsMine bool
	// Wanted says that the slot is below the replicas of a job that is neither
	// stopped nor removed.
	Wanted bool
	// LastSeq is the highest sending heard from this auctioneer and boot for this
	// slot before this one, as [Heard.Note] returns it; 0: none.
	LastSeq uint64

	// Of the slot's record, as merged. Without a record all are zero.
	Known      bool
	Epoch      uint64
	Owner      api.NodeID
	Served     bool // its state is one of those that serve a slot, whoever is alive
	Complete   bool
	OwnerAlive bool // in this node's view
	OwnerAway  bool // it is a member still, and not alive in this node's view

	// Of this node's containers of the slot.
	LabelEpoch uint64 // greatest epoch on a label; 0: none
	OldCopy    bool   // one exists
	Keeps      bool   // it is current, and would be kept as the awarded copy
}

// Verdict is what a bidder makes of one awarded slot.
type Verdict struct {
	Accept    bool
	Already   bool         // accepted by an earlier sending: nothing is to be written
	StopFirst bool         // the old copy here must be gone before the new one starts
	Refusal   *api.Refusal // why it was not accepted
}

// Consider decides about one slot of an award. The order of the questions is part
// of the protocol: first whether the award is the auctioneer's latest word, then
// whether both sides mean the same job, then whether the epoch is new, and only
// then whether the node can take it. A verdict to accept must be written to disk,
// together with the job, before it is answered, under the same lock.
func Consider(aw Award, slot AwardSlot, st Standing, b Bidder) Verdict {
	if refusal := checkWire(aw.Wire); refusal != nil {
		return Verdict{Refusal: refusal}
	}
	switch {
	case aw.Seq < st.LastSeq:
		return Verdict{Refusal: refuseFor(time.Second, CodeStaleAward, "sending %d came after %d", aw.Seq, st.LastSeq)}
	case !st.JobIsMine:
		return Verdict{Refusal: refuseFor(time.Second, CodeStaleJob, "holds another version of the job")}
	case !st.Wanted:
		return Verdict{Refusal: refuse(CodeNotWanted, RetryNever, "%s is not wanted", name(st, slot))}
	}
	if verdict, settled := considerEpoch(slot, st, b.ID); settled {
		return verdict
	}
	if aw.Seq == st.LastSeq { // the same sending once more: it was refused, and the slot may be given elsewhere
		return Verdict{Refusal: refuseFor(time.Second, CodeStaleAward, "sending %d was answered before", aw.Seq)}
	}
	if st.Job.StopFirst() && st.Known && st.Served && st.OwnerAlive && st.Owner != b.ID {
		return Verdict{Refusal: refuseFor(time.Second, CodeAfterStop, "%s runs on %s and must stop first", name(st, slot), st.Owner.Short())}
	}
	// The auctioneer may have had no answer from an owner that has accepted.
	if st.Job.OnPartition == "freeze" && st.Known && st.Served && st.OwnerAway && st.Owner != b.ID {
		return Verdict{Refusal: refuseFor(time.Second, CodeFrozen, "%s may run on %s, which is out of reach", name(st, slot), st.Owner.Short())}
	}
	if refusal := b.unable(st.Job); refusal != nil {
		return Verdict{Refusal: refusal}
	}
	return considerRoom(slot, st, b.Ledger)
}

// considerEpoch settles awards that are not above all that is known of the slot.
func considerEpoch(slot AwardSlot, st Standing, self api.NodeID) (v Verdict, settled bool) {
	known := st.LabelEpoch
	if st.Known {
		known = max(known, st.Epoch)
	}
	switch {
	case st.Complete:
		return Verdict{Refusal: refuse(CodeComplete, RetryNever, "%s is complete", name(st, slot))}, true
	case st.Known && st.Epoch == slot.Epoch && st.Owner == self && st.Served && known == slot.Epoch:
		return Verdict{Accept: true, Already: true}, true
	case slot.Epoch <= known: // also an award without an epoch
		return Verdict{Refusal: refuseFor(time.Second, CodeStaleEpoch, "epoch %d of %s is known, epoch %d was awarded", known, name(st, slot), slot.Epoch)}, true
	case slot.Epoch >= MaxEpoch:
		return Verdict{Refusal: refuse(CodeStaleEpoch, RetryNever, "no epoch above %d is awarded", uint64(MaxEpoch-1))}, true
	}
	return Verdict{}, false
}

// considerRoom looks the slot up in the ledger, with the node's own copy of it
// gone where that one is kept as the new one or stops before it starts.
func considerRoom(slot AwardSlot, st Standing, ledger Ledger) Verdict {
	claim := Claim{Job: st.Job.Name, Life: st.Life, Slot: slot.Slot, Epoch: slot.Epoch, Resources: st.Job.Resources, Ports: st.Job.Ports}
	without := ledger.Without(claim.Job, claim.Life, claim.Slot)
	if st.Keeps {
		refusal := without.Fits(claim)
		return Verdict{Accept: refusal == nil, Refusal: refusal}
	}
	if !st.OldCopy || !st.Job.StopFirst() {
		refusal := ledger.Fits(claim)
		if refusal == nil || !st.OldCopy || !slot.StopFirst {
			return Verdict{Accept: refusal == nil, Refusal: refusal}
		}
	}
	refusal := without.Fits(claim)
	return Verdict{Accept: refusal == nil, StopFirst: refusal == nil, Refusal: refusal}
}

func name(st Standing, slot AwardSlot) string {
	return api.TaskID{Job: st.Job.Name, Index: slot.Slot}.Slot()
}
