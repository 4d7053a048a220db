package bidding_test

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

// A market is one auction among bidders that decide with MakeBid and Consider,
// over a network that loses, delays, repeats and reorders, in virtual time.
type market struct {
	t       *rapid.T
	rnd     *rand.Rand
	now     time.Time
	queue   queue
	auction *bidding.Auction
	nodes   map[api.NodeID]*trader
	lot     bidding.Lot
	loss    int // in a hundred messages
	// accepted is who has taken which attempt, whatever the auctioneer heard of it.
	accepted map[bidding.SlotEpoch][]api.NodeID
	sent     map[bidding.SlotEpoch]map[api.NodeID]bool
	dead     map[api.NodeID]bool
	events   int
}

// trader is a bidder with its own small table.
type trader struct {
	bidding.Bidder
	silent  bool
	held    map[int]bidding.Claim // accepted slots
	epochs  map[int]uint64        // greatest known of a slot
	owners  map[int]api.NodeID
	heard   *bidding.Heard
	newJob  bool // knows another version of the job
	crowded int  // in a hundred: another auction has all room for a moment
}

type later struct {
	at time.Time
	n  int // order among equals
	do func()
}

type queue []later

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].n < q[j].n
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(later)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newMarket(t *rapid.T) *market {
	m := &market{
		t: t, rnd: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), now: start, nodes: map[api.NodeID]*trader{},
		loss: rapid.SampledFrom([]int{0, 0, 10, 40}).Draw(t, "loss"), accepted: map[bidding.SlotEpoch][]api.NodeID{},
		sent: map[bidding.SlotEpoch]map[api.NodeID]bool{}, dead: map[api.NodeID]bool{},
	}
	var ids []api.NodeID
	for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
		id := api.NodeID(fmt.Sprintf("n%d", i))
		ids = append(ids, id)
		n := &trader{
			Bidder: node(id, mem(rapid.IntRange(0, 8).Draw(t, "memory"))), silent: rapid.IntRange(0, 5).Draw(t, "silent") == 0,
			held: map[int]bidding.Claim{}, epochs: map[int]uint64{}, owners: map[int]api.NodeID{}, heard: bidding.NewHeard(100),
			newJob: rapid.IntRange(0, 9).Draw(t, "newJob") == 0, crowded: rapid.SampledFrom([]int{0, 0, 50}).Draw(t, "crowded"),
		}
		n.Ledger = bidding.NewLedger(api.Resources{CPUs: 10_000, Memory: n.Ledger.Capacity().Memory}, nil)
		m.nodes[id] = n
	}
	m.lot = lot(rapid.Bool().Draw(t, "stopFirst"), rapid.IntRange(1, 12).Draw(t, "slots"), ids...)
	m.lot.Seed = m.rnd.Uint64()
	for _, n := range m.nodes {
		for slot := range m.lot.Slots {
			if m.rnd.IntN(15) == 0 { // knows of an attempt that the auctioneer does not
				n.epochs[slot], n.owners[slot] = 4+m.rnd.Uint64N(4), "elsewhere"
			}
		}
	}
	return m
}

func (m *market) in(d time.Duration, do func()) {
	m.events++
	heap.Push(&m.queue, later{at: m.now.Add(d), n: m.events, do: do})
}

// arrives schedules what a message does: now and then never, twice, or late.
func (m *market) arrives(do func()) {
	copies := 1
	if m.rnd.IntN(100) < m.loss {
		copies = m.rnd.IntN(2) * 2
	}
	for range copies {
		delay := time.Duration(m.rnd.IntN(20)) * time.Millisecond
		if m.rnd.IntN(100) < m.loss {
			delay = time.Duration(m.rnd.IntN(4000)) * time.Millisecond
		}
		m.in(delay, do)
	}
}

