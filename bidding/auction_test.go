package bidding_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func after(d time.Duration) time.Time { return start.Add(d) }

// lot is an auction of slots 0 … n-1 at epoch 5, with those nodes asked.
func lot(stopFirst bool, n int, nodes ...api.NodeID) bidding.Lot {
	j := process("web", mem(1))
	if stopFirst {
		j.Type = api.BatchJob
	}
	l := bidding.Lot{ID: "a1", Call: call(j, upTo(n)...), JobRecord: []byte("job"), Known: len(nodes), StopFirst: stopFirst, Boot: "b1", Auctioneer: nodes[0]}
	for i := range n {
		l.Slots = append(l.Slots, bidding.LotSlot{Slot: i, Epoch: 5})
	}
	for _, id := range nodes {
		l.Candidates = append(l.Candidates, bidding.Candidate{ID: id, Name: strings.ToUpper(string(id))})
	}
	return l
}

func bidOf(scores ...float64) bidding.Bid { return bidding.Bid{Wire: bidding.WireMax, Scores: scores} }

// begin starts l and hands in bids at once.
func begin(t *testing.T, l bidding.Lot, bids map[api.NodeID]bidding.Bid) (*bidding.Auction, []bidding.Effect) {
	t.Helper()
	a := bidding.NewAuction(l, &bidding.Sequence{})
	calls := a.Start(start)
	if len(calls) != len(l.Candidates) {
		t.Fatalf("%d calls for %d nodes", len(calls), len(l.Candidates))
	}
	var effects []bidding.Effect
	for _, c := range calls {
		effects = append(effects, a.Bid(c.To, bids[c.To], nil, after(time.Millisecond))...)
	}
	return a, effects
}

// only returns the one award among effects, which must be all of them.
func only(t *testing.T, effects []bidding.Effect, to api.NodeID, epoch uint64) bidding.Award {
	t.Helper()
	if len(effects) != 1 || effects[0].Award == nil || effects[0].To != to || len(effects[0].Award.Slots) != 1 {
		t.Fatalf("got %+v, want one award of one slot to %s", effects, to)
	}
	if got := effects[0].Award.Slots[0].Epoch; got != epoch {
		t.Fatalf("awarded to %s at epoch %d, want %d", to, got, epoch)
	}
	return *effects[0].Award
}

func refused(slot int, code string) []bidding.Outcome {
	return []bidding.Outcome{{Slot: slot, Refusal: &api.Refusal{Code: code, Reason: "says " + code, Retry: "capacity"}}}
}

func accepted(slot int) []bidding.Outcome {
	return []bidding.Outcome{{Slot: slot, Accepted: true, Epoch: 5}}
}

func TestAuctionAccepted(t *testing.T) {
	a, effects := begin(t, lot(false, 1, "x", "y", "z"), map[api.NodeID]bidding.Bid{"x": bidOf(.5), "y": bidOf(.9), "z": {Wire: 1, Refusal: &api.Refusal{Code: "no_room", Reason: "full"}}})
	aw := only(t, effects, "y", 5)
	if a.Done() {
		t.Fatal("done before the answer")
	}
	if more := a.Settled("y", aw.Seq, accepted(0), after(3*time.Millisecond)); len(more) != 0 || !a.Done() {
		t.Fatalf("after the answer: %+v, done=%v", more, a.Done())
	}
	r := a.Result()
	if want := (bidding.Placed{Slot: 0, Epoch: 5, Node: "y", Score: .9}); len(r.Placed) != 1 || r.Placed[0] != want || len(r.Left)+len(r.Unanswered) != 0 {
		t.Errorf("got %+v, want only %+v", r, want)
	}
	s := a.Sheet(after(time.Hour))
	order := []api.NodeID{}
	for _, b := range s.Bids {
		order = append(order, b.Node)
	}
	if want := []api.NodeID{"y", "x", "z"}; !slices.Equal(order, want) {
		t.Errorf("bids of %v, want %v: best first, refusals last", order, want)
	}
	want := api.SheetRow{Slot: 0, Epoch: 5, Node: "y", NodeName: "Y", Score: .9, RunnerUp: "x", RunnerUpName: "X", RunnerUpScore: .5, Outcome: "accepted", TookMS: 2}
	if len(s.Awards) != 1 || s.Awards[0] != want {
		t.Errorf("awards %+v, want %+v", s.Awards, want)
	}
	if s.CallMS != 1 || s.AwardMS != 2 || s.TotalMS != 3 {
		t.Errorf("times %v, %v, %v; want 1, 2, 3", s.CallMS, s.AwardMS, s.TotalMS)
	}
}

