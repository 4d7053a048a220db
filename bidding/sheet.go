package bidding

import (
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// sheetScores is how many scores of a curve a sheet shows: the first few tell
// how it falls, and thousands would only fill the memory.
const sheetScores = 16

// Sheet is the protocol of the auction as it stands at now.
func (a *Auction) Sheet(now time.Time) api.Sheet {
	if a.Done() {
		now = a.ended
	}
	called := a.called
	if called.IsZero() {
		called = now
	}
	s := api.Sheet{
		ID:             a.lot.ID,
		Job:            a.lot.Call.Job.Name,
		Life:           a.lot.Call.Life,
		Slots:          slices.Clone(a.lot.Call.Slots),
		Reason:         a.lot.Reason,
		Auctioneer:     a.lot.Auctioneer,
		AuctioneerName: a.lot.AuctioneerName,
		StartedAt:      a.started,
		Known:          a.lot.Known,
		Bids:           make([]api.SheetBid, 0, len(a.order)),
		NotAsked:       append([]api.NotAsked{}, a.lot.NotAsked...),
		Awards:         append([]api.SheetRow{}, a.rows...),
		CallMS:         milliseconds(called.Sub(a.started)),
		AwardMS:        milliseconds(now.Sub(called)),
		TotalMS:        milliseconds(now.Sub(a.started)),
	}
	for _, b := range a.order {
		s.Bids = append(s.Bids, b.line())
	}
	slices.SortStableFunc(s.Bids, func(x, y api.SheetBid) int {
		first := func(b api.SheetBid) offer {
			o := offer{node: b.Node, score: -1, tie: tieBreak(a.lot.Seed, b.Node)}
			if len(b.Scores) > 0 {
				o.score = b.Scores[0]
			}
			return o
		}
		if first(x).before(first(y)) {
			return -1
		}
		return 1
	})
	return s
}

// line is b's bid for the sheet.
func (b *bidder) line() api.SheetBid {
	line := api.SheetBid{
		Node:      b.ID,
		NodeName:  b.Name,
		Scores:    append([]float64{}, b.bid.Scores[:min(sheetScores, len(b.bid.Scores))]...),
		Terms:     append([]api.Term{}, b.bid.Terms...),
		Free:      b.bid.Free,
		HasImage:  b.bid.HasImage,
		StopFirst: len(b.bid.StopFirst) > 0,
		Refusal:   b.bid.Refusal,
		TookMS:    milliseconds(b.took),
	}
	if line.Refusal == nil {
		line.Refusal = b.refusal()
	}
	if b.late && line.Refusal == nil {
		line.Refusal = refuseFor(time.Second, CodeNoAnswer, "bid after the deadline")
	}
	return line
}

// row is the line of an award that is about to be sent.
func (a *Auction) row(p Placement) api.SheetRow {
	r := api.SheetRow{
		Slot:          p.Slot,
		Epoch:         a.offers[p.Slot].Epoch,
		Node:          p.Node,
		NodeName:      a.bidders[p.Node].Name,
		Score:         p.Score,
		RunnerUp:      p.RunnerUp,
		RunnerUpScore: p.RunnerUpScore,
		Outcome:       "silent", // until answered
	}
	if b := a.bidders[p.RunnerUp]; b != nil {
		r.RunnerUpName = b.Name
	}
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
