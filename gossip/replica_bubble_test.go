package gossip_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"

	"github.com/exitae337/orchestergo/gossip"
)

// Two halves, cut off from each other, go on writing; after the heal all nodes
// know the same, and a tombstone goes when it is old enough.
func TestHealInVirtualTime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		net := mocknet.New()
		defer time.Sleep(5 * time.Minute) // what libp2p leaves behind runs out
		defer net.Close()
		var members []gossip.Peer
		var nodes []*gossip.Replica
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 4)
		for i := range 4 {
			h, err := net.GenPeer()
			if err != nil {
				t.Fatal(err)
			}
			r, err := gossip.NewReplica(gossip.ReplicaConfig{Host: h, Boot: fmt.Sprint(i), Path: filepath.Join(dir, fmt.Sprint(i), "t.db"),
				Rules: tblRules, Retention: 20 * time.Minute, Log: storeLog(t), Members: func() []gossip.Peer { return members }})
			if err != nil {
				t.Fatal(err)
			}
			members = append(members, gossip.Peer{ID: h.ID().String(), Since: time.Now().UnixMilli()})
			nodes = append(nodes, r)
			go func() { done <- r.Run(ctx) }()
		}
		defer func() {
			cancel()
			for range nodes {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}()
		if err := net.LinkAll(); err != nil {
			t.Fatal(err)
		}
		ids := net.Peers()
		connect := func(same bool) {
			for i, a := range ids {
				for j, b := range ids {
					if i < j && (same || i/2 == j/2) {
						if _, err := net.ConnectPeers(a, b); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
		put := func(i int, recs ...gossip.Record) {
			if err := nodes[i].Put(ctx, recs...); err != nil {
				t.Fatal(err)
			}
		}
		connect(false)
		put(0, tblJob("x", 7, 1, "0"))
		put(3, tblJob("y", 7, 1, "3"), tblSlot("y", 7, 1, 1, "3"))
		time.Sleep(25 * time.Minute)
		connect(true)
		time.Sleep(time.Minute)
		for i, n := range nodes {
			if n.Digest() != nodes[0].Digest() || n.Len() != 3 {
				t.Errorf("after the heal node %d has %d records, want 3 and digest %s", i, n.Len(), nodes[0].Digest())
			}
		}
		job := tblJob("y", 7, 1, "3")
		put(1, tblRemoved(job, time.Now(), "1"))
		time.Sleep(19 * time.Minute)
		for i, n := range nodes {
			if r, ok := n.Get("j/y"); !ok || !r.Removed {
				t.Errorf("19 minutes after the removal node %d has %v, want a tombstone", i, r)
			}
		}
		time.Sleep(4 * time.Minute)
		for i, n := range nodes {
			if n.Len() != 1 {
				t.Errorf("23 minutes after the removal node %d has %d records, want 1", i, n.Len())
			}
		}
	})
}
