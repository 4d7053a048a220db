package bidding

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
)

const (
	// callTimeout ends the wait for a bid. It is longer than bidding is open, since
	// a late bid still helps a slot that was refused.
	callTimeout = 3 * time.Second
	// awardTimeout ends the wait for the answer to one sending of an award: long
	// enough for the slowest repeat to be answered.
	awardTimeout = 10 * time.Second
	// aliveEvery is how often those who are waited for are looked at.
	aliveEvery = 200 * time.Millisecond
)

// AuctioneerConfig is what an Auctioneer needs of its node.
type AuctioneerConfig struct {
	Host  host.Host
	Self  api.NodeID
	Boot  string // random for each start of the node
	Name  string
	Local Handlers // this node as a bidder: asked without a stream
	// Settle merges the records of an answer and says what came of each slot of the
	// award. It is called concurrently.
	Settle func(ctx context.Context, from api.NodeID, award Award, answer Answer) []Outcome
	// Alive says whether a node is alive in this node's view.
	Alive func(api.NodeID) bool
	// Wire says which versions of the protocol a node speaks. nil: those of this build.
	Wire func(api.NodeID) (oldest, newest int)
	Log  logrus.FieldLogger
}

// Auctioneer holds the auctions of a node. It is safe for concurrent use.
type Auctioneer struct {
	cfg    AuctioneerConfig
	seq    Sequence
	sheets *Sheets
}

// NewAuctioneer holds auctions in the name of cfg.Self.
func NewAuctioneer(cfg AuctioneerConfig) *Auctioneer {
	return &Auctioneer{cfg: cfg, sheets: NewSheets()}
}

// Sheets is the protocols of the auctions held.
func (d *Auctioneer) Sheets() *Sheets { return d.sheets }

// event is something that happened to an auction.
type event func(a *Auction, now time.Time) []Effect

// Hold runs one auction and returns when every slot of it is placed or left, or
// soon after ctx ends. For services that is a few seconds at the most; slots of a
// kind that must not run twice wait for a silent node until it is dead. Nothing
// of the auction runs on after Hold has returned.
func (d *Auctioneer) Hold(ctx context.Context, lot Lot) (Result, api.Sheet) {
	lot.Auctioneer, lot.AuctioneerName, lot.Boot = d.cfg.Self, d.cfg.Name, d.cfg.Boot
	auction := NewAuction(lot, &d.seq)
	d.run(ctx, auction)
	result, sheet := auction.Result(), auction.Sheet(time.Now())
	if !lot.Dry {
		d.sheets.Add(sheet)
	}
	d.cfg.Log.WithFields(logrus.Fields{
		"auction": lot.ID, "job": lot.Call.Job.Name, "slots": len(lot.Slots), "asked": len(sheet.Bids),
		"placed": len(result.Placed), "left": len(result.Left), "ms": sheet.TotalMS,
	}).Debug("auction held")
	return result, sheet
}

// run carries effects out and events in until the auction is done.
func (d *Auctioneer) run(ctx context.Context, auction *Auction) {
	var carriers sync.WaitGroup
	defer carriers.Wait()
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(errEnded)
	events := make(chan event)
	carry := func(effects []Effect) {
		for _, e := range effects {
			carriers.Go(func() {
				select {
				case events <- d.carry(inner, e):
				case <-inner.Done():
				}
			})
		}
	}
	carry(auction.Start(time.Now()))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !auction.Done() {
		timer.Reset(min(aliveEvery, max(0, time.Until(auction.Next()))))
		select {
		case <-ctx.Done():
			auction.Cancel(time.Now())
		case happened := <-events:
			carry(happened(auction, time.Now()))
		case <-timer.C:
			for _, node := range auction.Waiting() {
				if node != d.cfg.Self && !d.cfg.Alive(node) {
					carry(auction.NotAlive(node, time.Now()))
				}
			}
			carry(auction.Tick(time.Now()))
		}
	}
}

var errEnded = fmt.Errorf("the auction has ended: %w", context.Canceled)

// carry sends one message and returns what came of it.
func (d *Auctioneer) carry(ctx context.Context, e Effect) event {
	if e.Call != nil {
		bid, err := d.call(ctx, e.To, *e.Call)
		return func(a *Auction, now time.Time) []Effect { return a.Bid(e.To, bid, err, now) }
	}
	seq := e.Award.Seq
	outcomes, err := d.award(ctx, e.To, *e.Award)
	if err != nil {
		return func(a *Auction, now time.Time) []Effect { return a.Unanswered(e.To, seq, err, now) }
	}
	return func(a *Auction, now time.Time) []Effect { return a.Settled(e.To, seq, outcomes, now) }
}

func (d *Auctioneer) call(ctx context.Context, to api.NodeID, call Call) (Bid, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	call.Wire = d.speak(to)
	if to == d.cfg.Self {
		return d.cfg.Local.answerCall(ctx, to, call), nil
	}
	return exchange[Call, Bid](ctx, d.cfg.Host, target{to, BidProtocol}, call)
}

func (d *Auctioneer) award(ctx context.Context, to api.NodeID, award Award) ([]Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, awardTimeout)
	defer cancel()
	award.Wire = d.speak(to)
	var answer Answer
	if to == d.cfg.Self {
		answer = d.cfg.Local.answerAward(ctx, to, award)
	} else {
		var err error
		if answer, err = exchange[Award, Answer](ctx, d.cfg.Host, target{to, AwardProtocol}, award); err != nil {
			return nil, err
		}
	}
	if err := answer.answers(award); err != nil {
		return nil, err
	}
	if checkWire(answer.Wire) != nil && !refusesWire(answer) {
		return nil, fmt.Errorf("the answer is of protocol %d, which is not spoken here", answer.Wire)
	}
	return d.cfg.Settle(ctx, to, award, answer), nil
}

// speak is the version in which to send to a node.
func (d *Auctioneer) speak(to api.NodeID) int {
	if to == d.cfg.Self || d.cfg.Wire == nil {
		return WireMax
	}
	oldest, newest := d.cfg.Wire(to)
	return common(WireMin, WireMax, oldest, newest)
}

// common is the newest version that both know, of two who speak versions from oldest to
// newest. Where there is none it is our newest, and the refusal will say what the other
// speaks.
func common(oldest, newest, theirOldest, theirNewest int) int {
	if both := min(newest, theirNewest); both >= max(oldest, theirOldest) {
		return both
	}
	return newest
}

// refusesWire says whether a node of another protocol version turned an award
// down for that; of anything else that it says, nothing can be known.
func refusesWire(answer Answer) bool {
	for _, s := range answer.Slots {
		if s.Refusal == nil || s.Refusal.Code != CodeWire || s.Record != nil {
			return false
		}
	}
	return true
}
