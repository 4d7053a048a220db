package memnet

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// backlog is how many connections wait for a listener to accept them.
const backlog = 128

// listener is a port of a node that accepts connections.
type listener struct {
	node  *Node
	addr  *net.TCPAddr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

// Listen opens a TCP port of the node.
func (nd *Node) Listen(port int) (net.Listener, error) { return nd.listen(port) }

func (nd *Node) listen(port int) (*listener, error) {
	nd.net.mu.Lock()
	defer nd.net.mu.Unlock()
	addr := nd.tcpAddr(port)
	if nd.dead {
		return nil, opError("listen", addr, syscall.ENETDOWN)
	}
	if nd.listeners[port] != nil {
		return nil, opError("listen", addr, syscall.EADDRINUSE)
	}
	l := &listener{node: nd, addr: addr, conns: make(chan net.Conn, backlog), done: make(chan struct{})}
	nd.listeners[port] = l
	return l, nil
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Close() error {
	l.node.net.mu.Lock()
	if l.node.listeners[l.addr.Port] == l {
		delete(l.node.listeners, l.addr.Port)
	}
	l.node.net.mu.Unlock()
	l.shut()
	return nil
}

// shut closes what nobody has accepted; nothing is added any more.
func (l *listener) shut() {
	l.once.Do(func() {
		close(l.done)
		for {
			select {
			case c := <-l.conns:
				_ = c.Close()
			default:
				return
			}
		}
	})
}

// Dial connects to a port of another node, as net.Dialer.DialContext does. A port
// at which nobody listens refuses at once; a host that does not exist, or lies
// across a cut (one way is enough), does not answer until ctx ends.
func (nd *Node) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	to, err := parse(addr)
	if err != nil {
		return nil, err
	}
	remote := net.TCPAddrFromAddrPort(to)
	late := &net.OpError{Op: "dial", Net: network, Addr: remote, Err: os.ErrDeadlineExceeded}
	if trip := nd.net.takes() + nd.net.takes(); trip > 0 {
		select {
		case <-time.After(trip):
		case <-ctx.Done():
			return nil, late
		}
	}
	c, err := nd.connect(remote)
	if err == nil {
		return c, nil
	}
	if errors.Is(err, syscall.ETIMEDOUT) {
		<-ctx.Done()
		return nil, late
	}
	return nil, opError("dial", remote, err)
}

func (nd *Node) connect(remote *net.TCPAddr) (net.Conn, error) {
	n := nd.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if nd.dead {
		return nil, syscall.ENETDOWN
	}
	host := n.hosts[remote.AddrPort().Addr().Unmap()]
	if host == nil || n.cut(nd.name, host.name) || n.cut(host.name, nd.name) {
		return nil, syscall.ETIMEDOUT
	}
	l := host.listeners[remote.Port]
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	local := nd.tcpAddr(40000 + n.rng.IntN(20000))
	link := &link{net: n, ends: [2]string{nd.name, host.name}, dirs: [2]*half{newHalf(), newHalf()}}
	select {
	case l.conns <- newConn(link, 1, remote, local):
		n.links[link] = struct{}{}
		return newConn(link, 0, local, remote), nil
	default:
		return nil, syscall.ETIMEDOUT
	}
}

func opError(op string, addr net.Addr, errno error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: addr, Err: os.NewSyscallError(op, errno)}
}
