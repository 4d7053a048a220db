// Command run runs many simulations and reports. What it prints on stdout depends on
// its flags alone; how long it took goes to stderr.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"github.com/exitae337/orchestergo/scenarios/sim"
)

// memory is how much the runs take before what they have made is cleared away.
const memory = 1 << 30

// order is what to run.
type order struct {
	runs, seed uint64
	bug        sim.Bug
	trace      bool
	plan       string
}

func main() {
	var o order
	pflag.Uint64Var(&o.runs, "runs", 1000, "how many")
	pflag.Uint64Var(&o.seed, "seed", 0, "of the first; each further one has the next")
	pflag.BoolVar(&o.trace, "trace", false, "print what happens in each run")
	pflag.StringVar(&o.plan, "plan", "", "only the runs whose plan is called so: "+strings.Join(sim.Scripts(), ", "))
	without := pflag.String("without", "", "a rule of the design to take away: "+names())
	pflag.Parse()
	if *without != "" && !o.take(*without) {
		fmt.Fprintf(os.Stderr, "run: no rule is named %q; there are: %s\n", *without, names())
		os.Exit(2)
	}
	debug.SetGCPercent(-1) // a run makes much that does not live long
	debug.SetMemoryLimit(memory)
	began := time.Now()
	ok := o.report(o.sweep())
	fmt.Fprintf(os.Stderr, "%d runs in %s\n", o.runs, time.Since(began).Round(time.Millisecond))
	if !ok {
		os.Exit(1)
	}
}

// rules are all that can be taken away.
func rules() []sim.Bug { return append(sim.Bugs(), sim.Unproven()...) }

func names() string {
	var out []string
	for _, b := range rules() {
		out = append(out, b.Name)
	}
	return strings.Join(out, ", ")
}

func (o *order) take(name string) bool {
	for _, b := range rules() {
		if b.Name == name {
			o.bug = b
			return true
		}
	}
	return false
}

// sweep runs all seeds, on all cores unless the runs are traced.
func (o *order) sweep() []sim.Result {
	results := make([]sim.Result, o.runs)
	workers := runtime.NumCPU()
	var tell func(string)
	if o.trace {
		workers, tell = 1, func(line string) { fmt.Println(line) }
	}
	var next atomic.Uint64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < o.runs; i = next.Add(1) - 1 {
				if p := sim.NewPlan(o.seed + i); o.plan == "" || p.Name == o.plan {
					results[i] = sim.Run(p, o.bug, tell)
				}
			}
		})
	}
	group.Wait()
	return results
}

// report prints what the runs did, and the first that broke a promise in full.
func (o *order) report(results []sim.Result) bool {
	var events, starts, auctions, acked int
	var settled time.Duration
	steps, broken := map[string]int{}, []sim.Result{}
	for _, r := range results {
		events, starts, auctions, acked = events+r.Events, starts+r.Starts, auctions+r.Auctions, acked+r.Acked
		settled = max(settled, r.Settled)
		for _, st := range r.Plan.Steps {
			steps[st.Do]++
		}
		if r.Violation != nil {
			broken = append(broken, r)
		}
	}
	fmt.Printf("seeds %d to %d: %d events, %d writes acknowledged, %d auctions, %d starts; settled within %s\n",
		o.seed, o.seed+o.runs-1, events, acked, auctions, starts, settled.Round(time.Second))
	fmt.Println("steps:", sim.Counts(steps))
	for _, r := range broken {
		fmt.Printf("seed %d: %v\n", r.Plan.Seed, r.Violation)
	}
	fmt.Printf("%d violations\n", len(broken))
	if len(broken) == 0 {
		return true
	}
	r := sim.Shrink(broken[0], o.bug, 200)
	fmt.Printf("\nseed %d with as few steps as break it, of %d nodes:\n", r.Plan.Seed, r.Plan.Nodes)
	for _, st := range r.Plan.Steps {
		fmt.Println("  ", st)
	}
	again := fmt.Sprintf("go run ./scenarios/sim/run --runs 1 --seed %d --trace", r.Plan.Seed)
	if o.bug.Name != "" {
		again += " --without " + o.bug.Name
	}
	fmt.Printf("%v\nonce more, with all that happens: %s\n", r.Violation, again)
	return false
}
