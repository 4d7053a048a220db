package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
)

const (
	operatorTime = 25 * time.Second // after the chaos, until an operator has looked after everything
	settleTime   = 4 * time.Minute  // to converge after the chaos, at most
	quietTime    = 20 * time.Second
	pendingMost  = 15 // auctions in that time, of what waits for room
)

// Result is how a run ended.
type Result struct {
	Plan      Plan
	Violation *Violation // nil: every promise was kept
	Events    int
	Starts    int
	Auctions  int
	Acked     int
	Settled   time.Duration // after the chaos
	Trace     uint64        // the same for the same run
}

// Run carries a plan out, with one rule of the design taken away if bug says so. Tell
// gets every line of what happens; nil: nobody.
func Run(p Plan, bug Bug, tell func(line string)) Result {
	s := newSim(p, bug)
	s.tell = tell
	for _, st := range p.Steps {
		s.after(st.At, func() { s.do(st) })
	}
	r := Result{Plan: p}
	if s.runUntil(chaosEnds, s.fine) {
		s.heal(p.Core)
		r.Settled = s.settle()
	}
	r.Violation, r.Events, r.Starts, r.Auctions, r.Acked, r.Trace = s.violation, s.done, s.starts, s.auctions, len(s.acked), s.trace
	return r
}

func (s *Sim) fine() bool { return s.violation == nil }

// heal ends the chaos: all faults, or those of a core, while the rest is cut off.
func (s *Sim) heal(core []int) {
	if core != nil && !slices.ContainsFunc(core, func(i int) bool { return !s.hosts[i].left && len(s.hosts[i].disk.records) > 0 }) {
		core = nil // they have forgotten the cluster, and would wait for the rest
	}
	s.note("heal", fmt.Sprint(core))
	s.calm = true
	in := func(i int) bool { return core == nil || slices.Contains(core, i) }
	clear(s.cut)
	for i, h := range s.hosts {
		h.engine.slow, h.engine.failing, h.engine.hanging, h.engine.down = 0, false, false, false
		h.changed()
		if h.outside = !in(i); h.outside {
			for j := range s.hosts {
				if j != i {
					s.cut[[2]int{i, j}], s.cut[[2]int{j, i}] = silent, silent
				}
			}
			continue
		}
		h.skew = min(max(h.skew, -time.Minute/2), time.Minute/2)
		s.after(s.upTo(3*time.Second), h.boot)
	}
	s.after(15*time.Second, func() { // what an operator does who looks after it
		for _, h := range s.hosts {
			s.drain(h, false)
		}
		s.forget()
	})
}

// forget has a node remove those that wiped hosts were.
func (s *Sim) forget() {
	left := false
	for _, id := range s.retired {
		if s.removed[id] {
			continue
		}
		left = true
		for _, h := range s.hosts {
			if h.outside || h.agent == nil || !h.agent.core.Ready() || h.agent.members[id] != nil && h.agent.members[id].Status == gossip.MemberAlive {
				continue
			}
			if r, err := h.agent.core.Removal(id, h.agent.now()); err == nil && r != nil {
				h.agent.put(nil, *r)
				s.removed[id] = true
				break
			}
		}
	}
	if left {
		s.after(10*time.Second, s.forget)
	}
}

// settle waits until all is as it should be, and then that nothing happens any more.
func (s *Sim) settle() time.Duration {
	began, why := s.now, ""
	s.runUntil(s.now+operatorTime, s.fine)
	for s.now < began+settleTime {
		if !s.runUntil(s.now+2*time.Second, s.fine) {
			return 0
		}
		if why = s.unsettled(); why == "" {
			break
		}
	}
	if why != "" {
		rule, _, _ := strings.Cut(why, ":")
		s.violate(rule, "not within %s: %s", settleTime, why)
		return 0
	}
	took := s.now - began
	s.runUntil(s.now+5*time.Second, s.fine)
	starts, auctions, writes := s.starts, s.auctions, s.writes
	s.runUntil(s.now+quietTime, s.fine)
	if s.full(s.whole(), specOf("web", 1, 0).Resources) {
		if n := s.auctions - auctions; n > pendingMost {
			s.violate("unquiet", "%d auctions within %s, and nobody has room", n, quietTime)
		}
		auctions = s.auctions // what waits for room is tried again now and then
	}
	if s.violation == nil && (s.starts != starts || s.auctions != auctions || s.writes != writes) {
		s.violate("unquiet", "after it had settled: %d starts, %d auctions, %d writes in %s", s.starts-starts, s.auctions-auctions, s.writes-writes, quietTime)
	}
	if why := s.unsettled(); s.violation == nil && why != "" {
		s.violate("unquiet", "after it had settled: %s", why)
	}
	return took
}

