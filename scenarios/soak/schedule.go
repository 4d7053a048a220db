package soak

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is what is done to a node, or to some.
type Kind string

// The kinds of faults.
const (
	KillAgent Kind = "kill the agent of"
	KillHost  Kind = "kill the agent and the tasks of"
	Terminate Kind = "terminate the agent of"
	Pause     Kind = "pause the agent of"
	Silence   Kind = "cut off"
	Refusal   Kind = "cut off, by a firewall that refuses,"
	Deaf      Kind = "let nothing reach"
	Mute      Kind = "let nothing out of"
	Link      Kind = "cut the link between"
	FullDisk  Kind = "fill the disk of"
	OldDisk   Kind = "give an old disk to"
	WipedDisk Kind = "wipe the disk of"
	PowerCut  Kind = "cut the power of"
)

// trait is what the schedule knows of a kind.
type trait struct {
	weight      int
	short, long time.Duration // how long it lasts; short ones are as likely as long ones
	links, disk bool          // the nodes must have a network, or a disk, of their own
	alone       bool          // nothing else happens meanwhile
	nodes       func(r *rand.Rand, all int) int
}

func one(*rand.Rand, int) int             { return 1 }
func few(r *rand.Rand, all int) int       { return 1 + r.IntN(max(1, (all-1)/2)) }
func two(*rand.Rand, int) int             { return 2 }
func everyNode(_ *rand.Rand, all int) int { return all }

// traits are of all kinds. Detection takes about two seconds, and what has lasted more or
// less than that is another fault.
var traits = map[Kind]trait{
	KillAgent: {weight: 18, short: 300 * time.Millisecond, long: 15 * time.Second, nodes: one},
	KillHost:  {weight: 18, short: 300 * time.Millisecond, long: 15 * time.Second, nodes: one},
	Terminate: {weight: 8, short: 300 * time.Millisecond, long: 15 * time.Second, nodes: one},
	Pause:     {weight: 14, short: 300 * time.Millisecond, long: 20 * time.Second, nodes: one},
	Silence:   {weight: 10, short: time.Second, long: 20 * time.Second, nodes: few, links: true},
	Refusal:   {weight: 6, short: time.Second, long: 15 * time.Second, nodes: few, links: true},
	Deaf:      {weight: 5, short: time.Second, long: 15 * time.Second, nodes: one, links: true},
	Mute:      {weight: 5, short: time.Second, long: 15 * time.Second, nodes: one, links: true},
	Link:      {weight: 6, short: time.Second, long: 15 * time.Second, nodes: two, links: true},
	FullDisk:  {weight: 4, short: 2 * time.Second, long: 10 * time.Second, nodes: one, disk: true},
	OldDisk:   {weight: 3, short: 2 * time.Second, long: 8 * time.Second, nodes: one, alone: true},
	WipedDisk: {weight: 2, short: 2 * time.Second, long: 8 * time.Second, nodes: one, alone: true},
	PowerCut:  {weight: 1, short: 2 * time.Second, long: 8 * time.Second, nodes: everyNode, alone: true},
}

// Kinds are all that can happen where nodes have networks, or disks, of their own.
func Kinds(links, disks bool) []Kind {
	var all []Kind
	for k, t := range traits {
		if (links || !t.links) && (disks || !t.disk) {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}

// Step is one fault.
type Step struct {
	At    time.Duration // from the beginning
	For   time.Duration // then it is undone
	Kind  Kind
	Nodes []int // who, from 0
}

// String is the step in words. The first node is called n1.
func (s Step) String() string {
	all := make([]string, len(s.Nodes))
	for i, n := range s.Nodes {
		all[i] = fmt.Sprintf("n%d", n+1)
	}
	return fmt.Sprintf("at %5.1fs for %4.1fs: %s %s", s.At.Seconds(), s.For.Seconds(), s.Kind, strings.Join(all, ","))
}

// Plan says what is to be scheduled.
type Plan struct {
	Seed   uint64
	Nodes  int
	Faults int
	Over   time.Duration // in which they begin, if there is room for them
	Kinds  []Kind
}

// calm is how long everything has been whole before something happens alone, and after.
const calm = 3 * time.Second

// Schedule is a list of faults in the order of their beginning, the same for the same
// plan. Less than half of the nodes suffer at a time, except in a power cut, and nobody
// from two things at once. What begins later than planned moves everything after it.
func Schedule(p Plan) []Step {
	r := rand.New(rand.NewPCG(p.Seed, 0))
	kinds := slices.DeleteFunc(slices.Clone(p.Kinds), func(k Kind) bool { return k == Link && most(p.Nodes) < 2 })
	free := make([]time.Duration, p.Nodes) // when each node is whole again
	var steps []Step
	var at, calmAt time.Duration // the next may begin, and not before something ended that happened alone
	for range p.Faults {
		pause := float64(p.Over) / float64(p.Faults) * (0.5 + r.Float64())
		s := Step{At: max(at+time.Duration(pause), calmAt), Kind: pickKind(r, kinds)}
		t := traits[s.Kind]
		s.For = lasting(r, t)
		count := min(t.nodes(r, p.Nodes), p.Nodes)
		if t.alone {
			s.At = max(s.At, slices.Max(free)+calm)
			calmAt = s.At + s.For + calm
		} else {
			count = min(count, most(p.Nodes))
			s.At = max(s.At, room(free, count))
		}
		s.Nodes = whole(r, free, s.At)[:count]
		slices.Sort(s.Nodes)
		for _, n := range s.Nodes {
			free[n] = s.At + s.For
		}
		at = s.At
		steps = append(steps, s)
	}
	return steps
}

// most is how many of so many nodes suffer at a time.
func most(nodes int) int { return max(1, (nodes-1)/2) }

// room is when so many nodes more may suffer.
func room(free []time.Duration, count int) time.Duration {
	sorted := slices.Sorted(slices.Values(free))
	return sorted[len(free)-1-(most(len(free))-count)]
}

// whole are the nodes that nothing ails, in random order.
func whole(r *rand.Rand, free []time.Duration, at time.Duration) []int {
	var all []int
	for _, n := range r.Perm(len(free)) {
		if free[n] <= at {
			all = append(all, n)
		}
	}
	return all
}

func pickKind(r *rand.Rand, kinds []Kind) Kind {
	sum := 0
	for _, k := range kinds {
		sum += traits[k].weight
	}
	n := r.IntN(sum)
	for _, k := range kinds {
		if n -= traits[k].weight; n < 0 {
			return k
		}
	}
	panic("weights do not add up to their sum")
}

// lasting is how long a fault lasts, on a scale of ratios.
func lasting(r *rand.Rand, t trait) time.Duration {
	d := float64(t.short) * math.Pow(float64(t.long)/float64(t.short), r.Float64())
	return time.Duration(d).Round(tenth)
}
