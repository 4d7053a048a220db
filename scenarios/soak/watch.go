package soak

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// A Copy is one copy of a task, as the process table shows it.
type Copy struct {
	Dir   string // of which no two copies have the same
	Task  string // "web-3.1"
	Life  string // of the job
	Epoch uint64
	Node  api.NodeID
	Spec  string        // of which specification it says that it is
	Takes api.Resources // what was reserved for it
}

// A Gap is a time in which no copy of a wanted task was there.
type Gap struct {
	Task  string
	Node  api.NodeID // of the last copy
	Since time.Time
	For   time.Duration
	Cause Kind // what ailed that node when it was gone; "" for nothing
}

// watch looks at samples of the process table. It has no clock and reads nothing itself.
type watch struct {
	offers  map[api.NodeID]api.Resources
	samples int
	faults  []string
	gaps    []Gap

	over  map[api.NodeID]bool // was over capacity at the last sample
	twice map[string]bool     // task and life: was there twice at the last sample
	last  map[string]sight    // of each task that must always be there
}

// sight is when a task was last seen, and where.
type sight struct {
	node  api.NodeID
	since time.Time // that it is gone; zero while it is there
	cause Kind
}

func newWatch() *watch {
	return &watch{offers: map[api.NodeID]api.Resources{}, over: map[api.NodeID]bool{}, twice: map[string]bool{}, last: map[string]sight{}}
}

// sample is the process table at one instant.
type sample struct {
	at     time.Time
	copies []Copy
	always map[string]bool        // tasks that are wanted and that nobody changes: a time without one is one of repair
	single func(task string) bool // must not run twice
	ails   func(api.NodeID) Kind
}

// take looks at one sample.
func (w *watch) take(s sample) {
	w.samples++
	w.capacity(s)
	there, lives := map[string][]Copy{}, map[string][]Copy{}
	for _, c := range s.copies {
		there[c.Task] = append(there[c.Task], c)
		if s.single(c.Task) {
			lives[c.Task+" of "+c.Life] = append(lives[c.Task+" of "+c.Life], c)
		}
	}
	w.repairs(s, there)
	for task, copies := range lives {
		twice := len(copies) > 1
		if twice && !w.twice[task] {
			w.fault(s.at, "%s, which must not run twice, has copies %v", task, copies)
		}
		w.twice[task] = twice
	}
}

func (w *watch) fault(at time.Time, format string, args ...any) {
	w.faults = append(w.faults, at.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// capacity looks for nodes that run more than they offer.
func (w *watch) capacity(s sample) {
	takes := map[api.NodeID]api.Resources{}
	for _, c := range s.copies {
		takes[c.Node] = takes[c.Node].Add(c.Takes)
	}
	for _, id := range slices.Sorted(maps.Keys(takes)) {
		offer, known := w.offers[id]
		over := known && !takes[id].Fits(offer)
		if over && !w.over[id] {
			w.fault(s.at, "node %s offers %s and runs %s", id.Short(), offer, takes[id])
		}
		w.over[id] = over
	}
}

// repairs looks for tasks that are gone, and for those that are back.
func (w *watch) repairs(s sample, there map[string][]Copy) {
	for task := range w.last {
		if !s.always[task] { // nobody wants it any more
			delete(w.last, task)
		}
	}
	for task := range s.always {
		last, known := w.last[task]
		copies := there[task]
		switch {
		case len(copies) == 0 && known && last.since.IsZero():
			last.since, last.cause = s.at, s.ails(last.node)
			w.last[task] = last
		case len(copies) > 0:
			if known && !last.since.IsZero() {
				w.gaps = append(w.gaps, Gap{task, last.node, last.since, s.at.Sub(last.since), last.cause})
			}
			w.last[task] = sight{node: copies[len(copies)-1].Node}
		}
	}
}

// missing are the tasks that have not come back.
func (w *watch) missing() []string {
	var all []string
	for task, last := range w.last {
		if !last.since.IsZero() {
			all = append(all, task)
		}
	}
	slices.Sort(all)
	return all
}
