package peer_test

import (
	"io"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
)

// lone is what a core sees that is alone with its table.
type lone struct{ table *gossip.Table }

func (l lone) Members() []gossip.Member              { return nil }
func (l lone) Dead(string) (bool, string, time.Time) { return false, "", time.Time{} }
func (l lone) Get(key string) (gossip.Record, bool)  { return l.table.Get(key) }
func (l lone) Synced(api.NodeID) bool                { return false }
func (l lone) EverSynced() bool                      { return false }
func (l lone) Address() string                       { return "" }
func (l lone) Apart() []gossip.Apart                 { return nil }

// A node may say that it accepts and die before anybody has its record. The epoch is
// spent all the same: that node will have it on its disk.
func TestNextAwardIsAboveWhatWasAccepted(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	table, now := gossip.NewTable(peer.Rules()), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := peer.NewCore(peer.CoreConfig{
		ID: "a", Boot: "b1", Name: "a", Fresh: true, Started: now, Around: lone{table}, Random: func() float64 { return 0.5 }, NewID: func() string { return "x" }, Log: log,
	})
	c.Hold(nil, nil)
	c.Turn(now)
	spec := api.NewJob()
	spec.Name, spec.Driver = "web", "fake"
	r, err := c.Submit(spec, now)
	if err != nil {
		t.Fatal(err)
	}
	c.Take(now, table.Load(now, *r).News, nil)
	of := peer.Auction{Job: "web", Life: int64(r.Stamp.Major), Slots: []int{0}}
	for want := uint64(1); want < 4; want++ {
		lot, ok := c.Begin(of, now)
		if !ok || len(lot.Slots) != 1 || lot.Slots[0].Epoch != want {
			t.Fatalf("the lot is %+v, %v; want epoch %d", lot.Slots, ok, want)
		}
		c.Remember(of, lot.ID, bidding.Result{Placed: []bidding.Placed{{Slot: 0, Epoch: want, Node: "b"}}}, now)
	}
}
