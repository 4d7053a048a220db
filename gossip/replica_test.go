package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-msgio"

	"github.com/exitae337/orchestergo/gossip"
)

// repNode is a replica on a real host.
type repNode struct {
	*gossip.Replica
	host host.Host
	path string
	stop func() error // ends Run, and gives its error
}

func repHost(t testing.TB, opts ...libp2p.Option) host.Host {
	t.Helper()
	h, err := libp2p.New(append(opts, libp2p.NoTransports, libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

var repBoot atomic.Int64

// repStart opens a replica and runs it. Syncs are an hour apart unless the test
// sets something else, so that what arrives was pushed.
func repStart(t testing.TB, h host.Host, path string, set func(*gossip.ReplicaConfig)) *repNode {
	t.Helper()
	cfg := gossip.ReplicaConfig{Host: h, Boot: fmt.Sprint("boot", repBoot.Add(1)), Path: path, Rules: tblRules, SyncEvery: time.Hour, Log: storeLog(t)}
	if set != nil {
		set(&cfg)
	}
	r, err := gossip.NewReplica(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once sync.Once
	var runErr error
	n := &repNode{Replica: r, host: h, path: path, stop: func() error {
		once.Do(func() { cancel(); runErr = <-done })
		return runErr
	}}
	t.Cleanup(func() { n.stop() })
	return n
}

func repCluster(t testing.TB, n int, set func(*gossip.ReplicaConfig)) []*repNode {
	t.Helper()
	var nodes []*repNode
	for range n {
		nodes = append(nodes, repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), set))
	}
	for i, a := range nodes {
		for _, b := range nodes[i+1:] {
			repConnect(t, a.host, b.host)
		}
	}
	for i, a := range nodes {
		for _, b := range nodes[i+1:] {
			repUntil(t, "first sync of all", func() bool { return a.Synced(b.host.ID()) && b.Synced(a.host.ID()) })
		}
	}
	return nodes
}

func repConnect(t testing.TB, a, b host.Host) {
	t.Helper()
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

// repUntil waits until ok, or fails.
func repUntil(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(60 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for: %s", what)
		}
	}
}

func repHas(r interface {
	Get(string) (gossip.Record, bool)
}, want gossip.Record) bool {
	got, ok := r.Get(want.Key)
	return ok && reflect.DeepEqual(got, want)
}

func TestPutSpreads(t *testing.T) {
	nodes := repCluster(t, 3, nil)
	job, slot := tblJob("web", 7, 1, "a"), tblSlot("web", 7, 1, 1, "a")
	if err := nodes[0].Put(t.Context(), slot, job); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		repUntil(t, fmt.Sprintf("both records on node %d", i), func() bool { return repHas(n, job) && repHas(n, slot) })
	}
	if a, b := nodes[0].Digest(), nodes[2].Digest(); a != b {
		t.Errorf("digests %s and %s differ", a, b)
	}
	next := tblSlot("web", 7, 1, 2, "a")
	if err := nodes[1].PutLazy(next); err != nil {
		t.Fatal(err)
	}
	repUntil(t, "the next version", func() bool { return repHas(nodes[0], next) && repHas(nodes[2], next) })
}

func TestPutIsAllOrNothing(t *testing.T) {
	n := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), nil)
	there := tblJob("web", 7, 2, "a")
	if err := n.Put(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	var stale *gossip.StaleError
	err := n.Put(t.Context(), tblJob("other", 7, 1, "a"), tblJob("web", 7, 1, "a"))
	if !errors.As(err, &stale) || !errors.Is(err, gossip.ErrStale) || len(stale.Current) != 1 || !reflect.DeepEqual(stale.Current[0], there) {
		t.Errorf("put of a lesser record: %v, want a StaleError with %v", err, there)
	}
	if err := n.Put(t.Context(), tblJob("other", 7, 1, "a"), tblSlot("none", 7, 1, 1, "a")); !errors.Is(err, gossip.ErrNotKept) {
		t.Errorf("put of a slot without a job: %v, want ErrNotKept", err)
	}
	if err := n.Put(t.Context(), gossip.Record{Key: "x"}); !errors.Is(err, gossip.ErrShape) {
		t.Errorf("put of a malformed record: %v, want ErrShape", err)
	}
	if n.Len() != 1 {
		t.Errorf("%d records, want 1", n.Len())
	}
}

