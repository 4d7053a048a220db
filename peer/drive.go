package peer

import (
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/runtime"
)

// Core is a node's core for whoever is all of its edges: the simulator. A Peer has
// the same core and calls the same methods in the same order; what a Peer does with
// sockets, disks and engines, the caller does with values. It is not safe for
// concurrent use. Times never go back in calls, except where a clock is meant to.
type Core struct{ core }

// CoreConfig is what a Core is made of.
type CoreConfig struct {
	ID       api.NodeID
	Boot     string
	Cluster  string
	Name     string
	Capacity api.Resources
	Labels   map[string]string
	Drivers  []runtime.Driver // never called; only their names count
	Fresh    bool             // the first node of a new cluster
	Started  time.Time
	Around   Surroundings
	Random   func() float64 // in [0,1)
	NewID    func() string  // of an auction; never the same twice
	Starts   int            // attempts started at once, for bids
	Log      logrus.FieldLogger
}

// NewCore makes a node that knows nothing yet. Load its table with Take.
func NewCore(cfg CoreConfig) *Core {
	c := &Core{newCore(Config{Name: cfg.Name, Capacity: cfg.Capacity, Labels: cfg.Labels, Drivers: cfg.Drivers, Fresh: cfg.Fresh, Profile: gossip.ProfileLAN, Log: cfg.Log})}
	c.id, c.boot, c.cluster, c.started = cfg.ID, cfg.Boot, cfg.Cluster, cfg.Started
	c.around, c.random, c.newID, c.width = cfg.Around, cfg.Random, cfg.NewID, cfg.Starts
	return c
}

// Take follows the table: records that changed in it, and keys that left it.
func (c *Core) Take(now time.Time, changed []gossip.Record, dropped []string) {
	for _, r := range changed {
		c.note(r, now)
	}
	for _, key := range dropped {
		c.forget(key)
	}
}

// Turn is one look. It returns what is to be done, and keeps what is to be put in
// the table for Outbox. A node that is not ready does nothing.
func (c *Core) Turn(now time.Time) []Action {
	if c.becomeReady(now); !c.ready {
		return nil
	}
	member, enroll := c.enroll(now)
	_, actions := c.decide(c.nodes(now), now)
	if enroll {
		c.outbox = append(c.outbox, member)
	}
	return actions
}

// Outbox hands over the records that were written since the last call.
func (c *Core) Outbox() []gossip.Record { return c.takeOutbox() }

// Ready says whether the node may act.
func (c *Core) Ready() bool { return c.ready }

// Tags are what the node gossips of itself.
func (c *Core) Tags() map[string]string { return c.tagsLocked() }

// Members are those whose word counts for forgetting removals.
func (c *Core) Members(now time.Time) []gossip.Peer { return c.lastingMembers(now) }

// Alive are the ids of the other nodes that are alive here, in order.
func (c *Core) Alive() []string { return c.aliveMembers() }

// Disks is how many disks make a write safe.
func (c *Core) Disks(now time.Time) int { return c.safeOn(now) }

// Begin begins the auction of a, unless the job is changing just now or too many are
// under way. It ends with Remember.
func (c *Core) Begin(a Auction, now time.Time) (bidding.Lot, bool) {
	if len(c.auctions) >= maxAuctions {
		return bidding.Lot{}, false
	}
	lot, ok := c.lot(a, now)
	if ok {
		c.auctions[a.Job] = true
	}
	return lot, ok
}

// Remember takes in how the auction of a lot ended, and returns what its owners are
// to be asked to let go.
func (c *Core) Remember(a Auction, lot string, result bidding.Result, now time.Time) []Release {
	out := c.toRelease(a, result)
	delete(c.auctions, a.Job)
	c.remember(a, lot, result, now)
	return out
}

// Bid answers a call.
func (c *Core) Bid(call bidding.Call, now time.Time) bidding.Bid {
	return bidding.MakeBid(call, c.bidder(call.Job, call.Life, call.TemplateHash, call.Slots, now))
}

// Accept decides an award whose records, those of AwardRecords, are in the table. It
// returns what is to be on disk before Answer is sent.
func (c *Core) Accept(from api.NodeID, aw bidding.Award, job gossip.Record, now time.Time) ([]gossip.Record, []*api.Refusal) {
	refusals := make([]*api.Refusal, len(aw.Slots))
	return c.accept(from, aw, job, refusals, now), refusals
}

// Refuse is the answer to an award by a node that this one has not synced with.
func (c *Core) Refuse(aw bidding.Award, job gossip.Record) bidding.Answer {
	return c.answer(aw, job, refuseAll(aw, notSynced()))
}

// Answer is what the node's records say of what was awarded.
func (c *Core) Answer(aw bidding.Award, job gossip.Record, refusals []*api.Refusal) bidding.Answer {
	return c.answer(aw, job, refusals)
}

// Outcomes is what an answer says, once its records, those of AnswerRecords, are in
// the table.
func (c *Core) Outcomes(from api.NodeID, aw bidding.Award, ans bidding.Answer, now time.Time) []bidding.Outcome {
	return c.outcomes(from, aw, ans, now)
}

// AwardRecords are the records that an award has, that of the job first. A refusal
// says what is wrong with them.
func AwardRecords(aw bidding.Award) ([]gossip.Record, *api.Refusal) { return awardRecords(aw) }

// AnswerRecords are the records that an answer has.
func AnswerRecords(ans bidding.Answer) []gossip.Record { return answerRecords(ans) }

// LetGo carries out a Release that this node was asked for.
func (c *Core) LetGo(r Release, now time.Time) { c.letGo(r.Key, r.Epoch, r.Job, now) }

// OnIt says whether this node takes care of a job, so that lower ranks need not.
func (c *Core) OnIt(job string, life int64, now time.Time) bool { return c.caresFor(job, life, now) }

