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

// Each rule that is taken away is missed. Of the seeds only those are run whose plans
// are of the kind that should miss it.
func TestBugsAreCaught(t *testing.T) {
	for _, bug := range sim.Bugs() {
		t.Run(bug.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2000) {
				p := sim.NewPlan(seed)
				if bug.In != "" && p.Name != bug.In {
					continue
				}
				r := sim.Run(p, bug, nil)
				if r.Violation == nil {
					continue
				}
				small := sim.Shrink(r, bug, 5)
				t.Logf("seed %d, %d of %d steps: %v", seed, len(small.Plan.Steps), len(p.Steps), small.Violation)
				return
			}
			t.Errorf("nothing is amiss in 2,000 runs without the rule that %s", bug.Rule)
		})
	}
}

// Every script is drawn, and keeps the promises.
func TestScripts(t *testing.T) {
	for _, name := range sim.Scripts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			left := 1
			for seed := uint64(5000); left > 0; seed++ {
				if seed == 7000 {
					t.Fatal("it is not drawn in 2,000 plans")
				}
				if p := sim.NewPlan(seed); p.Name == name {
					left--
					if r := sim.Run(p, sim.Bug{}, nil); r.Violation != nil {
						t.Errorf("seed %d: %v", seed, r.Violation)
					}
				}
			}
		})
	}
}