func TestReplicateCountsDisks(t *testing.T) {
	nodes := repCluster(t, 4, nil)
	job := tblJob("web", 7, 1, "a")
	ack, err := nodes[0].Replicate(t.Context(), 3, job)
	if err != nil || ack.Disks < 3 || len(ack.Greater) > 0 {
		t.Fatalf("ack %+v, %v, want 3 disks", ack, err)
	}
	ack, err = nodes[0].Replicate(t.Context(), 9, tblJob("web", 7, 2, "a"))
	if err != nil || ack.Disks != 4 {
		t.Errorf("ack %+v, %v, want the 4 that there are", ack, err)
	}
	var stale *gossip.StaleError
	if _, err := nodes[0].Replicate(t.Context(), 3, job); !errors.As(err, &stale) {
		t.Errorf("a lesser record: %v, want a StaleError", err)
	}
}

// A disk that may be blank at the next start does not count, whether what is written
// comes by a push or by the first sync.
func TestReplicateCountsNoDiskThatMayBeForgotten(t *testing.T) {
	var member atomic.Bool
	nodes := repCluster(t, 2, func(c *gossip.ReplicaConfig) {
		c.Vouch = member.Load
		known := c.Host.Peerstore()
		c.Alive = func() []peer.ID { return known.PeersWithAddrs() } // connected or not
	})
	for v, unsynced := range []bool{false, true} {
		if unsynced {
			id := nodes[1].host.ID()
			if err := nodes[0].host.Network().ClosePeer(id); err != nil {
				t.Fatal(err)
			}
			repUntil(t, "the end of the connection", func() bool { return !nodes[0].Synced(id) })
		}
		job := tblJob("web", 7, uint64(v+1), "a")
		ack, err := nodes[0].Replicate(t.Context(), 2, job)
		if err != nil || ack.Disks != 1 || len(ack.Greater) > 0 {
			t.Errorf("ack %+v, %v, want 1 disk", ack, err)
		}
		repUntil(t, "the record on the other node", func() bool { return repHas(nodes[1], job) })
	}
	member.Store(true)
	if ack, err := nodes[0].Replicate(t.Context(), 2, tblJob("web", 7, 3, "a")); err != nil || ack.Disks != 2 {
		t.Errorf("ack %+v, %v, want 2 disks", ack, err)
	}
}

// What counts as a disk is one: look at the files as they are at that moment.
func TestReplicatedIsOnDisk(t *testing.T) {
	nodes := repCluster(t, 3, nil)
	job := tblJob("web", 7, 1, "a")
	if ack, err := nodes[0].Replicate(t.Context(), 3, job); err != nil || ack.Disks != 3 {
		t.Fatalf("ack %+v, %v, want 3 disks", ack, err)
	}
	for i, n := range nodes {
		b, err := os.ReadFile(n.path)
		if err != nil {
			t.Fatal(err)
		}
		then := filepath.Join(t.TempDir(), "then.db")
		if err := os.WriteFile(then, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, recs, _ := storeOpen(t, then)
		if len(recs) != 1 || !reflect.DeepEqual(recs[0], job) {
			t.Errorf("node %d has %v on disk, want the job", i, recs)
		}
	}
}

func TestReplicateFindsAGreaterRecord(t *testing.T) {
	var deaf atomic.Bool // 1 does not push: 0 must find out by itself
	nodes := repCluster(t, 2, func(c *gossip.ReplicaConfig) {
		peers := c.Host.Network()
		c.Alive = func() []peer.ID {
			if deaf.Load() {
				return nil
			}
			return peers.Peers()
		}
	})
	for i := range 20 {
		name := fmt.Sprintf("web-%d", i)
		deaf.Store(true)
		greater := tblJob(name, 7, 5, "b")
		if err := nodes[1].Put(t.Context(), greater); err != nil {
			t.Fatal(err)
		}
		deaf.Store(false)
		ack, err := nodes[0].Replicate(t.Context(), 2, tblJob(name, 7, 1, "a"))
		if errors.Is(err, gossip.ErrStale) {
			continue // a sync was faster
		}
		if err != nil || ack.Disks != 1 || len(ack.Greater) != 1 || !reflect.DeepEqual(ack.Greater[0], greater) {
			t.Fatalf("ack %+v, %v, want 1 disk and %v", ack, err, greater)
		}
		if !repHas(nodes[0], greater) {
			t.Error("the greater record is not merged here")
		}
		return
	}
	t.Fatal("a sync was faster than the answer to a push, 20 times")
}

func TestReplicateEndsWithItsContext(t *testing.T) {
	h := repHost(t)
	n := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), nil)
	repConnect(t, n.host, h)
	h.SetStreamHandler(gossip.SyncProtocol, func(network.Stream) {}) // hears, never answers
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	ack, err := n.Replicate(ctx, 2, tblJob("web", 7, 1, "a"))
	if err != nil || ack.Disks != 1 {
		t.Errorf("ack %+v, %v, want 1 disk", ack, err)
	}
}

