package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
)

// Step is one thing that is done to the cluster, at a time since the run began.
type Step struct {
	At   time.Duration
	Do   string
	Host int
	Of   string // whose part in Job makes the host, when the time comes; "": Host does
	Peer int    // the other host, for links
	Job  string // for what the operator does
	N    int    // replicas, or a version
	For  time.Duration
}

// String is the step in plain words.
func (st Step) String() string {
	at := fmt.Sprintf("%7.3fs ", st.At.Seconds())
	switch {
	case st.Of != "":
		return at + fmt.Sprintf("%s of %s: %s %d for %s", st.Of, st.Job, st.Do, st.N, st.For)
	case st.Job != "":
		return at + fmt.Sprintf("n%d: %s %s %d", st.Host, st.Do, st.Job, st.N)
	case st.Do == "forget":
		return at + fmt.Sprintf("n%d: forget n%d", st.Host, st.Peer)
	case st.Peer >= 0:
		return at + fmt.Sprintf("n%d-n%d: %s for %s", st.Host, st.Peer, st.Do, st.For.Round(time.Millisecond))
	case st.For > 0:
		return at + fmt.Sprintf("n%d: %s for %s", st.Host, st.Do, st.For.Round(time.Millisecond))
	}
	return at + fmt.Sprintf("n%d: %s", st.Host, st.Do)
}

// do carries a step out.
func (s *Sim) do(st Step) {
	s.note("step", st.String())
	for _, h := range s.subjects(st) {
		st.Host = h.index
		s.doAt(h, st)
	}
}

// doAt carries a step out at a host.
func (s *Sim) doAt(h *host, st Step) {
	e := &h.engine
	back := func(undo func()) { s.after(st.For, func() { s.unless(undo) }) }
	switch st.Do {
	case "submit":
		s.write(h, st.String(), func(c *peer.Core, now time.Time) (*gossip.Record, error) {
			return c.Submit(specOf(st.Job, st.N, 0), now)
		})
	case "put":
		s.write(h, st.String(), func(c *peer.Core, now time.Time) (*gossip.Record, error) {
			return c.Put(specOf(st.Job, st.N, int(st.At)), now)
		})
	case "scale":
		s.write(h, st.String(), func(c *peer.Core, now time.Time) (*gossip.Record, error) { return c.Scale(st.Job, st.N, now) })
	case "stop":
		s.write(h, st.String(), func(c *peer.Core, now time.Time) (*gossip.Record, error) { return c.Stop(st.Job, now) })
	case "restart":
		s.write(h, st.String(), func(c *peer.Core, now time.Time) (*gossip.Record, error) { return c.Restart(st.Job, now) })
	case "remove":
		s.write(h, st.String(), func(c *peer.Core, now time.Time) (*gossip.Record, error) { return c.Remove(st.Job, now) })
	case "forget":
		s.forgetHost(h, s.hosts[st.Peer])
	case "drain", "resume":
		s.drain(h, st.Do == "drain")
	case "leave":
		if h.agent != nil && h.agent.core.Ready() && s.remaining() > 2 {
			h.agent.core.Leave()
			h.leaving = true
		}
	case "crash":
		h.crash()
	case "kill":
		h.kill()
	case "boot":
		h.boot()
	case "wipe":
		h.wipe()
	case "copy":
		d := h.disk.copy()
		h.old = &d
	case "restore":
		h.restore()
	case "poweroff":
		for _, h := range s.hosts {
			h.crash()
			s.after(s.upTo(15*time.Second), h.boot)
		}
	case "cut", "reset", "oneway", "isolate", "mute":
		s.cutLinks(st)
	case "killacceptor", "cutacceptor", "wipeholders":
		s.traps = append(s.traps, st)
	case "lag":
		h.lags = s.now + st.For
	case "stay":
		s.stay()
	case "err":
		if h.agent != nil {
			h.agent.wrong[s.hosts[st.Peer].id] = s.now + st.For
		}
	case "slow":
		e.slow = 20 * time.Second
		back(func() { e.slow = 0 })
	case "fail":
		e.failing = true
		back(func() { e.failing = false })
	case "hang":
		e.hanging = true
		back(func() { e.hanging = false })
	case "down":
		e.down = true
		back(func() { e.down = false; h.changed() })
	case "skew":
		h.skew = s.between(-2*time.Hour, 2*time.Hour)
		if s.retention < h.skew.Abs() { // nobody keeps tombstones for less than clocks may differ
			h.skew = 0
		}
	}
}

// unless does something that ends a fault, unless the chaos is over and all of them ended.
func (s *Sim) unless(undo func()) {
	if s.busy() {
		undo()
	}
}

func (s *Sim) remaining() (n int) {
	for _, h := range s.hosts {
		if !h.left && !h.leaving {
			n++
		}
	}
	return n
}

// forgetHost has a node take another one, which it holds for dead, out of the members.
func (s *Sim) forgetHost(at, gone *host) {
	a := at.agent
	if a == nil || !a.core.Ready() || a.members[gone.id] != nil && a.members[gone.id].Status == gossip.MemberAlive {
		return
	}
	if r, err := a.core.Removal(gone.id, a.now()); err == nil && r != nil {
		a.put(nil, *r)
		s.removed[gone.id] = true
	}
}

func (s *Sim) drain(h *host, on bool) {
	if h.agent == nil {
		return
	}
	if r, err := h.agent.core.Drain(on, h.agent.now()); err == nil && r != nil {
		h.agent.put(nil, *r)
		h.draining = on
	}
}

// cutLinks cuts links, and mends them when their time is over.
func (s *Sim) cutLinks(st Step) {
	how, links := silent, [][2]int{{st.Host, st.Peer}, {st.Peer, st.Host}}
	switch st.Do {
	case "oneway":
		links = links[:1]
	case "reset":
		how = resetting
	case "isolate", "mute", "cutoff":
		links = nil
		for i := range s.hosts {
			if i == st.Host {
				continue
			}
			if links = append(links, [2]int{st.Host, i}); st.Do != "cutoff" {
				links = append(links, [2]int{i, st.Host})
			}
		}
	}
	if st.Do == "mute" {
		how = deaf
	}
	for _, l := range links {
		s.cut[l] = how
		if a, b := s.hosts[l[0]].agent, s.hosts[l[1]].agent; how == resetting && a != nil && b != nil {
			a.after(0, func() { a.disconnected(b.id, b.boot) })
		}
	}
	s.after(st.For, func() {
		s.unless(func() {
			for _, l := range links {
				delete(s.cut, l)
			}
		})
	})
}

// Counts is how often each word came, in words.
func Counts(words map[string]int) string {
	parts := make([]string, 0, len(words))
	for _, w := range sortedKeys(words) {
		parts = append(parts, fmt.Sprintf("%s %d", w, words[w]))
	}
	return strings.Join(parts, ", ")
}