func TestRefusalGoesToTheNextBestAtTheSameEpoch(t *testing.T) {
	a, effects := begin(t, lot(false, 1, "x", "y"), map[api.NodeID]bidding.Bid{"x": bidOf(.5), "y": bidOf(.9)})
	aw := only(t, effects, "y", 5)
	next := only(t, a.Settled("y", aw.Seq, refused(0, "no_room"), start), "x", 5)
	if next.Seq <= aw.Seq {
		t.Errorf("sending %d after %d: numbers must rise", next.Seq, aw.Seq)
	}
	a.Settled("x", next.Seq, refused(0, "no_room"), start)
	r := a.Result()
	if !a.Done() || len(r.Left) != 1 || r.Left[0].Retry != "capacity" || !r.Left[0].Refused("no_room") || len(r.Unanswered) != 0 {
		t.Fatalf("nobody left: done=%v, %+v", a.Done(), r)
	}
	if want := "X, Y: says no_room"; r.Left[0].Why != want {
		t.Errorf("why: %q, want %q", r.Left[0].Why, want)
	}
}

func TestSilenceOfAServiceGoesElsewhereAboveIt(t *testing.T) {
	a, effects := begin(t, lot(false, 1, "x", "y"), map[api.NodeID]bidding.Bid{"x": bidOf(.5), "y": bidOf(.9)})
	first := only(t, effects, "y", 5)
	if got := a.Tick(after(900 * time.Millisecond)); len(got) != 0 {
		t.Fatalf("before a second has passed: %+v", got)
	}
	if got, want := a.Next(), after(time.Millisecond+bidding.AwardSilence); !got.Equal(want) {
		t.Errorf("next at %v, want %v", got, want)
	}
	second := only(t, a.Tick(a.Next()), "x", 6)
	if got := a.Settled("y", first.Seq, refused(0, "no_room"), after(2*time.Second)); len(got) != 0 || a.Done() {
		t.Fatalf("a late answer changed something: %+v", got)
	}
	a.Settled("x", second.Seq, accepted(0), after(2*time.Second))
	r := a.Result()
	if len(r.Placed) != 1 || r.Placed[0].Epoch != 6 || !slices.Equal(r.Unanswered, []bidding.SlotEpoch{{Slot: 0, Epoch: 5}}) {
		t.Errorf("got %+v, want epoch 6 placed and epoch 5 remembered as unanswered", r)
	}
	if rows := a.Sheet(start).Awards; len(rows) != 2 || rows[0].Outcome != "silent" || rows[1].Outcome != "accepted" {
		t.Errorf("rows %+v, want silent, then accepted", rows)
	}
}

func TestAnswersOfOthersMakeSilenceWait(t *testing.T) {
	a, effects := begin(t, lot(false, 3, "x", "y", "z"), map[api.NodeID]bidding.Bid{"x": bidOf(.9), "y": bidOf(.9), "z": bidOf(.9)})
	if len(effects) != 3 {
		t.Fatalf("got %d awards, want one for each node", len(effects))
	}
	answer := func(e bidding.Effect, at time.Duration) {
		t.Helper()
		if got := a.Settled(e.To, e.Award.Seq, accepted(e.Award.Slots[0].Slot), after(at)); len(got) != 0 {
			t.Fatalf("the answer of %s after %s led to %+v", e.To, at, got)
		}
	}
	answer(effects[0], 900*time.Millisecond)
	if got, want := a.Next(), after(900*time.Millisecond+bidding.AwardSilence); !got.Equal(want) {
		t.Errorf("next after an answer at 0.9s: %v, want %v", got, want)
	}
	if got := a.Tick(after(1800 * time.Millisecond)); len(got) != 0 {
		t.Fatalf("others were answered 0.9s ago, and yet: %+v", got)
	}
	answer(effects[1], 4900*time.Millisecond)
	if got, want := a.Next(), after(time.Millisecond+5*time.Second); !got.Equal(want) {
		t.Errorf("next after an answer at 4.9s: %v, want %v, 5s after it was sent", got, want)
	}
	if got := a.Tick(a.Next()); len(got) != 0 || !a.Done() {
		t.Errorf("5s after it was sent: %+v, want its slot to be left, since nobody else has room", got)
	}
}

func TestAnErrorOnTheWayIsSilence(t *testing.T) {
	a, effects := begin(t, lot(false, 1, "x", "y"), map[api.NodeID]bidding.Bid{"x": bidOf(.5), "y": bidOf(.9)})
	aw := only(t, effects, "y", 5)
	only(t, a.Unanswered("y", aw.Seq, errors.New("stream reset"), start), "x", 6)
}

