package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/scenarios/memnet"
)

// simNode is a node on a memnet, in the time of a bubble.
type simNode struct {
	*memberNode
	name string
}

// startSim starts the named process; its key, and so its ID, follows from the name.
func startSim(t *testing.T, net *memnet.Net, name string, profile gossip.Profile, seeds ...string) *simNode {
	t.Helper()
	nd := net.Node(name)
	key, _, err := crypto.GenerateEd25519Key(simSeed(name))
	if err != nil {
		t.Fatal(err)
	}
	h, err := nd.Host(key)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := nd.Transport()
	if err != nil {
		t.Fatal(err)
	}
	cfg := memberConfig(h.ID().String())
	cfg.Bind, cfg.Advertise, cfg.Port, cfg.PeerPort = "", nd.Addr(), memnet.GossipPort, memnet.PeerPort
	cfg.Host, cfg.Transport, cfg.Dial = h, tr, nd.Dial
	cfg.Profile, cfg.Seeds = profile, seeds
	m, err := gossip.NewMembership(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &simNode{name: name, memberNode: &memberNode{Membership: m, cfg: cfg, cancel: cancel, done: make(chan error, 1)}}
	go func() { n.done <- m.Run(ctx) }()
	return n
}

// simSeed is an endless reader made from a name.
type simSeed string

func (s simSeed) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = s[i%len(s)] + byte(i)
	}
	return len(p), nil
}

func startSims(t *testing.T, net *memnet.Net, count int, profile gossip.Profile) []*simNode {
	t.Helper()
	seed := fmt.Sprintf("%s:%d", net.Node("n00").Addr(), memnet.GossipPort)
	var nodes []*simNode
	for i := range count {
		nodes = append(nodes, startSim(t, net, fmt.Sprintf("n%02d", i), profile, seed))
	}
	return nodes
}

// simWithin advances the time of the bubble until ok, and returns how long it took.
func simWithin(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// stopSims ends all nodes, and waits until no goroutine of them is left: the bubble
// fails if one is.
func stopSims(t *testing.T, nodes []*simNode) {
	for _, n := range nodes {
		n.stop(t)
	}
	time.Sleep(5 * time.Minute)
}

func allSee(nodes []*simNode, count int) bool {
	for _, n := range nodes {
		if n.alive() != count {
			return false
		}
	}
	return true
}

func TestSimDeathOfOneOfTen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		nodes := startSims(t, net, 10, gossip.ProfileLAN)
		simWithin(t, 30*time.Second, "10 nodes form", func() bool { return allSee(nodes, 10) })
		time.Sleep(10 * time.Second) // the mesh is complete
		victim, rest := nodes[9], nodes[:9]
		net.Kill(victim.name)
		fast := simWithin(t, time.Second, "fast death at all", func() bool {
			for _, n := range rest {
				if dead, _, _ := n.Dead(victim.cfg.ID); !dead {
					return false
				}
			}
			return true
		})
		victim.stop(t)
		slow := simWithin(t, 30*time.Second, "Serf's death at all", func() bool { return allSee(rest, 9) })
		t.Logf("fast after %v, Serf after %v more", fast, slow)
		if fast > 100*time.Millisecond {
			t.Errorf("the death was known after %v, want at most 100ms", fast)
		}
		again := startSim(t, net, victim.name, gossip.ProfileLAN, victim.cfg.Seeds...)
		simWithin(t, 10*time.Second, "the restarted node is alive to all", func() bool {
			for _, n := range rest {
				if dead, _, _ := n.Dead(victim.cfg.ID); dead || gossip.Newest(n.Members())[victim.cfg.ID].Boot != again.cfg.Boot {
					return false
				}
			}
			return allSee(rest, 10)
		})
		stopSims(t, append(rest, again))
	})
}

func TestSimPartitionHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(2)
		nodes := startSims(t, net, 10, gossip.ProfileFast)
		simWithin(t, 30*time.Second, "10 nodes form", func() bool { return allSee(nodes, 10) })
		time.Sleep(5 * time.Second)
		left, right := nodes[:9], nodes[9:]
		net.Partition([]string{right[0].name})
		simWithin(t, 5*time.Second, "the one alone says so", func() bool { return right[0].Isolated() })
		simWithin(t, time.Minute, "both sides see only themselves", func() bool { return allSee(left, 9) && allSee(right, 1) })
		for _, n := range left {
			if dead, why, _ := n.Dead(right[0].cfg.ID); dead || n.Isolated() {
				t.Errorf("%s across a partition: dead=%v (%s), isolated=%v", n.name, dead, why, n.Isolated())
			}
		}
		time.Sleep(10 * time.Minute)
		net.Heal()
		took := simWithin(t, 20*time.Second, "whole again", func() bool { return allSee(nodes, 10) })
		t.Logf("whole %v after the heal", took)
		stopSims(t, nodes)
	})
}

// What the fast detector says holds for as long as Serf needs, and not again for
// the same boot.
func TestSimVerdictLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(3)
		nodes := startSims(t, net, 4, gossip.ProfileLAN)
		simWithin(t, 30*time.Second, "4 nodes form", func() bool { return allSee(nodes, 4) })
		time.Sleep(10 * time.Second)
		// The connection breaks, and the host of the other one listens on.
		a, b := nodes[0], nodes[1]
		if err := a.cfg.Host.Network().ClosePeer(b.cfg.Host.ID()); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			if dead, why, _ := a.Dead(b.cfg.ID); dead {
				t.Fatalf("dead without a refusal: %s", why)
			}
			time.Sleep(10 * time.Millisecond)
		}
		// Its host goes, its gossip stays: all are refused, and Serf says alive.
		_ = b.cfg.Host.Close()
		simWithin(t, time.Second, "refused and confirmed", func() bool { dead, _, _ := a.Dead(b.cfg.ID); return dead })
		hold := gossip.ProfileLAN.DetectionTime(4)
		time.Sleep(hold + time.Second)
		for range 1000 {
			if dead, why, _ := a.Dead(b.cfg.ID); dead {
				t.Fatalf("dead again without a connection in between: %s", why)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if got := a.statusOf(b.cfg.ID); got != "alive" {
			t.Errorf("Serf says %s, want alive", got)
		}
		stopSims(t, nodes)
	})
}

func TestSimJoinIsQuickToGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(4)
		mute := net.Node("mute")
		if _, err := mute.Listen(memnet.GossipPort); err != nil { // accepts, and never answers
			t.Fatal(err)
		}
		n := startSim(t, net, "n00", gossip.ProfileLAN)
		for addr, want := range map[string]string{
			"10.9.9.9":            "cannot reach 10.9.9.9:7071: no answer",
			mute.Addr().String():  "it accepted a connection and did not answer",
			"10.9.9.9:1,10.9.9.8": "no answer",
		} {
			start := time.Now()
			err := n.Join(t.Context(), strings.Split(addr, ","))
			if !errors.Is(err, gossip.ErrUnreachable) || !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%s: got %v, want %q", addr, err, want)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("%s: took %v, want less than 10s", addr, took)
			}
		}
		stopSims(t, []*simNode{n})
	})
}

func TestSimReachableByTCPOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(5)
		nodes := startSims(t, net, 2, gossip.ProfileLAN)
		simWithin(t, 30*time.Second, "2 nodes form", func() bool { return allSee(nodes, 2) })
		a, b := nodes[0], nodes[1]
		if err := b.CheckReachable(t.Context(), a.cfg.Host.ID()); err != nil {
			t.Errorf("reachable: %v", err)
		}
		net.SetLoss(1)
		got := fmt.Sprint(b.CheckReachable(t.Context(), a.cfg.Host.ID()))
		want := "10.0.0.1 cannot reach this node at 10.0.0.2:7071/udp (tcp works): open UDP 7071 or give --advertise"
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		stopSims(t, nodes)
	})
}
