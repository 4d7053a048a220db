package bidding

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Result is how an auction ended: every slot of the lot is in Placed or in Left.
type Result struct {
	Auction string
	Placed  []Placed   // by slot
	Left    []LeftSlot // by slot
	// Unanswered is, for each slot that had one, the highest epoch awarded without
	// an answer. The next award of that slot must be above it.
	Unanswered []SlotEpoch
}

// Placed is a slot that a node has accepted.
type Placed struct {
	Slot      int
	Epoch     uint64
	Node      api.NodeID
	Score     float64
	StopFirst bool // the node stops its own old copy first
}

// LeftSlot is a slot that nobody has accepted.
type LeftSlot struct {
	Slot     int
	Refusals []NodeRefusal // by whom and why; of each node the last. Shared between slots: not to be changed
	Why      string        // the same in words, grouped
	Retry    string        // as in api.Refusal: whether trying again can help, and when
	After    time.Duration // for Retry "after": the soonest
}

// Refused says whether some node gave this reason.
func (l LeftSlot) Refused(code string) bool {
	return slices.ContainsFunc(l.Refusals, func(r NodeRefusal) bool { return r.Refusal.Code == code })
}

// NodeRefusal is a refusal and who made it; "" is the auctioneer itself.
type NodeRefusal struct {
	Node    api.NodeID
	Refusal api.Refusal
}

// SlotEpoch is an epoch of a slot.
type SlotEpoch struct {
	Slot  int
	Epoch uint64
}

// Result is how the auction ended; call it when Done.
func (a *Auction) Result() Result {
	r := Result{Auction: a.lot.ID}
	general := a.generalRefusals()
	common := a.left(0, general) // alike for the many slots that nobody refused in particular
	for _, slot := range a.lot.Call.Slots {
		o := a.offers[slot]
		if o.unanswered > 0 {
			r.Unanswered = append(r.Unanswered, SlotEpoch{Slot: slot, Epoch: o.unanswered})
		}
		switch {
		case o.placed != nil:
			r.Placed = append(r.Placed, *o.placed)
		case len(o.refusals) == 0:
			common.Slot = slot
			r.Left = append(r.Left, common)
		default:
			r.Left = append(r.Left, a.left(slot, override(general, o.refusals)))
		}
	}
	return r
}

// generalRefusals is why each node asked takes no more, whatever the slot.
func (a *Auction) generalRefusals() []NodeRefusal {
	var out []NodeRefusal
	for _, b := range a.order {
		if refusal := b.refusal(); refusal != nil {
			out = append(out, NodeRefusal{Node: b.ID, Refusal: *refusal})
		}
	}
	return out
}

// refusal is why b takes no more, or nil.
func (b *bidder) refusal() *api.Refusal {
	switch {
	case b.cut != nil:
		return b.cut
	case !b.answered:
		return refuseFor(time.Second, CodeNoAnswer, "no bid in time")
	}
	return b.bid.Refusal
}

// override puts what nodes said of one slot in place of what they say in general.
func override(general, own []NodeRefusal) []NodeRefusal {
	out := slices.Clone(general)
	for _, r := range own {
		at := slices.IndexFunc(out, func(g NodeRefusal) bool { return g.Node == r.Node })
		if at >= 0 {
			out[at] = r
		} else {
			out = append(out, r)
		}
	}
	return out
}

// left sums up why nobody took slot.
func (a *Auction) left(slot int, refusals []NodeRefusal) LeftSlot {
	l := LeftSlot{Slot: slot, Refusals: refusals, Retry: RetryCapacity, Why: a.why(refusals)}
	never := len(refusals) > 0 && len(a.lot.NotAsked) == 0
	for _, r := range refusals {
		never = never && r.Refusal.Retry == RetryNever
		if after := time.Duration(r.Refusal.After); r.Refusal.Retry == RetryAfter && (l.Retry != RetryAfter || after < l.After) {
			l.Retry, l.After = RetryAfter, after
		}
	}
	if never {
		l.Retry = RetryNever
	}
	return l
}

// words groups refusals: "vps1, home: port 80/tcp is taken by web.0; old: draining".
func (a *Auction) words(refusals []NodeRefusal, notAsked []api.NotAsked) string {
	var reasons []string
	names := map[string][]string{}
	add := func(reason, name string) {
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], name)
	}
	for _, r := range refusals {
		add(r.Refusal.Reason, a.nameOf(r.Node))
	}
	for _, n := range notAsked {
		add(n.Reason, label(n.Node, n.NodeName))
	}
	if len(reasons) == 0 {
		return "no node to ask"
	}
	if lacks, ok := strings.CutPrefix(reasons[0], "no driver "); ok && len(reasons) == 1 {
		return "no node has driver " + lacks
	}
	const few = 4
	var parts []string
	for _, reason := range reasons[:min(few, len(reasons))] {
		who := names[reason]
		more := ""
		if len(who) > few {
			who, more = who[:few], fmt.Sprintf(" and %d more", len(who)-few)
		}
		parts = append(parts, strings.Join(who, ", ")+more+": "+reason)
	}
	if len(reasons) > few {
		parts = append(parts, fmt.Sprintf("%d more reasons", len(reasons)-few))
	}
	return strings.Join(parts, "; ")
}

// nameOf is a name for people.
func (a *Auction) nameOf(node api.NodeID) string {
	switch b := a.bidders[node]; {
	case node == "":
		return label(a.lot.Auctioneer, a.lot.AuctioneerName)
	case b != nil:
		return label(node, b.Name)
	}
	return node.Short()
}

func label(node api.NodeID, name string) string {
	if name == "" {
		return node.Short()
	}
	return name
}
