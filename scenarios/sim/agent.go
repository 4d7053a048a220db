package sim

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/fake"
)

// agent is one run of the program on a host: the cores, and events in place of all
// that connects them in a real node.
type agent struct {
	sim      *Sim
	host     *host
	id       api.NodeID
	boot     string
	skew     time.Duration // of the clock that it started with: time that passes is measured without it
	core     *peer.Core
	table    *gossip.Table
	detector *gossip.Detector
	seq      bidding.Sequence
	auctions map[string]*auction
	links    map[api.NodeID]*link
	members  map[api.NodeID]*gossip.Member // what gossip says here, this node included
	sorted   []gossip.Member               // the same; nil when it is to be made anew
	wrong    map[api.NodeID]time.Duration  // who is taken for dead until then, whatever is true
	tags     map[string]string             // as the others are told
	ever     bool                          // a sync has completed
	looking  bool                          // a look is due soon
	writing  time.Duration                 // when the last write will be on disk
	held     []peer.Held                   // the last list
}

// link is what an agent knows of another node and how it talks to it.
type link struct {
	connected bool
	boot      string // of the other side of the connection
	synced    bool
	behind    bool
	seen      time.Duration // when gossip last reached it
	broken    time.Duration // since when the connection brings nothing; 0 while it does
	syncing   int           // number of the sync under way; 0 for none
	out       []gossip.Record
}

// epoch is when every run begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newAgent(h *host, boot string) *agent {
	a := &agent{
		sim: h.sim, host: h, id: h.id, boot: boot, skew: h.skew,
		table: gossip.NewTable(peer.Rules()), detector: gossip.NewDetector(h.sim.rng.IntN),
		auctions: map[string]*auction{}, links: map[api.NodeID]*link{}, members: map[api.NodeID]*gossip.Member{}, wrong: map[api.NodeID]time.Duration{},
	}
	a.core = peer.NewCore(peer.CoreConfig{
		ID: h.id, Boot: boot, Cluster: "sim", Name: h.name, Capacity: h.room, Drivers: []runtime.Driver{named{fake.New(h.id, "sim")}},
		Fresh: h.index == 0 && h.boots == 1, Started: a.now(), Around: around{a}, Random: h.sim.rng.Float64, NewID: h.sim.newID, Starts: 4, Log: quiet(),
	})
	a.core.Usable(driverName, "")
	if h.sim.bug.Meddle != nil {
		a.core.Meddle(h.sim.bug.Meddle(a.core))
	}
	a.table.Retention = h.sim.retention
	a.table.SetMeta(h.disk.copy().meta)
	recs := make([]gossip.Record, 0, len(h.disk.records))
	for _, key := range sortedKeys(h.disk.records) {
		recs = append(recs, h.disk.records[key])
	}
	a.core.Take(a.now(), a.table.Load(a.now(), recs...).News, nil)
	a.members[a.id] = a.member(gossip.MemberAlive, a)
	a.relist()
	a.every(time.Second, a.look)
	a.every(2*time.Second, a.syncWithSomebody)
	a.every(min(time.Minute, h.sim.retention/10), a.expire)
	a.every(10*time.Second, a.reap)
	return a
}

// named is a driver as jobs name it.
type named struct{ *fake.Driver }

func (named) Name() string { return driverName }

func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.SetLevel(logrus.PanicLevel)
	return log
}

func (a *agent) now() time.Time { return epoch.Add(a.sim.now + a.skew) }
func (a *agent) lives() bool    { return a.host.agent == a }

// after is Sim.after for something that dies with the agent.
func (a *agent) after(d time.Duration, do func()) {
	a.sim.after(d, func() {
		if a.lives() {
			do()
		}
	})
}

// every has do happen about so often, and soon for the first time.
func (a *agent) every(d time.Duration, do func()) {
	var again func()
	again = func() {
		do()
		a.after(d*3/4+a.sim.upTo(d/2), again)
	}
	a.after(a.sim.upTo(d), again)
}

func (a *agent) link(id api.NodeID) *link {
	l := a.links[id]
	if l == nil {
		l = &link{}
		a.links[id] = l
	}
	return l
}

