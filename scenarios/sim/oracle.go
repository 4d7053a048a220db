package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
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
	removals  []gossip.Record                  // written, acknowledged or not
	aside     map[string][]gossip.Stamp        // set aside by a sync, and said so
	last      map[string]uint64                // highest epoch that a node has started of a slot
	completed map[string]time.Duration         // slots of batch jobs whose task ended well
	removed   map[api.NodeID]bool              // nodes that an operator has removed
	given     map[string]api.NodeID            // who accepted which epoch of a slot from which auctioneer
	accepts   map[*host][]gossip.Record        // what a node has said that it accepted
	failures  map[peer.SlotKey][]time.Duration // when starts failed
	stays     map[string]api.NodeID            // slots that have no reason to move
	overdue   map[string]time.Duration         // what should not last, since when it does
	knows     map[string]map[*host]bool        // which hosts have ever known of an attempt
	rewound   bool                             // an earlier copy of a disk was put back
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
	return oracle{gentle: gentle, aside: map[string][]gossip.Stamp{}, last: map[string]uint64{}, completed: map[string]time.Duration{}, removed: map[api.NodeID]bool{},
		given: map[string]api.NodeID{}, accepts: map[*host][]gossip.Record{}, failures: map[peer.SlotKey][]time.Duration{}, overdue: map[string]time.Duration{}, knows: map[string]map[*host]bool{}}
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
	delete(s.accepts, h)
	for i := range s.acked {
		k := &s.acked[i]
		if cur, ok := instead.records[k.rec.Key]; k.on[h] && (!ok || cur.Stamp.Compare(k.rec.Stamp) < 0) {
			delete(k.on, h)
			k.destroyed++
		}
	}
}

// setAside notes what a node has set aside. As long as nobody was taken out of the
// members, a removal is forgotten only when all have heard of it, and nobody has to.
func (s *Sim) setAside(r gossip.Record) {
	s.note("aside", r.String())
	s.aside[r.Key] = append(s.aside[r.Key], r.Stamp)
	if len(s.removed) == 0 && !s.rewound && !slices.ContainsFunc(s.hosts, func(h *host) bool { return h.left }) {
		s.violate("aside", "%s is set aside, and all nodes are members", r)
	}
}

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
	if at, ok := s.stays[slot]; ok && at != c.Labels.Node {
		s.violate("moved", "%s starts %s, which had no reason to move", h.name, c.Labels.Task())
	}
	copies := s.copies(slot)
	if s.plan.once && batch(c.Labels.Job) && len(copies) > 1 {
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
			s.promises(a.host, r)
		}
		s.knows[of][a.host] = true
	}
}

// promises checks what must hold when a host promises to run a slot: that a copy of what
// is to be left alone does not run out of its reach, unless nobody else knows of it. A
// first placement that nobody has heard of excludes no other.
func (s *Sim) promises(h *host, r gossip.Record) {
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

// accepted counts what a node takes against what it has, and looks whether it may.
func (s *Sim) accepted(a, from *agent, recs []gossip.Record) {
	for _, r := range recs {
		k := keyOf(r)
		if j := a.core.Job(k.Job); j == nil || j.Life() != k.Life || !j.Wants(k.Slot) {
			s.violate("unwanted", "%s accepts %s, which it knows that nobody wants", a.host.name, r)
		}
		award := fmt.Sprintf("%s of %s", r, from.boot)
		s.note("accept", a.host.name, award)
		if other, ok := s.given[award]; ok && other != a.id {
			s.violate("reused", "%s was accepted twice", award)
		}
		s.given[award] = a.id
	}
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
		if k.destroyed >= k.promised || len(k.on) > 0 && !s.someWhole(k.on) {
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

// promised notes that a node has told an auctioneer that it accepts.
func (s *Sim) promised(a *agent, recs []gossip.Record) {
	s.accepts[a.host] = append(s.accepts[a.host], recs...)
}

// remembers checks that a node that comes back knows what it has accepted.
func (s *Sim) remembers(a *agent) {
	for _, r := range s.accepts[a.host] {
		k := keyOf(r)
		if j, rec := a.core.Job(k.Job), a.core.Slot(k); j != nil && j.Life() == k.Life && (rec == nil || rec.Epoch() < r.Stamp.Major) {
			s.violate("forgotten", "%s had said that it accepts %s, and comes back without", a.host.name, r)
		}
	}
}

// Starts of one slot that may fail within so long: each waits twice as long as the
// one before it.
const (
	failuresIn   = 40 * time.Second
	failuresMost = 20
)

func (s *Sim) failed(k peer.SlotKey) {
	f := append(s.failures[k], s.now)
	s.failures[k] = f
	if n := len(f) - failuresMost; n >= 0 && s.now-f[n] < failuresIn && len(f) > failuresMost {
		s.violate("hurry", "%s failed to start %d times within %s", k, failuresMost, s.now-f[n])
	}
}

// stay notes where all slots are that run once: there they are to stay.
func (s *Sim) stay() {
	s.stays = map[string]api.NodeID{}
	for _, h := range s.hosts {
		for _, c := range h.engine.containers {
			if slot := slotOf(c.Labels); len(s.copies(slot)) == 1 && c.State == runtime.Running {
				s.stays[slot] = c.Labels.Node
			}
		}
	}
}

// keyOf is the slot that a record is of.
func keyOf(r gossip.Record) (k peer.SlotKey) {
	parts := strings.Split(r.Key, "/") // a core made it
	k.Job = parts[1]
	k.Life, _ = strconv.ParseInt(parts[2], 10, 64)
	k.Slot, _ = strconv.Atoi(parts[3])
	return k
}