func TestRestartKeepsData(t *testing.T) {
	h, path := repHost(t), filepath.Join(t.TempDir(), "table.db")
	n := repStart(t, h, path, nil)
	job := tblJob("web", 7, 1, "a")
	if err := n.Put(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if err := n.PutLazy(tblSlot("web", 7, 1, 1, "a")); err != nil {
		t.Fatal(err)
	}
	if err := n.SetValue(t.Context(), "book", []byte("x")); err != nil {
		t.Fatal(err)
	}
	digest := n.Digest()
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = repStart(t, h, path, nil)
	if n.Digest() != digest || n.Len() != 2 || string(n.Value("book")) != "x" {
		t.Errorf("after a restart: digest %s, %d records, value %q; want %s, 2, x", n.Digest(), n.Len(), n.Value("book"), digest)
	}
	if n.EverSynced() {
		t.Error("EverSynced is true without a sync")
	}
}

// What was missed while away comes with the first sync, and the children of an
// old life go with it.
func TestReturningNodeCatchesUp(t *testing.T) {
	nodes := repCluster(t, 2, nil)
	if ack, err := nodes[0].Replicate(t.Context(), 2, tblJob("web", 7, 1, "a"), tblSlot("web", 7, 1, 1, "a")); err != nil || ack.Disks != 2 {
		t.Fatalf("ack %+v, %v", ack, err)
	}
	if err := nodes[1].stop(); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].Put(t.Context(), tblJob("web", 9, 1, "a"), tblSlot("web", 9, 1, 1, "a")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var dropped []string
	back := repStart(t, nodes[1].host, nodes[1].path, func(c *gossip.ReplicaConfig) {
		c.OnChange = func(_ []gossip.Record, gone []string) {
			mu.Lock()
			defer mu.Unlock()
			dropped = append(dropped, gone...)
		}
	})
	repUntil(t, "the returning node to catch up", func() bool { return back.Digest() == nodes[0].Digest() })
	if _, ok := back.Get("a/web/7/1"); ok {
		t.Error("the old life's slot is still there")
	}
	repUntil(t, "the old slot reported as dropped", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(dropped, []string{"a/web/7/1"})
	})
	if err := back.stop(); err != nil {
		t.Fatal(err)
	}
	if _, recs, _ := storeOpen(t, back.path); len(recs) != 2 {
		t.Errorf("on disk: %v, want the new life only", recs)
	}
}

