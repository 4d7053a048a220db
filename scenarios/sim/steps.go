package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
)

// Plan is all that a run does, drawn from its seed.
type Plan struct {
	Seed  uint64
	Nodes int
	Steps []Step
	Core  []int // hosts that are healed in the end while the rest stays as it is; nil: all are

	gentle    bool
	noise     noise
	retention time.Duration
}

// Step is one thing that is done to the cluster, at a time since the run began.
type Step struct {
	At   time.Duration
	Do   string
	Host int
	Peer int    // the other host, for links
	Job  string // for what the operator does
	N    int    // replicas, or a version
	For  time.Duration
}

// String is the step in plain words.
func (st Step) String() string {
	at := fmt.Sprintf("%7.3fs ", st.At.Seconds())
	switch {
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

// menus are what a schedule is drawn from; a word that stands there twice is drawn
// twice as often.
var (
	writes  = strings.Fields("submit submit submit put scale scale stop restart remove")
	faults  = strings.Fields("crash kill kill boot boot boot wipe copy restore cut cut oneway reset isolate err slow fail hang down skew poweroff")
	gentles = strings.Fields("drain resume resume slow leave")
)

const chaosEnds = 60 * time.Second

// NewPlan draws a plan. One in four is gentle: nodes drain and leave, engines are
// slow, and that is all.
func NewPlan(seed uint64) Plan {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := Plan{Seed: seed, Nodes: 3 + rng.IntN(7), gentle: rng.IntN(4) == 0, retention: gossip.DefaultRetention}
	menu := slices.Concat(gentles, faults)
	if p.gentle {
		menu = gentles
	} else {
		p.noise = noise{lost: []float64{0, 0.02, 0.1}[rng.IntN(3)], twice: []float64{0, 0.05}[rng.IntN(2)], delay: []time.Duration{0, 300 * time.Millisecond, 2 * time.Second}[rng.IntN(3)]}
		if rng.IntN(3) == 0 {
			p.retention = 20 * time.Second
		}
		if rng.IntN(3) == 0 {
			p.Core = rng.Perm(p.Nodes)[:2+rng.IntN(p.Nodes-1)]
			slices.Sort(p.Core)
		}
	}
	at := 3*time.Second + time.Duration(p.Nodes)*time.Second
	if !p.gentle && rng.IntN(6) == 0 {
		return p.absence(rng, at)
	}
	if !p.gentle && rng.IntN(6) == 0 {
		return p.sudden(rng, at)
	}
	for range 3 {
		at += time.Duration(rng.Int64N(int64(time.Second)))
		p.Steps = append(p.Steps, p.write(rng, at, "submit"))
	}
	for n := 4 + rng.IntN(14); n > 0; n-- {
		at += time.Duration(rng.ExpFloat64() * float64(3*time.Second))
		if at > chaosEnds {
			break
		}
		if rng.IntN(3) == 0 {
			p.Steps = append(p.Steps, p.write(rng, at, writes[rng.IntN(len(writes))]))
		} else {
			p.Steps = append(p.Steps, p.fault(rng, at, menu[rng.IntN(len(menu))]))
		}
	}
	return p
}

// absence is a plan in which a node is away while a job is removed, and maybe taken
// out of the members, until the tombstone may have gone.
func (p Plan) absence(rng *rand.Rand, at time.Duration) Plan {
	p.retention, p.Core = 10*time.Second, nil
	away := rng.IntN(p.Nodes)
	job := p.write(rng, at, "submit")
	remove := job
	remove.Do, remove.Host = "remove", (away+1+rng.IntN(p.Nodes-1))%p.Nodes
	remove.At = at + 7*time.Second
	p.Steps = []Step{job, p.write(rng, at+time.Second, "submit"), {At: at + 4*time.Second, Do: []string{"kill", "crash"}[rng.IntN(2)], Host: away, Peer: -1}, remove}
	if rng.IntN(2) == 0 {
		p.Steps = append(p.Steps, Step{At: at + 18*time.Second, Do: "forget", Host: remove.Host, Peer: away})
	}
	return p
}

// sudden is a plan in which nodes lose their disks right after they have taken a write.
func (p Plan) sudden(rng *rand.Rand, at time.Duration) Plan {
	for range 4 {
		st := p.write(rng, at, "submit")
		p.Steps = append(p.Steps, st, Step{At: at + time.Duration(rng.Int64N(int64(60*time.Millisecond))), Do: "wipe", Host: st.Host, Peer: -1},
			Step{At: at + 2*time.Second, Do: "boot", Host: st.Host, Peer: -1})
		at += 8 * time.Second
	}
	return p
}

func (p *Plan) write(rng *rand.Rand, at time.Duration, do string) Step {
	st := Step{At: at, Do: do, Host: rng.IntN(p.Nodes), Peer: -1, Job: jobNames[rng.IntN(len(jobNames))], N: 1 + rng.IntN(2)}
	if do == "scale" {
		st.N = rng.IntN(4)
	}
	return st
}

func (p *Plan) fault(rng *rand.Rand, at time.Duration, do string) Step {
	st := Step{At: at, Do: do, Host: rng.IntN(p.Nodes), Peer: -1}
	switch do {
	case "cut", "oneway", "reset", "err":
		st.Peer = (st.Host + 1 + rng.IntN(p.Nodes-1)) % p.Nodes
		st.For = time.Duration(rng.ExpFloat64() * float64(10*time.Second))
	case "isolate", "slow", "fail", "hang", "down":
		st.For = time.Duration(rng.ExpFloat64() * float64(10*time.Second))
	}
	return st
}

// do carries a step out.
func (s *Sim) do(st Step) {
	h := s.hosts[st.Host]
	s.note("step", st.String())
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
	case "cut", "reset", "oneway", "isolate":
		s.cutLinks(st)
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
	case "isolate":
		links = nil
		for i := range s.hosts {
			if i != st.Host {
				links = append(links, [2]int{st.Host, i}, [2]int{i, st.Host})
			}
		}
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