func (m *market) carry(effects []bidding.Effect) {
	for _, e := range effects {
		n := m.nodes[e.To]
		if e.Award != nil {
			m.noteSent(e)
		}
		if n.silent {
			if m.lot.StopFirst && !m.dead[e.To] { // found dead in the end, or batch would wait for ever
				m.dead[e.To] = true
				m.in(5*time.Second, func() { m.carry(m.auction.NotAlive(e.To, m.now)) })
			}
			if e.Call == nil || m.rnd.IntN(2) == 0 {
				continue // some bid, and then fall silent
			}
		}
		if e.Call != nil {
			m.arrives(func() {
				bid := bidding.MakeBid(*e.Call, n.Bidder)
				m.arrives(func() { m.carry(m.auction.Bid(e.To, bid, nil, m.now)) })
			})
			continue
		}
		if m.loss > 0 && m.rnd.IntN(20) == 0 {
			m.in(0, func() { m.carry(m.auction.Unanswered(e.To, e.Award.Seq, errors.New("reset"), m.now)) })
		}
		m.arrives(func() {
			outcomes := m.decide(n, *e.Award)
			m.arrives(func() { m.carry(m.auction.Settled(e.To, e.Award.Seq, outcomes, m.now)) })
		})
	}
}

// noteSent checks that no attempt is awarded to a second node when the first has
// accepted it, whatever of that the auctioneer has heard.
func (m *market) noteSent(e bidding.Effect) {
	for _, s := range e.Award.Slots {
		at := bidding.SlotEpoch{Slot: s.Slot, Epoch: s.Epoch}
		if m.sent[at] == nil {
			m.sent[at] = map[api.NodeID]bool{}
		}
		m.sent[at][e.To] = true
		for id := range m.sent[at] {
			if id != e.To && m.nodes[id].held[s.Slot].Epoch == s.Epoch {
				m.t.Fatalf("%+v is awarded to %s while %s holds it", at, e.To, id)
			}
		}
	}
}

// decide is the bidder's side: merge, consider, write, answer.
func (m *market) decide(n *trader, aw bidding.Award) []bidding.Outcome {
	var out []bidding.Outcome
	n.Ledger = n.Ledger.Without("other", 1, 0) // whoever was there has gone
	if m.rnd.IntN(100) < n.crowded {
		n.Ledger = n.Ledger.With(bidding.Claim{Job: "other", Life: 1, Epoch: 1, Resources: n.Ledger.Free()})
	}
	for _, s := range aw.Slots {
		key := bidding.HeardKey{Auctioneer: m.lot.Auctioneer, Boot: aw.Boot, Job: "web", Life: 1, Slot: s.Slot}
		st := bidding.Standing{
			Job: m.lot.Call.Job, Life: 1, JobIsMine: !n.newJob, Wanted: true, LastSeq: n.heard.Note(key, aw.Seq),
			Known: n.epochs[s.Slot] > 0, Epoch: n.epochs[s.Slot], Owner: n.owners[s.Slot],
		}
		_, st.Served = n.held[s.Slot]
		st.Served = st.Served && st.Owner == n.ID
		v := bidding.Consider(aw, s, st, n.Bidder)
		if v.Accept && !v.Already {
			claim := claim(s.Slot, s.Epoch, m.lot.Call.Job.Resources)
			if refusal := n.Ledger.Fits(claim); refusal != nil {
				m.t.Fatalf("%s accepts beyond its capacity: %s", n.ID, refusal.Reason)
			}
			n.Ledger, n.held[s.Slot], n.epochs[s.Slot], n.owners[s.Slot] = n.Ledger.With(claim), claim, s.Epoch, n.ID
			at := bidding.SlotEpoch{Slot: s.Slot, Epoch: s.Epoch}
			m.accepted[at] = append(m.accepted[at], n.ID)
		}
		epoch := n.epochs[s.Slot]
		_, serves := n.held[s.Slot]
		out = append(out, bidding.Outcome{
			Slot: s.Slot, Refusal: v.Refusal, Epoch: epoch, Unserved: !serves && m.rnd.IntN(2) == 0,
			Accepted: epoch == s.Epoch && n.owners[s.Slot] == n.ID && serves,
		})
	}
	return out
}