// whole are the agents that were healed.
func (s *Sim) whole() (out []*agent) {
	for _, h := range s.hosts {
		if h.agent != nil && !h.outside {
			out = append(out, h.agent)
		}
	}
	return out
}

// unsettled says what is not as it should be, beginning with a word for the rule.
func (s *Sim) unsettled() string {
	agents := s.whole()
	for _, a := range agents {
		if !a.core.Ready() {
			return "unready: " + a.host.name
		}
		if a.table.Digest() != agents[0].table.Digest() {
			return fmt.Sprintf("diverged: the tables of %s and %s differ", a.host.name, agents[0].host.name)
		}
	}
	for _, id := range s.retired {
		if !s.removed[id] && s.known(agents, id) {
			return "unforgotten: a node that was wiped is still a member"
		}
	}
	if len(agents) == 0 {
		return ""
	}
	t := agents[0].table
	if r := s.lost(t); r != "" {
		return "lost: " + r + " was acknowledged"
	}
	return s.misplaced(agents)
}

func (s *Sim) known(agents []*agent, id api.NodeID) bool {
	for _, a := range agents {
		if r, ok := a.table.Get("m/" + string(id)); ok && !r.Removed {
			return true
		}
	}
	return false
}

// misplaced compares what runs with what the table wants.
func (s *Sim) misplaced(agents []*agent) string {
	running := map[string][]*runtime.Container{}
	for _, a := range agents {
		for _, c := range a.host.engine.containers {
			if c.State == runtime.Running {
				running[slotOf(c.Labels)] = append(running[slotOf(c.Labels)], c)
			}
		}
	}
	core := agents[0].core
	for _, name := range jobNames {
		j := core.Job(name)
		if j == nil || j.Removed {
			continue
		}
		for i := range j.Spec.Replicas {
			k := j.Slot(i)
			slot := fmt.Sprintf("%s/%d/%d", k.Job, k.Life, k.Slot)
			have := running[slot]
			delete(running, slot)
			rec := core.Slot(k)
			switch {
			case !j.Wants(i):
				if len(have) > 0 {
					return "leftover:" + places(have) + " is not wanted"
				}
			case rec != nil && rec.State == api.Complete && len(have) == 0:
			case batch(name):
				return "unfinished: " + k.String()
			case len(have) > 1:
				return "doubled:" + places(have)
			case len(have) == 0 && name == "freeze" && rec != nil && s.away(agents, rec.Owner()) && !s.removed[rec.Owner()]:
				// It waits for its owner, as the job asks.
			case len(have) == 0 && s.full(agents, j.Spec.Resources):
				// Nobody has room.
			case len(have) == 0:
				return "unserved: " + k.String() + " " + stateOf(rec)
			case s.removed[have[0].Labels.Node]:
				return "leftover:" + places(have) + ", whose node was removed"
			case have[0].Labels.TemplateHash != j.Hash:
				return "oldspec:" + places(have)
			case rec == nil || rec.Owner() != have[0].Labels.Node || rec.State != api.Running || rec.ContainerID != have[0].ID:
				return "misplaced:" + places(have) + ", the table says otherwise: " + stateOf(rec)
			}
		}
	}
	for _, slot := range sortedKeys(running) {
		return "leftover:" + places(running[slot])
	}
	return ""
}

// full says whether none of the agents' hosts has room for one more.
func (s *Sim) full(agents []*agent, need api.Resources) bool {
	for _, a := range agents {
		var used api.Resources
		for _, c := range a.host.engine.containers {
			if c.State == runtime.Running && c.Labels.Node == a.id {
				used = used.Add(c.Labels.Resources)
			}
		}
		if used.Add(need).Fits(a.host.room) {
			return false
		}
	}
	return true
}

// away says whether a node is not among those that are whole.
func (s *Sim) away(agents []*agent, id api.NodeID) bool {
	return !slices.ContainsFunc(agents, func(a *agent) bool { return a.id == id })
}

// Shrink takes steps out of a plan for as long as it breaks the same promise, and
// tries at most so many runs.
func Shrink(r Result, bug Bug, tries int) Result {
	for size := len(r.Plan.Steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(r.Plan.Steps) && tries > 0; tries-- {
			p := r.Plan
			p.Steps = slices.Delete(slices.Clone(p.Steps), at, at+size)
			if smaller := Run(p, bug, nil); smaller.Violation != nil && smaller.Violation.Rule == r.Violation.Rule {
				r = smaller
			} else {
				at += size
			}
		}
	}
	return r
}

func stateOf(a *peer.Assignment) string {
	if a == nil {
		return "never placed"
	}
	return fmt.Sprintf("@%d %s on %s (%s)", a.Epoch(), a.State, a.Owner().Short(), a.Reason)
}
