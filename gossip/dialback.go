package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	dialbackProtocol = "/orch/dialback/1"
	dialbackTry      = 2 * time.Second // one dial, and the wait until Serf tells of the node
	dialbackLimit    = 8 * time.Second
	dialbackAgain    = 200 * time.Millisecond
	dialbackPatience = 5 * time.Second // for a datagram to be answered: many may be joining a busy machine
)

type dialbackRequest struct {
	Boot string `json:"boot"`
}

// DialbackAnswer is what a member saw when it dialled another one.
type DialbackAnswer struct {
	GossipTCP ProbeResult `json:"gossip_tcp"`
	GossipUDP ProbeResult `json:"gossip_udp"`
	PeerTCP   ProbeResult `json:"peer_tcp"`
}

// CheckReachable asks helper, a living member, to dial this node back at the
// address it advertises. An error says which port cannot be reached, and from
// where: a node that can call but not be called joins well, and is then declared
// dead again and again.
func (m *Membership) CheckReachable(ctx context.Context, helper peer.ID) error {
	if m.cfg.Host == nil {
		return errors.New("check reachability: no libp2p host")
	}
	ctx, cancel := context.WithTimeout(ctx, dialbackLimit)
	defer cancel()
	other, ok := m.newest(helper.String())
	if !ok {
		return fmt.Errorf("check reachability: %s is not a member", helper)
	}
	if err := connectMember(ctx, m.cfg.Host, other); err != nil {
		if back := m.cfg.Host.Network().Connectedness(helper); back != network.Connected {
			return fmt.Errorf("this node %w %s:%d/tcp, the peer port there: open TCP %d on that host: %w",
				ErrUnreachable, other.Addr, other.PeerPort, other.PeerPort, err)
		}
	}
	answer, err := m.askDialback(ctx, helper)
	if err != nil {
		return fmt.Errorf("check reachability: %w", err)
	}
	return ExplainDialback(other.Addr.String(), m.Self(), answer)
}

// askDialback asks until there is an answer: a busy helper may not have heard of
// this boot yet, or have too much else to answer.
func (m *Membership) askDialback(ctx context.Context, helper peer.ID) (answer DialbackAnswer, err error) {
	again := time.NewTicker(dialbackAgain)
	defer again.Stop()
	for {
		callErr := memberCall(ctx, m.cfg.Host, helper, dialbackProtocol, dialbackRequest{Boot: m.cfg.Boot}, &answer)
		if callErr == nil {
			return answer, nil
		}
		if err == nil || ctx.Err() == nil { // what was wrong before the time ran out says more
			err = callErr
		}
		select {
		case <-ctx.Done():
			return answer, err
		case <-again.C:
		}
	}
}

// ExplainDialback turns the answer of the member at from about self into an error,
// or nil if all ports could be reached.
func ExplainDialback(from string, self Member, a DialbackAnswer) error {
	type port struct {
		number int
		proto  string
		result ProbeResult
	}
	ports := []port{{self.GossipPort, "tcp", a.GossipTCP}, {self.GossipPort, "udp", a.GossipUDP}, {self.PeerPort, "tcp", a.PeerTCP}}
	var bad []port
	var says, open []string
	for _, p := range ports {
		if p.result == ProbeOpen {
			continue
		}
		verb := "does not answer"
		if p.result == ProbeRefused {
			verb = "refuses"
		}
		bad = append(bad, p)
		says = append(says, fmt.Sprintf("%d/%s %s", p.number, p.proto, verb))
		open = append(open, fmt.Sprintf("%s %d", strings.ToUpper(p.proto), p.number))
	}
	switch {
	case len(bad) == 0:
		return nil
	case len(bad) == len(ports):
		return fmt.Errorf("%s %w this node at %s (%s): open %s or give --advertise", from, ErrUnreachable,
			self.Addr, strings.Join(says, ", "), strings.Join(open, ", "))
	case len(bad) == 1 && bad[0].proto == "udp":
		return fmt.Errorf("%s %w this node at %s:%d/udp (tcp works): open UDP %d or give --advertise", from, ErrUnreachable,
			self.Addr, self.GossipPort, self.GossipPort)
	}
	return fmt.Errorf("%s %w this node at %s (%s; the rest works): open %s or give --advertise", from, ErrUnreachable,
		self.Addr, strings.Join(says, ", "), strings.Join(open, " and "))
}

// serveDialback dials back whoever asks, at the address that Serf knows of it: the
// asker is the authenticated peer of the stream, and can name no other.
func (m *Membership) serveDialback(ctx context.Context, st network.Stream) error {
	var req dialbackRequest
	if err := memberRead(st, &req); err != nil {
		return fmt.Errorf("read dialback request: %w", err)
	}
	asker, ok := m.awaitBoot(ctx, st.Conn().RemotePeer().String(), req.Boot)
	if !ok {
		return errors.New("dialback asked by a boot that is not a member")
	}
	var answer DialbackAnswer
	var probes sync.WaitGroup
	probes.Go(func() { answer.GossipUDP = m.ping(ctx, asker) })
	probes.Go(func() { answer.GossipTCP = m.try(ctx, asker.gossipAddr().String()) })
	probes.Go(func() { answer.PeerTCP = m.try(ctx, asker.peerAddr().String()) })
	probes.Wait()
	return memberWrite(st, answer)
}

// awaitBoot waits a little for Serf to tell of a node that has just joined. It may
// have failed by now, as it will if none of its ports can be reached.
func (m *Membership) awaitBoot(ctx context.Context, id, boot string) (Member, bool) {
	ctx, cancel := context.WithTimeout(ctx, dialbackTry)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		for _, mem := range m.Members() {
			if mem.ID == id && mem.Boot == boot && mem.Status != MemberLeft {
				return mem, true
			}
		}
		select {
		case <-ctx.Done():
			return Member{}, false
		case <-look.C:
		}
	}
}

func (m *Membership) try(ctx context.Context, addr string) ProbeResult {
	ctx, cancel := context.WithTimeout(ctx, dialbackTry)
	defer cancel()
	c, err := m.cfg.Dial(ctx, "tcp", addr)
	switch {
	case err == nil:
		_ = c.Close()
		return ProbeOpen
	case errors.Is(err, syscall.ECONNREFUSED):
		return ProbeRefused
	}
	return ProbeUnclear
}

// ping says whether the gossip port of a member answers by UDP.
func (m *Membership) ping(ctx context.Context, to Member) ProbeResult {
	ctx, cancel := context.WithTimeout(ctx, dialbackPatience)
	defer cancel()
	name := serfName(to.ID, to.Boot)
	if m.prober != nil {
		if m.prober.probe(ctx, to.gossipAddr(), name) {
			return ProbeOpen
		}
		return ProbeUnclear
	}
	addr := net.UDPAddrFromAddrPort(to.gossipAddr())
	for ctx.Err() == nil {
		if _, err := m.serf.Memberlist().Ping(name, addr); err == nil {
			return ProbeOpen
		}
	}
	return ProbeUnclear
}
