package bidding_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

// process is a job that every bidder of these tests can run.
func process(name string, r api.Resources) api.Job {
	j := api.NewJob()
	j.Name, j.Driver, j.Command, j.Resources = name, "process", []string{"sleep", "60"}, r
	return j
}

func call(j api.Job, slots ...int) bidding.Call {
	return bidding.Call{Wire: bidding.WireMax, Auction: "a1", Job: j, Life: 1, Slots: slots}
}

func node(id api.NodeID, capacity api.Resources, claims ...bidding.Claim) bidding.Bidder {
	return bidding.Bidder{ID: id, Name: string(id), Drivers: map[string]string{"process": ""}, MaxStarts: 4, Ledger: bidding.NewLedger(capacity, claims)}
}

func upTo(n int) []int {
	slots := make([]int, n)
	for i := range slots {
		slots[i] = i
	}
	return slots
}

func TestMakeBidRefuses(t *testing.T) {
	capacity := api.Resources{CPUs: 1000, Memory: 1 << 30}
	excluded := &api.Refusal{Code: "excluded", Reason: "web.3 failed here 3s ago; excluded for 5s", Retry: "after"}
	closed := &api.Refusal{Code: "draining", Reason: "draining", Retry: "never"}
	tests := []struct {
		name, code string
		change     func(c *bidding.Call, b *bidding.Bidder)
	}{
		{"wire too old", "wire", func(c *bidding.Call, _ *bidding.Bidder) { c.Wire = bidding.WireMin - 1 }},
		{"wire too new", "wire", func(c *bidding.Call, _ *bidding.Bidder) { c.Wire = bidding.WireMax + 1 }},
		{"closed", "draining", func(_ *bidding.Call, b *bidding.Bidder) { b.Closed, b.Excluded = closed, excluded }},
		{"no driver", "no_driver", func(c *bidding.Call, b *bidding.Bidder) { c.Job.Driver, b.Excluded = "docker", excluded }},
		{"driver hangs", "no_driver", func(_ *bidding.Call, b *bidding.Bidder) { b.Drivers["process"] = "does not answer" }},
		{"not allowed", "not_allowed", func(c *bidding.Call, b *bidding.Bidder) { c.Job.Privileged, b.Allow = true, []string{"host-mounts"} }},
		{"excluded", "excluded", func(_ *bidding.Call, b *bidding.Bidder) { b.Excluded = excluded }},
		{"no room", "no_room", func(c *bidding.Call, _ *bidding.Bidder) { c.Job.Resources.CPUs = 1001 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, b := call(process("web", mem(1)), 0, 1), node("n1", capacity)
			test.change(&c, &b)
			bid := bidding.MakeBid(c, b)
			if bid.Refusal == nil || bid.Refusal.Code != test.code || len(bid.Scores) != 0 {
				t.Fatalf("got scores %v and refusal %+v, want none and code %s", bid.Scores, bid.Refusal, test.code)
			}
			if bid.Scores == nil || bid.Terms == nil || bid.StopFirst == nil {
				t.Error("a list is null")
			}
		})
	}
}

func TestMakeBidWhereItIsAllowed(t *testing.T) {
	c, b := call(process("web", mem(1)), 0), node("n1", mem(10))
	c.Job.Privileged, c.Job.HostNamespaces, b.Allow = true, []string{"pid"}, []string{"host-namespaces", "privileged"}
	if bid := bidding.MakeBid(c, b); bid.Refusal != nil || len(bid.Scores) != 1 {
		t.Errorf("got scores %v and refusal %+v, want one and none", bid.Scores, bid.Refusal)
	}
	b.Allow = b.Allow[1:]
	const want = "does not allow host-namespaces (start it with --allow host-namespaces)"
	if bid := bidding.MakeBid(c, b); bid.Refusal == nil || bid.Refusal.Reason != want || bid.Refusal.Retry != bidding.RetryNever {
		t.Errorf("got %+v, want %q for ever", bid.Refusal, want)
	}
}

func TestMakeBidCurve(t *testing.T) {
	c := call(process("web", api.Resources{CPUs: 300, Memory: 300}), upTo(5)...)
	bid := bidding.MakeBid(c, node("n1", api.Resources{CPUs: 1000, Memory: 1000}))
	// With one copy: fit .7, siblings 1; with two: .4, 1/2; with three: .1, 1/3. All else is 1; weights sum up to 9.
	want := []float64{(2*.7 + 2 + 5) / 9, (2*.4 + 1 + 5) / 9, (2*.1 + 2./3 + 5) / 9}
	if len(bid.Scores) != len(want) {
		t.Fatalf("got scores %v, want %v", bid.Scores, want)
	}
	for i := range want {
		if math.Abs(bid.Scores[i]-want[i]) > 1e-3 {
			t.Errorf("score %d is %v, want %v", i, bid.Scores[i], want[i])
		}
	}
	if bid.Refusal == nil || bid.Refusal.Code != "no_room" || bid.Refusal.Retry != "capacity" {
		t.Errorf("why no more: %+v, want no_room for now", bid.Refusal)
	}
	if bid.Free != (api.Resources{CPUs: 1000, Memory: 1000}) {
		t.Errorf("free %v, want all: a bid holds nothing", bid.Free)
	}
	names := []string{}
	for _, term := range bid.Terms {
		names = append(names, term.Name)
	}
	if want := []string{"fit", "balance", "siblings", "zone", "image", "start", "failures"}; !slices.Equal(names, want) {
		t.Errorf("terms %v, want %v", names, want)
	}
}

