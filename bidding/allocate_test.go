package bidding_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

// greedy is Allocate by looking at everything for every slot. tie orders nodes
// with equal scores.
func greedy(slots []int, curves []bidding.Curve, barred map[int][]api.NodeID, tie map[api.NodeID]int) map[int]bidding.Placement {
	taken := map[api.NodeID]int{}
	placed := map[int]bidding.Placement{}
	for pass := range 3 {
		for _, slot := range slots {
			if _, done := placed[slot]; done {
				continue
			}
			var best *bidding.Placement
			for _, c := range curves {
				own := slices.IndexFunc(c.StopFirst, func(s bidding.SlotScore) bool { return s.Slot == slot })
				p := bidding.Placement{Slot: slot, Node: c.Node}
				switch {
				case slices.Contains(barred[slot], c.Node):
					continue
				case pass == 2 && own >= 0:
					p.Score, p.StopFirst = c.StopFirst[own].Score, true
				case pass == 2 || taken[c.Node] == len(c.Scores) || pass == 0 && own >= 0:
					continue
				default:
					p.Score = c.Scores[taken[c.Node]]
				}
				if best == nil || p.Score > best.Score || p.Score == best.Score && tie[p.Node] < tie[best.Node] {
					best = &p
				}
			}
			if best != nil {
				placed[slot] = *best
				if !best.StopFirst {
					taken[best.Node]++
				}
			}
		}
	}
	return placed
}

// tieOrder learns the order of equals from Allocate itself.
func tieOrder(nodes []api.NodeID, seed uint64) map[api.NodeID]int {
	var curves []bidding.Curve
	for _, n := range nodes {
		curves = append(curves, bidding.Curve{Node: n, Scores: []float64{1}})
	}
	order := map[api.NodeID]int{}
	for i, p := range bidding.Allocate(upTo(len(nodes)), curves, bidding.Rules{Seed: seed}) {
		order[p.Node] = i
	}
	return order
}

func drawCurves(t *rapid.T, nodes []api.NodeID, slots int) []bidding.Curve {
	var curves []bidding.Curve
	for _, n := range nodes {
		c := bidding.Curve{Node: n}
		grades := rapid.SliceOfN(rapid.IntRange(0, 10), 0, 6).Draw(t, "scores")
		slices.Sort(grades)
		slices.Reverse(grades)
		for _, g := range grades {
			c.Scores = append(c.Scores, float64(g)/10)
		}
		for _, slot := range rapid.SliceOfNDistinct(rapid.IntRange(0, slots-1), 0, 2, rapid.ID[int]).Draw(t, "swaps") {
			c.StopFirst = append(c.StopFirst, bidding.SlotScore{Slot: slot, Score: float64(rapid.IntRange(0, 10).Draw(t, "swap")) / 10})
		}
		curves = append(curves, c)
	}
	return curves
}

func TestAllocateIsGreedy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := []api.NodeID{"a", "b", "c", "d", "e"}[:rapid.IntRange(1, 5).Draw(t, "nodes")]
		slots := upTo(rapid.IntRange(1, 15).Draw(t, "slots"))
		curves := drawCurves(t, nodes, len(slots))
		rules := bidding.Rules{Seed: rapid.Uint64().Draw(t, "seed"), Barred: map[int][]api.NodeID{}}
		for range rapid.IntRange(0, 8).Draw(t, "bars") {
			slot := rapid.SampledFrom(slots).Draw(t, "slot")
			rules.Barred[slot] = append(rules.Barred[slot], rapid.SampledFrom(nodes).Draw(t, "node"))
		}
		got := bidding.Allocate(slots, curves, rules)
		want := greedy(slots, curves, rules.Barred, tieOrder(nodes, rules.Seed))
		used := map[api.NodeID]int{}
		for _, p := range got {
			w, ok := want[p.Slot]
			if delete(want, p.Slot); !ok || p.Node != w.Node || p.Score != w.Score || p.StopFirst != w.StopFirst {
				t.Fatalf("slot %d: got %+v, want %+v", p.Slot, p, w)
			}
			if p.RunnerUp == p.Node || p.RunnerUp != "" && p.RunnerUpScore > p.Score {
				t.Fatalf("runner-up %+v", p)
			}
			if !p.StopFirst {
				used[p.Node]++
			}
		}
		if len(want) > 0 {
			t.Fatalf("not placed: %v", want)
		}
		for _, c := range curves {
			if used[c.Node] > len(c.Scores) {
				t.Fatalf("%s got %d copies, its curve has %d", c.Node, used[c.Node], len(c.Scores))
			}
		}
		if again := bidding.Allocate(slots, curves, rules); !slices.Equal(got, again) {
			t.Fatalf("twice the same gave %v and %v", got, again)
		}
	})
}

func TestAllocateTiesDependOnTheSeed(t *testing.T) {
	curves := []bidding.Curve{{Node: "a", Scores: []float64{.5}}, {Node: "b", Scores: []float64{.5}}, {Node: "c", Scores: []float64{.5}}}
	wins := map[api.NodeID]int{}
	for seed := range uint64(300) {
		wins[bidding.Allocate([]int{0}, curves, bidding.Rules{Seed: seed})[0].Node]++
	}
	for _, c := range curves {
		if wins[c.Node] < 60 {
			t.Errorf("of 300 ties %s won %d, want about 100", c.Node, wins[c.Node])
		}
	}
}

func TestAllocateStopsFirstOnlyInNeed(t *testing.T) {
	own := bidding.Curve{Node: "own", StopFirst: []bidding.SlotScore{{Slot: 0, Score: .9}, {Slot: 1, Score: .9}}}
	other := bidding.Curve{Node: "other", Scores: []float64{.1}}
	got := bidding.Allocate([]int{0, 1}, []bidding.Curve{own, other}, bidding.Rules{})
	want := []bidding.Placement{{Slot: 0, Node: "other", Score: .1}, {Slot: 1, Node: "own", Score: .9, StopFirst: true}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// place5000 is bids of 50 nodes for 5,000 slots, merged.
func place5000(tb testing.TB) []bidding.Placement {
	c := call(process("web", api.Resources{CPUs: 10, Memory: 1 << 20}), upTo(5000)...)
	var curves []bidding.Curve
	for i := range 50 {
		id := api.NodeID(fmt.Sprintf("node%02d", i))
		bid := bidding.MakeBid(c, node(id, api.Resources{CPUs: 1000 + 20*api.CPUs(i), Memory: 1 << 30}))
		if len(bid.Scores) < 100 {
			tb.Fatalf("%s bids for %d copies, want 100 at least", id, len(bid.Scores))
		}
		curves = append(curves, bidding.Curve{Node: id, Scores: bid.Scores})
	}
	return bidding.Allocate(c.Slots, curves, bidding.Rules{Seed: 7})
}

func TestPlace5000InOneRound(t *testing.T) {
	begun := time.Now()
	placed := place5000(t)
	if len(placed) != 5000 {
		t.Fatalf("placed %d of 5000", len(placed))
	}
	perNode := map[api.NodeID]int{}
	for _, p := range placed {
		perNode[p.Node]++
	}
	for id, n := range perNode {
		if n < 50 || n > 150 {
			t.Errorf("%s got %d slots, want about 100", id, n)
		}
	}
	// It takes some 10 ms; a step that is quadratic in the slots takes seconds.
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("took %v, want a fraction of a second", took)
	}
}

func BenchmarkPlace5000(b *testing.B) {
	for b.Loop() {
		place5000(b)
	}
}
