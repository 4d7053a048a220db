package bidding

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// How long an auction waits.
const (
	MaxDeadline  = time.Second            // for bids, at the most
	BidDeadline  = 250 * time.Millisecond // for bids, once those in hand suffice, unless the lot says otherwise
	AwardSilence = time.Second            // for the answer to an award, from when it was sent or another was answered
	maxPatience  = 5 * time.Second        // but not longer, from when it was sent
	maxSilence   = 8 * time.Second        // between repeats of one award; doubled up to here, so that a slow answer overtakes the next repeat
)

// maxRaises bounds how often one auction raises the epoch of a slot because a
// bidder knew a later one.
const maxRaises = 3

// Lot is what is put up for auction, with all that the auctioneer knows of it.
type Lot struct {
	ID             string
	Call           Call
	JobRecord      []byte
	Slots          []LotSlot
	Candidates     []Candidate    // who is asked
	NotAsked       []api.NotAsked // who is not, for the sheet
	Known          int            // how many nodes are known
	Reason         string         // why the slots are to be placed
	Auctioneer     api.NodeID
	AuctioneerName string
	Boot           string
	StopFirst      bool          // of a kind that must never run twice, see [api.Job.StopFirst]
	Deadline       time.Duration // for bids; 0 is BidDeadline, and never more than MaxDeadline
	Seed           uint64        // breaks ties
	Dry            bool          // only bids are asked for: nothing is awarded, and what would be counts as placed
}

// LotSlot is one slot of a Lot.
type LotSlot struct {
	Slot     int
	Epoch    uint64 // to award: above that of the record and any awarded without an answer
	Failures int
	Record   []byte // as the auctioneer knows it; nil: none
	Reason   string
	Barred   []api.NodeID // nodes that must not get it now
}

// Outcome is what an answer to an award says of one slot, once its records are
// merged.
type Outcome struct {
	Slot     int
	Accepted bool         // the record is now (the awarded epoch, the awarded node) and serves
	Refusal  *api.Refusal // else, why not
	Epoch    uint64       // of the slot's record as now known; 0: none
	// Unserved says that a record at or above the awarded epoch does not serve the
	// slot, so that it may be awarded above that. Without it such a slot is left to
	// the next plan: somebody has it.
	Unserved bool
}

// Effect is a message that an auction wants sent. Exactly one of Call and Award
// is set; both are shared and not to be changed.
type Effect struct {
	To    api.NodeID
	Call  *Call
	Award *Award
}

// Sequence numbers the sendings of awards. One serves all auctions of a boot,
// also concurrently.
type Sequence struct{ n atomic.Uint64 }

// Next is greater than all before.
func (s *Sequence) Next() uint64 { return s.n.Add(1) }

// Auction is one auction as the auctioneer runs it: a state machine without
// clock, socket or randomness of its own. Tell it what happens and send what it
// returns. It is not safe for concurrent use.
type Auction struct {
	lot     Lot
	seq     *Sequence
	bidders map[api.NodeID]*bidder
	order   []*bidder // as in the lot
	offers  map[int]*offered
	open    []int               // slots waiting for a node, ascending
	sent    map[uint64]*sending // awards without an answer, by number
	rows    []api.SheetRow

	overtime               bool      // the lot's deadline has passed, and bids are still lacking
	started, called, ended time.Time // called: when bidding closed; zero until then
}

// bidder is what an auction knows of one node that it asked.
type bidder struct {
	Candidate
	answered bool
	late     bool // answered after bidding had closed
	bid      Bid
	took     time.Duration
	beside   int          // places of the curve in use
	swapped  map[int]bool // StopFirst slots in use
	cut      *api.Refusal // why the rest of the curve is void
}

// offered is what an auction knows of one slot.
type offered struct {
	LotSlot
	placed     *Placed
	over       bool // not to be offered again in this auction
	raises     int
	unanswered uint64 // highest epoch awarded without an answer
	refusals   []NodeRefusal
}

// sending is one award on its way.
type sending struct {
	to    api.NodeID
	parts []part
	at    time.Time // of the first sending
	due   time.Time // when it counts as silent
	wait  time.Duration
}

// part is one slot of a sending.
type part struct {
	Placement
	row int // in rows
}

// NewAuction prepares the auction of lot. Start begins it.
func NewAuction(lot Lot, seq *Sequence) *Auction {
	if lot.Deadline <= 0 {
		lot.Deadline = BidDeadline
	}
	lot.Deadline = min(lot.Deadline, MaxDeadline)
	lot.Call.Wire, lot.Call.Auction = WireMax, lot.ID
	lot.Call.Slots = nil
	a := &Auction{lot: lot, seq: seq, bidders: map[api.NodeID]*bidder{}, offers: map[int]*offered{}, sent: map[uint64]*sending{}}
	for _, s := range lot.Slots {
		if a.offers[s.Slot] == nil {
			s.Barred = slices.Clone(s.Barred)
			a.offers[s.Slot] = &offered{LotSlot: s}
			a.open = append(a.open, s.Slot)
		}
	}
	slices.Sort(a.open)
	a.lot.Call.Slots = slices.Clone(a.open)
	for _, c := range lot.Candidates {
		if a.bidders[c.ID] == nil {
			b := &bidder{Candidate: c, swapped: map[int]bool{}}
			a.bidders[c.ID], a.order = b, append(a.order, b)
		}
	}
	return a
}

// Start returns the calls for bids.
func (a *Auction) Start(now time.Time) []Effect {
	a.started = now
	a.dropUnsendable()
	var effects []Effect
	if len(a.open) > 0 {
		for _, b := range a.order {
			effects = append(effects, Effect{To: b.ID, Call: &a.lot.Call})
		}
	}
	return append(effects, a.advance(now)...)
}