func TestMakeBidPortsOneCopyANode(t *testing.T) {
	j := process("web", mem(1))
	j.Ports = []api.Port{{Target: 80, Published: 80, Protocol: "tcp", Mode: "host"}}
	bid := bidding.MakeBid(call(j, 0, 1, 2), node("n1", mem(100)))
	if len(bid.Scores) != 1 || bid.Refusal == nil || bid.Refusal.Code != "port_taken" {
		t.Fatalf("got %d copies, refusal %+v; want 1 and port_taken", len(bid.Scores), bid.Refusal)
	}
}

func TestMakeBidStopsOldCopyFirst(t *testing.T) {
	capacity := api.Resources{CPUs: 1000, Memory: 1000}
	half := api.Resources{CPUs: 500, Memory: 500}
	batch := process("web", half)
	batch.Type = api.BatchJob
	ported := process("web", api.Resources{CPUs: 10, Memory: 10})
	ported.Ports = []api.Port{{Published: 80, Protocol: "tcp"}}
	tests := []struct {
		name      string
		job       api.Job
		slots     []int
		old       map[int]uint64
		claims    []bidding.Claim
		scores    int
		stopFirst []int
	}{
		{"full of old copies", process("web", half), []int{0, 1}, map[int]uint64{0: 1, 1: 1},
			[]bidding.Claim{claim(0, 1, half), claim(1, 1, half)}, 2, []int{0, 1}},
		{"room for one beside", process("web", half), []int{0, 1}, map[int]uint64{0: 1}, []bidding.Claim{claim(0, 1, half)}, 2, []int{0}},
		{"room beside for the only slot", process("web", half), []int{0}, map[int]uint64{0: 1}, []bidding.Claim{claim(0, 1, half)}, 1, nil},
		{"grown too large for either", process("web", capacity), []int{0, 1}, map[int]uint64{0: 1, 1: 1},
			[]bidding.Claim{claim(0, 1, half), claim(1, 1, half)}, 0, nil},
		{"room that a larger old copy leaves is not passed on", process("web", api.Resources{CPUs: 600, Memory: 600}), []int{0, 1}, map[int]uint64{0: 1, 1: 1},
			[]bidding.Claim{claim(0, 1, api.Resources{CPUs: 900, Memory: 900}), claim(1, 1, api.Resources{CPUs: 100, Memory: 100})}, 1, []int{0}},
		{"its own port", ported, []int{0}, map[int]uint64{0: 1}, []bidding.Claim{claim(0, 1, half, 80)}, 1, []int{0}},
		{"a batch slot never beside", batch, []int{0, 3}, map[int]uint64{0: 1}, []bidding.Claim{claim(0, 1, half)}, 2, []int{0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := node("n1", capacity, test.claims...)
			b.Old = test.old
			bid := bidding.MakeBid(call(test.job, test.slots...), b)
			if len(bid.Scores) != test.scores || !slices.Equal(bid.StopFirst, test.stopFirst) {
				t.Fatalf("got %d scores and stop first %v, want %d and %v (%+v)", len(bid.Scores), bid.StopFirst, test.scores, test.stopFirst, bid.Refusal)
			}
			if err := bid.Check(); err != nil {
				t.Errorf("the bid does not pass its own check: %v", err)
			}
		})
	}
}

func TestPackingPrefersTheFullerNode(t *testing.T) {
	j := process("web", api.Resources{CPUs: 100, Memory: 100})
	other := bidding.Claim{Job: "other", Life: 1, Epoch: 1, Resources: api.Resources{CPUs: 300, Memory: 300}}
	capacity := api.Resources{CPUs: 1000, Memory: 1000}
	for _, pack := range []bool{false, true} {
		j.Pack = pack
		empty := bidding.MakeBid(call(j, upTo(7)...), node("empty", capacity))
		fuller := bidding.MakeBid(call(j, upTo(7)...), node("fuller", capacity, other))
		if got := fuller.Scores[0] > empty.Scores[0]; got != pack {
			t.Errorf("pack=%v: the fuller node bids %v, the empty one %v", pack, fuller.Scores[0], empty.Scores[0])
		}
		if last := fuller.Scores[len(fuller.Scores)-1]; pack && last <= empty.Scores[0] {
			t.Errorf("a packing job leaves the fuller node after some copies: %v against %v", last, empty.Scores[0])
		}
	}
}