// Asking remembers that a's higher ranks are asked. The first few of them are to be.
func (c *Core) Asking(a Ask, now time.Time) (keys []SlotKey, ranks []api.NodeID) {
	return c.asking(a, now), a.Higher[:min(askedRanks, len(a.Higher))]
}

// Heard takes in whether one of the higher ranks is on it.
func (c *Core) Heard(keys []SlotKey, on bool) { c.heardOf(keys, on) }

// Bye takes in that a boot means to be back by then.
func (c *Core) Bye(boot string, until time.Time) { c.byes[boot] = until }

// Hold says which containers there are. Unlisted are the drivers that do not say:
// theirs of held are as they were.
func (c *Core) Hold(held []Held, unlisted map[string]bool) {
	c.containers, c.unlisted, c.listed = held, unlisted, true
}

// Usable says why a driver cannot be used, or "" if it can.
func (c *Core) Usable(driver, why string) { c.usable[driver] = why }

// Occupy marks a slot's containers as being worked on. Cancel, if it is not nil, ends
// a start of that epoch which nobody wants any more. Free undoes it, after Hold.
func (c *Core) Occupy(k SlotKey, epoch uint64, cancel func()) { c.occupy(k, epoch, cancel) }

// Free undoes one Occupy.
func (c *Core) Free(k SlotKey) { c.free(k) }

// Spec is what the driver is told to run for a start, and how long that may take.
func (c *Core) Spec(s Start) (runtime.Spec, time.Duration) {
	j := c.index.jobs[s.Key.Job]
	return c.spec(j, c.index.slot(s.Key)), time.Duration(j.Spec.StartTimeout)
}

// Starting says in the record that an attempt is being started.
func (c *Core) Starting(s Start, now time.Time) {
	c.updateLocked(s.Key, s.Epoch, now, func(a *Assignment) {
		if s.Restarts > 0 || a.State == api.Accepted {
			starting(a, s)
		}
	})
}

// Report writes what was observed of a slot of this node.
func (c *Core) Report(r Report, now time.Time) { c.reportLocked(r, now) }

// Leftover says why a dead sibling's container is to be ended, or "".
func (c *Core) Leftover(h runtime.Container, now time.Time) string { return c.leftover(h, now) }

// Submit creates a job. Like the other writes it is that of api.Service as a value:
// the record to be stored, or none if nothing changes.
func (c *Core) Submit(spec api.Job, now time.Time) (*gossip.Record, error) {
	return c.writes(c.creation(spec, api.WriteOptions{}), now)
}

// Put replaces a job's specification, or creates it.
func (c *Core) Put(spec api.Job, now time.Time) (*gossip.Record, error) {
	return c.writes(c.replacement(spec, api.WriteOptions{}), now)
}

// Scale sets the number of replicas.
func (c *Core) Scale(job string, replicas int, now time.Time) (*gossip.Record, error) {
	return c.writes(c.scaling(job, replicas, api.WriteOptions{}), now)
}

// Stop keeps a job without its tasks.
func (c *Core) Stop(job string, now time.Time) (*gossip.Record, error) {
	return c.writes(c.stopping(job, api.WriteOptions{}), now)
}

// Restart wants a stopped job again, or replaces its tasks.
func (c *Core) Restart(job string, now time.Time) (*gossip.Record, error) {
	return c.writes(c.restarting(job, api.WriteOptions{}), now)
}

// Remove removes a job for good.
func (c *Core) Remove(job string, now time.Time) (*gossip.Record, error) {
	return c.writes(c.removing(job, api.WriteOptions{}), now)
}

func (c *Core) writes(ch change, now time.Time) (*gossip.Record, error) {
	next, err := c.nextVersion(ch, now)
	if err != nil || next == nil {
		return nil, err
	}
	r, err := next.record(now)
	return &r, err
}

// Drain has the node give up its tasks, or take new ones again.
func (c *Core) Drain(on bool, now time.Time) (*gossip.Record, error) {
	m, changed, err := c.amended(func(m *MemberRecord) error { m.Draining = on; return nil })
	if err != nil || !changed {
		return nil, err
	}
	r, err := m.record(now)
	return &r, err
}

// Leave begins to leave the cluster. HasLeft says when nothing holds the node any
// more; then Removal of itself is to be stored, and it is gone.
func (c *Core) Leave() { c.leaving = true }

// HasLeft says whether the node is leaving and nothing holds it any more.
func (c *Core) HasLeft() bool { return c.hasLeft() }

// Removal is the record by which a node is no member any more; none if it is none.
func (c *Core) Removal(id api.NodeID, now time.Time) (*gossip.Record, error) {
	old := c.index.members[id]
	if old == nil || old.Removed {
		return nil, nil
	}
	r, err := c.removal(old, now)
	return &r, err
}

// Job is what the node knows of a job, nil if nothing. It must not be changed.
func (c *Core) Job(name string) *JobRecord { return c.index.jobs[name] }

// Slot is what the node knows of a slot, nil if nothing. It must not be changed.
func (c *Core) Slot(k SlotKey) *Assignment { return c.index.slot(k) }

// Committed is the sum of what this node has promised, and of how many attempts.
func (c *Core) Committed() (bidding.Ledger, int) { return c.ledger() }

// Meddling takes rules of the design away, to show that they are needed: each
// function changes what a core is about to look at, or what it is about to do. Nil
// ones change nothing.
type Meddling struct {
	World    func(*World)
	Local    func(*Local)
	Actions  func([]Action, *Local) []Action
	Bidder   func(*bidding.Bidder)
	Standing func(*bidding.Standing)
}

// Meddle sets what is meddled with.
func (c *Core) Meddle(m Meddling) { c.meddling = m }
