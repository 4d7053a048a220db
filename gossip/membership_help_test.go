package gossip_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/gossip"
)

// memberNode is a running Membership of a test.
type memberNode struct {
	*gossip.Membership
	cfg    gossip.MembershipConfig
	cancel context.CancelFunc
	done   chan error
}

func memberQuiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

func memberKey(fill byte) []byte { return bytes.Repeat([]byte{fill}, 32) }

// memberConfig is a node on loopback, with any free port.
func memberConfig(id string) gossip.MembershipConfig {
	return gossip.MembershipConfig{
		ID: id, Boot: memberBoot(), Started: time.Now(), Bind: "127.0.0.1",
		Key: memberKey(1), Profile: gossip.ProfileFast, PeerPort: 1, Log: memberQuiet(),
	}
}

func memberBoot() string { return fmt.Sprintf("b%d", time.Now().UnixNano()) }

// memberPort is a free port below the range from which the kernel takes ports for
// others, so that it is still free when the test comes back to it.
func memberPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + mathrand.IntN(10000)
		if gossip.CheckPort(t.Context(), "tcp", "127.0.0.1", port, "") == nil &&
			gossip.CheckPort(t.Context(), "udp", "127.0.0.1", port, "") == nil {
			return port
		}
	}
	t.Fatal("no free port between 20000 and 30000")
	return 0
}

// startMember opens and runs a node; stop, or the end of the test, stops it as a
// crash would: without a goodbye.
func startMember(t *testing.T, cfg gossip.MembershipConfig) *memberNode {
	t.Helper()
	return startMemberOf(t, cfg, gossip.WireMin, gossip.WireMax)
}

// startMemberOf is startMember with a release that speaks these versions.
func startMemberOf(t *testing.T, cfg gossip.MembershipConfig, oldest, newest int) *memberNode {
	t.Helper()
	m, err := gossip.NewMembership(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Speak(oldest, newest)
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &memberNode{Membership: m, cfg: cfg, cancel: cancel, done: make(chan error, 1)}
	go func() { n.done <- m.Run(ctx) }()
	t.Cleanup(func() { n.stop(t) })
	return n
}

func (n *memberNode) stop(t *testing.T) {
	if n.cancel == nil {
		return
	}
	n.cancel()
	n.cancel = nil
	if err := <-n.done; err != nil {
		t.Errorf("run of %s: %v", n.cfg.ID, err)
	}
	if n.cfg.Host != nil {
		_ = n.cfg.Host.Close()
	}
}

func (n *memberNode) gossipAddr() string { return fmt.Sprintf("127.0.0.1:%d", n.GossipPort()) }

func (n *memberNode) join(t *testing.T, to *memberNode) {
	t.Helper()
	if err := n.Join(t.Context(), []string{to.gossipAddr()}); err != nil {
		t.Fatalf("join: %v", err)
	}
}

// statusOf describes what n sees of an ID: the statuses of its boots by start.
func (n *memberNode) statusOf(id string) string {
	var s []string
	for _, m := range n.Members() {
		if m.ID == id {
			s = append(s, string(m.Status))
		}
	}
	return strings.Join(s, ",")
}

func (n *memberNode) alive() int {
	count := 0
	for _, m := range gossip.Newest(n.Members()) {
		if m.Status == gossip.MemberAlive {
			count++
		}
	}
	return count
}

// memberEventually polls until ok, on the wall clock.
func memberEventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %v: %s", limit, what)
		case <-tick.C:
		}
	}
}

// memberHost is a real libp2p host on loopback, and its peer port.
func memberHost(t *testing.T) (host.Host, int) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return memberHostOf(t, key)
}

func memberHostOf(t *testing.T, key crypto.PrivKey) (host.Host, int) {
	t.Helper()
	h, err := libp2p.New(libp2p.Identity(key), libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	var port int
	for _, a := range h.Network().ListenAddresses() {
		if _, err := fmt.Sscanf(a.String(), "/ip4/127.0.0.1/tcp/%d", &port); err == nil {
			return h, port
		}
	}
	t.Fatal(errors.New("host listens nowhere"))
	return nil, 0
}

func memberWithHost(t *testing.T) gossip.MembershipConfig {
	t.Helper()
	h, port := memberHost(t)
	cfg := memberConfig(h.ID().String())
	cfg.Host, cfg.PeerPort = h, port
	return cfg
}

func memberPeerID(t *testing.T, id string) peer.ID {
	t.Helper()
	pid, err := peer.Decode(id)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
