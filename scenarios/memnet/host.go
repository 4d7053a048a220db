package memnet

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Host returns a libp2p host that listens on the peer port of the node. All of
// it is libp2p's own, as it runs over TCP (swarm, muxer, streams, deadlines),
// except the sockets, and the encryption, which is left out. (libp2p's mocknet
// was tried: it has no deadlines, dials nothing that could refuse, and takes away
// a link only between calls.) Give more options, for example a private network
// key, as needed; close the host when done.
func (nd *Node) Host(key crypto.PrivKey, opts ...libp2p.Option) (host.Host, error) {
	newTransport := func(up transport.Upgrader, rcmgr network.ResourceManager) *hostTransport {
		return &hostTransport{node: nd, upgrader: up, rcmgr: rcmgr}
	}
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.Identity(key),
		libp2p.Transport(newTransport),
		libp2p.NoSecurity,
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/%d", nd.addr, PeerPort)),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		// Address discovery polls without end, and stalls a bubble.
		libp2p.DisableIdentifyAddressDiscovery(),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("memnet host %s: %w", nd.name, err)
	}
	return h, nil
}

// hostTransport is a TCP transport of libp2p over memnet.
type hostTransport struct {
	node     *Node
	upgrader transport.Upgrader
	rcmgr    network.ResourceManager
}

var _ transport.Transport = (*hostTransport)(nil)

func (t *hostTransport) Protocols() []int { return []int{ma.P_TCP} }
func (t *hostTransport) Proxy() bool      { return false }

func (t *hostTransport) CanDial(addr ma.Multiaddr) bool {
	_, err := t.address(addr)
	return err == nil
}

func (t *hostTransport) address(addr ma.Multiaddr) (*net.TCPAddr, error) {
	a, err := manet.ToNetAddr(addr)
	if err != nil {
		return nil, err
	}
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return nil, errors.New("memnet: only TCP addresses")
	}
	return tcp, nil
}

func (t *hostTransport) Dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	scope, err := t.rcmgr.OpenConnection(network.DirOutbound, true, raddr)
	if err != nil {
		return nil, err
	}
	c, err := t.dial(ctx, raddr, p, scope)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return c, nil
}

func (t *hostTransport) dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	if err := scope.SetPeer(p); err != nil {
		return nil, err
	}
	addr, err := t.address(raddr)
	if err != nil {
		return nil, err
	}
	raw, err := t.node.Dial(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	c, err := manet.WrapNetConn(raw)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return t.upgrader.Upgrade(ctx, t, c, network.DirOutbound, p, scope)
}

func (t *hostTransport) Listen(laddr ma.Multiaddr) (transport.Listener, error) {
	addr, err := t.address(laddr)
	if err != nil {
		return nil, err
	}
	l, err := t.node.listen(addr.Port)
	if err != nil {
		return nil, err
	}
	ml, err := manet.WrapNetListener(l)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(ml)), nil
}
