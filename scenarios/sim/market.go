package sim

import (
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
)

// auction is one that this agent holds.
type auction struct {
	*bidding.Auction
	of peer.Auction
	id string
}

// hold begins an auction.
func (a *agent) hold(of peer.Auction) {
	lot, ok := a.core.Begin(of, a.now())
	if !ok {
		return
	}
	a.host.counts(&a.sim.auctions, 1)
	lot.Boot = a.boot
	au := &auction{Auction: bidding.NewAuction(lot, &a.seq), of: of, id: lot.ID}
	a.auctions[lot.ID] = au
	a.carry(au, au.Start(a.now()))
	a.tick(au)
}

// tick lets the time pass for an auction, until it is over.
func (a *agent) tick(au *auction) {
	if a.auctions[au.id] == nil {
		return
	}
	a.after(max(time.Millisecond, min(200*time.Millisecond, au.Next().Sub(a.now()))), func() {
		alive := map[string]bool{string(a.id): true}
		for _, id := range a.core.Alive() {
			alive[id] = true
		}
		for _, node := range au.Waiting() {
			if !alive[string(node)] {
				a.carry(au, au.NotAlive(node, a.now()))
			}
		}
		a.carry(au, au.Tick(a.now()))
		a.tick(au)
	})
}

// carry sends what an auction wants sent, and ends it when it is over.
func (a *agent) carry(au *auction, effects []bidding.Effect) {
	for _, e := range effects {
		if e.Call != nil {
			a.call(au, e.To, *e.Call)
		} else {
			a.award(au, e.To, *e.Award)
		}
	}
	if !au.Done() || a.auctions[au.id] == nil {
		return
	}
	delete(a.auctions, au.id)
	result := au.Result()
	if a.sim.bug.ForgetUnanswered {
		result.Unanswered = nil
	}
	for _, r := range a.core.Remember(au.of, au.id, result, a.now()) {
		if a.sim.bug.NoRelease {
			break
		}
		a.send(r.Owner, func(dst *agent) {
			dst.core.LetGo(r, dst.now())
			dst.flush()
			dst.lookSoon()
		})
	}
	a.lookSoon()
}

func (a *agent) call(au *auction, to api.NodeID, call bidding.Call) {
	a.ask(to, func(dst *agent, answer func(func())) {
		bid := dst.core.Bid(call, dst.now())
		bid.Wire = bidding.WireMax
		answer(func() { a.carry(au, au.Bid(to, bid, nil, a.now())) })
	}, func(err error) { a.carry(au, au.Bid(to, bidding.Bid{}, err, a.now())) })
}

func (a *agent) award(au *auction, to api.NodeID, aw bidding.Award) {
	sent := a.synced(to)
	a.ask(to, func(dst *agent, answer func(func())) {
		dst.take(a, sent, aw, func(ans bidding.Answer) {
			answered := dst.synced(a.id)
			answer(func() {
				if recs := peer.AnswerRecords(ans); to != a.id && a.trusts(dst, answered) {
					a.took(a.table.Merge(a.now(), recs...), to)
				}
				a.carry(au, au.Settled(to, aw.Seq, a.core.Outcomes(to, aw, ans, a.now()), a.now()))
			})
		})
	}, func(err error) { a.carry(au, au.Unanswered(to, aw.Seq, err, a.now())) })
}

// take decides an award of another agent, or of this one.
func (a *agent) take(from *agent, sent bool, aw bidding.Award, answer func(bidding.Answer)) {
	recs, refusal := peer.AwardRecords(aw)
	if len(recs) == 0 {
		a.sim.broken("an award without a job: " + refusal.Reason)
		return
	}
	job := recs[0]
	if !a.trusts(from, sent) {
		a.sync(from.id)
		answer(a.core.Refuse(aw, job))
		return
	}
	if from != a && !a.sim.bug.AwardWithoutRecords {
		a.took(a.table.Merge(a.now(), recs...), from.id)
	}
	accepted, refusals := []gossip.Record(nil), make([]*api.Refusal, len(aw.Slots))
	if refusal == nil {
		accepted, refusals = a.core.Accept(from.id, aw, job, a.now())
	}
	for i := range refusals {
		if refusal != nil {
			refusals[i] = refusal
		}
	}
	a.sim.accepted(a, from, accepted)
	reply := func() { answer(a.core.Answer(aw, job, refusals)) }
	if len(accepted) == 0 {
		reply()
		return
	}
	promise := func() {
		a.sim.promised(a, accepted)
		reply()
		a.sim.hurtAcceptor(a)
	}
	if a.sim.bug.AnswerEarly {
		a.put(nil, accepted...)
		promise()
	} else {
		a.put(promise, accepted...)
	}
	a.lookSoon()
}

// askHigher asks the nodes that rank higher whether they are on it.
func (a *agent) askHigher(q peer.Ask) {
	keys, ranks := a.core.Asking(q, a.now())
	var next func(i int)
	next = func(i int) {
		if i == len(ranks) {
			a.core.Heard(keys, false)
			a.lookSoon()
			return
		}
		a.ask(ranks[i], func(dst *agent, answer func(func())) {
			on := dst.core.OnIt(q.Job, q.Life, dst.now())
			answer(func() {
				if on {
					a.core.Heard(keys, true)
				} else {
					next(i + 1)
				}
			})
		}, func(error) { next(i + 1) })
	}
	next(0)
}
