package gossip

import (
	"slices"
	"time"
)

// ProbeResult is what a plain TCP dial to the peer port of a node showed.
type ProbeResult string

// The results. Only ProbeRefused speaks of a death: the host answers, and no
// process listens. A timeout can be a partition, and an open port can be a node
// that is about to go, or another program.
const (
	ProbeRefused ProbeResult = "refused"
	ProbeOpen    ProbeResult = "open"
	ProbeUnclear ProbeResult = "unclear"
)

// DetectorAction asks the edge for a dial of ID, or, with a Helper, to let that
// peer dial ID. The answer goes to Probed or Confirmed with the same Round.
type DetectorAction struct {
	ID, Helper string
	Round      uint64
}

// Detector decides about sudden deaths faster than Serf does, without I/O, clock
// or goroutine of its own.
//
// A death is: a connection broke, the redial was refused, and a second living peer
// was refused too. Where no other peer is alive, or each of them refuses as well, the
// refusal alone is enough: four of five that die at once leave nobody to confirm. All
// else is left to Serf. One refused dial proves little: a firewall that answers
// with a reset looks the same, and two nodes behind such links would move the same
// work back and forth for ever. A verdict therefore also lapses after the time
// that Serf takes, if Serf still says alive, and for that boot there is no other
// until a connection has succeeded.
type Detector struct {
	peers     map[string]*suspect
	detection time.Duration // how long a verdict holds
	pick      func(n int) int
	version   uint64
}

// linkState is where the evidence about a peer stands.
type linkState int

const (
	linkNone      linkState = iota // never connected in this boot, or the verdict lapsed
	linkConnected                  // nothing wrong
	linkBroken                     // lost; the redial is under way or will be repeated
	linkRefused                    // the redial was refused; a confirmation is awaited
	linkDead                       // confirmed
)

type suspect struct {
	boot    string
	alive   bool // says Serf
	link    linkState
	refuses bool   // the last dial since the connection broke was refused
	round   uint64 // answers to older rounds say nothing
	tries   int
	waiting int       // confirmations still out
	due     time.Time // of the next probe, or of the lapse; zero for none
	since   time.Time
	why     string
}

// A process that dies closes its sockets one by one: the port may still be open
// right after the connection broke. These are the waits before each repetition;
// after the last the matter is left to Serf.
var probeWaits = []time.Duration{
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second,
}

// helpers is how many peers are asked for a confirmation; the first one suffices.
const helpers = 3

// NewDetector returns a detector that knows no peer; pick returns a number in
// [0, n) and spreads the requests over the helpers.
func NewDetector(pick func(n int) int) *Detector {
	return &Detector{peers: map[string]*suspect{}, pick: pick}
}

// Version changes whenever an answer of Dead changes.
func (d *Detector) Version() uint64 { return d.version }

// Dead says whether id was found dead, why, and since when.
func (d *Detector) Dead(id string) (dead bool, why string, since time.Time) {
	if p := d.peers[id]; p != nil && p.link == linkDead {
		return true, p.why, p.since
	}
	return false, "", time.Time{}
}

// Members tells which peers (this node not among them) Serf holds for alive, with
// their newest boot, and how long a verdict is to hold. It ends the verdicts about
// all others: from there on Serf says it.
func (d *Detector) Members(alive map[string]string, detection time.Duration) []DetectorAction {
	d.detection = detection
	for id, p := range d.peers {
		boot, ok := alive[id]
		if ok && boot == p.boot {
			continue
		}
		p.alive = ok
		if p.boot != boot {
			p.boot = boot
			if p.link != linkConnected {
				d.set(p, linkNone)
			}
		} else if p.link != linkConnected {
			d.set(p, linkNone)
		}
	}
	for id, boot := range alive {
		if p := d.peer(id); !p.alive {
			p.alive, p.boot = true, boot
		}
	}
	d.forget()
	return d.nowAlone()
}

// nowAlone looks again at the peers whose death waits for a confirmation that can
// no longer come, since all who could give one have gone.
func (d *Detector) nowAlone() (acts []DetectorAction) {
	for _, id := range d.ids() {
		p := d.peers[id]
		if (p.link == linkBroken || p.link == linkRefused) && p.waiting == 0 && p.due.IsZero() && d.alone(id) {
			p.tries = 0
			acts = append(acts, d.probe(id, p))
		}
	}
	return acts
}

// Connected tells of a connection to id.
func (d *Detector) Connected(id string) {
	d.set(d.peer(id), linkConnected)
}

