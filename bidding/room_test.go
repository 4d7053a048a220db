package bidding_test

import (
	"testing"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

// What nobody has room for is told with the node that comes closest.
func TestWhyThereIsNoRoom(t *testing.T) {
	const gib = 1 << 30
	node := func(id string, cpus api.CPUs, memory api.Bytes) bidding.Candidate {
		r := api.Resources{CPUs: cpus, Memory: memory}
		return bidding.Candidate{ID: api.NodeID(id), Name: id, Alive: true, State: "ready", Drivers: []string{"process"}, Capacity: r, Free: r}
	}
	home, vps := node("home", 8000, 32*gib), node("vps", 2000, 4*gib)
	dead, blind := node("dead", 8000, 256*gib), node("blind", 0, 0)
	dead.Alive, blind.Alive = false, false
	for _, c := range []struct {
		need  api.Resources
		nodes []bidding.Candidate
		used  map[api.NodeID]api.Resources
		want  string
	}{
		{api.Resources{CPUs: 100, Memory: 64 * gib}, []bidding.Candidate{home, vps}, nil,
			"needs 64GiB; the best is home with 32GiB free of 32GiB (never fits on any node here)"},
		{api.Resources{CPUs: 100, Memory: 64 * gib}, []bidding.Candidate{vps, dead}, nil,
			"needs 64GiB; the best is vps with 4GiB free of 4GiB; dead: failed"},
		{api.Resources{CPUs: 100, Memory: 64 * gib}, []bidding.Candidate{vps, blind}, nil,
			"needs 64GiB; the best is vps with 4GiB free of 4GiB; blind: failed"},
		{api.Resources{CPUs: 100, Memory: 16 * gib}, []bidding.Candidate{home, vps}, map[api.NodeID]api.Resources{"home": {Memory: 20 * gib}},
			"needs 16GiB; the best is home with 12GiB free of 32GiB"},
		{api.Resources{CPUs: 1500, Memory: gib}, []bidding.Candidate{home, vps}, map[api.NodeID]api.Resources{"home": {CPUs: 7500}, "vps": {CPUs: 1000}},
			"needs 1.5 cpus; the best is vps with 1 cpus free of 2"},
		{api.Resources{CPUs: 4000, Memory: 8 * gib}, []bidding.Candidate{home, vps}, map[api.NodeID]api.Resources{"home": {CPUs: 7000}},
			"needs 4 cpus; the best is vps with 2 cpus free of 2"},
		{api.Resources{CPUs: 2000, Memory: 8 * gib}, []bidding.Candidate{home, vps}, map[api.NodeID]api.Resources{"home": {CPUs: 7000}},
			"needs 2 cpus and 8GiB; the best is home with 1 cpus free of 8 and 32GiB free of 32GiB"},
	} {
		job := process("big", c.need)
		l := lot(false, 1, "home")
		l.Call.Job = job
		l.Candidates, l.NotAsked = bidding.Shortlist(l.Call, c.nodes, func() float64 { return 0 })
		bids := map[api.NodeID]bidding.Bid{}
		for _, n := range l.Candidates {
			ledger := bidding.NewLedger(n.Capacity, []bidding.Claim{{Job: "other", Epoch: 1, Resources: c.used[n.ID]}})
			refusal := ledger.Fits(bidding.Claim{Job: "big", Epoch: 1, Resources: c.need})
			bids[n.ID] = bidding.Bid{Wire: bidding.WireMax, Free: ledger.Free(), Refusal: refusal}
		}
		a, _ := begin(t, l, bids)
		if r := a.Result(); !a.Done() || len(r.Left) != 1 || r.Left[0].Why != c.want {
			t.Errorf("%v: got %+v\nwant %q", c.need, r.Left, c.want)
		}
	}
}
