package bidding

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/exitae337/orchestergo/api"
)

// lack is a node that has too little room.
type lack struct {
	name           string
	free, capacity api.Resources
}

// why sums up in words why nobody took a slot. What lacks room is one sentence,
// since each node has figures of its own: "needs 64GiB; the best is home with
// 28GiB free of 31.2GiB".
func (a *Auction) why(refusals []NodeRefusal) string {
	need := a.lot.Call.Job.Resources
	var lacks []lack
	var others []NodeRefusal
	var notAsked []api.NotAsked
	never := true
	for _, r := range refusals {
		b := a.bidders[r.Node]
		if r.Refusal.Code != CodeNoRoom || b == nil || b.Capacity == (api.Resources{}) {
			others, never = append(others, r), false
			continue
		}
		free := b.bid.Free
		for range b.bid.Scores {
			free = free.Sub(need)
		}
		lacks = append(lacks, lack{label(b.ID, b.Name), free.Max(api.Resources{}), b.Capacity})
		never = never && !need.Fits(b.Capacity)
	}
	for _, n := range a.lot.NotAsked {
		never = never && n.Capacity != (api.Resources{}) && !need.Fits(n.Capacity)
		if n.Code == CodeNoRoom {
			lacks = append(lacks, lack{label(n.Node, n.NodeName), n.Free, n.Capacity})
		} else {
			notAsked = append(notAsked, n)
		}
	}
	room := roomWords(need, lacks)
	switch {
	case room == "":
		return a.words(refusals, a.lot.NotAsked)
	case never:
		room += " (never fits on any node here)"
	}
	if len(others)+len(notAsked) == 0 {
		return room
	}
	return room + "; " + a.words(others, notAsked)
}

// roomWords is what is needed, and which of nodes comes closest. It is "" when
// there is none, or one has room by the figures at hand: they are old then.
func roomWords(need api.Resources, nodes []lack) string {
	memory, cpus := true, true // is what all lack
	for _, n := range nodes {
		memory = memory && need.Memory > n.free.Memory
		cpus = cpus && need.CPUs > n.free.CPUs
		if need.Fits(n.free) {
			return ""
		}
	}
	if len(nodes) == 0 {
		return ""
	}
	if !memory && !cpus { // some lack this, and some that
		memory, cpus = true, true
	}
	best := slices.MaxFunc(nodes, func(a, b lack) int {
		return cmp.Or(cmp.Compare(a.covers(need, memory, cpus), b.covers(need, memory, cpus)),
			cmp.Compare(a.capacity.Memory, b.capacity.Memory), strings.Compare(b.name, a.name))
	})
	var what, has []string
	if cpus {
		what = append(what, need.CPUs.String()+" cpus")
		has = append(has, fmt.Sprintf("%s cpus free of %s", best.free.CPUs, best.capacity.CPUs))
	}
	if memory {
		what = append(what, need.Memory.String())
		has = append(has, fmt.Sprintf("%s free of %s", best.free.Memory, best.capacity.Memory))
	}
	return fmt.Sprintf("needs %s; the best is %s with %s", strings.Join(what, " and "), best.name, strings.Join(has, " and "))
}

// covers is how much of the scarcer of what is needed the node has.
func (l lack) covers(need api.Resources, memory, cpus bool) float64 {
	part := 1.0
	if memory && need.Memory > 0 {
		part = min(part, float64(l.free.Memory)/float64(need.Memory))
	}
	if cpus && need.CPUs > 0 {
		part = min(part, float64(l.free.CPUs)/float64(need.CPUs))
	}
	return part
}
