package gossip_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/gossip"
)

// startProber runs a prober on loopback until the end of the test, and returns its
// address. Nobody takes its packets.
func startProber(t *testing.T, key byte, name string) (*gossip.TestUDPProber, netip.AddrPort) {
	t.Helper()
	u, err := gossip.NewTestUDPProber(memberKey(key), name)
	if err != nil {
		t.Fatal(err)
	}
	var forward sync.WaitGroup
	forward.Go(u.Forward)
	t.Cleanup(func() {
		if err := u.Shutdown(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		forward.Wait()
	})
	return u, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(u.GetAutoBindPort()))
}

// udpSocket is any program's.
func udpSocket(t *testing.T) (net.PacketConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func udpSend(t *testing.T, c net.PacketConn, to netip.AddrPort, b []byte) {
	t.Helper()
	if _, err := c.WriteTo(b, net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatal(err)
	}
}

// udpReceive reads one datagram.
func udpReceive(t *testing.T, c net.PacketConn) ([]byte, netip.AddrPort) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	n, from, err := c.ReadFrom(buf)
	if err != nil {
		t.Fatalf("nothing was received: %v", err)
	}
	return buf[:n], from.(*net.UDPAddr).AddrPort()
}

func TestUDPProbe(t *testing.T) {
	t.Parallel()
	helper, _ := startProber(t, 1, "helper")
	_, asker := startProber(t, 1, "asker")
	_, stranger := startProber(t, 2, "asker")
	_, nobody := udpSocket(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !helper.Probe(ctx, asker, "asker") {
		t.Error("an open port does not answer")
	}
	for what, probe := range map[string]func(context.Context) bool{
		"a port that nobody serves": func(ctx context.Context) bool { return helper.Probe(ctx, nobody, "asker") },
		"a node with another key":   func(ctx context.Context) bool { return helper.Probe(ctx, stranger, "asker") },
		"another boot":              func(ctx context.Context) bool { return helper.Probe(ctx, asker, "asker2") },
		"a node that cannot send": func(ctx context.Context) bool {
			return helper.Probe(ctx, netip.MustParseAddrPort("[2001:db8::1]:7"), "asker") // from an IPv4 socket
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			const limit = 400 * time.Millisecond
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			start := time.Now()
			if probe(ctx) {
				t.Error("it answers")
			}
			if took := time.Since(start); took < limit || took > limit+10*time.Second {
				t.Errorf("the probe failed after %v, want %v", took, limit)
			}
		})
	}
}

// TestUDPProbeOnTheWire holds a probe back until many copies have come, and plays
// with what was caught.
func TestUDPProbeOnTheWire(t *testing.T) {
	t.Parallel()
	helper, _ := startProber(t, 1, "helper")
	_, asker := startProber(t, 1, "asker")
	relay, at := udpSocket(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	result := make(chan bool, 1)
	go func() { result <- helper.Probe(ctx, at, "asker") }()
	var ask []byte
	var from netip.AddrPort
	for range 5 {
		ask, from = udpReceive(t, relay)
	}
	for i := len("orch-udp"); i < len(ask); i++ { // nothing that is not whole is answered
		bad := bytes.Clone(ask)
		bad[i] ^= 1
		udpSend(t, relay, asker, bad)
		udpSend(t, relay, asker, ask[:i])
	}
	udpSend(t, relay, asker, append(bytes.Clone(ask), 0))
	udpSend(t, relay, asker, ask)
	answer, sender := udpReceive(t, relay)
	for sender != asker { // more copies
		answer, sender = udpReceive(t, relay)
	}
	if len(answer) != len(ask) || bytes.Equal(answer, ask) {
		t.Errorf("%d bytes were answered with %d, want as many, and others", len(ask), len(answer))
	}
	bad := bytes.Clone(answer)
	bad[len(bad)-1] ^= 1
	udpSend(t, relay, from, bad)
	udpSend(t, relay, from, ask)
	udpSend(t, relay, from, answer[:len(answer)-1])
	select {
	case <-result:
		t.Error("the probe ended with no whole answer")
	default:
	}
	udpSend(t, relay, from, answer)
	if !<-result {
		t.Error("the late answer does not count")
	}
	udpSend(t, relay, from, answer) // to a question that is no more
	if !helper.Probe(ctx, asker, "asker") {
		t.Error("the next probe fails")
	}
}

func TestUDPProberPassesPacketsOn(t *testing.T) {
	t.Parallel()
	helper, _ := startProber(t, 1, "helper")
	u, to := startProber(t, 1, "asker")
	c, from := udpSocket(t)
	for _, want := range []string{"\xf4\x04orch...", "x", "orch-ud", "orch-tcp" + string(make([]byte, 49)), string(bytes.Repeat([]byte("big"), 9000))} {
		udpSend(t, c, to, []byte("orch-udp"))      // ours, and nothing for memberlist
		udpSend(t, c, to, []byte("orch-udp junk")) // the same
		udpSend(t, c, to, []byte(want))
		select {
		case p := <-u.PacketCh():
			if string(p.Buf) != want || p.From.String() != from.String() || p.Timestamp.IsZero() {
				t.Errorf("got %d bytes %.20q of %v, want %d bytes %.20q of %v", len(p.Buf), p.Buf, p.From, len(want), want, from)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%.20q was not passed on", want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !helper.Probe(ctx, to, "asker") {
		t.Error("a probe among other packets is not answered")
	}
	udpSend(t, c, to, []byte("a packet that nobody takes does not keep the port from closing"))
}

// TestCheckReachableBehindUDPBlackHole gives a node an address at which its TCP is
// reached and its UDP is not.
func TestCheckReachableBehindUDPBlackHole(t *testing.T) {
	t.Parallel()
	helper := startMember(t, memberWithHost(t))
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := memberWithHost(t)
	cfg.Port, cfg.AdvertisePort = memberPort(t), hole.Addr().(*net.TCPAddr).Port
	node := startMember(t, cfg)
	var forward sync.WaitGroup
	t.Cleanup(forward.Wait)
	t.Cleanup(func() { _ = hole.Close() })
	forward.Go(func() { tcpForward(hole, fmt.Sprintf("127.0.0.1:%d", cfg.Port)) })
	node.join(t, helper)
	start := time.Now()
	got := fmt.Sprint(node.CheckReachable(t.Context(), helper.cfg.Host.ID()))
	want := fmt.Sprintf("127.0.0.1 cannot reach this node at 127.0.0.1:%d/udp (tcp works): open UDP %[1]d or give --advertise", cfg.AdvertisePort)
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("it took %v, want less than 9s", took)
	}
}

// tcpForward connects all who call l with to, until l is closed.
func tcpForward(l net.Listener, to string) {
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		calls.Go(func() {
			defer func() { _ = in.Close() }()
			out, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer func() { _ = out.Close() }()
			calls.Go(func() {
				_, _ = io.Copy(out, in)
				_ = out.(*net.TCPConn).CloseWrite()
			})
			_, _ = io.Copy(in, out)
		})
	}
}
