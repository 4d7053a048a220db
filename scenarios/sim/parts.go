package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
)

// subjects are the hosts that a step is done to: its host, or those that have the
// part in its job now.
func (s *Sim) subjects(st Step) (out []*host) {
	if st.Of == "" {
		return []*host{s.hosts[st.Host]}
	}
	if st.Of == "owner" {
		for _, h := range s.hosts {
			for _, c := range h.engine.containers {
				if c.Labels.Job == st.Job && c.State == runtime.Running && c.Labels.Node == h.id {
					return []*host{h}
				}
			}
		}
		return nil
	}
	first := s.coordinator(st.Job)
	for _, h := range s.hosts {
		if (h == first) == (st.Of == "coordinator") && h.agent != nil {
			out = append(out, h)
		}
	}
	if st.Of == "other" && len(out) > 1 {
		out = out[:1]
	}
	return out
}

// coordinator is the host of the node that ranks first for a job, to whom sees all.
func (s *Sim) coordinator(job string) *host {
	nodes := map[api.NodeID]peer.NodeState{}
	for _, h := range s.hosts {
		if h.agent != nil && h.agent.core.Ready() {
			nodes[h.id] = peer.NodeState{ID: h.id, Alive: true, State: peer.StateReady}
		}
	}
	ranks := peer.Ranks(job, nodes)
	if len(ranks) == 0 {
		return nil
	}
	return s.byID[ranks[0]]
}

// ambushes are steps that wait for something to happen, and hurt whoever did it.
var ambushes = []string{"killacceptor", "cutacceptor", "wipeholders"}

// sprung is the step of an ambush that waits for this, if any does: it waits no more.
func (s *Sim) sprung(do string) (Step, bool) {
	for i, st := range s.traps {
		if st.Do == do && s.busy() {
			s.traps = append(s.traps[:i:i], s.traps[i+1:]...)
			return st, true
		}
	}
	return Step{}, false
}

// hurtAcceptor is what befalls a node that has just answered that it accepts an award.
func (s *Sim) hurtAcceptor(a *agent) {
	if _, ok := s.sprung("killacceptor"); ok {
		a.after(s.upTo(3*time.Millisecond), a.host.kill)
	}
	if st, ok := s.sprung("cutacceptor"); ok {
		st.Host, st.Do = a.host.index, "cutoff"
		s.cutLinks(st)
	}
}

// hurtHolders destroys as many of the disks that hold a write, acknowledged just now,
// as it must outlive.
func (s *Sim) hurtHolders(on map[*host]bool, promised int) {
	if _, ok := s.sprung("wipeholders"); !ok {
		return
	}
	for _, h := range s.hosts {
		if promised--; on[h] && promised > 0 {
			s.note("step", h.name+": wipe, an ambush")
			h.wipe()
			s.after(2*time.Second, h.boot)
		}
		if !on[h] {
			promised++
		}
	}
}

// watch looks once a second for what should not take so long.
func (s *Sim) watch() {
	if s.plan.prompt == 0 || s.violation != nil || s.calm {
		return
	}
	overdue := map[string]bool{}
	for _, name := range jobNames {
		j := s.latest(name)
		if j == nil || batch(name) || s.full(s.whole(), j.Spec.Resources) {
			continue
		}
		for i := range j.Spec.Replicas {
			if slot := fmt.Sprintf("%s/%d/%d", name, j.Life(), i); j.Wants(i) && len(s.copies(slot)) == 0 {
				overdue["late: "+slot+" is not served"] = true
			}
		}
	}
	for _, h := range s.hosts {
		for _, c := range h.engine.containers {
			if h.draining && c.State == runtime.Running {
				overdue["undrained: "+h.name+" is in use"] = true
			}
		}
	}
	for _, what := range sortedKeys(overdue) {
		if since, ok := s.overdue[what]; !ok {
			s.overdue[what] = s.now
		} else if s.now-since > s.plan.prompt {
			rule, what, _ := strings.Cut(what, ": ")
			s.violate(rule, "%s for %s", what, (s.now - since).Round(time.Second))
		}
	}
	for what := range s.overdue {
		if !overdue[what] {
			delete(s.overdue, what)
		}
	}
}

// latest is the last version of a job that any node knows.
func (s *Sim) latest(name string) (last *peer.JobRecord) {
	for _, h := range s.hosts {
		if h.agent == nil {
			continue
		}
		if j := h.agent.core.Job(name); j != nil && (last == nil || j.Stamp.Compare(last.Stamp) > 0) {
			last = j
		}
	}
	return last
}