func TestZoneTerm(t *testing.T) {
	tests := []struct {
		name  string
		zone  string
		zones map[string]int
		want  float64
	}{
		{"none known", "", nil, 1},
		{"others have no label", "", map[string]int{"": 3}, 1},
		{"the emptiest", "a", map[string]int{"a": 0, "b": 2}, 1},
		{"fuller", "b", map[string]int{"a": 0, "b": 2}, 1. / 3},
		{"not named: nothing there", "c", map[string]int{"a": 1, "b": 2}, 1},
		{"even", "b", map[string]int{"a": 2, "b": 2}, 1},
	}
	for _, test := range tests {
		c, b := call(process("web", mem(1)), 0), node("n1", mem(100))
		c.Zones, b.Zone = test.zones, test.zone
		got := bidding.MakeBid(c, b).Terms[3]
		if got.Name != "zone" || math.Abs(got.Value-test.want) > 1e-4 {
			t.Errorf("%s: got %s %v, want %v", test.name, got.Name, got.Value, test.want)
		}
	}
}

func TestMakeBidProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := func(name string, most int) api.Resources {
			return api.Resources{CPUs: api.CPUs(rapid.IntRange(0, most).Draw(t, name)), Memory: api.Bytes(rapid.IntRange(0, most).Draw(t, name))}
		}
		j := process("web", amount("need", 400))
		j.Pack = rapid.Bool().Draw(t, "pack")
		if rapid.Bool().Draw(t, "batch") {
			j.Type = api.BatchJob
		}
		if rapid.Bool().Draw(t, "ports") {
			j.Ports = []api.Port{{Published: 80, Protocol: "tcp"}}
		}
		if rapid.Bool().Draw(t, "image") {
			j.Image = "nginx"
		}
		slots := rapid.SliceOfNDistinct(rapid.IntRange(0, 20), 1, 12, rapid.ID[int]).Draw(t, "slots")
		slices.Sort(slots)
		c := call(j, slots...)
		c.Siblings = map[api.NodeID]int{"n1": rapid.IntRange(0, 5).Draw(t, "siblings")}
		c.Zones = map[string]int{"a": rapid.IntRange(0, 5).Draw(t, "a"), "b": rapid.IntRange(0, 5).Draw(t, "b")}
		b := node("n1", amount("capacity", 3000))
		b.Zone, b.HasImage = rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "zone"), rapid.Bool().Draw(t, "hasImage")
		b.Starting, b.MaxStarts = rapid.IntRange(0, 9).Draw(t, "starting"), rapid.IntRange(0, 4).Draw(t, "max")
		b.RecentFailures = rapid.IntRange(0, 4).Draw(t, "failures")
		b.Old = map[int]uint64{}
		var claims []bidding.Claim
		for _, slot := range slots {
			if rapid.IntRange(0, 3).Draw(t, "old") == 0 {
				b.Old[slot] = 1
				claims = append(claims, claim(slot, 1, amount("old", 400)))
			}
		}
		b.Ledger = bidding.NewLedger(b.Ledger.Capacity(), claims)
		checkCurve(t, c, b, bidding.MakeBid(c, b))
	})
}

// checkCurve holds a bid against its promises: falling scores made of the terms,
// and room on the ledger for as many copies as it says.
func checkCurve(t *rapid.T, c bidding.Call, b bidding.Bidder, bid bidding.Bid) {
	if err := bid.Check(); err != nil {
		t.Fatalf("%v: %+v", err, bid)
	}
	if len(bid.Scores) > 0 {
		var sum, weight float64
		for _, term := range bid.Terms {
			if term.Value < 0 || term.Value > 1 || math.IsNaN(term.Value) || term.Weight < 0 {
				t.Fatalf("term %+v out of range", term)
			}
			sum, weight = sum+term.Value*term.Weight, weight+term.Weight
		}
		if got := bid.Scores[0]; math.Abs(got-sum/weight) > 1e-4 {
			t.Fatalf("first score %v, weighted mean of the terms %v", got, sum/weight)
		}
	}
	beside := len(bid.Scores) - len(bid.StopFirst)
	if beside > len(c.Slots) || (len(bid.Scores) < len(c.Slots)) != (bid.Refusal != nil) {
		t.Fatalf("%d scores for %d slots, refusal %+v", len(bid.Scores), len(c.Slots), bid.Refusal)
	}
	ledger := b.Ledger
	fresh := bidding.Claim{Job: "web", Life: 1, Epoch: 9, Resources: c.Job.Resources, Ports: c.Job.Ports}
	for i := range beside {
		fresh.Slot = 1000 + i
		if refusal := ledger.Fits(fresh); refusal != nil {
			t.Fatalf("copy %d of %d does not fit: %s", i+1, beside, refusal.Reason)
		}
		ledger = ledger.With(fresh)
	}
	for _, slot := range bid.StopFirst {
		if b.Old[slot] == 0 {
			t.Fatalf("would stop a copy of slot %d, of which it runs none", slot)
		}
		fresh.Slot = slot
		without := ledger.Without("web", 1, slot)
		if refusal := without.Fits(fresh); refusal != nil {
			t.Fatalf("slot %d does not fit without its old copy: %s", slot, refusal.Reason)
		}
		ledger = without.With(fresh)
	}
}
