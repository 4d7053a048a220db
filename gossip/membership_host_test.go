package gossip_test

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/exitae337/orchestergo/gossip"
)

// startWithHosts starts n nodes with libp2p hosts, and waits for the full mesh.
func startWithHosts(t *testing.T, n int) []*memberNode {
	t.Helper()
	var nodes []*memberNode
	for i := range n {
		cfg := memberWithHost(t)
		cfg.Profile = gossip.ProfileLAN // its own detection takes 6 s: what is faster is ours
		nodes = append(nodes, startMember(t, cfg))
		if i > 0 {
			nodes[i].join(t, nodes[0])
		}
	}
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b {
				memberEventually(t, 15*time.Second, "full mesh", func() bool {
					return a.cfg.Host.Network().Connectedness(b.cfg.Host.ID()) == network.Connected
				})
			}
		}
	}
	return nodes
}

// TestMemberProcess is no test: it is the other process of those that kill one. It
// joins the address that it is given, says who it is, and ends with its stdin.
func TestMemberProcess(t *testing.T) {
	join := os.Getenv("ORCH_TEST_JOIN")
	if join == "" {
		t.Skip("only run by other tests")
	}
	n := startMember(t, memberWithHost(t))
	if err := n.Join(t.Context(), []string{join}); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("node %s\n", n.cfg.ID)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startProcess runs a node in a process of its own, which ends with the test.
func startProcess(t *testing.T, join string) (id string, process *os.Process) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMemberProcess$")
	cmd.Env = append(os.Environ(), "ORCH_TEST_JOIN="+join)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := fmt.Fscanf(stdout, "node %s\n", &id); err != nil {
		t.Fatalf("the process did not start: %v", err)
	}
	return id, cmd.Process
}

func TestFastDeathOfAProcess(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 1} {
		survivors := startWithHosts(t, n)
		id, process := startProcess(t, survivors[0].gossipAddr())
		for _, s := range survivors {
			memberEventually(t, 15*time.Second, "connected to the process", func() bool {
				return s.statusOf(id) == "alive" && s.cfg.Host.Network().Connectedness(memberPeerID(t, id)) == network.Connected
			})
		}
		start := time.Now()
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
		for _, s := range survivors {
			memberEventually(t, 3*time.Second, "fast death", func() bool { dead, _, _ := s.Dead(id); return dead })
		}
		took := time.Since(start)
		t.Logf("%d survivors: all know after %v", n, took)
		if took > time.Second {
			t.Errorf("%d survivors: the death was known after %v, want less than 1s", n, took)
		}
		for _, s := range survivors {
			if got := s.statusOf(id); got != "alive" {
				t.Errorf("Serf says %s: the verdict was not faster", got)
			}
		}
		if n == 1 && !survivors[0].Isolated() {
			t.Error("the last of two does not call itself isolated")
		}
	}
}

func TestLostConnectionIsMadeAgain(t *testing.T) {
	t.Parallel()
	nodes := startWithHosts(t, 3)
	a, b := nodes[0], nodes[1]
	if err := a.cfg.Host.Network().ClosePeer(b.cfg.Host.ID()); err != nil {
		t.Fatal(err)
	}
	memberEventually(t, 5*time.Second, "connected again", func() bool {
		return a.cfg.Host.Network().Connectedness(b.cfg.Host.ID()) == network.Connected
	})
	if dead, why, _ := a.Dead(b.cfg.ID); dead {
		t.Errorf("a node that listens is dead: %s", why)
	}
}

func TestCheckReachable(t *testing.T) {
	t.Parallel()
	helper := startMember(t, memberWithHost(t))
	good := startMember(t, memberWithHost(t))
	good.join(t, helper)
	if err := good.CheckReachable(t.Context(), helper.cfg.Host.ID()); err != nil {
		t.Errorf("a reachable node: %v", err)
	}
	closed := memberWithHost(t)
	closed.PeerPort = 1 // advertised, and nobody listens
	bad := startMember(t, closed)
	bad.join(t, helper)
	err := bad.CheckReachable(t.Context(), helper.cfg.Host.ID())
	want := "127.0.0.1 cannot reach this node at 127.0.0.1 (1/tcp refuses; the rest works): open TCP 1 or give --advertise"
	if fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := good.CheckReachable(t.Context(), memberPeerID(t, good.cfg.ID)); err == nil {
		t.Error("asking oneself was accepted")
	}
}

func TestCheckReachableAsksABusyHelperAgain(t *testing.T) {
	t.Parallel()
	helper := startMember(t, memberWithHost(t))
	node := startMember(t, memberWithHost(t))
	node.join(t, helper)
	memberEventually(t, 10*time.Second, "connected", func() bool {
		return node.cfg.Host.Network().Connectedness(helper.cfg.Host.ID()) == network.Connected
	})
	var busy []network.Stream
	refused := make(chan error, gossip.TestMemberSlots+1)
	for range gossip.TestMemberSlots + 1 {
		s, err := node.cfg.Host.NewStream(t.Context(), helper.cfg.Host.ID(), gossip.TestDialbackProtocol)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{0x80}); err != nil { // the beginning of a request
			t.Fatal(err)
		}
		busy = append(busy, s)
		go func() {
			_, err := s.Read(make([]byte, 1))
			refused <- err
		}()
	}
	<-refused // one too many: the others are being answered
	result := make(chan error, 1)
	go func() { result <- node.CheckReachable(t.Context(), helper.cfg.Host.ID()) }()
	select {
	case err := <-result:
		t.Fatalf("while the helper answers others: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	for _, s := range busy {
		_ = s.Reset()
	}
	if err := <-result; err != nil {
		t.Errorf("once the helper has time: %v", err)
	}
}

func TestExplainDialback(t *testing.T) {
	self := gossip.Member{Addr: netip.MustParseAddr("192.168.1.9"), GossipPort: 7071, PeerPort: 7072}
	const o, r, u = gossip.ProbeOpen, gossip.ProbeRefused, gossip.ProbeUnclear
	tests := []struct {
		answer gossip.DialbackAnswer
		want   string
	}{
		{gossip.DialbackAnswer{GossipTCP: o, GossipUDP: o, PeerTCP: o}, "<nil>"},
		{gossip.DialbackAnswer{GossipTCP: o, GossipUDP: u, PeerTCP: o},
			"203.0.113.7 cannot reach this node at 192.168.1.9:7071/udp (tcp works): open UDP 7071 or give --advertise"},
		{gossip.DialbackAnswer{GossipTCP: o, GossipUDP: o, PeerTCP: r}, "(7072/tcp refuses; the rest works): open TCP 7072 or give --advertise"},
		{gossip.DialbackAnswer{GossipTCP: u, GossipUDP: u, PeerTCP: u},
			"(7071/tcp does not answer, 7071/udp does not answer, 7072/tcp does not answer): open TCP 7071, UDP 7071, TCP 7072"},
		{gossip.DialbackAnswer{}, "7071/tcp does not answer"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(gossip.ExplainDialback("203.0.113.7", self, tt.answer)); !strings.Contains(got, tt.want) {
			t.Errorf("%+v: got %s, want %s", tt.answer, got, tt.want)
		}
	}
}