func TestBatchRepeatsToTheSameNode(t *testing.T) {
	a, effects := begin(t, lot(true, 1, "x", "y"), map[api.NodeID]bidding.Bid{"x": bidOf(.5), "y": bidOf(.9)})
	first := only(t, effects, "y", 5)
	if got := a.Unanswered("y", first.Seq, errors.New("stream reset"), start); len(got) != 0 {
		t.Fatalf("an error is repeated in its turn, not at once: %+v", got)
	}
	last := first
	for _, wait := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} { // until the next, so that a slow answer gets its chance
		now := a.Next()
		again := only(t, a.Tick(now), "y", 5)
		if again.Seq <= last.Seq {
			t.Fatalf("sending %d after %d: numbers must rise", again.Seq, last.Seq)
		}
		if got := a.Next().Sub(now); got != wait {
			t.Errorf("the next repeat is %v later, want %v", got, wait)
		}
		last = again
	}
	if got := a.Settled("y", first.Seq, refused(0, "no_room"), after(time.Minute)); len(got) != 0 {
		t.Fatalf("a refusal of an earlier sending took the slot away: %+v", got)
	}
	only(t, a.Settled("y", last.Seq, refused(0, "no_room"), after(time.Minute)), "x", 5)
	if got := a.Waiting(); !slices.Equal(got, []api.NodeID{"x"}) {
		t.Errorf("waiting for %v, want x", got)
	}
	a.NotAlive("x", after(time.Minute))
	r := a.Result()
	if !a.Done() || len(r.Left) != 1 || !slices.Equal(r.Unanswered, []bidding.SlotEpoch{{Slot: 0, Epoch: 5}}) {
		t.Errorf("got %+v, want the slot left and epoch 5 unanswered", r)
	}
}

func TestDeathOfASilentBatchBidderGoesAboveIt(t *testing.T) {
	a, effects := begin(t, lot(true, 1, "x", "y"), map[api.NodeID]bidding.Bid{"x": bidOf(.5), "y": bidOf(.9)})
	only(t, effects, "y", 5)
	only(t, a.NotAlive("y", after(time.Second)), "x", 6)
}

func TestKnownEpochs(t *testing.T) {
	held := func(epoch uint64, unserved bool) []bidding.Outcome {
		return []bidding.Outcome{{Slot: 0, Refusal: &api.Refusal{Code: "stale_epoch", Reason: "known"}, Epoch: epoch, Unserved: unserved}}
	}
	bids := map[api.NodeID]bidding.Bid{"x": bidOf(.5), "y": bidOf(.9)}
	t.Run("somebody has it", func(t *testing.T) {
		a, effects := begin(t, lot(false, 1, "x", "y"), bids)
		aw := only(t, effects, "y", 5)
		if got := a.Settled("y", aw.Seq, held(7, false), start); len(got) != 0 || !a.Done() || len(a.Result().Left) != 1 {
			t.Errorf("got %+v, done=%v; want the slot left alone", got, a.Done())
		}
	})
	t.Run("nobody serves it", func(t *testing.T) {
		a, effects := begin(t, lot(false, 1, "x", "y"), bids)
		aw := only(t, effects, "y", 5)
		only(t, a.Settled("y", aw.Seq, held(7, true), start), "y", 8)
	})
	t.Run("complete", func(t *testing.T) {
		a, effects := begin(t, lot(true, 1, "x", "y"), bids)
		aw := only(t, effects, "y", 5)
		if got := a.Settled("y", aw.Seq, held(bidding.MaxEpoch, true), start); len(got) != 0 || !a.Done() {
			t.Errorf("got %+v, done=%v; want nothing above the epoch of complete", got, a.Done())
		}
	})
}

func TestRefusalOfOneSlotLeavesTheNodeForOthers(t *testing.T) {
	a, effects := begin(t, lot(true, 2, "x"), map[api.NodeID]bidding.Bid{"x": bidOf(.9)}) // room for one of two
	aw := only(t, effects, "x", 5)
	next := only(t, a.Settled("x", aw.Seq, refused(0, "after_stop"), start), "x", 5)
	if next.Slots[0].Slot != 1 {
		t.Fatalf("slot %d is awarded, want 1: the place in the curve is free again", next.Slots[0].Slot)
	}
	a.Settled("x", next.Seq, accepted(1), start)
	if r := a.Result(); len(r.Placed) != 1 || len(r.Left) != 1 || !r.Left[0].Refused("after_stop") {
		t.Errorf("got %+v", r)
	}
}

