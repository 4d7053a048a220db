package gossip

import (
	"context"
	"io"
	"log"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// What the tests of membership see of the inside.

type (
	TestConnectPlan = connectPlan
	TestRedialPlan  = redialPlan
	TestBook        = peerBook
	TestUDPProber   = udpProber
)

var (
	TestOpenBook       = openBook
	TestParseMemberLog = parseMemberLog
	TestGossipTarget   = gossipTarget
	TestExchangeError  = exchangeError
)

// Speak makes a node, before it is opened, one of a release that speaks other versions.
func (m *Membership) Speak(oldest, newest int) { m.wire = Wire{oldest, newest} }

func NewTestConnectPlan(self string) *connectPlan {
	return &connectPlan{self: self, peers: map[string]*connectPeer{}}
}

func (p *connectPlan) Step(now time.Time, alive map[string]Member, connected func(string) bool) ([]string, time.Time) {
	return p.step(now, alive, connected, 0.5)
}

func (p *connectPlan) Done(id string) { p.peers[id].dialing = false }

func NewTestRedialPlan(first, cap time.Duration) *redialPlan {
	return &redialPlan{first: first, cap: cap}
}

func (p *redialPlan) Due(missing []string, now time.Time) ([]string, time.Time) {
	return p.due(missing, now, 0.5)
}

func (b *peerBook) Update(members map[string]Member, self string, now time.Time) bool {
	return b.update(members, self, now)
}

func (b *peerBook) Save() error { return b.save() }

func (b *peerBook) Addr(id string) string {
	p, ok := b.peers[id]
	if !ok {
		return ""
	}
	return p.Addr.String()
}

// What makes a helper busy.
const (
	TestDialbackProtocol = dialbackProtocol
	TestMemberSlots      = memberSlotsOne
)

// NewTestUDPProber binds a free port on loopback.
func NewTestUDPProber(key []byte, name string) (*udpProber, error) {
	return newUDPProber(&memberlist.NetTransportConfig{BindAddrs: []string{"127.0.0.1"}, Logger: log.New(io.Discard, "", 0)}, key, name)
}

func (u *udpProber) Forward() { u.forward() }

func (u *udpProber) Probe(ctx context.Context, to netip.AddrPort, name string) bool {
	return u.probe(ctx, to, name)
}