// Disconnected tells that no connection to id is left.
func (d *Detector) Disconnected(id string) []DetectorAction {
	p := d.peers[id]
	if p == nil || p.link != linkConnected {
		return nil
	}
	if !p.alive {
		d.set(p, linkNone)
		d.forget()
		return nil
	}
	d.set(p, linkBroken)
	return []DetectorAction{d.probe(id, p)}
}

// Probed tells the result of a dial to id.
func (d *Detector) Probed(id string, round uint64, r ProbeResult, now time.Time) []DetectorAction {
	p := d.peers[id]
	if p == nil || p.round != round || p.link != linkBroken {
		return nil
	}
	p.refuses = r == ProbeRefused
	if !p.refuses {
		d.retry(p, now)
		return nil
	}
	if d.alone(id) {
		d.kill(p, "connection refused, as by every other peer, if there is one", now)
		return nil
	}
	asked := d.helpers(id)
	if len(asked) == 0 {
		d.retry(p, now)
		return nil
	}
	p.link, p.waiting = linkRefused, len(asked)
	acts := make([]DetectorAction, len(asked))
	for i, helper := range asked {
		acts[i] = DetectorAction{ID: id, Helper: helper, Round: p.round}
	}
	return acts
}

// Confirmed tells what helper saw when it dialled id; ProbeUnclear if it did not
// answer.
func (d *Detector) Confirmed(id, helper string, round uint64, r ProbeResult, now time.Time) {
	p := d.peers[id]
	if p == nil || p.round != round || p.link != linkRefused {
		return
	}
	if h := d.peers[helper]; r == ProbeRefused && h != nil && h.alive && h.link != linkDead {
		d.kill(p, "connection refused, as another peer confirms", now)
		return
	}
	p.waiting--
	if p.waiting == 0 {
		p.link = linkBroken
		d.retry(p, now)
	}
}

// Tick repeats the probes that are due, and lets old verdicts lapse.
func (d *Detector) Tick(now time.Time) (acts []DetectorAction) {
	for _, id := range d.ids() {
		p := d.peers[id]
		if p.due.IsZero() || now.Before(p.due) {
			continue
		}
		if p.link == linkDead {
			d.set(p, linkNone)
			continue
		}
		acts = append(acts, d.probe(id, p))
	}
	return acts
}

// Next is when Tick has something to do; zero for never.
func (d *Detector) Next() (next time.Time) {
	for _, p := range d.peers {
		if !p.due.IsZero() && (next.IsZero() || p.due.Before(next)) {
			next = p.due
		}
	}
	return next
}

func (d *Detector) peer(id string) *suspect {
	p := d.peers[id]
	if p == nil {
		p = &suspect{}
		d.peers[id] = p
	}
	return p
}

// set is every change of state but those on the way to a verdict.
func (d *Detector) set(p *suspect, s linkState) {
	if p.link == linkDead {
		d.version++
	}
	p.link, p.refuses, p.tries, p.waiting, p.due = s, false, 0, 0, time.Time{}
	p.round++
}

func (d *Detector) kill(p *suspect, why string, now time.Time) {
	d.set(p, linkDead)
	p.why, p.since, p.due = why, now, now.Add(d.detection)
	d.version++
}

func (d *Detector) probe(id string, p *suspect) DetectorAction {
	p.round++
	p.due = time.Time{}
	return DetectorAction{ID: id, Round: p.round}
}

func (d *Detector) retry(p *suspect, now time.Time) {
	if p.tries < len(probeWaits) {
		p.due = now.Add(probeWaits[p.tries])
		p.tries++
	}
}

// alone says whether no peer but id seems to be alive.
func (d *Detector) alone(id string) bool {
	for other, p := range d.peers {
		if other != id && p.alive && p.link != linkDead && !p.refuses {
			return false
		}
	}
	return true
}

// helpers returns who can be asked about id: living peers that we are connected to.
func (d *Detector) helpers(id string) []string {
	var all []string
	for _, other := range d.ids() {
		if p := d.peers[other]; other != id && p.alive && p.link == linkConnected {
			all = append(all, other)
		}
	}
	if len(all) <= helpers {
		return all
	}
	first := d.pick(len(all))
	return append(all[first:], all[:first]...)[:helpers]
}

// forget drops the peers of which there is nothing to remember.
func (d *Detector) forget() {
	for id, p := range d.peers {
		if !p.alive && p.link != linkConnected {
			delete(d.peers, id)
		}
	}
}

func (d *Detector) ids() []string {
	ids := make([]string, 0, len(d.peers))
	for id := range d.peers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
