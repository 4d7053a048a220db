package peer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libp2ppeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/fake"
	"github.com/exitae337/orchestergo/scenarios/memnet"
)

// A cluster is several whole nodes in one process and in the time of a bubble:
// real agents, gossip, streams and disks; the network and the engines are in memory.
type cluster struct {
	t      *testing.T
	net    *memnet.Net
	secret peer.Secret
	dir    string // has the disks of all
	nodes  []*node
	twice  bool            // views differed: two nodes may have started one epoch of a slot
	want   map[string]int  // copies that have to run, by job: what was acknowledged
	frozen map[string]bool // jobs that a partition freezes
	sights
	retention  time.Duration // of what is removed, for agents that are started; 0 is the usual one
	maxRecords int           // of the table of nodes that start from now on; 0: as always
}

// node is a host: its disk and its engine. The agent on it comes and goes.
type node struct {
	c      *cluster
	name   string
	path   string
	id     api.NodeID
	room   api.Resources
	labels map[string]string // its agents are started with
	engine *fake.Driver
	mood   mood
	agent  *agent                                                              // nil while there is none
	old    chan struct{}                                                       // closed when the agent before has ended
	move   func(context.Context, peer.Secret, api.Joining) (api.Joined, error) // of the program; nil if it has none
}

// agent is one run of the program on a node.
type agent struct {
	*peer.Peer
	node   *node
	host   *muffled
	driver *handle
	dir    *peer.Dir
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
}

// eightCPUs is what the nodes of most tests offer.
var eightCPUs = api.Resources{CPUs: 8000, Memory: 8 << 30}

// inCluster runs f with count nodes that are ready and see each other, stops
// everything after it, and checks what has to hold of any run.
func inCluster(t *testing.T, count int, room api.Resources, f func(t *testing.T, c *cluster)) {
	t.Helper()
	t.Parallel()
	if raceEnabled {
		t.Skip("bubbles of virtual time do not go with the race detector")
	}
	dir := t.TempDir() // outlives the agents, which write until they end
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, dir: dir, net: memnet.New(1), secret: peer.NewSecret(), want: map[string]int{}, frozen: map[string]bool{}, sights: newSights()}
		t.Cleanup(c.end)
		for range count {
			c.add(room)
		}
		c.nodes[0].start(true)
		for _, n := range c.nodes[1:] {
			n.start(false)
		}
		c.settle(30*time.Second, c.nodes...)
		f(t, c)
	})
}

// add makes a node without an agent.
func (c *cluster) add(room api.Resources) *node {
	c.t.Helper()
	name := fmt.Sprintf("n%d", len(c.nodes))
	n := &node{c: c, name: name, path: filepath.Join(c.dir, name), room: room}
	dir, err := peer.OpenDir(n.path)
	if err != nil {
		c.t.Fatal(err)
	}
	n.id = dir.ID
	n.engine = fake.New(n.id, c.secret.ClusterID())
	n.engine.Script = n.mood.script
	if err := errors.Join(dir.SetSecret(c.secret), dir.Close()); err != nil {
		c.t.Fatal(err)
	}
	c.net.Node(name) // has its address from now on
	c.nodes = append(c.nodes, n)
	c.links()
	return n
}

