package peer

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// openHost makes the node's one libp2p host: TCP only, since a killed process
// shows there in milliseconds; Noise inside the cluster's private network, so that
// nobody without the secret gets as far as a handshake; and none of the services
// for the open internet. Its limits bound what all connections together may take.
func openHost(cfg Config) (host.Host, error) {
	listen := "/ip4/0.0.0.0/tcp/" + strconv.Itoa(cfg.PeerPort)
	if ip := net.ParseIP(cfg.Bind); ip != nil {
		family := "ip4"
		if ip.To4() == nil {
			family = "ip6"
		}
		listen = fmt.Sprintf("/%s/%s/tcp/%d", family, ip, cfg.PeerPort)
	}
	// libp2p logs it at length when a port is taken; and binding waits for nobody.
	if err := gossip.CheckPort(context.Background(), "tcp", cfg.Bind, cfg.PeerPort, "--peer-port"); err != nil {
		return nil, err
	}
	limits := rcmgr.DefaultLimits
	limits.SystemBaseLimit.Conns, limits.SystemBaseLimit.ConnsInbound, limits.SystemBaseLimit.ConnsOutbound = 4096, 2048, 2048
	limits.SystemBaseLimit.FD = 4096
	limits.SystemBaseLimit.Streams, limits.SystemBaseLimit.StreamsInbound, limits.SystemBaseLimit.StreamsOutbound = 16384, 8192, 8192
	rm, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Scale(256<<20, 4096)), rcmgr.WithMetricsDisabled())
	if err != nil {
		return nil, fmt.Errorf("open libp2p: %w", err)
	}
	cm, err := connmgr.NewConnManager(2048, 4096)
	if err != nil {
		return nil, fmt.Errorf("open libp2p: %w", err)
	}
	h, err := libp2p.New(
		libp2p.Identity(cfg.Dir.Key),
		libp2p.ListenAddrStrings(listen),
		libp2p.NoTransports, libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Security(noise.ID, noise.New),
		libp2p.PrivateNetwork(cfg.Secret.NetworkKey()),
		libp2p.ResourceManager(rm), libp2p.ConnectionManager(cm),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.UserAgent("orch/"+cfg.Version.Version),
	)
	if err != nil {
		if strings.Contains(err.Error(), "address already in use") {
			return nil, fmt.Errorf("port %d/tcp is in use by another program: choose --peer-port", cfg.PeerPort)
		}
		return nil, fmt.Errorf("open libp2p: %w", err)
	}
	return h, nil
}

// listenPort is the TCP port that h listens on, or 0.
func listenPort(h host.Host) int {
	for _, a := range h.Addrs() {
		if s, err := a.ValueForProtocol(6); err == nil { // TCP
			if n, err := strconv.Atoi(s); err == nil {
				return n
			}
		}
	}
	return 0
}

// peerID is id for libp2p.
func peerID(id api.NodeID) (peer.ID, error) {
	p, err := peer.Decode(string(id))
	if err != nil {
		return "", fmt.Errorf("node id %.80q: %w", id, err)
	}
	return p, nil
}

func nodeID(p peer.ID) api.NodeID { return api.NodeID(p.String()) }