// member is an agent as gossip tells of it.
func (a *agent) member(status gossip.MemberStatus, of *agent) *gossip.Member {
	return &gossip.Member{
		ID: string(of.id), Boot: of.boot, Started: of.now().UnixMilli(), Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(of.host.index + 1)}), GossipPort: 7071, PeerPort: 7072,
		Tags: of.tags, Status: status, Since: a.now(),
	}
}

// around is what a core sees of its agent.
type around struct{ a *agent }

func (s around) Members() []gossip.Member {
	if s.a.sorted == nil {
		for _, id := range sortedKeys(s.a.members) {
			s.a.sorted = append(s.a.sorted, *s.a.members[id])
		}
	}
	return s.a.sorted
}

func (s around) Dead(id string) (bool, string, time.Time) { return s.a.detector.Dead(id) }
func (s around) Get(key string) (gossip.Record, bool)     { return s.a.table.Get(key) }
func (s around) Synced(id api.NodeID) bool                { return s.a.link(id).synced }
func (s around) EverSynced() bool                         { return s.a.ever }
func (s around) Apart() []gossip.Apart                    { return nil } // all are of one release
func (s around) Address() string                          { return s.a.host.name + ":7071" }

// lookSoon has the agent look at the world after a short pause.
func (a *agent) lookSoon() {
	if a.looking {
		return
	}
	a.looking = true
	a.after(10*time.Millisecond, func() {
		a.looking = false
		a.look()
	})
}

// look is one turn of a node's loop.
func (a *agent) look() {
	actions := a.core.Turn(a.now())
	a.flush()
	for _, action := range actions {
		switch action := action.(type) {
		case peer.Auction:
			a.hold(action)
		case peer.Ask:
			a.askHigher(action)
		case peer.Start:
			a.start(action)
		case peer.Stop:
			a.stop(action)
		case peer.Remove:
			a.remove(action)
		}
	}
	a.tags = a.core.Tags()
	if a.core.HasLeft() && a.core.Ready() {
		a.leave()
	}
}

// flush puts what the core has written into the table.
func (a *agent) flush() {
	for _, r := range a.core.Outbox() {
		a.put(nil, r)
	}
}

// put writes records of this node, and calls done when they are on its disk. It
// says whether they were taken.
func (a *agent) put(done func(), recs ...gossip.Record) bool {
	m := a.table.Load(a.now(), recs...)
	if len(m.News) < len(recs) {
		for _, r := range recs { // what the index has beside the table is set right
			if cur, ok := a.table.Get(r.Key); ok {
				a.core.Take(a.now(), []gossip.Record{cur}, nil)
			} else {
				a.core.Take(a.now(), nil, []string{r.Key})
			}
		}
	}
	a.host.counts(&a.sim.writes, len(m.News))
	a.took(m, "")
	if done != nil {
		a.durable(done)
	}
	return len(m.News) == len(recs)
}

// took follows a merge: the index, the disk, the others but one, and a new look.
func (a *agent) took(m gossip.Merged, from api.NodeID) {
	if len(m.News) == 0 && len(m.Dropped) == 0 {
		return
	}
	a.core.Take(a.now(), m.News, m.Dropped)
	a.sim.heard(a, m.News)
	a.commit(m.News, m.Dropped)
	a.spread(m.News, from)
	a.lookSoon()
}

// commit brings changes to the disk some time later, in order.
func (a *agent) commit(puts []gossip.Record, deletes []string) {
	meta := a.table.Meta()
	a.durable(func() {
		for _, key := range deletes {
			delete(a.host.disk.records, key)
		}
		for _, r := range puts {
			a.host.disk.records[r.Key] = r
		}
		a.host.disk.meta = meta
	})
}

// durable calls then when all that was written so far is on the disk.
func (a *agent) durable(then func()) {
	a.writing = max(a.writing, a.sim.now+a.sim.between(time.Millisecond, 6*time.Millisecond))
	a.after(a.writing-a.sim.now, then)
}

// relist asks the engine what there is. One that does not answer leaves the old list.
func (a *agent) relist() {
	if a.host.engine.down {
		a.core.Hold(a.held, map[string]bool{driverName: true})
		return
	}
	a.held = a.host.engine.list(a.id)
	a.core.Hold(a.held, nil)
}

// occupied begins something with a slot's containers; the function returned ends it.
func (a *agent) occupied(k peer.SlotKey, e uint64, cancel func()) (over func()) {
	a.core.Occupy(k, e, cancel)
	return func() {
		if a.lives() {
			a.relist()
			a.core.Free(k)
			a.lookSoon()
		}
	}
}