// Bid takes in a node's answer to the call, or the error instead of one. A bid
// that comes after the deadline still counts for slots that need another node.
func (a *Auction) Bid(from api.NodeID, bid Bid, err error, now time.Time) []Effect {
	b := a.bidders[from]
	if b == nil || b.answered || a.Done() {
		return nil
	}
	b.answered, b.late, b.took = true, !a.called.IsZero(), now.Sub(a.started)
	switch {
	case err != nil:
		b.cut = refuseFor(time.Second, CodeNoAnswer, "no bid: %v", err)
	case checkWire(bid.Wire) != nil:
		if b.cut = bid.Refusal; b.cut == nil {
			b.cut = checkWire(bid.Wire)
		}
	default:
		if err := a.checkBid(bid); err != nil {
			b.cut = refuse(CodeMalformed, RetryNever, "its bid cannot be right: %v", err)
			break
		}
		b.bid = bid
	}
	return a.advance(now)
}

// Settled takes in the answer to sending seq of an award. An answer to any but
// the latest sending of a slot changes nothing here: the node may have answered a
// later one differently.
func (a *Auction) Settled(from api.NodeID, seq uint64, outcomes []Outcome, now time.Time) []Effect {
	s := a.sent[seq]
	if s == nil || s.to != from {
		return nil
	}
	bySlot := make(map[int]Outcome, len(outcomes))
	for _, o := range outcomes {
		bySlot[o.Slot] = o
	}
	var rest []part
	for _, p := range s.parts {
		if o, ok := bySlot[p.Slot]; ok {
			a.settle(p, o, now.Sub(s.at))
		} else {
			rest = append(rest, p)
		}
	}
	a.bePatient(now)
	if s.parts = rest; len(rest) == 0 {
		delete(a.sent, seq)
	} else if !a.lot.StopFirst { // else repeated in its turn
		a.giveUp(seq, "the answer does not speak of it", now)
	}
	return a.advance(now)
}

// bePatient puts off when awards count as silent. While answers come in, those that
// lack are late rather than lost: many nodes that start much at once on few cores, or
// an auctioneer that is slow itself. To award their slots again would double the work
// that they are late with.
func (a *Auction) bePatient(now time.Time) {
	if a.lot.StopFirst {
		return // repeated to the same node, which starts nothing twice
	}
	for _, s := range a.sent {
		due := now.Add(AwardSilence)
		if last := s.at.Add(maxPatience); last.Before(due) {
			due = last
		}
		if s.due.Before(due) {
			s.due = due
		}
	}
}

// Unanswered takes in that sending seq failed or broke off. It may have been
// received all the same.
func (a *Auction) Unanswered(from api.NodeID, seq uint64, err error, now time.Time) []Effect {
	s := a.sent[seq]
	if s == nil || s.to != from || a.lot.StopFirst {
		return nil // what must not run twice is repeated in its turn
	}
	a.giveUp(seq, err.Error(), now)
	return a.advance(now)
}

// NotAlive takes in that a node is dead. It is asked nothing more; what it was
// awarded without an answer goes to others, above that epoch.
func (a *Auction) NotAlive(node api.NodeID, now time.Time) []Effect {
	b := a.bidders[node]
	if b == nil || a.Done() {
		return nil
	}
	if !b.answered {
		b.answered, b.took = true, now.Sub(a.started)
	}
	b.cut = refuseFor(time.Second, CodeNoAnswer, "not alive")
	for _, seq := range slices.Sorted(maps.Keys(a.sent)) {
		if a.sent[seq].to == node {
			a.giveUp(seq, "not alive", now)
		}
	}
	return a.advance(now)
}

// Tick does what is due. Call it at Next, or more often.
func (a *Auction) Tick(now time.Time) []Effect {
	var effects []Effect
	for _, seq := range slices.Sorted(maps.Keys(a.sent)) {
		if s := a.sent[seq]; !now.Before(s.due) {
			effects = append(effects, a.silent(seq, "no answer for "+now.Sub(s.at).Round(time.Millisecond).String(), now)...)
		}
	}
	return append(effects, a.advance(now)...)
}

// Cancel ends the auction. Awards without an answer are reported as such.
func (a *Auction) Cancel(now time.Time) {
	if a.Done() {
		return
	}
	for _, seq := range slices.Sorted(maps.Keys(a.sent)) {
		a.giveUp(seq, "the auction was broken off", now)
	}
	for _, slot := range a.open {
		a.offers[slot].refuse("", refuseFor(time.Second, CodeCancelled, "the auction was broken off"))
	}
	a.finish(now)
}

// Next is when Tick has something to do if nothing happens before; zero when the
// auction is over.
func (a *Auction) Next() time.Time {
	switch {
	case a.Done():
		return time.Time{}
	case a.called.IsZero():
		if a.overtime {
			return a.started.Add(MaxDeadline)
		}
		return a.started.Add(a.lot.Deadline)
	}
	var next time.Time
	for _, s := range a.sent {
		if next.IsZero() || s.due.Before(next) {
			next = s.due
		}
	}
	return next
}

// Done says whether every slot is placed or left.
func (a *Auction) Done() bool { return !a.ended.IsZero() }

// Waiting is the nodes whose answer would change something, in a stable order.
func (a *Auction) Waiting() []api.NodeID {
	var ids []api.NodeID
	for _, b := range a.order {
		waits := a.called.IsZero() && !b.answered
		for _, s := range a.sent {
			waits = waits || s.to == b.ID
		}
		if waits {
			ids = append(ids, b.ID)
		}
	}
	return ids
}