// A peer that has not synced since it connected cannot bring anything, by push or
// inside another protocol's message.
func TestNothingIsTakenBeforeASync(t *testing.T) {
	n := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), nil)
	stranger := repHost(t)
	repConnect(t, stranger, n.host)
	old := tblJob("old", 3, 1, "s")
	s, err := stranger.NewStream(t.Context(), n.host.ID(), gossip.PushProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := msgio.NewVarintWriter(s).WriteMsg(gossip.EncodePush("boot", old)); err != nil {
		t.Fatal(err)
	}
	reply, err := msgio.NewVarintReader(s).ReadMsg()
	if err != nil {
		t.Fatal(err)
	}
	if unsynced, err := gossip.DecodePushReply(reply); err != nil || !unsynced {
		t.Errorf("reply %s, %v, want unsynced", reply, err)
	}
	if synced, err := n.Receive(t.Context(), stranger.ID(), old); synced || err != nil {
		t.Errorf("Receive: %v, %v, want not synced", synced, err)
	}
	if n.Len() != 0 {
		t.Errorf("%d records were taken", n.Len())
	}
}

func TestReceiveAfterASync(t *testing.T) {
	nodes := repCluster(t, 3, nil)
	job := tblJob("web", 7, 1, "b")
	synced, err := nodes[0].Receive(t.Context(), nodes[1].host.ID(), job)
	if !synced || err != nil {
		t.Fatalf("Receive: %v, %v, want taken", synced, err)
	}
	repUntil(t, "what was received to spread", func() bool { return repHas(nodes[2], job) })
	id := nodes[1].host.ID()
	if err := nodes[0].host.Network().ClosePeer(id); err != nil {
		t.Fatal(err)
	}
	repUntil(t, "the end of the connection", func() bool { return !nodes[0].Synced(id) })
	repConnect(t, nodes[0].host, nodes[1].host)
	repUntil(t, "a sync on the new connection", func() bool { return nodes[0].Synced(id) })
}

func TestManyNodesPassNewsOn(t *testing.T) {
	nodes := repCluster(t, 20, func(c *gossip.ReplicaConfig) { c.SyncEvery = 500 * time.Millisecond })
	job := tblJob("web", 7, 1, "a")
	ack, err := nodes[0].Replicate(t.Context(), 3, job)
	if err != nil || ack.Disks != 3 {
		t.Fatalf("ack %+v, %v, want 3 disks", ack, err)
	}
	for i, n := range nodes {
		repUntil(t, fmt.Sprintf("the record on node %d", i), func() bool { return repHas(n, job) })
	}
}

func TestAntiEntropyRepairsWhatPushesMiss(t *testing.T) {
	none := func() []peer.ID { return nil }
	a := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), func(c *gossip.ReplicaConfig) { c.Alive = none })
	b := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), func(c *gossip.ReplicaConfig) { c.SyncEvery = 50 * time.Millisecond })
	repConnect(t, a.host, b.host)
	repUntil(t, "the first sync", func() bool { return a.Synced(b.host.ID()) && b.EverSynced() })
	job := tblJob("web", 7, 1, "a")
	if err := a.Put(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	repUntil(t, "anti-entropy", func() bool { return repHas(b, job) })
}

// A peer that takes streams and never answers holds up nobody else.
func TestDeafPeerHoldsUpNobody(t *testing.T) {
	deaf := repHost(t)
	for _, p := range []protocol.ID{gossip.SyncProtocol, gossip.PushProtocol} {
		deaf.SetStreamHandler(p, func(network.Stream) {})
	}
	a := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), func(c *gossip.ReplicaConfig) { c.SyncEvery = 20 * time.Millisecond })
	b := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), func(c *gossip.ReplicaConfig) { c.Alive = func() []peer.ID { return nil } })
	repConnect(t, a.host, deaf)
	repConnect(t, a.host, b.host)
	job := tblJob("web", 7, 1, "a")
	if ack, err := a.Replicate(t.Context(), 2, job); err != nil || ack.Disks != 2 {
		t.Errorf("ack %+v, %v, want 2 disks", ack, err)
	}
	for v := uint64(2); v < 5; v++ { // b pushes to nobody: a has to ask
		job := tblJob("web", 7, v, "b")
		if err := b.Put(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		repUntil(t, "anti-entropy beside the deaf peer", func() bool { return repHas(a, job) })
	}
}

