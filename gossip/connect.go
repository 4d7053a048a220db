package gossip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/sirupsen/logrus"
)

const (
	connectSecond  = time.Second // how long the lesser of two IDs lets the greater dial
	connectRetry   = 100 * time.Millisecond
	connectCap     = 10 * time.Second
	connectTimeout = 5 * time.Second
	connectSlow    = 10 * time.Second // looks again even if no event came
	connectAtOnce  = 16
	connectTag     = "orch-member"
)

// connectPlan decides whom to dial, and when: a pure core.
type connectPlan struct {
	self  string
	peers map[string]*connectPeer
}

type connectPeer struct {
	boot    string
	addr    netip.AddrPort
	dialing bool
	due     time.Time // of the next dial; zero while connected
	wait    time.Duration
}

// step takes the members that are alive and returns whom to dial now and when to
// look again. Of two nodes the one with the greater ID dials first, so that they
// do not make two connections at once. jitter is in [0, 1).
func (p *connectPlan) step(now time.Time, alive map[string]Member, connected func(id string) bool, jitter float64) (dial []string, next time.Time) {
	for id := range p.peers {
		if _, ok := alive[id]; !ok {
			delete(p.peers, id)
		}
	}
	for id, m := range alive {
		c := p.peers[id]
		if c == nil || c.boot != m.Boot || c.addr != m.peerAddr() {
			c = &connectPeer{boot: m.Boot, addr: m.peerAddr(), dialing: c != nil && c.dialing}
			p.peers[id] = c
		}
		if connected(id) {
			c.due, c.wait = time.Time{}, 0
			continue
		}
		if c.dialing {
			continue
		}
		if c.due.IsZero() {
			c.due = now
			if p.self < id {
				c.due = now.Add(connectSecond)
			}
		}
		if !now.Before(c.due) {
			c.dialing = true
			c.wait = min(max(2*c.wait, connectRetry), connectCap)
			c.due = now.Add(time.Duration((0.75 + jitter/2) * float64(c.wait)))
			dial = append(dial, id)
			continue
		}
		if next.IsZero() || c.due.Before(next) {
			next = c.due
		}
	}
	return dial, next
}

// connector keeps a libp2p connection to every member that is alive.
type connector struct {
	host  host.Host
	log   logrus.FieldLogger
	alive func() map[string]Member // newest boots, without this node
	wake  chan struct{}

	mu    sync.Mutex // guards plan and known
	plan  connectPlan
	known map[string]netip.AddrPort // what is in the peerstore by our hand
}

func newConnector(h host.Host, log logrus.FieldLogger, alive func() map[string]Member) *connector {
	return &connector{host: h, log: log, alive: alive, wake: make(chan struct{}, 1),
		plan: connectPlan{self: h.ID().String(), peers: map[string]*connectPeer{}}, known: map[string]netip.AddrPort{}}
}

func (c *connector) run(ctx context.Context) {
	lost := func(network.Network, network.Conn) { wakeUp(c.wake) }
	bundle := &network.NotifyBundle{DisconnectedF: lost}
	c.host.Network().Notify(bundle)
	defer c.host.Network().StopNotify(bundle)
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, connectAtOnce)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
		dial, wait := c.step(time.Now())
		for _, id := range dial {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				c.connect(ctx, id)
			})
		}
		timer.Reset(wait)
	}
}

func (c *connector) step(now time.Time) (dial []string, wait time.Duration) {
	alive := c.alive()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addresses(alive)
	dial, next := c.plan.step(now, alive, c.connected, rand.Float64())
	wait = connectSlow
	if !next.IsZero() {
		wait = min(wait, max(next.Sub(now), time.Millisecond))
	}
	return dial, wait
}

func (c *connector) connected(id string) bool {
	pid, err := peer.Decode(id)
	return err == nil && c.host.Network().Connectedness(pid) == network.Connected
}

// addresses makes libp2p know exactly the addresses that membership says.
func (c *connector) addresses(alive map[string]Member) {
	for id := range c.known {
		if _, ok := alive[id]; !ok {
			delete(c.known, id)
			if pid, err := peer.Decode(id); err == nil {
				c.host.Peerstore().ClearAddrs(pid)
				c.host.ConnManager().Unprotect(pid, connectTag)
			}
		}
	}
	for id, m := range alive {
		if c.known[id] == m.peerAddr() {
			continue
		}
		pid, addr, err := peerMultiaddr(m)
		if err != nil {
			c.log.WithError(err).WithField("node", id).Warn("member with an unusable address")
			continue
		}
		c.known[id] = m.peerAddr()
		c.host.Peerstore().ClearAddrs(pid)
		c.host.Peerstore().AddAddr(pid, addr, peerstore.PermanentAddrTTL)
		c.host.ConnManager().Protect(pid, connectTag)
	}
}

// peerMultiaddr is where libp2p reaches a member.
func peerMultiaddr(m Member) (peer.ID, ma.Multiaddr, error) {
	pid, err := peer.Decode(m.ID)
	if err != nil {
		return "", nil, fmt.Errorf("peer ID %q: %w", m.ID, err)
	}
	kind := "ip4"
	if m.Addr.Is6() {
		kind = "ip6"
	}
	addr, err := ma.NewMultiaddr(fmt.Sprintf("/%s/%s/tcp/%d", kind, m.Addr.WithZone(""), m.PeerPort))
	return pid, addr, err
}

func (c *connector) connect(ctx context.Context, id string) {
	defer func() {
		c.mu.Lock()
		if p := c.plan.peers[id]; p != nil {
			p.dialing = false
		}
		c.mu.Unlock()
		wakeUp(c.wake)
	}()
	m, ok := c.alive()[id]
	if !ok {
		return
	}
	if err := connectMember(ctx, c.host, m); err != nil && ctx.Err() == nil {
		c.log.WithError(err).WithField("node", id).Debug("peer not reached yet")
	}
}

// connectMember makes a libp2p connection to m, if there is none. It goes past
// libp2p's own backoff: who calls has a better one, which knows when a peer is back.
func connectMember(ctx context.Context, h host.Host, m Member) error {
	pid, addr, err := peerMultiaddr(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "member"), connectTimeout)
	defer cancel()
	if err := h.Connect(ctx, peer.AddrInfo{ID: pid, Addrs: []ma.Multiaddr{addr}}); err != nil {
		return fmt.Errorf("connect to %s at %s: %w", m.ID, m.peerAddr(), err)
	}
	return nil
}
