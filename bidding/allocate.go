package bidding

import (
	"container/heap"
	"encoding/binary"
	"hash/fnv"
	"slices"

	"github.com/exitae337/orchestergo/api"
)

// Curve is what a node still offers.
type Curve struct {
	Node      api.NodeID
	Scores    []float64   // of one more copy beside what runs, and the next …; never rises
	StopFirst []SlotScore // slots that it would take by first stopping its own old copy
}

// SlotScore is the score of one slot.
type SlotScore struct {
	Slot  int
	Score float64
}

// Rules narrow an allocation.
type Rules struct {
	Seed   uint64               // breaks ties, together with the node; differs from auction to auction
	Barred map[int][]api.NodeID // nodes that must not get a slot
}

// Placement gives a slot to a node.
type Placement struct {
	Slot          int
	Node          api.NodeID
	Score         float64
	StopFirst     bool
	RunnerUp      api.NodeID // who would have got it otherwise; "" if nobody
	RunnerUpScore float64
}

// Allocate gives each slot, in the order given, to the node whose next copy
// scores best, as far as the curves reach. A node whose own old copy of a slot
// stands in the way takes that slot beside it only if no other node takes it, and
// by stopping the old copy first only if nobody can take it beside. The result is
// in the order in which slots were given away; slots that nobody takes are not in
// it. Time is O((slots + nodes) log nodes).
func Allocate(slots []int, curves []Curve, rules Rules) []Placement {
	a := newAllocation(curves, rules)
	placed := make([]Placement, 0, len(slots))
	var left, last []int
	for _, slot := range slots {
		if p, ok := a.beside(slot, a.swaps[slot]); ok {
			placed = append(placed, p)
		} else {
			left = append(left, slot)
		}
	}
	for _, slot := range left {
		if p, ok := a.beside(slot, nil); ok {
			placed = append(placed, p)
		} else {
			last = append(last, slot)
		}
	}
	for _, slot := range last {
		if p, ok := a.stopFirst(slot); ok {
			placed = append(placed, p)
		}
	}
	return placed
}

// allocation is the state of one run of Allocate.
type allocation struct {
	rules Rules
	heads heads
	swaps map[int][]offer // by slot: who would take it by stopping its old copy first
}

// offer is a node's next score.
type offer struct {
	node  api.NodeID
	score float64
	tie   uint64 // orders equal scores, differently in each auction
}

// before says whether o wins against p.
func (o offer) before(p offer) bool {
	switch {
	case o.score != p.score:
		return o.score > p.score
	case o.tie != p.tie:
		return o.tie < p.tie
	}
	return o.node < p.node
}

func newAllocation(curves []Curve, rules Rules) *allocation {
	a := &allocation{rules: rules, swaps: map[int][]offer{}}
	for _, c := range curves {
		tie := tieBreak(rules.Seed, c.Node)
		if len(c.Scores) > 0 {
			a.heads = append(a.heads, &head{offer: offer{c.Node, c.Scores[0], tie}, rest: c.Scores[1:]})
		}
		for _, s := range c.StopFirst {
			a.swaps[s.Slot] = append(a.swaps[s.Slot], offer{c.Node, s.Score, tie})
		}
	}
	heap.Init(&a.heads)
	return a
}

// beside gives slot to the best head of a curve that is not barred and not among
// avoid.
func (a *allocation) beside(slot int, avoid []offer) (Placement, bool) {
	barred := a.rules.Barred[slot]
	passed := make([]*head, 0, 2) // taken off the heap, to be put back
	next := func() *head {
		for len(a.heads) > 0 {
			h := a.heads[0]
			if !slices.Contains(barred, h.node) && !slices.ContainsFunc(avoid, func(o offer) bool { return o.node == h.node }) {
				return h
			}
			passed = append(passed, heap.Pop(&a.heads).(*head))
		}
		return nil
	}
	defer func() {
		for _, h := range passed {
			heap.Push(&a.heads, h)
		}
	}()
	winner := next()
	if winner == nil {
		return Placement{}, false
	}
	heap.Pop(&a.heads)
	p := Placement{Slot: slot, Node: winner.node, Score: winner.score}
	if second := next(); second != nil {
		p.RunnerUp, p.RunnerUpScore = second.node, second.score
	}
	if len(winner.rest) > 0 {
		winner.score, winner.rest = winner.rest[0], winner.rest[1:]
		passed = append(passed, winner)
	}
	return p, true
}

// stopFirst gives slot to the best node that would stop its old copy for it.
func (a *allocation) stopFirst(slot int) (Placement, bool) {
	p := Placement{Slot: slot, StopFirst: true}
	offers := slices.Clone(a.swaps[slot])
	slices.SortFunc(offers, func(o, p offer) int {
		if o.before(p) {
			return -1
		}
		return 1
	})
	for _, o := range offers {
		switch {
		case slices.Contains(a.rules.Barred[slot], o.node):
		case p.Node == "":
			p.Node, p.Score = o.node, o.score
		case p.RunnerUp == "":
			p.RunnerUp, p.RunnerUpScore = o.node, o.score
		}
	}
	return p, p.Node != ""
}

// head is what is left of a node's curve.
type head struct {
	offer
	rest []float64 // of the copies after the next
}

// heads is a heap, best next score on top.
type heads []*head

func (h heads) Len() int { return len(h) }

func (h heads) Less(i, j int) bool {
	return h[i].before(h[j].offer)
}

func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push and Pop are for package heap.
func (h *heads) Push(x any) { *h = append(*h, x.(*head)) }

// Pop is for package heap.
func (h *heads) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// tieBreak places node in an order of its own for every seed.
func tieBreak(seed uint64, node api.NodeID) uint64 {
	h := fnv.New64a()
	h.Write([]byte(node)) // never fails
	h.Write(binary.LittleEndian.AppendUint64(nil, seed))
	x := h.Sum64() // FNV mixes its last bytes badly: finish as murmur3 does
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
