package memnet

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// queue is how many packets wait for their receiver; more are lost.
const queue = 1024

// Transport carries gossip for memberlist.
type Transport struct {
	node    *Node
	port    int
	list    *listener
	packets chan *memberlist.Packet
	once    sync.Once
}

var _ memberlist.Transport = (*Transport)(nil)

// Transport opens the gossip port of the node.
func (nd *Node) Transport() (*Transport, error) {
	l, err := nd.listen(GossipPort)
	if err != nil {
		return nil, err
	}
	t := &Transport{node: nd, port: GossipPort, list: l, packets: make(chan *memberlist.Packet, queue)}
	nd.net.mu.Lock()
	defer nd.net.mu.Unlock()
	nd.packets[t.port] = t
	return t, nil
}

// FinalAdvertiseAddr is always the address of the node.
func (t *Transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.node.addr.AsSlice(), t.port, nil
}

// WriteTo sends a packet, which may be lost; the sender is never told.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	to, err := parse(addr)
	if err != nil {
		return now, err
	}
	n := t.node.net
	n.mu.Lock()
	defer n.mu.Unlock()
	host := n.hosts[to.Addr()]
	if t.node.dead || host == nil || host.dead || n.cut(t.node.name, host.name) || n.drop() {
		return now, nil
	}
	target := host.packets[int(to.Port())]
	if target == nil {
		return now, nil
	}
	from := net.UDPAddrFromAddrPort(netip.AddrPortFrom(t.node.addr, uint16(t.port)))
	packet := &memberlist.Packet{Buf: append([]byte(nil), b...), From: from, Timestamp: now}
	if d := n.delay(); d > 0 {
		time.AfterFunc(d, func() { target.deliver(packet) })
	} else {
		target.deliver(packet)
	}
	return now, nil
}

// deliver hands over a packet, or loses it.
func (t *Transport) deliver(p *memberlist.Packet) {
	select {
	case t.packets <- p:
	default:
	}
}

// PacketCh yields the packets that arrive.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh yields the connections that arrive.
func (t *Transport) StreamCh() <-chan net.Conn { return t.list.conns }

// DialTimeout connects as Node.Dial does.
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return t.node.Dial(ctx, "tcp", addr)
}

// Shutdown closes the gossip port.
func (t *Transport) Shutdown() error {
	t.once.Do(func() {
		t.node.net.mu.Lock()
		if t.node.packets[t.port] == t {
			delete(t.node.packets, t.port)
		}
		t.node.net.mu.Unlock()
		_ = t.list.Close()
	})
	return nil
}