// start starts an agent on the node's disk and engine, once the one before has ended.
func (n *node) start(fresh bool) {
	n.c.t.Helper()
	if n.old != nil {
		<-n.old
	}
	a, err := n.open(fresh)
	if err != nil {
		n.c.t.Fatalf("start %s: %v", n.name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel, n.agent, n.old = cancel, a, a.done
	n.c.links()
	go func() {
		defer close(a.done)
		if err := a.Run(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, peer.ErrLeft) {
			n.c.t.Errorf("%s ended: %v", n.name, err)
		}
		a.driver.lost.Store(true)
		_ = a.dir.Close()
	}()
}

func (n *node) open(fresh bool) (*agent, error) {
	dir, err := peer.OpenDir(n.path)
	if err != nil {
		return nil, err
	}
	nd := n.c.net.Node(n.name)
	h, err := nd.Host(dir.Key)
	if err != nil {
		return nil, err
	}
	tr, err := nd.Transport()
	if err != nil {
		return nil, err
	}
	var seeds []string
	for _, other := range n.c.nodes[:min(2, len(n.c.nodes))] {
		seeds = append(seeds, fmt.Sprintf("%s:%d", n.c.net.Node(other.name).Addr(), memnet.GossipPort))
	}
	a := &agent{node: n, host: &muffled{Host: h}, driver: &handle{Driver: n.engine, mood: &n.mood}, dir: dir, done: make(chan struct{})}
	a.Peer, err = peer.New(peer.Config{
		Dir: dir, Secret: n.c.secret, Name: n.name, Advertise: nd.Addr(), GossipPort: memnet.GossipPort, PeerPort: memnet.PeerPort,
		Profile: gossip.ProfileLAN, Drivers: []runtime.Driver{a.driver}, Capacity: n.room, Labels: n.labels, Version: api.Version{Version: "test"},
		Seeds: seeds, Fresh: fresh, Retention: n.c.retention, MaxRecords: n.c.maxRecords, Move: n.move, Log: clusterLog(n.c.t), Host: a.host, Transport: tr, Dial: nd.Dial,
	})
	if err != nil {
		return nil, err
	}
	return a, a.Open(context.Background())
}

// clusterLog shows with a failed test; ORCH_TEST_LOG=debug makes it tell more.
func clusterLog(t *testing.T) logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(t.Output())
	log.SetFormatter(&logrus.TextFormatter{TimestampFormat: "15:04:05.000", FullTimestamp: true, DisableColors: true})
	if level, err := logrus.ParseLevel(os.Getenv("ORCH_TEST_LOG")); err == nil {
		log.SetLevel(level)
	}
	return log
}

// stop ends the agent as SIGTERM does: it says goodbye. Its tasks stay.
func (n *node) stop() {
	a := n.agent
	n.agent = nil
	a.cancel()
	<-a.done
	n.c.links()
}

// kill ends agents as kill -9 does, at the same moment: what is not on disk by now
// is lost, their ports refuse, their tasks stay.
func (c *cluster) kill(victims ...*node) {
	synctest.Wait() // no agent is writing to its disk
	for _, n := range victims {
		a := n.agent
		n.agent = nil
		c.died(n)
		disk := n.snapshot()
		c.net.Kill(n.name)
		a.driver.lost.Store(true)
		a.cancel()
		over := make(chan struct{})
		n.old = over
		go func() {
			defer close(over)
			<-a.done
			n.restore(disk)
		}()
	}
	c.links()
}

// crash is kill, and the death of the tasks with the machine.
func (c *cluster) crash(victims ...*node) {
	c.kill(victims...)
	for _, n := range victims {
		for _, h := range n.containers() {
			n.engine.Kill(h.ID, 137)
		}
	}
}

// snapshot reads what of the table is on disk.
func (n *node) snapshot() []byte {
	b, err := os.ReadFile(filepath.Join(n.path, "table.db"))
	if err != nil {
		n.c.t.Fatal(err)
	}
	return b
}

func (n *node) restore(disk []byte) {
	if err := os.WriteFile(filepath.Join(n.path, "table.db"), disk, 0o600); err != nil {
		n.c.t.Error(err)
	}
}

// end stops all agents, and waits until no goroutine of them is left: the bubble
// fails if one is.
func (c *cluster) end() {
	var ends sync.WaitGroup
	for _, n := range c.nodes {
		if n.agent != nil {
			ends.Go(n.stop)
		}
	}
	ends.Wait()
	for _, n := range c.nodes {
		if n.old != nil {
			<-n.old
		}
	}
	time.Sleep(5 * time.Minute)
	c.checkHistory()
	c.checkFrozen()
}

// muffled is a libp2p host that can be struck dumb and deaf in the protocols of
// auctions and questions, while its table and its gossip go on.
type muffled struct {
	host.Host
	mute atomic.Bool
}

func muffles(id protocol.ID) bool {
	return strings.HasPrefix(string(id), "/orch/bid/") || strings.HasPrefix(string(id), "/orch/award/") || strings.HasPrefix(string(id), "/orch/data/")
}

func (h *muffled) NewStream(ctx context.Context, p libp2ppeer.ID, ids ...protocol.ID) (network.Stream, error) {
	if h.mute.Load() && muffles(ids[0]) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.Host.NewStream(ctx, p, ids...)
}

func (h *muffled) SetStreamHandler(id protocol.ID, serve network.StreamHandler) {
	h.Host.SetStreamHandler(id, func(s network.Stream) {
		if !h.mute.Load() || !muffles(id) {
			serve(s)
			return
		}
		_, _ = io.Copy(io.Discard, s)
		time.Sleep(30 * time.Second) // longer than anybody waits
		_ = s.Reset()
	})
}
