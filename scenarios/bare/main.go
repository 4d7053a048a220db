// Command bare is what an idle node is compared with: encrypted Serf and a libp2p
// host on TCP, Noise and a private network, connected to every other one, and
// nothing else. The difference between the two is what orch itself costs.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/serf/serf"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// secret keeps the bare nodes of one machine among themselves; nothing of worth is
// behind it.
const secret = "bare nodes on loopback"

// look is how often a node looks whether it is connected to all, until it is.
const look = 100 * time.Millisecond

type options struct {
	name       string
	gossipPort int
	peerPort   int
	join       string
	expect     int
	ready      string
}

func main() {
	var o options
	flag.StringVar(&o.name, "name", "", "name of the node")
	flag.IntVar(&o.gossipPort, "gossip-port", 0, "port of Serf")
	flag.IntVar(&o.peerPort, "peer-port", 0, "port of libp2p")
	flag.StringVar(&o.join, "join", "", "address of another node's Serf")
	flag.IntVar(&o.expect, "expect", 1, "how many nodes there will be")
	flag.StringVar(&o.ready, "ready", "", "file to write once connected to all")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bare: error:", err)
		os.Exit(1)
	}
}

// run is a node until ctx ends.
func (o options) run(ctx context.Context) error {
	key := sha256.Sum256([]byte(secret))
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/"+strconv.Itoa(o.peerPort)),
		libp2p.NoTransports, libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Security(noise.ID, noise.New), libp2p.PrivateNetwork(key[:]),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
	)
	if err != nil {
		return fmt.Errorf("open libp2p: %w", err)
	}
	defer h.Close()
	events := make(chan serf.Event, 64)
	s, err := o.openSerf(key[:], h, events)
	if err != nil {
		return err
	}
	defer func() { _ = s.Shutdown() }() // the process ends
	if o.join != "" {
		if _, err := s.Join([]string{o.join}, true); err != nil {
			return fmt.Errorf("join %s: %w", o.join, err)
		}
	}
	return o.mesh(ctx, s, h, events)
}

// openSerf starts Serf with the profile that orch calls lan.
func (o options) openSerf(key []byte, h host.Host, events chan serf.Event) (*serf.Serf, error) {
	c := serf.DefaultConfig()
	c.Init()
	c.NodeName = o.name
	c.Tags["id"], c.Tags["port"] = h.ID().String(), strconv.Itoa(o.peerPort)
	c.EventCh = events
	c.LogOutput = io.Discard
	c.MemberlistConfig.LogOutput = io.Discard
	c.MemberlistConfig.BindAddr, c.MemberlistConfig.BindPort = "127.0.0.1", o.gossipPort
	c.MemberlistConfig.AdvertiseAddr, c.MemberlistConfig.AdvertisePort = "127.0.0.1", o.gossipPort
	c.MemberlistConfig.SecretKey = key
	s, err := serf.Create(c)
	if err != nil {
		return nil, fmt.Errorf("open serf: %w", err)
	}
	return s, nil
}

// mesh drains the events for ever and connects to whoever is there, until it is
// connected to all.
func (o options) mesh(ctx context.Context, s *serf.Serf, h host.Host, events <-chan serf.Event) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.ShutdownCh():
			return errors.New("serf has shut itself down")
		case <-events:
		case <-tick.C:
			dialAll(ctx, s, h)
			if s.NumNodes() < o.expect || len(h.Network().Peers()) < o.expect-1 {
				continue
			}
			if err := os.WriteFile(o.ready, nil, 0o600); err != nil {
				return err
			}
			tick.Stop() // idle from here on
		}
	}
}

// dialAll connects to the members that it is not connected to. One that cannot be
// reached is tried at the next look.
func dialAll(ctx context.Context, s *serf.Serf, h host.Host) {
	for _, m := range s.Members() {
		id, err := peer.Decode(m.Tags["id"])
		if err != nil || id >= h.ID() { // of two, the one with the greater id dials
			continue
		}
		info, err := peer.AddrInfoFromString(fmt.Sprintf("/ip4/%s/tcp/%s/p2p/%s", m.Addr, m.Tags["port"], id))
		if err != nil {
			continue
		}
		dial, cancel := context.WithTimeout(ctx, 5*time.Second)
		_ = h.Connect(dial, *info)
		cancel()
	}
}
