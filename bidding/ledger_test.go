package bidding_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

func mem(n int) api.Resources { return api.Resources{CPUs: 100, Memory: api.Bytes(n) << 20} }

func claim(slot int, epoch uint64, r api.Resources, ports ...int) bidding.Claim {
	c := bidding.Claim{Job: "web", Life: 1, Slot: slot, Epoch: epoch, Resources: r}
	for _, p := range ports {
		c.Ports = append(c.Ports, api.Port{Published: p, Protocol: "tcp", Target: p})
	}
	return c
}

func TestLedgerFits(t *testing.T) {
	capacity := api.Resources{CPUs: 2000, Memory: 1 << 30}
	held := []bidding.Claim{claim(0, 1, api.Resources{CPUs: 500, Memory: 512 << 20}, 80)}
	ledger := bidding.NewLedger(capacity, held)
	tests := []struct {
		name         string
		claim        bidding.Claim
		code, reason string
		retry        string
	}{
		{name: "fits", claim: claim(1, 1, api.Resources{CPUs: 1500, Memory: 512 << 20}, 81)},
		{name: "the same attempt again", claim: claim(0, 1, api.Resources{CPUs: 500, Memory: 512 << 20}, 80)},
		{name: "only the growth counts", claim: claim(0, 1, capacity, 80)},
		{name: "memory", claim: claim(1, 1, api.Resources{CPUs: 1, Memory: 600 << 20}), code: "no_room", reason: "needs 600MiB; 512MiB free of 1GiB", retry: "capacity"},
		{name: "cpus", claim: claim(1, 1, api.Resources{CPUs: 1750}), code: "no_room", reason: "needs 1.75 cpus; 1.5 free of 2", retry: "capacity"},
		{name: "never", claim: claim(1, 1, api.Resources{Memory: 64 << 30}), code: "no_room", reason: "needs 64GiB; 512MiB free of 1GiB (never fits here)", retry: "never"},
		{name: "port", claim: claim(1, 1, mem(1), 80), code: "port_taken", reason: "port 80/tcp is taken by web.0", retry: "capacity"},
		{name: "port of another epoch of the slot", claim: claim(0, 2, mem(1), 80), code: "port_taken", reason: "port 80/tcp is taken by web.0", retry: "capacity"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ledger.Fits(test.claim)
			if test.code == "" {
				if got != nil {
					t.Fatalf("got refusal %+v, want none", *got)
				}
				return
			}
			want := api.Refusal{Code: test.code, Reason: test.reason, Retry: test.retry}
			if got == nil || *got != want {
				t.Fatalf("got %+v, want %+v", got, want)
			}
		})
	}
	udp := claim(1, 1, mem(1))
	udp.Ports = []api.Port{{Published: 80, Protocol: "udp"}}
	if got := ledger.Fits(udp); got != nil {
		t.Errorf("80/udp beside 80/tcp: got %v, want no refusal", got.Reason)
	}
}

func TestLedgerMergesRecordAndContainer(t *testing.T) {
	record := claim(0, 3, api.Resources{CPUs: 100, Memory: 200})
	container := claim(0, 3, api.Resources{CPUs: 300, Memory: 100}, 80)
	ledger := bidding.NewLedger(api.Resources{CPUs: 1000, Memory: 1000}, []bidding.Claim{record, container})
	if got, want := ledger.Used(), (api.Resources{CPUs: 300, Memory: 200}); got != want {
		t.Errorf("used %v, want the larger of each: %v", got, want)
	}
	with := ledger.With(claim(0, 4, api.Resources{CPUs: 900, Memory: 1}))
	if got, want := with.Used(), (api.Resources{CPUs: 1200, Memory: 201}); got != want {
		t.Errorf("old and new copy: used %v, want both: %v", got, want)
	}
	if got, want := with.Free(), (api.Resources{Memory: 799}); got != want {
		t.Errorf("free %v, want %v: never negative", got, want)
	}
	gone := with.Without("web", 1, 0)
	if got := gone.Used(); got != (api.Resources{}) {
		t.Errorf("without the slot: used %v, want nothing", got)
	}
	if refusal := gone.Fits(claim(1, 1, api.Resources{}, 80)); refusal != nil {
		t.Errorf("the port of the slot that went: %s", refusal.Reason)
	}
	if refusal := ledger.Fits(claim(1, 1, api.Resources{}, 80)); refusal == nil {
		t.Error("With and Without changed the ledger that they were called on")
	}
}

