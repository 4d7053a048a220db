package bidding_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

func someCall() bidding.Call {
	c := call(process("web", mem(1)), 0, 3)
	c.Siblings, c.Zones = map[api.NodeID]int{"n1": 1}, map[string]int{"a": 1}
	return c
}

func someAward() bidding.Award {
	return bidding.Award{Wire: bidding.WireMax, Auction: "a1", Boot: "b1", Seq: 1, Job: []byte("{}"), Slots: []bidding.AwardSlot{{Slot: 3, Epoch: 1, Reason: "new"}}}
}

func TestMessagesSurviveTheWire(t *testing.T) {
	in := someCall()
	b, err := bidding.Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := bidding.Decode[bidding.Call](b)
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("call: got %+v, %v; want %+v", out, err, in)
	}
	aw := someAward()
	if b, err = bidding.Encode(aw); err != nil {
		t.Fatal(err)
	}
	b = []byte(strings.Replace(string(b), "{", `{"of_a_later_version":[1],`, 1))
	if got, err := bidding.Decode[bidding.Award](b); err != nil || !reflect.DeepEqual(got, aw) {
		t.Errorf("award with an unknown field: got %+v, %v; want %+v", got, err, aw)
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(c *bidding.Call, a *bidding.Award, b *bidding.Bid, s *bidding.Answer)
	}{
		{"call without an auction", func(c *bidding.Call, _ *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) { c.Auction = "" }},
		{"a job name that is a path", func(c *bidding.Call, _ *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) { c.Job.Name = "../x" }},
		{"no slots", func(c *bidding.Call, _ *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) { c.Slots = nil }},
		{"slots out of order", func(c *bidding.Call, _ *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) { c.Slots = []int{3, 3} }},
		{"a slot beyond all", func(c *bidding.Call, _ *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) {
			c.Slots = []int{api.MaxReplicas}
		}},
		{"negative memory", func(c *bidding.Call, _ *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) {
			c.Job.Resources.Memory = -1
		}},
		{"award without a number", func(_ *bidding.Call, a *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) { a.Seq = 0 }},
		{"award without a job", func(_ *bidding.Call, a *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) { a.Job = nil }},
		{"award of epoch 0", func(_ *bidding.Call, a *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) { a.Slots[0].Epoch = 0 }},
		{"award of the epoch of complete", func(_ *bidding.Call, a *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) {
			a.Slots[0].Epoch = bidding.MaxEpoch
		}},
		{"award of one slot twice", func(_ *bidding.Call, a *bidding.Award, _ *bidding.Bid, _ *bidding.Answer) {
			a.Slots = append(a.Slots, a.Slots[0])
		}},
		{"rising scores", func(_ *bidding.Call, _ *bidding.Award, b *bidding.Bid, _ *bidding.Answer) {
			b.Scores = []float64{.1, .2}
		}},
		{"a score above 1", func(_ *bidding.Call, _ *bidding.Award, b *bidding.Bid, _ *bidding.Answer) { b.Scores = []float64{1.1} }},
		{"stop first without scores", func(_ *bidding.Call, _ *bidding.Award, b *bidding.Bid, _ *bidding.Answer) { b.StopFirst = []int{1} }},
		{"answer for a slot below 0", func(_ *bidding.Call, _ *bidding.Award, _ *bidding.Bid, s *bidding.Answer) {
			s.Slots = []bidding.AnswerSlot{{Slot: -1}}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, a, b, s := someCall(), someAward(), bidding.Bid{Wire: 1}, bidding.Answer{Wire: 1}
			if errs := []error{recode(t, c), recode(t, a), recode(t, b), recode(t, s)}; errors.Join(errs...) != nil {
				t.Fatalf("before the change: %v", errs)
			}
			test.change(&c, &a, &b, &s)
			err := errors.Join(recode(t, c), recode(t, a), recode(t, b), recode(t, s))
			if !errors.Is(err, bidding.ErrMalformed) {
				t.Errorf("got error %v, want ErrMalformed", err)
			}
		})
	}
}

