package gossip

import "time"

// What the tests of membership see of the inside.

type (
	TestConnectPlan = connectPlan
	TestRedialPlan  = redialPlan
	TestBook        = peerBook
)

var (
	TestOpenBook       = openBook
	TestParseMemberLog = parseMemberLog
	TestGossipTarget   = gossipTarget
	TestExchangeError  = exchangeError
)

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