func TestZeroLedgerRefuses(t *testing.T) {
	var ledger bidding.Ledger
	if refusal := ledger.Fits(claim(0, 1, mem(1))); refusal == nil || refusal.Retry != "never" {
		t.Errorf("got %v, want a refusal for good", refusal)
	}
	if got := ledger.With(claim(0, 1, mem(1))).Without("web", 1, 0).Used(); got != (api.Resources{}) {
		t.Errorf("used %v, want nothing", got)
	}
}

func drawClaim(t *rapid.T) bidding.Claim {
	c := bidding.Claim{
		Job: rapid.SampledFrom([]string{"a", "a1", "b"}).Draw(t, "job"), Life: rapid.Int64Range(1, 2).Draw(t, "life"),
		Slot: rapid.IntRange(0, 12).Draw(t, "slot"), Epoch: rapid.Uint64Range(1, 2).Draw(t, "epoch"),
		Resources: api.Resources{CPUs: api.CPUs(rapid.IntRange(0, 500).Draw(t, "cpus")), Memory: api.Bytes(rapid.IntRange(0, 500).Draw(t, "memory"))},
	}
	for range rapid.IntRange(0, 2).Draw(t, "ports") {
		c.Ports = append(c.Ports, api.Port{Published: rapid.IntRange(1, 5).Draw(t, "port"), Protocol: rapid.SampledFrom([]string{"tcp", "udp"}).Draw(t, "protocol")})
	}
	return c
}

// A ledger against a plain map: the same sums and the same holders of ports, and
// what is added only when it fits never goes beyond the capacity.
func TestLedgerAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := api.Resources{CPUs: 1500, Memory: 1500}
		ledger := bidding.NewLedger(capacity, nil)
		model := map[string]bidding.Claim{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			c := drawClaim(t)
			slot := fmt.Sprintf("%s/%d/%d/", c.Job, c.Life, c.Slot)
			key := fmt.Sprintf("%s%d", slot, c.Epoch)
			if rapid.IntRange(0, 3).Draw(t, "op") == 0 {
				ledger = ledger.Without(c.Job, c.Life, c.Slot)
				for k := range model {
					if strings.HasPrefix(k, slot) {
						delete(model, k)
					}
				}
			} else {
				refusal := ledger.Fits(c)
				if want := modelFits(model, key, c, capacity); (refusal == nil) != want {
					t.Fatalf("Fits(%+v) is %v beside %v, want fits=%v", c, refusal, model, want)
				}
				if refusal != nil {
					continue
				}
				ledger = ledger.With(c)
				old := model[key]
				c.Resources = c.Resources.Max(old.Resources)
				c.Ports = append(append([]api.Port{}, old.Ports...), c.Ports...)
				model[key] = c
			}
			var sum api.Resources
			var all []bidding.Claim
			for _, m := range model {
				sum = sum.Add(m.Resources)
				all = append(all, m)
			}
			if ledger.Used() != sum || !ledger.Used().Fits(capacity) {
				t.Fatalf("used %v of %v, want %v", ledger.Used(), capacity, sum)
			}
			if again := bidding.NewLedger(capacity, all); again.Used() != sum || again.Free() != ledger.Free() {
				t.Fatalf("made anew it uses %v, want %v", again.Used(), sum)
			}
		}
	})
}

func modelFits(model map[string]bidding.Claim, key string, c bidding.Claim, capacity api.Resources) bool {
	sum := c.Resources.Max(model[key].Resources)
	for k, m := range model {
		if k == key {
			continue
		}
		sum = sum.Add(m.Resources)
		for _, p := range m.Ports {
			for _, q := range c.Ports {
				if p.Published == q.Published && p.Protocol == q.Protocol {
					return false
				}
			}
		}
	}
	return sum.Fits(capacity)
}
