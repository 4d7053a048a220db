package sim_test

import (
	"testing"

	"github.com/exitae337/orchestergo/scenarios/sim"
)

// The promises hold in the runs of some seeds; make sim runs more of them.
func TestPromises(t *testing.T) {
	const runs = 40
	acked, starts := 0, 0
	for seed := range uint64(runs) {
		r := sim.Run(sim.NewPlan(seed), sim.Bug{}, nil)
		if r.Violation != nil {
			t.Errorf("seed %d: %v (go run ./scenarios/sim/run --runs 1 --seed %d --trace)", seed, r.Violation, seed)
		}
		acked, starts = acked+r.Acked, starts+r.Starts
	}
	if acked < runs || starts < 2*runs {
		t.Errorf("in %d runs %d writes were acknowledged and %d containers started: too little happens", runs, acked, starts)
	}
}

func TestSameSeedSameRun(t *testing.T) {
	for seed := range uint64(8) {
		var lines [2][]string
		for i := range lines {
			sim.Run(sim.NewPlan(seed), sim.Bug{}, func(line string) { lines[i] = append(lines[i], line) })
		}
		for i, line := range lines[0] {
			if i >= len(lines[1]) || lines[1][i] != line {
				t.Fatalf("seed %d, line %d: %q, and once more it was not", seed, i, line)
			}
		}
		if len(lines[0]) != len(lines[1]) || len(lines[0]) < 10 {
			t.Errorf("seed %d: %d lines, and then %d", seed, len(lines[0]), len(lines[1]))
		}
	}
}

// Each rule that is taken away is missed.
func TestBugsAreCaught(t *testing.T) {
	for _, bug := range sim.Bugs() {
		t.Run(bug.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(300) {
				r := sim.Run(sim.NewPlan(seed), bug, nil)
				if r.Violation == nil {
					continue
				}
				small := sim.Shrink(r, bug, 20)
				t.Logf("seed %d, %d of %d steps: %v", seed, len(small.Plan.Steps), len(r.Plan.Steps), small.Violation)
				return
			}
			t.Errorf("nothing is amiss in 300 runs without the rule that %s", bug.Rule)
		})
	}
}