// run ends when the auction does, or fails after far too long.
func (m *market) run() {
	m.auction = bidding.NewAuction(m.lot, &bidding.Sequence{})
	m.carry(m.auction.Start(m.now))
	for !m.auction.Done() {
		next := m.auction.Next()
		if len(m.queue) > 0 && !m.queue[0].at.After(next) {
			e := heap.Pop(&m.queue).(later)
			m.now = e.at
			e.do()
			continue
		}
		if m.now = next; m.now.After(start.Add(30 * time.Minute)) {
			m.t.Fatalf("not done after 30 minutes; waiting for %v", m.auction.Waiting())
		}
		m.carry(m.auction.Tick(m.now))
	}
	took := m.now.Sub(start)
	if limit := time.Duration(2+len(m.nodes)) * time.Second; !m.lot.StopFirst && took > limit {
		m.t.Fatalf("a service's auction took %v, want at most a second for the bids and one for each silent node", took)
	}
	for len(m.queue) > 0 { // what is still on its way arrives, too
		e := heap.Pop(&m.queue).(later)
		m.now = e.at
		e.do()
	}
}

func (m *market) check() {
	r := m.auction.Result()
	count := map[int]int{}
	for _, p := range r.Placed {
		count[p.Slot]++
		if claim := m.nodes[p.Node].held[p.Slot]; claim.Epoch != p.Epoch {
			m.t.Fatalf("%+v is said to be placed; the node holds %+v", p, claim)
		}
	}
	for _, l := range r.Left {
		count[l.Slot]++
		if l.Why == "" || l.Retry == "" || len(l.Refusals) == 0 {
			m.t.Fatalf("slot %d is left without a reason: %+v", l.Slot, l)
		}
	}
	for _, s := range m.lot.Slots {
		if count[s.Slot] != 1 {
			m.t.Fatalf("slot %d is %d times in the result, want once: %+v", s.Slot, count[s.Slot], r)
		}
	}
	unanswered := map[int]uint64{}
	for _, u := range r.Unanswered {
		unanswered[u.Slot] = u.Epoch
	}
	placed := map[int]uint64{}
	for _, p := range r.Placed {
		placed[p.Slot] = p.Epoch
	}
	for at, by := range m.accepted {
		if len(by) > 1 {
			m.t.Fatalf("%+v was accepted by %v, want one node", at, by)
		}
		if at.Epoch > max(unanswered[at.Slot], placed[at.Slot]) && count[at.Slot] == 1 {
			m.t.Fatalf("%s holds %+v, of which the auctioneer knows nothing: %+v", by[0], at, r)
		}
		if m.lot.StopFirst && placed[at.Slot] > at.Epoch && !m.dead[by[0]] {
			m.t.Fatalf("%+v runs on %s, and again at epoch %d", at, by[0], placed[at.Slot])
		}
	}
}

func TestAuctionUnderFaults(t *testing.T) {
	var placed, left, unanswered, silent, refused int
	rapid.Check(t, func(t *rapid.T) {
		m := newMarket(t)
		m.run()
		m.check()
		r := m.auction.Result()
		placed, left, unanswered = placed+len(r.Placed), left+len(r.Left), unanswered+len(r.Unanswered)
		for _, row := range m.auction.Sheet(m.now).Awards {
			switch row.Outcome {
			case "silent":
				silent++
			case "refused":
				refused++
			}
		}
	})
	t.Logf("placed %d, left %d, unanswered %d; awards silent %d, refused %d", placed, left, unanswered, silent, refused)
	for what, n := range map[string]int{"placed": placed, "left": left, "unanswered": unanswered, "silent": silent, "refused": refused} {
		if n == 0 {
			t.Errorf("no slot or award was %s in any run: the test does not reach it", what)
		}
	}
}