// recode is what Decode says of m.
func recode[M bidding.Message](t *testing.T, m M) error {
	t.Helper()
	b, err := bidding.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	_, err = bidding.Decode[M](b)
	return err
}

func TestDecodeLeavesOtherVersionsUnchecked(t *testing.T) {
	c, err := bidding.Decode[bidding.Call]([]byte(`{"wire":99,"slots":[-1]}`))
	if err != nil || c.Wire != 99 {
		t.Errorf("got wire %d and %v, want 99, so that it can be answered", c.Wire, err)
	}
}

func TestTooLarge(t *testing.T) {
	a := someAward()
	a.Job = make([]byte, bidding.MaxFrame)
	if _, err := bidding.Encode(a); !errors.Is(err, bidding.ErrTooLarge) {
		t.Errorf("Encode: %v, want ErrTooLarge", err)
	}
	if _, err := bidding.Decode[bidding.Award](make([]byte, bidding.MaxFrame+1)); !errors.Is(err, bidding.ErrTooLarge) {
		t.Errorf("Decode: %v, want ErrTooLarge", err)
	}
}

// The largest curve and the largest call must fit a frame.
func TestLargestMessagesFit(t *testing.T) {
	j := process("web", api.Resources{})
	c := call(j, upTo(api.MaxReplicas)...)
	bid := bidding.MakeBid(c, node("n1", mem(1)))
	if len(bid.Scores) != api.MaxReplicas {
		t.Fatalf("%d scores, want %d: the job needs nothing", len(bid.Scores), api.MaxReplicas)
	}
	b, err := bidding.Encode(bid)
	if err != nil {
		t.Errorf("bid: %v", err)
	}
	t.Logf("a bid for %d slots is %d bytes", api.MaxReplicas, len(b))
	c.Job.Labels = map[string]string{}
	for i := range 900 {
		c.Job.Labels[strings.Repeat("k", 8)+string(rune('a'+i%26))+string(rune('a'+i/26))] = strings.Repeat("v", 256)
	}
	if size, _ := json.Marshal(c.Job); len(size) < 200<<10 {
		t.Fatalf("the job is %d bytes, want one near the limit of %d", len(size), api.MaxJobSize)
	}
	if _, err := bidding.Encode(c); err != nil {
		t.Errorf("call: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range []any{someCall(), someAward(), bidding.MakeBid(someCall(), node("n1", mem(9))), bidding.Answer{Wire: 1, Slots: []bidding.AnswerSlot{{Slot: 1}}}} {
		b, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := bidding.Decode[bidding.Call](b); err == nil && len(c.Slots) < 1000 {
			bid := bidding.MakeBid(c, node("n1", mem(100)))
			if err := bid.Check(); err != nil {
				t.Errorf("the bid for a call that passed is wrong: %v", err)
			}
			again(t, c)
		}
		if m, err := bidding.Decode[bidding.Bid](b); err == nil {
			again(t, m)
		}
		if m, err := bidding.Decode[bidding.Award](b); err == nil {
			for _, s := range m.Slots {
				bidding.Consider(m, s, bidding.Standing{Job: process("web", mem(1)), JobIsMine: true, Wanted: true}, node("n1", mem(100)))
			}
			again(t, m)
		}
		if m, err := bidding.Decode[bidding.Answer](b); err == nil {
			again(t, m)
		}
	})
}

// again checks that what passed once passes again after a round trip.
func again[M bidding.Message](t *testing.T, m M) {
	b, err := bidding.Encode(m)
	if errors.Is(err, bidding.ErrTooLarge) {
		return // escapes can make it longer than what was read
	}
	if err != nil {
		t.Fatalf("cannot be encoded again: %v", err)
	}
	if _, err := bidding.Decode[M](b); err != nil {
		t.Errorf("passed once and not again: %v\n%s", err, b)
	}
}
