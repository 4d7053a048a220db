// Package memnet is a network in memory, for tests of whole nodes under
// testing/synctest: gossip packets and streams, libp2p hosts and plain dials,
// with processes that die, links that are cut and packets that get lost.
//
// It behaves as a network of hosts does where the difference matters. The port of
// a dead process refuses and its connections are reset at once; across a cut link
// nothing arrives and nothing is refused: dials time out, bytes wait in flight
// and arrive when the link heals. A link cut one way carries what flows the other
// way, but no new connection. Packets never block their sender: a full
// receiver loses them. (memberlist's own mock does block, so that one dead node
// stops all who talk to it.) What is delayed may arrive in another order if it is
// packets, and does not if it is a stream.
//
// Only lost packets and delays come from the seed. A run is repeatable in
// its faults, not in the order in which goroutines do their work.
package memnet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// GossipPort and PeerPort are the ports that every node uses: each has an
// address of its own, as on separate hosts.
const (
	GossipPort = 7071
	PeerPort   = 7072
)

// Net is one network. All methods are safe for concurrent use.
type Net struct {
	mu    sync.Mutex // guards all below
	rng   *rand.Rand
	loss  float64
	least time.Duration        // of a delay
	most  time.Duration        // of a delay; 0: nothing is delayed
	nodes map[string]*Node     // by name; the running or last process of that host
	hosts map[netip.Addr]*Node // the same by address
	group map[string]int       // side of a partition by name; nil when there is none
	cuts  map[[2]string]bool   // single links cut by Cut and CutOneWay: from, to
	links map[*link]struct{}   // open connections
}

// New returns an empty network; seed decides which packets are lost, and how long
// what is delayed takes.
func New(seed int64) *Net {
	return &Net{
		rng:   rand.New(rand.NewPCG(uint64(seed), 1)),
		nodes: map[string]*Node{},
		hosts: map[netip.Addr]*Node{},
		cuts:  map[[2]string]bool{},
		links: map[*link]struct{}{},
	}
}

// Node is one process on a host of its own. Once killed it stays dead;
// Net.Node of the same name then starts a new one at the same address.
type Node struct {
	net  *Net
	name string
	addr netip.Addr

	// Guarded by net.mu.
	dead      bool
	listeners map[int]*listener
	packets   map[int]*Transport
}

// Node returns the running process of that name, started if there is none.
func (n *Net) Node(name string) *Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.nodes[name]
	if old != nil && !old.dead {
		return old
	}
	addr := netip.AddrFrom4([4]byte{10, 0, byte(len(n.nodes) >> 8), byte(len(n.nodes) + 1)})
	if old != nil {
		addr = old.addr
	}
	node := &Node{net: n, name: name, addr: addr, listeners: map[int]*listener{}, packets: map[int]*Transport{}}
	n.nodes[name] = node
	n.hosts[addr] = node
	return node
}

// Name returns the name given to Net.Node.
func (nd *Node) Name() string { return nd.name }

// Addr returns the address of the host.
func (nd *Node) Addr() netip.Addr { return nd.addr }

// Kill ends the process as kill -9 would: its connections are reset, its ports
// refuse. The caller then stops the code that ran in it, which can no longer
// reach anything.
func (n *Net) Kill(name string) {
	n.mu.Lock()
	node := n.nodes[name]
	if node == nil || node.dead {
		n.mu.Unlock()
		return
	}
	node.dead = true
	var broken []*link
	for l := range n.links {
		if l.ends[0] == name || l.ends[1] == name {
			broken = append(broken, l)
		}
	}
	// The listeners stay open to the code of the dead process, which would take
	// their end for an error of its own; nothing reaches them.
	node.listeners = map[int]*listener{}
	n.mu.Unlock()
	for _, l := range broken {
		l.reset(name)
	}
}

// Partition splits the network: only nodes in the same group reach each other.
// Nodes in no group form one more. It replaces an earlier partition.
func (n *Net) Partition(groups ...[]string) {
	n.mu.Lock()
	n.group = map[string]int{}
	for i, g := range groups {
		for _, name := range g {
			n.group[name] = i + 1
		}
	}
	n.mu.Unlock()
	n.thaw()
}

// Cut cuts the link between two nodes, both ways.
func (n *Net) Cut(a, b string) {
	n.mu.Lock()
	n.cuts[[2]string{a, b}], n.cuts[[2]string{b, a}] = true, true
	n.mu.Unlock()
	n.thaw()
}

// CutOneWay loses what one node sends to another, and nothing else.
func (n *Net) CutOneWay(from, to string) {
	n.mu.Lock()
	n.cuts[[2]string{from, to}] = true
	n.mu.Unlock()
	n.thaw()
}

// Mend undoes Cut and CutOneWay between two nodes.
func (n *Net) Mend(a, b string) {
	n.mu.Lock()
	delete(n.cuts, [2]string{a, b})
	delete(n.cuts, [2]string{b, a})
	n.mu.Unlock()
	n.thaw()
}

// Reach says whether what one node sends to another arrives.
func (n *Net) Reach(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cut(from, to)
}

// Heal undoes Partition, Cut and CutOneWay. What was in flight arrives.
func (n *Net) Heal() {
	n.mu.Lock()
	n.group = nil
	clear(n.cuts)
	n.mu.Unlock()
	n.thaw()
}

// SetLoss makes the network lose that share of all packets, from 0 to 1. Streams
// lose nothing.
func (n *Net) SetLoss(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// SetDelay makes everything that is sent take a time between the two to arrive,
// and a dial twice as long. Two zeros end that.
func (n *Net) SetDelay(least, most time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.least, n.most = least, most
}

// thaw freezes and unfreezes every open connection as the cuts now say.
func (n *Net) thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		for i, h := range l.dirs {
			frozen := n.cut(l.ends[i], l.ends[1-i])
			h.change(func(h *half) { h.frozen = frozen })
		}
	}
}

// cut says whether what from sends to to is lost; called with mu held.
func (n *Net) cut(from, to string) bool {
	return from != to && (n.group[from] != n.group[to] || n.cuts[[2]string{from, to}])
}

// takes is delay for a caller without mu.
func (n *Net) takes() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.delay()
}

// delay is how long one message takes; called with mu held.
func (n *Net) delay() time.Duration {
	if n.most <= n.least {
		return n.least
	}
	return n.least + time.Duration(n.rng.Int64N(int64(n.most-n.least)))
}

// drop decides about one packet; called with mu held.
func (n *Net) drop() bool { return n.loss > 0 && n.rng.Float64() < n.loss }

func (nd *Node) tcpAddr(port int) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(nd.addr, uint16(port)))
}

func parse(addr string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return ap, fmt.Errorf("memnet address %q: %w", addr, err)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}