// Removal, expiry and return, with the file of what was set aside.
func TestSetAsideGoesToAFile(t *testing.T) {
	var now atomic.Int64
	now.Store(tblStart.UnixMilli())
	clock := func() time.Time { return time.UnixMilli(now.Load()) }
	a := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), func(c *gossip.ReplicaConfig) {
		c.Now, c.Retention = clock, 200*time.Millisecond
	})
	job := tblJob("web", 7, 1, "a")
	if err := a.Put(t.Context(), tblRemoved(job, clock(), "a")); err != nil {
		t.Fatal(err)
	}
	now.Add(1000)
	repUntil(t, "the tombstone to go", func() bool { return a.Len() == 0 && a.Meta().Floor > 0 })

	told := make(chan gossip.Aside, 1)
	b := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), func(c *gossip.ReplicaConfig) {
		c.Now = clock
		c.OnAside = func(a gossip.Aside) { told <- a }
	})
	if err := b.Put(t.Context(), job, tblSlot("web", 7, 1, 1, "b")); err != nil {
		t.Fatal(err)
	}
	repConnect(t, a.host, b.host)
	select {
	case aside := <-told:
		if len(aside.Records) != 2 || aside.Peer != a.host.ID().String() {
			t.Errorf("set aside %+v", aside)
		}
		files, err := gossip.ListAside(filepath.Join(filepath.Dir(b.path), "aside"))
		if err != nil || len(files) != 1 || files[0].File != aside.File || !reflect.DeepEqual(files[0].Records, aside.Records) {
			t.Errorf("files %+v, %v", files, err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("nothing was set aside")
	}
	if a.Len() != 0 || b.Len() != 0 {
		t.Errorf("%d and %d records are left", a.Len(), b.Len())
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if _, recs, _ := storeOpen(t, b.path); len(recs) != 0 {
		t.Errorf("on disk: %v", recs)
	}
}

// A node that sets something aside takes nothing more of peers that may have been
// away as well, before they have synced anew.
func TestSetAsideEndsTrust(t *testing.T) {
	var now atomic.Int64
	now.Store(tblStart.UnixMilli())
	clock := func() time.Time { return time.UnixMilli(now.Load()) }
	told := make(chan gossip.Aside, 1)
	start := func(retention time.Duration) *repNode {
		return repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), func(c *gossip.ReplicaConfig) {
			c.Now, c.Retention, c.SyncEvery = clock, retention, time.Hour
			c.OnAside = func(a gossip.Aside) { told <- a }
		})
	}
	here, b, c := start(200*time.Millisecond), start(0), start(0)
	job := tblJob("web", 7, 1, "a")
	if err := b.Put(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	repConnect(t, b.host, c.host)
	id := c.host.ID()
	repUntil(t, "a sync of the two that were away", func() bool { return b.Synced(id) && c.Synced(b.host.ID()) && repHas(c, job) })
	if ok, err := b.Receive(t.Context(), id, tblJob("web", 7, 2, "c")); !ok || err != nil {
		t.Fatalf("before: taken %v, %v", ok, err)
	}

	now.Add(1000)
	if err := here.Put(t.Context(), tblRemoved(job, clock(), "a")); err != nil {
		t.Fatal(err)
	}
	now.Add(1000)
	repUntil(t, "the tombstone to go", func() bool { return here.Len() == 0 && here.Meta().Floor > 0 })
	c.host.RemoveStreamHandler(gossip.SyncProtocol) // so that they cannot sync anew
	repConnect(t, here.host, b.host)
	select {
	case <-told:
	case <-time.After(60 * time.Second):
		t.Fatal("nothing was set aside")
	}
	if ok, err := b.Receive(t.Context(), id, tblJob("web", 7, 3, "c")); ok || err != nil || b.Len() != 0 {
		t.Errorf("after: taken %v, %v, and %d records are there; want it refused", ok, err, b.Len())
	}
	repUntil(t, "who knew better is trusted", func() bool { return b.Synced(here.host.ID()) })
}

// A write that waits for the sync with a peer is not pushed to it when that sync sets
// it aside: the peer does not know any more that the job was removed.
func TestSetAsideIsNotPushed(t *testing.T) {
	var now atomic.Int64
	now.Store(tblStart.UnixMilli())
	clock := func() time.Time { return time.UnixMilli(now.Load()) }
	here := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), func(c *gossip.ReplicaConfig) {
		c.Now, c.Retention = clock, 200*time.Millisecond
	})
	told, gate := make(chan gossip.Aside, 1), make(chan struct{})
	var shut atomic.Bool
	back := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), func(c *gossip.ReplicaConfig) {
		c.Now = clock
		c.OnAside = func(a gossip.Aside) { told <- a }
		c.Members = func() []gossip.Peer { // a sync asks for them first
			if shut.Load() {
				<-gate
			}
			return nil
		}
	})
	job := tblJob("web", 7, 1, "a")
	for _, n := range []*repNode{here, back} {
		if err := n.Put(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	now.Add(1000)
	if err := here.Put(t.Context(), tblRemoved(job, clock(), "a")); err != nil {
		t.Fatal(err)
	}
	now.Add(1000)
	repUntil(t, "the tombstone to go", func() bool { return here.Len() == 0 && here.Meta().Floor > 0 })

	shut.Store(true)
	repConnect(t, here.host, back.host)
	acks := make(chan gossip.Ack, 1)
	go func() {
		ack, _ := back.Replicate(t.Context(), 2, tblJob("web", 7, 2, "b"))
		acks <- ack
	}()
	repUntil(t, "the write", func() bool { r, ok := back.Get(job.Key); return ok && r.Stamp.Minor == 2 })
	close(gate)
	select {
	case <-told:
	case <-time.After(60 * time.Second):
		t.Fatal("nothing was set aside")
	}
	if ack := <-acks; ack.Disks != 1 || here.Len() != 0 || back.Len() != 0 {
		t.Errorf("it is on %d disks, and %d and %d records are left; want it set aside", ack.Disks, here.Len(), back.Len())
	}
}

func TestFullDiskEndsRun(t *testing.T) {
	n := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), nil)
	n.LimitDisk(1 << 16)
	big := tblJob("big", 1, 1, "n")
	big.Value = make([]byte, gossip.MaxValue)
	if err := n.Put(t.Context(), big); err == nil {
		t.Error("put on a full disk succeeds")
	}
	if err := n.stop(); err == nil {
		t.Error("Run ends without an error")
	}
}

