package bidding

import (
	"fmt"
	"math"
	"slices"

	"github.com/exitae337/orchestergo/api"
)

// Few is how many nodes are asked without choosing among them, and how many of
// the best are asked when there are more. Strangers are asked beside them at
// random, so that no node is forgotten for what gossip says of it.
const (
	Few       = 16
	Strangers = 2
)

// Candidate is a node as gossip describes it.
type Candidate struct {
	ID       api.NodeID
	Name     string
	Alive    bool
	State    string // of [api.NodeStatus]; only "ready" is asked
	Cordoned bool   // takes no new tasks
	Drivers  []string
	Allow    []string // what its owner allows tasks beyond their confinement
	Capacity api.Resources
	Free     api.Resources // may be seconds old
	Tasks    int
}

// Shortlist chooses whom to ask. Left out, each with a reason in words, are nodes
// that cannot take a task whatever they bid: dead, not ready, cordoned, without the driver or
// leave for what the job asks of them, or smaller in all than one task. All others are asked while they are few. When
// they are many the best by gossip are, best first: at least Few, and as many more
// as it takes until their gossiped room is twice what the slots need; and then
// Strangers of the rest. Gossiped figures are old: they shorten the list and
// decide nothing. Equals are in an order that rnd makes, a source of numbers in
// [0,1).
func Shortlist(call Call, all []Candidate, rnd func() float64) (ask []Candidate, notAsked []api.NotAsked) {
	needs := call.Job.Access().Needs()
	for _, c := range all {
		if why := c.unfit(call.Job, needs); why != "" {
			notAsked = append(notAsked, c.notAsked(why))
		} else if why := c.tooSmall(call.Job); why != "" {
			small := c.notAsked(why)
			small.Code = CodeNoRoom
			notAsked = append(notAsked, small)
		} else {
			ask = append(ask, c)
		}
	}
	if len(ask) <= Few+Strangers {
		return ask, notAsked
	}
	shuffle(ask, rnd)
	rank := make(map[api.NodeID]float64, len(ask))
	for _, c := range ask {
		rank[c.ID] = c.promise(call)
	}
	slices.SortStableFunc(ask, func(x, y Candidate) int {
		switch {
		case rank[x.ID] > rank[y.ID]:
			return -1
		case rank[x.ID] < rank[y.ID]:
			return 1
		}
		return x.Tasks - y.Tasks
	})
	n, room := 0, 0
	for n < len(ask) && (n < Few || room < 2*len(call.Slots)) {
		room += ask[n].room(call)
		n++
	}
	shuffle(ask[n:], rnd)
	n = min(len(ask), n+Strangers)
	for _, c := range ask[n:] {
		notAsked = append(notAsked, c.notAsked(fmt.Sprintf("not among the %d best by gossip", n)))
	}
	return ask[:n], notAsked
}

// unfit is why c cannot take a task of job, which needs to be allowed so much, or "".
func (c Candidate) unfit(job api.Job, needs []string) string {
	lacks := api.Lacks(needs, c.Allow)
	switch {
	case !c.Alive:
		return string(api.NodeFailed)
	case c.State == "":
		return "not ready"
	case c.State != string(api.NodeReady):
		return c.State
	case c.Cordoned:
		return "is cordoned"
	case !slices.Contains(c.Drivers, job.Driver):
		return "no driver " + job.Driver
	case lacks != "":
		return lacks
	}
	return ""
}

// tooSmall says so if a task of job could never run on c.
func (c Candidate) tooSmall(job api.Job) string {
	switch {
	case job.Resources.Memory > c.Capacity.Memory:
		return fmt.Sprintf("too small: %s of memory, %s needed", c.Capacity.Memory, job.Resources.Memory)
	case job.Resources.CPUs > c.Capacity.CPUs:
		return fmt.Sprintf("too small: %s cpus, %s needed", c.Capacity.CPUs, job.Resources.CPUs)
	}
	return ""
}

func (c Candidate) notAsked(why string) api.NotAsked {
	return api.NotAsked{Node: c.ID, NodeName: c.Name, Reason: why, Free: c.Free, Capacity: c.Capacity}
}

// promise guesses how well c would bid: the terms "fit" and "siblings" of a bid,
// made from gossip. Nodes that seem full come last.
func (c Candidate) promise(call Call) float64 {
	used := c.Capacity.Sub(c.Free).Add(call.Job.Resources)
	if !used.Fits(c.Capacity) {
		return -1
	}
	s := situation{job: call.Job, capacity: c.Capacity, used: used, siblings: call.Siblings[c.ID]}
	var few []api.Term
	for _, t := range s.terms() {
		if t.Name == "fit" || t.Name == "siblings" {
			few = append(few, t)
		}
	}
	return score(few)
}

// room is how many of the slots c seems to have room for.
func (c Candidate) room(call Call) int {
	need, n := call.Job.Resources, int64(len(call.Slots))
	if need.CPUs > 0 {
		n = min(n, int64(c.Free.CPUs/need.CPUs))
	}
	if need.Memory > 0 {
		n = min(n, int64(c.Free.Memory/need.Memory))
	}
	if len(call.Job.Ports) > 0 {
		n = min(n, 1)
	}
	return int(max(0, n))
}

func shuffle(list []Candidate, rnd func() float64) {
	for i := len(list) - 1; i > 0; i-- {
		j := min(i, int(math.Floor(rnd()*float64(i+1))))
		list[i], list[j] = list[j], list[i]
	}
}