func TestDeadlines(t *testing.T) {
	nodes := []api.NodeID{"x", "y", "silent"}
	begun := func(n int) *bidding.Auction {
		a := bidding.NewAuction(lot(false, n, nodes...), &bidding.Sequence{})
		a.Start(start)
		a.Bid("x", bidOf(.5), nil, start)
		a.Bid("y", bidOf(.9), nil, start)
		return a
	}
	a := begun(2)
	if got := a.Tick(after(bidding.BidDeadline - 1)); len(got) != 0 {
		t.Fatalf("before the deadline: %+v", got)
	}
	if got := a.Tick(a.Next()); len(got) != 2 || !a.Next().After(after(bidding.BidDeadline)) {
		t.Fatalf("at the deadline, with bids for all slots: %+v, want two awards", got)
	}
	a = begun(3)
	if got := a.Tick(a.Next()); len(got) != 0 {
		t.Fatalf("at the deadline, with bids lacking: %+v, want to wait on", got)
	}
	if got, want := a.Next(), after(bidding.MaxDeadline); !got.Equal(want) {
		t.Fatalf("next at %v, want %v", got, want)
	}
	got := a.Tick(after(bidding.MaxDeadline))
	if len(got) != 2 {
		t.Fatalf("at the last: %+v, want two awards", got)
	}
	late := a.Bid("silent", bidOf(.7), nil, after(bidding.MaxDeadline+1))
	if len(late) != 1 || late[0].To != "silent" {
		t.Errorf("a late bid: %+v, want it to get the slot that nobody took", late)
	}
}

func TestBadBidsAreRefused(t *testing.T) {
	for name, bid := range map[string]bidding.Bid{
		"rising":                 bidOf(.1, .2),
		"more copies than slots": bidOf(.2, .1),
		"a slot not on offer":    {Wire: 1, Scores: []float64{.5}, StopFirst: []int{9}},
		"another wire":           {Wire: bidding.WireMax + 1, Scores: []float64{.5}},
	} {
		a, effects := begin(t, lot(false, 1, "x"), map[api.NodeID]bidding.Bid{"x": bid})
		if len(effects) != 0 || !a.Done() || a.Sheet(start).Bids[0].Refusal == nil {
			t.Errorf("%s: %+v, done=%v; want no award and the reason on the sheet", name, effects, a.Done())
		}
	}
}

func TestNobodyToAsk(t *testing.T) {
	x, y := api.NotAsked{Node: "x", NodeName: "X", Reason: "draining"}, api.NotAsked{Node: "y", NodeName: "Y", Reason: "no driver docker"}
	other := y
	other.NodeName = "Z"
	for want, notAsked := range map[string][]api.NotAsked{
		"X: draining":                      {x},
		"X: draining; Y: no driver docker": {x, y},
		"no node has driver docker":        {y, other},
		"no node to ask":                   nil,
	} {
		l := lot(false, 2, "x")
		l.Candidates, l.NotAsked = nil, notAsked
		a := bidding.NewAuction(l, &bidding.Sequence{})
		if got := a.Start(start); len(got) != 0 || !a.Done() {
			t.Fatalf("got %+v, done=%v", got, a.Done())
		}
		if r := a.Result(); len(r.Left) != 2 || r.Left[1].Why != want || r.Left[1].Retry != "capacity" {
			t.Errorf("got %+v, want %q", r, want)
		}
	}
}

func TestAwardsAreCutToFrames(t *testing.T) {
	l := lot(false, 1000, "x")
	scores := make([]float64, 1000)
	l.JobRecord = make([]byte, 300<<10)
	for i := range l.Slots {
		l.Slots[i].Record, l.Slots[i].Reason = make([]byte, 3000), strings.Repeat("\x00", 100)
	}
	_, effects := begin(t, l, map[api.NodeID]bidding.Bid{"x": bidOf(scores...)})
	sum := 0
	for _, e := range effects {
		sum += len(e.Award.Slots)
		if _, err := bidding.Encode(*e.Award); err != nil {
			t.Errorf("an award of %d slots: %v", len(e.Award.Slots), err)
		}
	}
	if sum != 1000 || len(effects) < 4 {
		t.Errorf("%d awards of %d slots in all, want 1,000 in at least 4", len(effects), sum)
	}
	l.JobRecord = make([]byte, bidding.MaxFrame)
	a := bidding.NewAuction(l, &bidding.Sequence{})
	if got := a.Start(start); len(got) != 0 || !a.Done() || !a.Result().Left[0].Refused("too_large") {
		t.Errorf("a job too large for a frame: %d effects, done=%v", len(got), a.Done())
	}
}

func TestCancelRemembersTheUnanswered(t *testing.T) {
	a, effects := begin(t, lot(true, 1, "x"), map[api.NodeID]bidding.Bid{"x": bidOf(.9)})
	only(t, effects, "x", 5)
	a.Cancel(after(time.Second))
	r := a.Result()
	if !a.Done() || len(r.Left) != 1 || !r.Left[0].Refused("cancelled") || !slices.Equal(r.Unanswered, []bidding.SlotEpoch{{Slot: 0, Epoch: 5}}) {
		t.Errorf("got %+v, want the slot left and its epoch unanswered", r)
	}
}
