package memnet

import (
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes may be in flight one way before a writer waits.
const window = 256 << 10

// half is one direction of a connection.
type half struct {
	mu     sync.Mutex // guards all below
	buf    []byte
	late   [][]byte      // on its way, in order: each is in buf when its timer fires
	flying int           // bytes of late
	lands  time.Time     // the last of late
	eof    bool          // the writer closed
	gone   bool          // the reader closed
	reset  bool          // one of the ends died
	frozen bool          // the link is cut: nothing of the above is seen at the other end
	wake   chan struct{} // closed, and replaced, on every change
}

func newHalf() *half { return &half{wake: make(chan struct{})} }

func (h *half) change(f func(h *half)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
	close(h.wake)
	h.wake = make(chan struct{})
}

// read returns wait when there is nothing to return yet.
func (h *half) read(p []byte) (n int, wait <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.frozen:
		return 0, h.wake, nil
	case h.reset:
		return 0, nil, syscall.ECONNRESET
	case len(h.buf) > 0:
		n = copy(p, h.buf)
		h.buf = h.buf[n:]
		close(h.wake)
		h.wake = make(chan struct{})
		return n, nil, nil
	case h.eof && len(h.late) == 0:
		return 0, nil, io.EOF
	}
	return 0, h.wake, nil
}

// write takes in what there is room for; it can be read after the delay.
func (h *half) write(p []byte, delay time.Duration) (n int, wait <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.frozen && h.reset:
		return 0, nil, syscall.ECONNRESET
	case !h.frozen && h.gone:
		return 0, nil, syscall.EPIPE
	case len(h.buf)+h.flying >= window:
		return 0, h.wake, nil
	}
	n = min(len(p), window-len(h.buf)-h.flying)
	if delay == 0 && len(h.late) == 0 {
		h.buf = append(h.buf, p[:n]...)
		close(h.wake)
		h.wake = make(chan struct{})
		return n, nil, nil
	}
	if at := time.Now().Add(delay); at.After(h.lands) {
		h.lands = at
	}
	h.late, h.flying = append(h.late, slices.Clone(p[:n])), h.flying+n
	time.AfterFunc(time.Until(h.lands), h.land)
	return n, nil, nil
}

// land makes the oldest of what is on its way readable.
func (h *half) land() {
	h.change(func(h *half) {
		if len(h.late) > 0 { // else the connection was reset meanwhile
			h.buf, h.flying = append(h.buf, h.late[0]...), h.flying-len(h.late[0])
			h.late = h.late[1:]
		}
	})
}

// link is an open connection between two nodes; ends[0] dialled.
type link struct {
	net  *Net
	ends [2]string
	dirs [2]*half // dirs[i] carries what ends[i] writes
}

// reset is the death of the process at one end.
func (l *link) reset(name string) {
	for i, end := range l.ends {
		if end == name {
			l.dirs[i].change(func(h *half) { h.reset, h.eof, h.buf, h.late, h.flying = true, true, nil, nil, 0 })
			l.dirs[1-i].change(func(h *half) { h.reset, h.gone, h.buf, h.late, h.flying = true, true, nil, nil, 0 })
		}
	}
}

// close is called once by each end.
func (l *link) close(side int) {
	l.dirs[side].change(func(h *half) { h.eof = true })
	l.dirs[1-side].change(func(h *half) { h.gone = true })
	for _, h := range l.dirs {
		h.mu.Lock()
		over := h.eof && h.gone
		h.mu.Unlock()
		if !over {
			return
		}
	}
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	delete(l.net.links, l)
}

// conn is one end of a link.
type conn struct {
	link          *link
	side          int
	in, out       *half
	local, remote net.Addr
	once          sync.Once
	closed        chan struct{}
	rd, wd        *deadline
}

func newConn(l *link, side int, local, remote net.Addr) *conn {
	return &conn{link: l, side: side, in: l.dirs[1-side], out: l.dirs[side], local: local, remote: remote,
		closed: make(chan struct{}), rd: newDeadline(), wd: newDeadline()}
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		if c.isClosed() {
			return 0, net.ErrClosed
		}
		expired := c.rd.wait()
		select {
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		default:
		}
		n, wait, err := c.in.read(p)
		if wait == nil {
			return n, err
		}
		select {
		case <-wait:
		case <-c.closed:
		case <-expired:
		}
	}
}

func (c *conn) Write(p []byte) (done int, err error) {
	for {
		if c.isClosed() {
			return done, net.ErrClosed
		}
		expired := c.wd.wait()
		select {
		case <-expired:
			return done, os.ErrDeadlineExceeded
		default:
		}
		n, wait, err := c.out.write(p[done:], c.link.net.takes())
		done += n
		if err != nil || done == len(p) {
			return done, err
		}
		if wait == nil {
			continue
		}
		select {
		case <-wait:
		case <-c.closed:
		case <-expired:
		}
	}
}

func (c *conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.rd.set(time.Time{})
		c.wd.set(time.Time{})
		c.link.close(c.side)
	})
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.rd.set(t)
	c.wd.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error  { c.rd.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.wd.set(t); return nil }

// deadline is a channel that is closed at a time that can be moved.
type deadline struct {
	mu      sync.Mutex // guards what follows
	timer   *time.Timer
	round   int // counts calls of set, so that a stopped timer that fires anyway does nothing
	expired chan struct{}
}

func newDeadline() *deadline { return &deadline{expired: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.round++
	select {
	case <-d.expired:
		d.expired = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	round := d.round
	left := time.Until(t)
	if left <= 0 {
		close(d.expired)
		return
	}
	d.timer = time.AfterFunc(left, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.round == round {
			close(d.expired)
		}
	})
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired
}
