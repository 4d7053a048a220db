package bidding_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-msgio"
	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

// stall is a node of the tests: a bidder with a ledger, on a host of its own.
type stall struct {
	host   host.Host
	server *bidding.Server
	id     api.NodeID

	mu     sync.Mutex // guards all below
	bidder bidding.Bidder
	held   map[int]uint64
	heard  *bidding.Heard
	refuse *api.Refusal // of awards
	calls  []api.NodeID // who asked for bids
	block  chan struct{}
}

func quiet() logrus.FieldLogger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

func newHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func newStall(t *testing.T, capacity api.Resources) *stall {
	t.Helper()
	s := &stall{host: newHost(t), held: map[int]uint64{}, heard: bidding.NewHeard(100)}
	s.id = api.NodeID(s.host.ID().String())
	s.bidder = node(s.id, capacity)
	s.server = bidding.Serve(s.host, s.handlers(), quiet())
	t.Cleanup(s.server.Close)
	return s
}

func (s *stall) handlers() bidding.Handlers { return bidding.Handlers{Bid: s.bid, Award: s.award} }

func (s *stall) bid(ctx context.Context, from api.NodeID, c bidding.Call) bidding.Bid {
	s.mu.Lock()
	s.calls = append(s.calls, from)
	block := s.block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return bidding.MakeBid(c, s.bidder)
}

func (s *stall) award(_ context.Context, from api.NodeID, aw bidding.Award) bidding.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	ans := bidding.Answer{Wire: bidding.WireMax}
	for _, slot := range aw.Slots {
		key := bidding.HeardKey{Auctioneer: from, Boot: aw.Boot, Job: "web", Life: 1, Slot: slot.Slot}
		epoch, known := s.held[slot.Slot]
		st := bidding.Standing{
			Job: process("web", mem(1)), Life: 1, JobIsMine: true, Wanted: true, LastSeq: s.heard.Note(key, aw.Seq),
			Known: known, Epoch: epoch, Owner: s.id, Served: known,
		}
		v := bidding.Verdict{Refusal: s.refuse}
		if s.refuse == nil {
			v = bidding.Consider(aw, slot, st, s.bidder)
		}
		as := bidding.AnswerSlot{Slot: slot.Slot, Refusal: v.Refusal}
		if v.Accept {
			s.held[slot.Slot] = slot.Epoch
			s.bidder.Ledger = s.bidder.Ledger.With(claim(slot.Slot, slot.Epoch, mem(1)))
			as.Record = []byte("accepted")
		}
		ans.Slots = append(ans.Slots, as)
	}
	return ans
}

// auctioneer is s as one. Its records are just the word of the answer.
func (s *stall) auctioneer() *bidding.Auctioneer {
	return bidding.NewAuctioneer(bidding.AuctioneerConfig{
		Host: s.host, Self: s.id, Boot: "b1", Name: "me", Local: s.handlers(), Log: quiet(),
		Alive: func(api.NodeID) bool { return true },
		Settle: func(_ context.Context, _ api.NodeID, aw bidding.Award, ans bidding.Answer) []bidding.Outcome {
			var out []bidding.Outcome
			for i, slot := range ans.Slots {
				o := bidding.Outcome{Slot: slot.Slot, Accepted: string(slot.Record) == "accepted", Refusal: slot.Refusal}
				if o.Accepted {
					o.Epoch = aw.Slots[i].Epoch
				}
				out = append(out, o)
			}
			return out
		},
	})
}

func connect(t *testing.T, from *stall, to ...*stall) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, s := range to {
		if err := from.host.Connect(ctx, peer.AddrInfo{ID: s.host.ID(), Addrs: s.host.Addrs()}); err != nil {
			t.Fatal(err)
		}
	}
}

func lotFor(n int, stopFirst bool, asked ...*stall) bidding.Lot {
	var ids []api.NodeID
	for _, s := range asked {
		ids = append(ids, s.id)
	}
	return lot(stopFirst, n, ids...)
}

// awardSilent makes s receive awards and answer none of them until then.
func awardSilent(s *stall, until chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.Close()
	h := s.handlers()
	s.server = bidding.Serve(s.host, bidding.Handlers{Bid: h.Bid, Award: func(ctx context.Context, _ api.NodeID, _ bidding.Award) bidding.Answer {
		select {
		case <-until:
		case <-ctx.Done():
		}
		return bidding.Answer{}
	}}, quiet())
}

