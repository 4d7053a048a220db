package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/runtime"
)

// Violation is a promise that was broken.
type Violation struct {
	Rule string // in a word, such as "lost"
	What string
}

func (v *Violation) Error() string { return v.Rule + ": " + v.What }

// oracle knows everything that has happened, and what must never happen.
type oracle struct {
	gentle    bool // nothing dies and nobody errs: stricter rules hold
	violation *Violation
	acked     []ack
	removals  []gossip.Record           // written, acknowledged or not
	aside     map[string][]gossip.Stamp // set aside by a sync, and said so
	last      map[string]uint64         // highest epoch that a node has started of a slot
	completed map[string]time.Duration  // slots of batch jobs whose task ended well
	removed   map[api.NodeID]bool       // nodes that an operator has removed
	knows     map[string]map[*host]bool // which hosts have ever known of an attempt
}

// ack is a write that was acknowledged, the disks that had it then, and how many of
// these would have to be destroyed for it to be lost.
type ack struct {
	rec       gossip.Record
	on        map[*host]bool
	promised  int
	destroyed int
}

func newOracle(gentle bool) oracle {
	return oracle{gentle: gentle, aside: map[string][]gossip.Stamp{}, last: map[string]uint64{}, completed: map[string]time.Duration{}, removed: map[api.NodeID]bool{}, knows: map[string]map[*host]bool{}}
}

func (s *Sim) violate(rule, format string, args ...any) {
	if s.violation == nil {
		s.violation = &Violation{rule, fmt.Sprintf(format, args...)}
		s.note("violation", s.violation.Error())
	}
}

// broken says that a core has refused what another core sent.
func (s *Sim) broken(what string) { s.violate("protocol", "%s", what) }

func (s *Sim) acknowledged(r gossip.Record, on map[*host]bool, promised int) {
	s.acked = append(s.acked, ack{rec: r, on: maps.Clone(on), promised: promised})
}

// lostDisk takes a host out of all writes that are not on what it has instead.
func (s *Sim) lostDisk(h *host, instead disk) {
	for i := range s.acked {
		k := &s.acked[i]
		if cur, ok := instead.records[k.rec.Key]; k.on[h] && (!ok || cur.Stamp.Compare(k.rec.Stamp) < 0) {
			delete(k.on, h)
			k.destroyed++
		}
	}
}

func (s *Sim) setAside(r gossip.Record) { s.aside[r.Key] = append(s.aside[r.Key], r.Stamp) }

func slotOf(l runtime.Labels) string { return fmt.Sprintf("%s/%d/%d", l.Job, l.Life, l.Slot) }

// copies are the running containers of a slot on all hosts.
func (s *Sim) copies(slot string) (out []*runtime.Container) {
	for _, h := range s.hosts {
		for _, c := range h.engine.containers {
			if c.State == runtime.Running && slotOf(c.Labels) == slot {
				out = append(out, c)
			}
		}
	}
	return out
}

// started checks what must hold whenever a container starts.
func (s *Sim) started(h *host, c *runtime.Container) {
	h.counts(&s.starts, 1)
	s.note("start", h.name, c.Labels.Task().String())
	var used api.Resources
	for _, o := range h.engine.containers {
		if o.State == runtime.Running && o.Labels.Node == c.Labels.Node {
			used = used.Add(o.Labels.Resources)
		}
	}
	if !used.Fits(h.room) {
		s.violate("overcommit", "%s runs %v of %v with %s", h.name, used, h.room, c.Labels.Task())
	}
	slot := slotOf(c.Labels)
	key := string(c.Labels.Node) + " " + slot
	if c.Labels.Epoch < s.last[key] {
		s.violate("epoch", "%s starts %s after epoch %d", h.name, c.Labels.Task(), s.last[key])
	}
	s.last[key] = c.Labels.Epoch
	copies := s.copies(slot)
	if s.gentle && batch(c.Labels.Job) && len(copies) > 1 {
		s.violate("twice", "%s runs more than once: %s", c.Labels.Task(), places(copies))
	}
	if at, ok := s.completed[slot]; ok && s.gentle && s.now-at > 5*time.Second {
		s.violate("rerun", "%s starts %s, which had completed", h.name, c.Labels.Task())
	}
}

// unreachable says whether a copy is on a node that h does not reach, and that nobody
// has taken out of the cluster: then it may be serving well. What a node had promised
// may be known to nobody when its disk is destroyed.
func (s *Sim) unreachable(h *host, c *runtime.Container) bool {
	o := s.byID[c.Labels.Node]
	leaving := o != nil && (o.left || o.leaving || o.draining) // its tasks were told to move
	if c.Labels.Node == h.id || s.removed[c.Labels.Node] || leaving {
		return false
	}
	return o != nil && (o.agent == nil || h.agent == nil || !s.reaches(h, o))
}

