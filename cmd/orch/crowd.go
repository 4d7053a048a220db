package main

import (
	"net"
	"sync"
)

// maxConns is how many connections to the API are open at once: those of as many
// streams as may be, and as many again.
const maxConns = 8192

// crowd is a listener that lets so many in at a time: the others wait before the
// door, where they cost this process nothing.
type crowd struct {
	net.Listener
	places chan struct{} // one for each connection that is open
	closed chan struct{}
	close  func() error
}

// newCrowd lets at most so many connections of l be open at once.
func newCrowd(l net.Listener, most int) *crowd {
	c := &crowd{Listener: l, places: make(chan struct{}, most), closed: make(chan struct{})}
	c.close = sync.OnceValue(func() error {
		close(c.closed)
		return l.Close()
	})
	return c
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	select {
	case c.places <- struct{}{}:
	case <-c.closed:
		return nil, net.ErrClosed
	}
	conn, err := c.Listener.Accept()
	if err != nil {
		<-c.places
		return nil, err
	}
	return &guest{Conn: conn, leave: sync.OnceFunc(func() { <-c.places })}, nil
}

// Close implements net.Listener.
func (c *crowd) Close() error { return c.close() }

// guest gives its place back when it is closed.
type guest struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}

// CloseWrite ends what is sent and goes on reading. Without it net/http could only
// hang up on a request that it refuses unread, and the client would not see why.
func (g *guest) CloseWrite() error {
	if half, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
