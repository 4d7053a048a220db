package bidding_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

func candidate(i int, free api.Bytes) bidding.Candidate {
	return bidding.Candidate{
		ID: api.NodeID(fmt.Sprintf("n%03d", i)), Name: fmt.Sprintf("node%d", i), Alive: true, State: "ready", Drivers: []string{"process"}, Allow: []string{"privileged"},
		Capacity: api.Resources{CPUs: 1000, Memory: 1 << 30}, Free: api.Resources{CPUs: 1000, Memory: free},
	}
}

func TestShortlistLeavesOutWhoCannot(t *testing.T) {
	tests := []struct {
		why    string
		change func(c *bidding.Candidate)
	}{
		{"failed", func(c *bidding.Candidate) { c.Alive = false }},
		{"draining", func(c *bidding.Candidate) { c.State = "draining" }},
		{"is cordoned", func(c *bidding.Candidate) { c.Cordoned = true }},
		{"starting", func(c *bidding.Candidate) { c.State = "starting" }},
		{"not ready", func(c *bidding.Candidate) { c.State = "" }},
		{"no driver process", func(c *bidding.Candidate) { c.Drivers = []string{"docker"} }},
		{"does not allow privileged (start it with --allow privileged)", func(c *bidding.Candidate) { c.Allow = []string{"devices"} }},
		{"too small: 32MiB of memory, 64MiB needed", func(c *bidding.Candidate) { c.Capacity.Memory = 32 << 20 }},
		{"too small: 0.1 cpus, 0.25 needed", func(c *bidding.Candidate) { c.Capacity.CPUs = 100 }},
	}
	for _, test := range tests {
		full, bad := candidate(1, 0), candidate(2, 1<<30)
		test.change(&bad)
		job := process("web", api.Resources{CPUs: 250, Memory: 64 << 20})
		job.Privileged = true
		ask, notAsked := bidding.Shortlist(call(job, 0), []bidding.Candidate{full, bad}, rand.Float64)
		if len(ask) != 1 || ask[0].ID != full.ID || len(notAsked) != 1 {
			t.Errorf("%s: asked %v and not %v; want the full one asked, since gossip does not decide", test.why, ask, notAsked)
			continue
		}
		want := api.NotAsked{Node: bad.ID, NodeName: bad.Name, Reason: test.why, Free: bad.Free, Capacity: bad.Capacity}
		if strings.HasPrefix(test.why, "too small") {
			want.Code = bidding.CodeNoRoom
		}
		if notAsked[0] != want {
			t.Errorf("got %+v, want %+v", notAsked[0], want)
		}
	}
}

func TestShortlistOfMany(t *testing.T) {
	var all []bidding.Candidate
	for i := range 100 {
		all = append(all, candidate(i, api.Bytes(i+1)<<20)) // the last is the emptiest
	}
	ask, notAsked := bidding.Shortlist(call(process("web", mem(1)), 0), all, rand.New(rand.NewPCG(1, 2)).Float64)
	if len(ask) != bidding.Few+bidding.Strangers || len(notAsked) != 100-len(ask) {
		t.Fatalf("asked %d and not %d, want %d and the rest", len(ask), len(notAsked), bidding.Few+bidding.Strangers)
	}
	for i := range bidding.Few {
		if want := all[99-i].ID; ask[i].ID != want {
			t.Errorf("number %d is %s, want %s: best first", i, ask[i].ID, want)
		}
	}
	if want := "not among the 18 best by gossip"; notAsked[0].Reason != want {
		t.Errorf("reason %q, want %q", notAsked[0].Reason, want)
	}
	// 1,000 slots of 1 MiB: the best have 100, 99 … MiB; 23 of them have twice what is needed.
	many, _ := bidding.Shortlist(call(process("web", api.Resources{Memory: 1 << 20}), upTo(1000)...), all, rand.Float64)
	if len(many) != 23+bidding.Strangers {
		t.Errorf("for 1,000 slots %d are asked, want 23 with twice the room and %d strangers", len(many), bidding.Strangers)
	}
	ported := process("web", mem(1))
	ported.Ports = []api.Port{{Published: 80, Protocol: "tcp"}}
	if asked, _ := bidding.Shortlist(call(ported, upTo(40)...), all, rand.Float64); len(asked) != 80+bidding.Strangers {
		t.Errorf("for 40 slots with a port %d are asked, want 80: one copy a node", len(asked))
	}
}

func TestShortlistLosesNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []bidding.Candidate
		for i := range rapid.IntRange(0, 60).Draw(t, "nodes") {
			c := candidate(i, api.Bytes(rapid.IntRange(0, 1<<30).Draw(t, "free")))
			c.Alive = rapid.IntRange(0, 9).Draw(t, "alive") > 0
			all = append(all, c)
		}
		rnd := func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "rnd") }
		ask, notAsked := bidding.Shortlist(call(process("web", mem(64)), upTo(rapid.IntRange(1, 50).Draw(t, "slots"))...), all, rnd)
		seen := map[api.NodeID]int{}
		for _, c := range ask {
			seen[c.ID]++
		}
		for _, n := range notAsked {
			seen[n.Node]++
			if n.Reason == "" {
				t.Fatalf("%s is left out without a reason", n.Node)
			}
		}
		for _, c := range all {
			if seen[c.ID] != 1 {
				t.Fatalf("%s is named %d times, want once", c.ID, seen[c.ID])
			}
		}
	})
}

func TestBackoff(t *testing.T) {
	tests := []struct {
		n    int
		u    float64
		want time.Duration
	}{
		{-1, 0.5, 0}, {0, 0.5, 0},
		{1, 0, 500 * time.Millisecond}, {1, 1, time.Second}, {2, 0, time.Second}, {5, 0.5, 12 * time.Second},
		{9, 1, 256 * time.Second}, {10, 1, 5 * time.Minute}, {1 << 40, 0, 150 * time.Second},
	}
	for _, test := range tests {
		if got := bidding.Backoff(test.n, test.u); got != test.want {
			t.Errorf("Backoff(%d, %v) = %v, want %v", test.n, test.u, got, test.want)
		}
	}
}

func TestSheets(t *testing.T) {
	sheets := bidding.NewSheets()
	sheet := func(i int, slots ...int) api.Sheet {
		return api.Sheet{ID: fmt.Sprint("a", i), Job: "web", Life: 1, Slots: slots, Awards: []api.SheetRow{{Slot: slots[0]}}}
	}
	for i := range 1001 {
		sheets.Add(sheet(i, i%10, 50))
	}
	if _, ok := sheets.Get("a0"); ok {
		t.Error("the first of 1,001 is still kept")
	}
	if _, ok := sheets.Get("a1"); !ok {
		t.Error("the second of 1,001 is gone")
	}
	for slot, want := range map[int]string{50: "a1000", 0: "a1000", 9: "a999"} {
		if s, ok := sheets.Latest("web", 1, slot); !ok || s.ID != want {
			t.Errorf("the latest of slot %d is %q, want %s", slot, s.ID, want)
		}
	}
	if _, ok := sheets.Latest("web", 2, 0); ok {
		t.Error("another life has a sheet")
	}
	sheets.Add(sheet(2000, upTo(250_000)...))
	if _, ok := sheets.Get("a1000"); ok {
		t.Error("the rows of a huge auction did not push out others")
	}
	huge, ok := sheets.Latest("web", 1, 200_000)
	if !ok {
		t.Fatal("the last auction is not kept")
	}
	if about := bidding.About(huge, 3); len(about.Slots) != 1 || len(about.Awards) != 0 {
		t.Errorf("about slot 3: %v %v, want its slot and no award", about.Slots, about.Awards)
	}
}