// whenUp calls do once the engine answers.
func (a *agent) whenUp(do func()) {
	if !a.host.engine.down {
		do()
		return
	}
	a.after(time.Second, func() { a.whenUp(do) })
}

func (a *agent) start(s peer.Start) {
	e := &a.host.engine
	spec, timeout := a.core.Spec(s)
	cancelled, late, over := false, false, func() {}
	answered := false
	finish := func(r *peer.Report) {
		if answered {
			return
		}
		answered = true
		if r != nil && a.lives() {
			a.core.Report(*r, a.now())
			a.flush()
		}
		over()
	}
	over = a.occupied(s.Key, s.Epoch, func() { cancelled = true; a.after(0, func() { finish(nil) }) })
	failed := func(why string) {
		finish(&peer.Report{Key: s.Key, Epoch: s.Epoch, State: api.Failed, Failed: true, Reason: why})
	}
	takes := a.sim.between(20*time.Millisecond, 300*time.Millisecond) + a.sim.upTo(e.slow)
	if s.Restarts > 0 {
		a.core.Starting(s, a.now())
		a.flush()
	} else {
		a.after(500*time.Millisecond, func() {
			if !answered {
				a.core.Starting(s, a.now())
				a.flush()
			}
		})
	}
	a.after(timeout, func() { late = true; failed("not running within its start timeout") })
	hangs, fails := e.hanging, e.failing
	a.sim.after(takes, func() { // an engine finishes what it has begun, whoever asked
		switch {
		case hangs, e.down:
			return
		case fails:
			a.sim.failed(s.Key)
			failed("the engine says no")
			return
		case cancelled, late, answered:
			return
		case !a.lives() && a.sim.chance(0.5):
			return
		}
		for _, c := range e.containers {
			if c.Labels.Task() == spec.Labels.Task() && c.Labels.Life == spec.Labels.Life && c.Labels.Node == a.id {
				if c.State != runtime.Exited {
					finish(nil)
					return
				}
				e.remove(c.ID)
				break
			}
		}
		c := *e.run(spec, a.now())
		finish(&peer.Report{Key: s.Key, Epoch: s.Epoch, State: api.Running, Container: &c})
	})
}

func (a *agent) stop(s peer.Stop) {
	over := a.occupied(s.Held.Key(), 0, nil)
	a.whenUp(func() {
		a.host.engine.ending[s.Held.ID] = true
		a.sim.after(a.sim.between(10*time.Millisecond, 300*time.Millisecond), func() {
			a.host.engine.exit(s.Held.ID, 143)
			over()
		})
	})
}

func (a *agent) remove(r peer.Remove) {
	over := a.occupied(r.Held.Key(), 0, nil)
	a.whenUp(func() {
		a.host.engine.remove(r.Held.ID)
		over()
	})
}

// reap ends what dead siblings left on the engine: nodes that this host was before.
func (a *agent) reap() {
	for _, c := range slices.Clone(a.host.engine.containers) {
		if c.Labels.Node != a.id && a.core.Leftover(*c, a.now()) != "" {
			a.host.engine.exit(c.ID, 137)
			a.host.engine.remove(c.ID)
		}
	}
}

// others are the members whose word counts, but this node.
func (a *agent) others() []gossip.Peer {
	return slices.DeleteFunc(a.core.Members(a.now()), func(p gossip.Peer) bool { return p.ID == string(a.id) })
}

// expire drops old tombstones.
func (a *agent) expire() {
	members := a.others()
	if a.sim.bug.NoExpiry {
		members = nil
	}
	if gone := a.table.Expire(a.now(), members); len(gone) > 0 {
		a.core.Take(a.now(), nil, gone)
		a.commit(nil, gone)
	}
}

// leave is the end of a node that has given all up: it takes itself out of the
// members, and is gone.
func (a *agent) leave() {
	if r, err := a.core.Removal(a.id, a.now()); err == nil && r != nil {
		a.put(nil, *r)
		a.after(200*time.Millisecond, func() {
			a.host.left = true
			a.sim.lostDisk(a.host, disk{}) // it keeps nothing but its key
			a.host.kill()
		})
	}
}

// batch says whether a job is of the kind that ends.
func batch(job string) bool { return strings.HasPrefix(job, "batch") }
