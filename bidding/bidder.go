package bidding

import (
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// driverRetry is when to ask again a node whose driver cannot be used now: a hung
// engine comes back without any change that others would see.
const driverRetry = 10 * time.Second

// Bidder is all of a node that a bid for one job depends on, at one moment.
type Bidder struct {
	ID             api.NodeID
	Name           string
	Drivers        map[string]string // driver -> "" when it can be used, else why not
	Allow          []string          // what its owner allows tasks beyond their confinement
	Zone           string            // its zone label; "" is none
	HasImage       bool              // the job's image is here
	Starting       int               // tasks being pulled or started
	MaxStarts      int               // how many the node starts at once
	RecentFailures int               // of the job's template on this node, lately
	Closed         *api.Refusal      // why the node takes nothing at all now: cordoned, draining, not ready, cut off
	Excluded       *api.Refusal      // why it sits out this job for now: it failed here
	Old            map[int]uint64    // slots of which it runs a copy that is to be replaced -> epoch of that copy
	Ledger         Ledger
}

// MakeBid is b's answer to call. It changes nothing: the bid is a statement about
// the ledger as it is now. The scores are those of one more copy after the other,
// each with those before it in place, and never rise: a later copy that would fit
// better (packing, or balance restored) counts as good as the one before, since
// the first cannot be had without it.
//
// Slots of which b runs an old copy, and which fit only without that copy (or are
// of a kind that must not run twice), come last in the curve, each as if its old
// copy were gone.
func MakeBid(call Call, b Bidder) Bid {
	bid := Bid{
		Wire:      WireMax,
		Scores:    []float64{},
		Terms:     []api.Term{},
		Free:      b.Ledger.Free(),
		HasImage:  b.HasImage || call.Job.Image == "",
		StopFirst: []int{},
	}
	if bid.Refusal = checkWire(call.Wire); bid.Refusal != nil {
		return bid
	}
	if bid.Refusal = b.unable(call.Job); bid.Refusal != nil {
		return bid
	}
	c := curve{call: call, bidder: b, bid: bid, used: b.Ledger.Used()}
	c.addBeside()
	c.addStopFirst()
	return c.bid
}

// unable is why b takes no task of job whatever its ledger says, or nil.
func (b Bidder) unable(job api.Job) *api.Refusal {
	if b.Closed != nil {
		return b.Closed
	}
	why, has := b.Drivers[job.Driver]
	switch {
	case !has:
		return refuse(CodeNoDriver, RetryNever, "no driver %s", job.Driver)
	case why != "":
		return refuseFor(driverRetry, CodeNoDriver, "driver %s: %s", job.Driver, why)
	}
	if lacks := api.Lacks(job.Access().Needs(), b.Allow); lacks != "" {
		return refuse(CodeNotAllowed, RetryNever, "%s", lacks)
	}
	return b.Excluded
}

// curve is a bid in the making.
type curve struct {
	call   Call
	bidder Bidder
	bid    Bid
	used   api.Resources // with the copies so far, and the next when it is scored
	copies int
}

// addBeside adds the copies that fit beside what runs. All are alike, so running
// totals do instead of a ledger with each copy in it.
func (c *curve) addBeside() {
	wanted := len(c.call.Slots)
	if c.call.Job.StopFirst() {
		wanted -= len(c.old())
	}
	if wanted == 0 {
		return
	}
	claim := c.claim(c.call.Slots[0])
	c.bid.Refusal = c.bidder.Ledger.Fits(claim)
	for c.bid.Refusal == nil {
		c.used = c.used.Add(claim.Resources)
		c.score()
		switch rest := (Ledger{capacity: c.bidder.Ledger.capacity, used: c.used}); {
		case c.copies == wanted:
			return
		case len(claim.Ports) > 0:
			c.bid.Refusal = refuse(CodePortTaken, RetryCapacity, "one copy a node: each wants port %d/%s", claim.Ports[0].Published, transport(claim.Ports[0]))
		default:
			c.bid.Refusal = rest.room(claim.Resources)
		}
	}
}

// addStopFirst adds the slots of which an old copy would have to go first.
func (c *curve) addStopFirst() {
	job := c.call.Job
	if c.copies == len(c.call.Slots) {
		return
	}
	ledger := c.bidder.Ledger
	if c.copies > 0 { // those of addBeside, as one
		ledger = ledger.With(Claim{Job: job.Name, Life: c.call.Life, Slot: -1, Resources: c.used.Sub(ledger.used), Ports: job.Ports})
	}
	for _, slot := range c.old() {
		claim := c.claim(slot)
		without := ledger.Without(job.Name, c.call.Life, slot)
		if refusal := without.Fits(claim); refusal != nil {
			if c.bid.Refusal == nil {
				c.bid.Refusal = refusal
			}
			continue
		}
		c.bid.StopFirst = append(c.bid.StopFirst, slot)
		c.used = without.used.Add(claim.Resources)
		c.score()
		// Room that a larger old copy leaves is not passed on to the next slot:
		// each of these may be won alone.
		claim.Resources = claim.Resources.Max(ledger.used.Sub(without.used))
		ledger = without.With(claim)
	}
	if c.copies >= len(c.call.Slots) {
		c.bid.Refusal = nil
	}
}

// old is the slots on offer of which the bidder runs an old copy, ascending.
func (c *curve) old() []int {
	var slots []int
	for _, slot := range c.call.Slots {
		if _, ok := c.bidder.Old[slot]; ok {
			slots = append(slots, slot)
		}
	}
	slices.Sort(slots)
	return slots
}

// claim is what a copy of slot would take. Its epoch is left 0, which no attempt
// has: it is never one that the ledger counts already.
func (c *curve) claim(slot int) Claim {
	return Claim{Job: c.call.Job.Name, Life: c.call.Life, Slot: slot, Resources: c.call.Job.Resources, Ports: c.call.Job.Ports}
}

// score appends how good one more copy is with which c.used is in use.
func (c *curve) score() {
	b, call := c.bidder, c.call
	terms := situation{
		job:       call.Job,
		capacity:  b.Ledger.capacity,
		used:      c.used,
		siblings:  call.Siblings[b.ID] + c.copies,
		zone:      b.Zone,
		zones:     call.Zones,
		inZone:    c.copies,
		hasImage:  b.HasImage,
		starting:  b.Starting,
		maxStarts: b.MaxStarts,
		failures:  b.RecentFailures,
	}.terms()
	s := score(terms)
	if c.copies == 0 {
		c.bid.Terms = terms
	} else {
		s = min(s, c.bid.Scores[c.copies-1])
	}
	c.bid.Scores = append(c.bid.Scores, s)
	c.copies++
}
