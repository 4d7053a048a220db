package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report is what a run saw.
type Report struct {
	Config  Config
	Steps   map[Kind]int // faults that were begun
	Answers []string     // how often each request had each answer
	Samples int          // of the process table
	Gaps    []Gap
	Settled []time.Duration // how long each round took to be as it should
	Open    int             // jobs of which the answers leave open what they are to be

	Before, After map[string]vitals
}

// sum fills in what the parts of the run have counted.
func (r *runner) sum() {
	r.Answers, r.Open = r.wl.told(), r.jn.open()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Samples, r.Gaps = r.seen.samples, r.seen.gaps
}

// String is the report for people.
func (r *Report) String() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("seed %d: %d nodes, %d jobs, %d rounds over %s", r.Config.Seed, len(r.Config.Lab.Nodes()), r.Config.Jobs, len(r.Settled), r.Config.Over)
	total := 0
	for _, k := range slices.Sorted(maps.Keys(r.Steps)) {
		say("  %4d × %s", r.Steps[k], k)
		total += r.Steps[k]
	}
	say("faults: %d", total)
	say("requests:")
	for _, a := range r.Answers {
		say("  %s", a)
	}
	say("jobs that the answers leave open: %d", r.Open)
	say("samples of the process table: %d, about every %s", r.Samples, sampleEvery)
	say("times without a wanted task, by what ailed its node:")
	for _, line := range repairs(r.Gaps) {
		say("  %s", line)
	}
	settled := make([]string, len(r.Settled))
	for i, d := range r.Settled {
		settled[i] = d.Round(time.Millisecond).String()
	}
	say("rounds settled after: %s", strings.Join(settled, ", "))
	for _, name := range slices.Sorted(maps.Keys(r.After)) {
		say("%s: %s; at the beginning %s", name, r.After[name], r.Before[name])
	}
	return b.String()
}

// repairs sums up gaps.
func repairs(gaps []Gap) []string {
	by := map[Kind][]time.Duration{}
	for _, g := range gaps {
		by[g.Cause] = append(by[g.Cause], g.For)
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(by)) {
		d := slices.Sorted(slices.Values(by[k]))
		what := string(k)
		if k == "" {
			what = "nothing"
		}
		at := func(percent int) time.Duration { return d[(len(d)-1)*percent/100].Round(time.Millisecond) }
		all = append(all, fmt.Sprintf("%s: %d, p50 %s, p99 %s, most %s", what, len(d), at(50), at(99), at(100)))
	}
	return all
}