// Changes are reported in order, and a callback may write.
func TestOnChangeInOrder(t *testing.T) {
	var n *repNode
	ready := make(chan struct{})
	var mu sync.Mutex
	var seen []uint64
	n = repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), func(c *gossip.ReplicaConfig) {
		c.OnChange = func(changed []gossip.Record, _ []string) {
			<-ready
			for _, r := range changed {
				if r.Key == "j/web" {
					mu.Lock()
					seen = append(seen, r.Stamp.Minor)
					mu.Unlock()
					_ = n.PutLazy(tblJob("echo", 7, r.Stamp.Minor, "a"))
				}
			}
		}
	})
	close(ready)
	const last = 200
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for v := uint64(1); v <= last; v++ {
				_ = n.PutLazy(tblJob("web", 7, v, "a"))
			}
		})
	}
	wg.Wait()
	repUntil(t, "the last change and its echo", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) > 0 && seen[len(seen)-1] == last && repHas(n, tblJob("echo", 7, last, "a"))
	})
	mu.Lock()
	defer mu.Unlock()
	if !slices.IsSorted(seen) {
		t.Errorf("changes out of order: %v", seen)
	}
}

func FuzzPushFrame(f *testing.F) {
	f.Add(gossip.EncodePush("b", tblJob("web", 7, 1, "a")))
	f.Add([]byte(`{"min":1,"max":1,"boot":"b","records":[{}],"later":[1]}`))
	f.Add([]byte(`{"min":3,"max":1,"boot":"b"}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, b []byte) {
		recs, err := gossip.DecodePushFrame(b)
		if err != nil {
			return
		}
		tbl := tblOf(tblStart)
		m := tbl.Merge(tblStart, recs...)
		if n := len(m.News) + len(m.Refused) + len(m.Stale); n > len(recs) {
			t.Errorf("%d answers to %d records", n, len(recs))
		}
	})
}