// attempt names what a container is, as its record does.
func attempt(l runtime.Labels) string { return fmt.Sprintf("a/%s@%d %s", slotOf(l), l.Epoch, l.Node) }

// heard notes which attempts a host learns of, and looks at those that it promises.
func (s *Sim) heard(a *agent, news []gossip.Record) {
	for _, r := range news {
		if !strings.HasPrefix(r.Key, "a/") {
			continue
		}
		of := fmt.Sprintf("%s@%d %s", r.Key, r.Stamp.Major, r.Stamp.Mid)
		if s.knows[of] == nil {
			s.knows[of] = map[*host]bool{}
		}
		if r.Stamp.Mid == string(a.id) && !s.knows[of][a.host] {
			s.promised(a.host, r)
		}
		s.knows[of][a.host] = true
	}
}

// promised checks what must hold when a host promises to run a slot: that a copy of what
// is to be left alone does not run out of its reach, unless nobody else knows of it. A
// first placement that nobody has heard of excludes no other.
func (s *Sim) promised(h *host, r gossip.Record) {
	slot := strings.TrimPrefix(r.Key, "a/")
	if !strings.HasPrefix(slot, "freeze/") {
		return
	}
	for _, o := range s.copies(slot) {
		knows := s.knows[attempt(o.Labels)]
		if s.unreachable(h, o) && slices.ContainsFunc(s.hosts, func(who *host) bool {
			return knows[who] && who.id != o.Labels.Node && who.agent != nil && (who == h || s.reaches(h, who))
		}) {
			s.violate("twice", "%s promises to run %s, which runs out of its reach: %s", h.name, slot, places(s.copies(slot)))
		}
	}
}

func places(copies []*runtime.Container) string {
	out := ""
	for _, c := range copies {
		out += fmt.Sprintf(" %s as %s", c.ID, c.Labels.Task())
	}
	return out
}

// ended checks what must hold whenever a container ends.
func (s *Sim) ended(h *host, c *runtime.Container) {
	s.note("ended", h.name, c.Labels.Task().String(), fmt.Sprint(c.ExitCode))
	slot := slotOf(c.Labels)
	if batch(c.Labels.Job) && c.ExitCode == 0 && !h.engine.ending[c.ID] { // who ends well because he is told to has not completed
		s.completed[slot] = s.now
	}
	if !s.gentle || c.ExitCode != 143 || batch(c.Labels.Job) || len(s.copies(slot)) > 0 {
		return
	}
	for _, o := range s.hosts { // everybody wants it, and it was stopped
		if o.agent == nil || !o.agent.core.Ready() {
			continue
		}
		j := o.agent.core.Job(c.Labels.Job)
		if j == nil || j.Life() != c.Labels.Life || !j.Wants(c.Labels.Slot) {
			return
		}
		if rec := o.agent.core.Slot(j.Slot(c.Labels.Slot)); rec != nil && rec.StopFirst {
			return // there is no room for both
		}
	}
	s.violate("gap", "%s was stopped and nothing else serves its slot", c.Labels.Task())
}

// accepted counts what a node takes against what it has.
func (s *Sim) accepted(a *agent, recs []gossip.Record) {
	if len(recs) == 0 {
		return
	}
	if ledger, _ := a.core.Committed(); ledger.Free().CPUs < 0 || ledger.Free().Memory < 0 {
		s.violate("overcommit", "%s has promised more than it has", a.host.name)
	}
}

// lost says which acknowledged write a table has undone, although a disk that had it
// is still there.
func (s *Sim) lost(t *gossip.Table) string {
	for _, k := range s.acked {
		if k.destroyed >= k.promised || !s.someWhole(k.on) {
			continue
		}
		cur, ok := t.Get(k.rec.Key)
		if ok && cur.Stamp.Compare(k.rec.Stamp) >= 0 {
			continue
		}
		if k.rec.Removed && !ok {
			continue // removed, and forgotten
		}
		if s.supersededBy(k.rec) || slices.ContainsFunc(s.aside[k.rec.Key], func(st gossip.Stamp) bool { return st.Compare(k.rec.Stamp) >= 0 }) {
			continue
		}
		return k.rec.String()
	}
	return ""
}

// someWhole says whether one of the disks is on a host that was healed.
func (s *Sim) someWhole(on map[*host]bool) bool {
	for h := range on {
		if !h.outside {
			return true
		}
	}
	return false
}

// supersededBy says whether a later removal of the same job was written, which may be
// forgotten by now.
func (s *Sim) supersededBy(r gossip.Record) bool {
	return slices.ContainsFunc(s.removals, func(k gossip.Record) bool { return k.Key == r.Key && k.Stamp.Compare(r.Stamp) > 0 })
}
