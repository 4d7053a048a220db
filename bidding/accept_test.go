package bidding_test

import (
	"testing"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

func TestConsider(t *testing.T) {
	capacity := api.Resources{CPUs: 1000, Memory: 1000}
	half := api.Resources{CPUs: 500, Memory: 500}
	most := api.Resources{CPUs: 800, Memory: 800}
	type situation struct {
		award bidding.Award
		slot  bidding.AwardSlot
		st    bidding.Standing
		b     bidding.Bidder
	}
	old := func(s *situation, r api.Resources) {
		s.st.Known, s.st.Epoch, s.st.Owner, s.st.Served, s.st.OwnerAlive = true, 4, "me", true, true
		s.st.OldCopy, s.st.LabelEpoch = true, 4
		s.b.Ledger = bidding.NewLedger(capacity, []bidding.Claim{claim(3, 4, r)})
		s.b.Old = map[int]uint64{3: 4}
	}
	elsewhere := func(s *situation) {
		s.st.Known, s.st.Epoch, s.st.Owner, s.st.Served, s.st.OwnerAlive = true, 4, "other", true, true
	}
	tests := []struct {
		name   string
		change func(s *situation)
		want   bidding.Verdict // Refusal: by its code in refusal
		code   string
	}{
		{name: "a free slot", change: func(*situation) {}, want: bidding.Verdict{Accept: true}},
		{name: "another wire", change: func(s *situation) { s.award.Wire = bidding.WireMax + 1 }, code: "wire"},

		{name: "a later sending was heard", change: func(s *situation) { s.st.LastSeq = 8 }, code: "stale_award"},
		{name: "an earlier sending was heard", change: func(s *situation) { s.st.LastSeq = 6 }, want: bidding.Verdict{Accept: true}},
		{name: "the same sending twice, refused before", change: func(s *situation) { s.st.LastSeq = 7 }, code: "stale_award"},
		{name: "the same sending twice, accepted before", change: func(s *situation) {
			s.st.LastSeq, s.st.Known, s.st.Epoch, s.st.Owner, s.st.Served = 7, true, 5, "me", true
		}, want: bidding.Verdict{Accept: true, Already: true}},
		{name: "a late sending of what it has accepted", change: func(s *situation) {
			s.st.LastSeq, s.st.Known, s.st.Epoch, s.st.Owner, s.st.Served = 8, true, 5, "me", true
		}, code: "stale_award"},
		{name: "another version of the job", change: func(s *situation) { s.st.JobIsMine = false }, code: "stale_job"},
		{name: "not wanted", change: func(s *situation) { s.st.Wanted = false }, code: "not_wanted"},
		{name: "accepted before, and no longer wanted", change: func(s *situation) {
			s.st.Wanted, s.st.Known, s.st.Epoch, s.st.Owner, s.st.Served = false, true, 5, "me", true
		}, code: "not_wanted"},

		{name: "accepted by an earlier sending", change: func(s *situation) {
			s.st.Known, s.st.Epoch, s.st.Owner, s.st.Served = true, 5, "me", true
			s.b.Ledger = bidding.NewLedger(capacity, []bidding.Claim{claim(3, 5, most)})
			s.b.Closed = &api.Refusal{Code: "draining"}
		}, want: bidding.Verdict{Accept: true, Already: true}},
		{name: "that epoch failed here", change: func(s *situation) { s.st.Known, s.st.Epoch, s.st.Owner = true, 5, "me" }, code: "stale_epoch"},
		{name: "that epoch is another's", change: func(s *situation) { elsewhere(s); s.st.Epoch = 5 }, code: "stale_epoch"},
		{name: "a later epoch is another's", change: func(s *situation) { elsewhere(s); s.st.Epoch = 6 }, code: "stale_epoch"},
		{name: "own container has the epoch", change: func(s *situation) { s.st.LabelEpoch = 5 }, code: "stale_epoch"},
		{name: "own container has a later epoch than its record", change: func(s *situation) {
			s.st.Known, s.st.Epoch, s.st.Owner, s.st.Served, s.st.LabelEpoch = true, 5, "me", true, 6
		}, code: "stale_epoch"},
		{name: "no epoch", change: func(s *situation) { s.slot.Epoch = 0 }, code: "stale_epoch"},
		{name: "complete", change: func(s *situation) {
			s.st.Known, s.st.Epoch, s.st.Owner, s.st.Complete = true, bidding.MaxEpoch, "other", true
		}, code: "complete"},
		{name: "above complete", change: func(s *situation) {
			s.slot.Epoch, s.st.Known, s.st.Epoch, s.st.Complete = bidding.MaxEpoch+1, true, bidding.MaxEpoch, true
		}, code: "complete"},
		{name: "the epoch of complete", change: func(s *situation) { s.slot.Epoch = bidding.MaxEpoch }, code: "stale_epoch"},
		{name: "above it", change: func(s *situation) { s.slot.Epoch = bidding.MaxEpoch + 1 }, code: "stale_epoch"},
		{name: "the last epoch", change: func(s *situation) { s.slot.Epoch = bidding.MaxEpoch - 1 }, want: bidding.Verdict{Accept: true}},

		{name: "a service beside the old copy elsewhere", change: elsewhere, want: bidding.Verdict{Accept: true}},
		{name: "batch, an old copy elsewhere", change: func(s *situation) { elsewhere(s); s.st.Job.Type = api.BatchJob }, code: "after_stop"},
		{name: "batch, its owner is dead", change: func(s *situation) { elsewhere(s); s.st.Job.Type, s.st.OwnerAlive = api.BatchJob, false }, want: bidding.Verdict{Accept: true}},
		{name: "batch, stopped elsewhere", change: func(s *situation) { elsewhere(s); s.st.Job.Type, s.st.Served = api.BatchJob, false }, want: bidding.Verdict{Accept: true}},
		{name: "batch, its own old copy", change: func(s *situation) { old(s, half); s.st.Job.Type = api.BatchJob }, want: bidding.Verdict{Accept: true, StopFirst: true}},

		{name: "frozen, its owner is out of reach", change: func(s *situation) {
			elsewhere(s)
			s.st.Job.OnPartition, s.st.OwnerAlive, s.st.OwnerAway = "freeze", false, true
		}, code: "frozen"},
		{name: "frozen, its owner was removed", change: func(s *situation) { elsewhere(s); s.st.Job.OnPartition, s.st.OwnerAlive = "freeze", false }, want: bidding.Verdict{Accept: true}},
		{name: "frozen, its owner moves it", change: func(s *situation) { elsewhere(s); s.st.Job.OnPartition = "freeze" }, want: bidding.Verdict{Accept: true}},
		{name: "replaced, its owner is out of reach", change: func(s *situation) { elsewhere(s); s.st.OwnerAlive, s.st.OwnerAway = false, true }, want: bidding.Verdict{Accept: true}},

		{name: "closed", change: func(s *situation) { s.b.Closed = &api.Refusal{Code: "draining"} }, code: "draining"},
		{name: "no driver", change: func(s *situation) { s.b.Drivers = nil }, code: "no_driver"},
		{name: "excluded", change: func(s *situation) { s.b.Excluded = &api.Refusal{Code: "excluded"} }, code: "excluded"},
		{name: "full by now", change: func(s *situation) {
			s.b.Ledger = s.b.Ledger.With(bidding.Claim{Job: "x", Life: 1, Epoch: 1, Resources: most})
		}, code: "no_room"},
		{name: "port taken by now", change: func(s *situation) {
			s.st.Job.Ports = []api.Port{{Published: 80, Protocol: "tcp"}}
			s.b.Ledger = s.b.Ledger.With(claim(9, 1, api.Resources{}, 80))
		}, code: "port_taken"},

		{name: "beside its own old copy", change: func(s *situation) { old(s, half); s.slot.StopFirst = true }, want: bidding.Verdict{Accept: true}},
		{name: "in place of its own old copy", change: func(s *situation) { old(s, most); s.slot.StopFirst = true }, want: bidding.Verdict{Accept: true, StopFirst: true}},
		{name: "no leave to stop it first", change: func(s *situation) { old(s, most) }, code: "no_room"},
		{name: "too large even without it", change: func(s *situation) {
			old(s, half)
			s.slot.StopFirst = true
			s.b.Ledger = s.b.Ledger.With(bidding.Claim{Job: "x", Life: 1, Epoch: 1, Resources: most})
		}, code: "no_room"},
		{name: "keeps its current copy, though two would not fit", change: func(s *situation) { old(s, most); s.st.Keeps = true }, want: bidding.Verdict{Accept: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := situation{
				award: bidding.Award{Wire: bidding.WireMax, Auction: "a1", Boot: "b1", Seq: 7},
				slot:  bidding.AwardSlot{Slot: 3, Epoch: 5},
				st:    bidding.Standing{Job: process("web", half), Life: 1, JobIsMine: true, Wanted: true},
				b:     node("me", capacity),
			}
			test.change(&s)
			got := bidding.Consider(s.award, s.slot, s.st, s.b)
			code := ""
			if got.Refusal != nil {
				code = got.Refusal.Code
			}
			got.Refusal = nil
			if got != test.want || code != test.code {
				t.Errorf("got %+v, refusal %q; want %+v, %q", got, code, test.want, test.code)
			}
		})
	}
}

func TestHeard(t *testing.T) {
	heard := bidding.NewHeard(3)
	key := func(slot int) bidding.HeardKey {
		return bidding.HeardKey{Auctioneer: "n1", Boot: "b", Job: "web", Life: 1, Slot: slot}
	}
	if got := heard.Note(key(0), 5); got != 0 {
		t.Errorf("before the first: %d, want 0", got)
	}
	if got := heard.Note(key(0), 3); got != 5 {
		t.Errorf("a late sending: %d heard before, want 5", got)
	}
	if got := heard.Highest(key(0)); got != 5 {
		t.Errorf("highest %d, want 5: a late sending lowers nothing", got)
	}
	for slot := range 3 {
		heard.Note(key(slot+1), 9)
	}
	if got := heard.Highest(key(0)); got != 5 {
		t.Errorf("after three others: %d, want 5 still", got)
	}
	for slot := range 100 {
		heard.Note(key(slot+10), 9)
	}
	if got := heard.Len(); got > 6 {
		t.Errorf("remembers %d slots, want at most twice the limit of 3", got)
	}
	other := key(109)
	other.Boot = "c"
	if got := heard.Highest(other); got != 0 {
		t.Errorf("another boot: %d, want 0", got)
	}
}
