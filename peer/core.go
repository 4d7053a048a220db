package peer

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/runtime"
)

// Surroundings is what a node sees beyond its own memory: its table and its gossip.
// A real node has its Replica and its Membership; the simulator has its own.
type Surroundings interface {
	Members() []gossip.Member                                // as gossip has them, every boot
	Dead(id string) (dead bool, why string, since time.Time) // found before gossip says so
	Get(key string) (gossip.Record, bool)                    // from the table
	Synced(id api.NodeID) bool                               // tables were compared, in this boot of both
	EverSynced() bool                                        // with anybody, in this boot
	Apart() []gossip.Apart                                   // whose releases are too far apart for one cluster
	Address() string                                         // where this node's gossip is reached
}

// core is what a node knows and decides: no lock, clock, disk, network or engine of
// its own. A Peer drives it under its mutex; the simulator of scenarios/sim drives
// it from a queue of events, see [Core]. Whatever it writes goes to its outbox, and
// from there to the table.
type core struct {
	cfg      Config
	id       api.NodeID
	boot     string
	cluster  string // id
	lock     string // file that a living agent of this node holds
	log      logrus.FieldLogger
	drivers  map[string]runtime.Driver
	started  time.Time
	around   Surroundings
	random   func() float64 // in [0,1), spreads retries
	newID    func() string  // of an auction; never the same twice
	width    int            // attempts started at once
	hooks    hooks
	meddling Meddling // none in a Peer

	index           *index
	ready           bool
	readySince      time.Time
	leaving, forced bool // the node is to leave; without waiting
	joined          bool // Join has succeeded
	notReady        string
	changed         map[SlotKey]time.Time // when the slot's record was last seen to change
	memory          map[SlotKey]*Memory
	moveAt          map[SlotKey]time.Time
	stays           map[SlotKey]stay
	unanswered      map[SlotKey]uint64 // highest epoch awarded of which there was no answer, or no record with it
	auctions        map[string]bool    // jobs with an auction under way
	containers      []Held
	listed          bool            // containers have been listed since the start
	unlisted        map[string]bool // drivers whose last list failed; replaced, never changed
	busy            map[SlotKey]*op // what is being done to containers
	heard           *bidding.Heard
	lostDrivers     map[api.NodeID]map[string]time.Time // by node and driver: zero while it works, else since when it does not
	failures        map[string]*fault                   // by job name
	usable          map[string]string                   // driver → "" or why it cannot be used
	byes            map[string]time.Time                // boots that said they would be back → until when they are waited for
	seen            map[api.NodeID]bool                 // seen alive since this boot
	offsets         map[api.NodeID]time.Duration        // of the others' clocks
	freeSeen        map[api.NodeID]api.Resources        // as gossiped, to see it grow
	outbox          []gossip.Record                     // written to the index, not yet to the table
}

// hooks are how whoever watches a core hears of what it does. Nil ones are not called.
type hooks struct {
	enter   func() error                                                 // before it is ready, and anything is promised on its disk
	noted   func(key string, prev entry, r gossip.Record, now time.Time) // news in the index
	failed  func(k SlotKey)                                              // an attempt of this node
	retried func(job string)                                             // an auction left slots of it over
}

func newCore(cfg Config) core {
	c := core{
		cfg: cfg, drivers: map[string]runtime.Driver{}, log: cfg.Log, random: rand.Float64, newID: newBoot, width: maxStarts(),
		index: newIndex(cfg.Log), notReady: "starting",
		changed: map[SlotKey]time.Time{}, memory: map[SlotKey]*Memory{}, moveAt: map[SlotKey]time.Time{}, stays: map[SlotKey]stay{},
		unanswered: map[SlotKey]uint64{}, auctions: map[string]bool{}, busy: map[SlotKey]*op{},
		heard: bidding.NewHeard(heardSlots), lostDrivers: map[api.NodeID]map[string]time.Time{},
		failures: map[string]*fault{}, usable: map[string]string{}, byes: map[string]time.Time{},
		seen: map[api.NodeID]bool{}, offsets: map[api.NodeID]time.Duration{}, freeSeen: map[api.NodeID]api.Resources{},
	}
	for _, d := range cfg.Drivers {
		c.drivers[d.Name()] = d
	}
	return c
}

// decide is one look: what is the world like, and what should be done. What is only
// a matter of writing it down is done at once.
func (c *core) decide(nodes map[api.NodeID]*nodeView, now time.Time) (*World, []Action) {
	c.capacityGrew(nodes)
	c.noteDrivers(nodes, now)
	w, l := c.world(nodes, now), c.local(nodes, now)
	meddle(c.meddling.World, w)
	meddle(c.meddling.Local, l)
	Observe(w)
	actions := append(Plan(w), Reconcile(l)...)
	if c.meddling.Actions != nil {
		actions = c.meddling.Actions(actions, l)
	}
	var do []Action
	for _, a := range actions {
		switch a := a.(type) {
		case Report:
			c.reportLocked(a, now)
		case Adopt:
			c.adoptLocked(a, now)
		default:
			do = append(do, a)
		}
	}
	c.cancelStale()
	return w, do
}

func meddle[T any](f func(*T), v *T) {
	if f != nil {
		f(v)
	}
}

// note takes one record into the index and remembers when.
func (c *core) note(r gossip.Record, now time.Time) {
	prev := c.index.entry(r.Key)
	if !c.index.apply(r) {
		return
	}
	if k, err := parseSlotKey(r.Key); err == nil {
		c.changed[k] = now
	}
	if c.hooks.noted != nil {
		c.hooks.noted(r.Key, prev, r, now)
	}
}

// forget drops what has left the table, unless it came back meanwhile.
func (c *core) forget(key string) (prev entry, gone bool) {
	if _, still := c.around.Get(key); still {
		return entry{}, false
	}
	prev = c.index.entry(key)
	c.index.drop(key)
	if k, err := parseSlotKey(key); err == nil {
		delete(c.changed, k)
	}
	return prev, true
}

// takeOutbox hands over what is to be put in the table.
func (c *core) takeOutbox() []gossip.Record {
	out := c.outbox
	c.outbox = nil
	return out
}

// driverNames are those of this node's drivers, in order.
func (c *core) driverNames() []string { return slices.Sorted(maps.Keys(c.drivers)) }