func TestAuctionOverStreams(t *testing.T) {
	var all []*stall
	for _, capacity := range []int{12, 12, 40, 30, 12} { // the greatest bid best, and then refuse or fall silent
		all = append(all, newStall(t, api.Resources{CPUs: 10_000, Memory: api.Bytes(capacity) << 20}))
	}
	me, refuses, silent := all[0], all[2], all[3]
	refuses.refuse = &api.Refusal{Code: "no_room", Reason: "taken by another auction just now", Retry: "capacity"}
	release := make(chan struct{})
	awardSilent(silent, release)
	t.Cleanup(silent.server.Close)
	t.Cleanup(func() { close(release) })
	connect(t, me, all[1:]...)

	d := me.auctioneer()
	result, sheet := d.Hold(t.Context(), lotFor(9, false, all...))
	if len(result.Placed) != 9 || len(result.Left) != 0 {
		t.Fatalf("placed %d, left %+v; want all 9 placed on the three that can", len(result.Placed), result.Left)
	}
	above := 0
	for _, p := range result.Placed {
		if p.Node == refuses.id || p.Node == silent.id {
			t.Errorf("slot %d is placed on a node that never accepted it", p.Slot)
		}
		if p.Epoch > 5 {
			above++
		}
	}
	if above == 0 || above != len(result.Unanswered) {
		t.Errorf("%d slots placed above a silence and %d unanswered, want as many, and some", above, len(result.Unanswered))
	}
	outcomes := map[string]int{}
	for _, row := range sheet.Awards {
		outcomes[row.Outcome]++
	}
	if outcomes["accepted"] != 9 || outcomes["refused"] == 0 || outcomes["silent"] < above {
		t.Errorf("outcomes on the sheet: %v", outcomes)
	}
	if kept, ok := d.Sheets().Get("a1"); !ok || kept.AuctioneerName != "me" || len(kept.Bids) != 5 {
		t.Errorf("the sheet kept: %v %+v", ok, kept)
	}
	all[1].mu.Lock()
	defer all[1].mu.Unlock()
	if want := []api.NodeID{me.id}; !slices.Equal(all[1].calls, want) {
		t.Errorf("called by %v, want %v: the authenticated peer", all[1].calls, want)
	}
}

func TestSilentBidderDoesNotHoldUpTheRest(t *testing.T) {
	me, silent := newStall(t, mem(100)), newStall(t, mem(100))
	silent.block = make(chan struct{})
	connect(t, me, silent)
	begun := time.Now()
	result, sheet := me.auctioneer().Hold(t.Context(), lotFor(1, false, me, silent))
	if len(result.Placed) != 1 || result.Placed[0].Node != me.id {
		t.Fatalf("got %+v, want the slot placed here", result)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v, want well below the time limit of a stream", took)
	}
	if r := sheet.Bids[1].Refusal; r == nil || r.Code != "no_answer" {
		t.Errorf("the silent one is on the sheet with %+v, want no_answer", r)
	}
}

func TestHoldEndsWithItsContext(t *testing.T) {
	me, silent := newStall(t, mem(1)), newStall(t, mem(100))
	me.bidder.Closed = &api.Refusal{Code: "draining", Reason: "draining"}
	release := make(chan struct{})
	awardSilent(silent, release)
	t.Cleanup(silent.server.Close)
	t.Cleanup(func() { close(release) })
	connect(t, me, silent)
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	result, _ := me.auctioneer().Hold(ctx, lotFor(1, true, me, silent)) // batch: would repeat until the node is dead
	if len(result.Left) != 1 || !slices.Equal(result.Unanswered, []bidding.SlotEpoch{{Slot: 0, Epoch: 5}}) {
		t.Errorf("got %+v, want the slot left and epoch 5 unanswered", result)
	}
}

func TestUnreachableNode(t *testing.T) {
	me := newStall(t, mem(100))
	l := lotFor(1, false, me)
	l.Candidates = append(l.Candidates, bidding.Candidate{ID: "not-a-peer-id", Name: "bad"}, bidding.Candidate{ID: api.NodeID(newHost(t).ID().String()), Name: "gone"})
	result, sheet := me.auctioneer().Hold(t.Context(), l)
	if len(result.Placed) != 1 || len(sheet.Bids) != 3 {
		t.Fatalf("got %+v, want the slot placed here", result)
	}
	for _, b := range sheet.Bids[1:] {
		if b.Refusal == nil || b.Refusal.Code != "no_answer" {
			t.Errorf("%s: %+v, want no_answer", b.NodeName, b.Refusal)
		}
	}
}

