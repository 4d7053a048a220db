package sim

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2ppeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// detection is how long gossip takes to find a node dead, by itself.
const detection = 5 * time.Second

// Sim is one run.
type Sim struct {
	queue
	rng       *rand.Rand
	bug       Bug
	hosts     []*host
	byID      map[api.NodeID]*host
	retired   []api.NodeID       // ids that wiped hosts had
	cut       map[[2]int]cutting // links, by the hosts from and to
	calm      bool               // the chaos is over
	traps     []Step             // ambushes that wait
	plan      Plan
	noise     noise
	retention time.Duration // of tombstones
	ids       int
	syncs     int
	trace     uint64            // of all that happened, to compare runs
	tell      func(line string) // nil: nobody
	oracle

	auctions, writes, starts int // so far
}

// cutting is how a link is cut: packets vanish, or are answered by a reset, or only
// those of gossip get through.
type cutting int

const (
	open cutting = iota
	silent
	resetting
	deaf // streams bring nothing, and gossip gets through
)

// noise is what the network does to messages while the chaos lasts.
type noise struct {
	lost, twice, late float64       // shares of all
	delay             time.Duration // of those that are late, at most, besides the usual
}

func newSim(p Plan, bug Bug) *Sim {
	s := &Sim{
		rng: rand.New(rand.NewPCG(p.Seed, 0)), bug: bug, byID: map[api.NodeID]*host{}, cut: map[[2]int]cutting{},
		noise: p.noise, retention: p.retention, plan: p, oracle: newOracle(p.gentle),
	}
	for i := range p.Nodes {
		h := &host{sim: s, index: i, name: fmt.Sprintf("n%d", i), room: api.Resources{CPUs: 4000, Memory: 4 << 30}, disk: disk{records: map[string]gossip.Record{}}}
		h.engine.host, h.engine.ending = h, map[string]bool{}
		s.hosts = append(s.hosts, h)
		s.identify(h)
	}
	for i, h := range s.hosts {
		s.after(time.Duration(i)*s.upTo(time.Second), h.boot)
	}
	s.repeat(500*time.Millisecond, s.gossip)
	s.repeat(time.Second, s.watch)
	return s
}

// identify gives a host an id that it never had.
func (s *Sim) identify(h *host) {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(s.rng.UintN(256))
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		panic(err) // a key of the right length: cannot happen
	}
	id, err := libp2ppeer.IDFromPrivateKey(key)
	if err != nil {
		panic(err)
	}
	h.id = api.NodeID(id.String())
	s.byID[h.id] = h
}

// retire makes a host another node: its data directory is gone.
func (s *Sim) retire(h *host) {
	s.retired = append(s.retired, h.id)
	delete(s.byID, h.id)
	s.identify(h)
}

func (s *Sim) newID() string {
	s.ids++
	return fmt.Sprintf("a%d", s.ids)
}

func (s *Sim) busy() bool { return !s.calm }

func (s *Sim) chance(p float64) bool { return s.rng.Float64() < p }

func (s *Sim) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(s.rng.Int64N(int64(d)))
}

func (s *Sim) between(least, most time.Duration) time.Duration { return least + s.upTo(most-least) }

// delay is how long a message takes.
func (s *Sim) delay() time.Duration {
	d := s.between(time.Millisecond, 10*time.Millisecond)
	if s.busy() && s.chance(s.noise.late) {
		d += s.upTo(s.noise.delay)
	}
	return d
}

// repeat has do happen for the whole run.
func (s *Sim) repeat(d time.Duration, do func()) {
	var again func()
	again = func() {
		do()
		s.after(d, again)
	}
	s.after(d, again)
}

// passes says whether messages get from one host to another.
func (s *Sim) passes(from, to *host) bool { return s.cut[[2]int{from.index, to.index}] == open }

// gossips says whether the packets of gossip get from each of two hosts to the other.
func (s *Sim) gossips(a, b *host) bool {
	there, back := s.cut[[2]int{a.index, b.index}], s.cut[[2]int{b.index, a.index}]
	return (there == open || there == deaf) && (back == open || back == deaf)
}

// talks says whether two hosts reach each other.
func (s *Sim) talks(a, b *host) bool { return s.passes(a, b) && s.passes(b, a) }

// appeared connects a new agent with those whom it reaches.
func (s *Sim) appeared(h *host) { s.note("boot", h.name, h.agent.boot) }

// vanished is what the others notice of the end of an agent.
func (s *Sim) vanished(h *host, a *agent) {
	s.note("end", h.name, a.boot)
	for _, o := range s.hosts {
		b := o.agent
		if b == nil || o == h || !s.talks(o, h) {
			continue
		}
		b.after(s.upTo(10*time.Millisecond), func() { b.disconnected(a.id, a.boot) })
	}
}

// gossip lets all views follow what is true, some time later.
func (s *Sim) gossip() {
	for _, h := range s.hosts {
		if h.agent != nil {
			h.agent.view()
		}
	}
}

// reaches says whether gossip finds b alive from a: directly, or through a third.
func (s *Sim) reaches(a, b *host) bool {
	return s.gossips(a, b) || slices.ContainsFunc(s.hosts, func(c *host) bool {
		return c.agent != nil && c != a && c != b && s.gossips(a, c) && s.gossips(c, b)
	})
}

// note adds a line to the trace of the run.
func (s *Sim) note(words ...string) {
	for _, w := range append(words, s.now.String()) {
		for i := range len(w) {
			s.trace = (s.trace ^ uint64(w[i])) * 1099511628211
		}
		s.trace = (s.trace ^ 255) * 1099511628211
	}
	if s.tell != nil {
		s.tell(fmt.Sprintf("%10s  %s", s.now.Round(time.Millisecond), strings.Join(words, " ")))
	}
}

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