// ask sends raw bytes and returns what comes back.
func ask(t *testing.T, from, to *stall, id protocol.ID, raw []byte) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := from.host.NewStream(ctx, to.host.ID(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write(raw); err != nil {
		return nil, err
	}
	_ = s.CloseWrite()
	return msgio.NewVarintReaderSize(s, bidding.MaxFrame).ReadMsg()
}

func frame(s string) []byte {
	var b strings.Builder
	if err := msgio.NewVarintWriter(&b).WriteMsg([]byte(s)); err != nil {
		panic(err)
	}
	return []byte(b.String())
}

func TestServerSurvivesBadRequests(t *testing.T) {
	me, other := newStall(t, mem(100)), newStall(t, mem(100))
	connect(t, me, other)
	bad := [][]byte{frame("{"), frame(`{"wire":1}`), frame(`[]`), {0xff, 0xff, 0xff, 0x7f, 1, 2, 3}, frame(""), {5, 'a'},
		frame(strings.Repeat(`{"slots":[`, 1000)), frame(`{"slots":[{}` + strings.Repeat(",{}", 1<<17) + `]}`)}
	for i, raw := range bad {
		if got, err := ask(t, me, other, bidding.BidProtocol, raw); err == nil {
			t.Errorf("bad request %d was answered with %.80q, want a reset", i, got)
		}
	}
	got, err := ask(t, me, other, bidding.BidProtocol, frame(`{"wire":99}`))
	if err != nil || !strings.Contains(string(got), `"code":"wire"`) {
		t.Errorf("another protocol version: %.200q, %v; want a refusal that says so", got, err)
	}
	if n := other.server.Malformed(); n != 7 { // one broke off: nothing to understand
		t.Errorf("counted %d malformed messages, want 7", n)
	}

	other.server.Close()
	other.server = bidding.Serve(other.host, bidding.Handlers{Bid: func(context.Context, api.NodeID, bidding.Call) bidding.Bid { panic("a bug") }, Award: other.award}, quiet())
	t.Cleanup(other.server.Close)
	b, err := bidding.Encode(someCall())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ask(t, me, other, bidding.BidProtocol, frame(string(b))); err == nil {
		t.Errorf("a panicking handler answered %q", got)
	}
	if b, err = bidding.Encode(someAward()); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, me, other, bidding.AwardProtocol, frame(string(b))); err != nil {
		t.Errorf("after the panic: %v, want other requests answered", err)
	}
}

// Whoever takes all of its places takes none of the others', and gets them back.
func TestPlacesOfOnePeer(t *testing.T) {
	evil, honest, other := newStall(t, mem(100)), newStall(t, mem(100)), newStall(t, mem(100))
	connect(t, evil, other)
	connect(t, honest, other)
	b, err := bidding.Encode(someCall())
	if err != nil {
		t.Fatal(err)
	}
	var held []network.Stream
	refused := make(chan error, 128)
	for range cap(refused) { // none says what it wants
		s, err := evil.host.NewStream(t.Context(), other.host.ID(), bidding.BidProtocol)
		if err != nil {
			break // libp2p's own limit
		}
		if _, err := s.Write([]byte{0x80}); err == nil {
			held = append(held, s)
			go func() {
				_, err := s.Read(make([]byte, 1))
				refused <- err
			}()
		}
	}
	if len(held) <= 64 {
		t.Fatalf("%d streams could be opened, want more than the 64 that are served", len(held))
	}
	select {
	case <-refused:
	case <-time.After(8 * time.Second): // before any of them has had its time
		t.Error("none of them was refused")
	}
	if got, err := ask(t, honest, other, bidding.BidProtocol, frame(string(b))); err != nil {
		t.Errorf("while one holds all of its places, another is answered %.80q, %v", got, err)
	}
	for _, s := range held {
		_ = s.Reset()
	}
	deadline := time.After(30 * time.Second)
	for {
		if _, err := ask(t, evil, other, bidding.BidProtocol, frame(string(b))); err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal("its places did not come back")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestCloseWaitsForHandlers(t *testing.T) {
	me, other := newStall(t, mem(100)), newStall(t, mem(100))
	connect(t, me, other)
	entered, left := make(chan struct{}), make(chan struct{})
	other.server.Close()
	server := bidding.Serve(other.host, bidding.Handlers{Bid: func(ctx context.Context, _ api.NodeID, c bidding.Call) bidding.Bid {
		close(entered)
		<-ctx.Done() // Close ends the context …
		close(left)
		return bidding.Bid{Wire: bidding.WireMax}
	}}, quiet())
	done := make(chan struct{})
	go func() {
		defer close(done)
		me.auctioneer().Hold(t.Context(), lotFor(1, false, other))
	}()
	<-entered
	server.Close()
	select {
	case <-left: // … and waits
	default:
		t.Error("Close returned while a handler was running")
	}
	<-done
}

func TestVersionThatBothKnow(t *testing.T) {
	for _, tt := range []struct{ oldest, newest, theirOldest, theirNewest, want int }{
		{1, 1, 1, 1, 1},
		{1, 2, 1, 1, 1}, // a newer node speaks as the older one does
		{1, 1, 1, 2, 1},
		{1, 2, 2, 3, 2},
		{1, 3, 2, 3, 3},
		{2, 3, 1, 1, 3}, // none: it will be refused, with what the other speaks
		{1, 1, 3, 3, 1},
	} {
		if got := bidding.Common(tt.oldest, tt.newest, tt.theirOldest, tt.theirNewest); got != tt.want {
			t.Errorf("%d to %d and %d to %d: got %d, want %d", tt.oldest, tt.newest, tt.theirOldest, tt.theirNewest, got, tt.want)
		}
	}
}
