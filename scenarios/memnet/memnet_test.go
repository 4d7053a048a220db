package memnet_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/exitae337/orchestergo/scenarios/memnet"
)

func listen(t *testing.T, nd *memnet.Node, port int) net.Listener {
	t.Helper()
	l, err := nd.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func connect(t *testing.T, from *memnet.Node, l net.Listener) (dialled, accepted net.Conn) {
	t.Helper()
	dialled, err := from.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return dialled, accepted
}

func TestStreamCarriesMoreThanAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		l := listen(t, n.Node("b"), 1)
		a, b := connect(t, n.Node("a"), l)
		sent := make([]byte, 1<<20)
		_, _ = rand.Read(sent)
		go func() {
			_, _ = a.Write(sent)
			_ = a.Close()
		}()
		got, err := io.ReadAll(b)
		if err != nil || string(got) != string(sent) {
			t.Errorf("got %d bytes (%v), want the %d sent", len(got), err, len(sent))
		}
		_, err = b.Write([]byte("x"))
		if !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to a closed end: got %v, want EPIPE", err)
		}
	})
}

func TestDeadlineCanBeMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		a, b := connect(t, n.Node("a"), listen(t, n.Node("b"), 1))
		start := time.Now()
		_ = a.SetReadDeadline(start.Add(time.Second))
		go func() {
			time.Sleep(500 * time.Millisecond)
			_ = a.SetReadDeadline(start.Add(3 * time.Second))
		}()
		_, err := a.Read(make([]byte, 1))
		if got := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || got != 3*time.Second {
			t.Errorf("got %v after %v, want a timeout after 3s", err, got)
		}
		_ = a.SetReadDeadline(time.Time{})
		_, _ = b.Write([]byte("x"))
		if _, err := a.Read(make([]byte, 1)); err != nil {
			t.Errorf("read after the deadline was lifted: %v", err)
		}
	})
}

func TestKillResetsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		na, nb := n.Node("a"), n.Node("b")
		l := listen(t, nb, 1)
		a, _ := connect(t, na, l)
		n.Kill("b")
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: got %v, want ECONNRESET", err)
		}
		if _, err := na.Dial(t.Context(), "tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: got %v, want ECONNREFUSED", err)
		}
		if _, err := nb.Dial(t.Context(), "tcp", l.Addr().String()); err == nil {
			t.Error("a dead process could dial")
		}
		again := n.Node("b")
		if again == nb || again.Addr() != nb.Addr() {
			t.Errorf("restarted node has %v, want a new process at %v", again.Addr(), nb.Addr())
		}
		connect(t, na, listen(t, again, 1))
	})
}

func TestPartitionHoldsWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		na := n.Node("a")
		l := listen(t, n.Node("b"), 1)
		a, b := connect(t, na, l)
		n.Partition([]string{"a"}, []string{"b"})
		if _, err := a.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		_ = b.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := b.Read(make([]byte, 4)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read across a cut: got %v, want a timeout", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var timeout net.Error
		if _, err := na.Dial(ctx, "tcp", l.Addr().String()); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("dial across a cut: got %v, want a timeout", err)
		}
		n.Heal()
		_ = b.SetReadDeadline(time.Time{})
		buf := make([]byte, 4)
		if _, err := io.ReadFull(b, buf); err != nil || string(buf) != "late" {
			t.Errorf("after the heal: got %q %v, want what was in flight", buf, err)
		}
	})
}

func newHost(t *testing.T, nd *memnet.Node) host.Host {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := nd.Host(key)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHostsTalkAndNoticeAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		a, b := newHost(t, n.Node("a")), newHost(t, n.Node("b"))
		b.SetStreamHandler("/echo", func(s network.Stream) {
			_, _ = io.Copy(s, s)
			_ = s.Close()
		})
		gone := make(chan time.Time, 1)
		a.Network().Notify(&network.NotifyBundle{DisconnectedF: func(network.Network, network.Conn) { gone <- time.Now() }})
		if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
			t.Fatal(err)
		}
		s, err := a.NewStream(t.Context(), b.ID(), "/echo")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Write([]byte("hello"))
		_ = s.CloseWrite()
		if got, err := io.ReadAll(s); err != nil || string(got) != "hello" {
			t.Errorf("echo: got %q %v, want hello", got, err)
		}
		killed := time.Now()
		n.Kill("b")
		if late := (<-gone).Sub(killed); late > 10*time.Millisecond {
			t.Errorf("the death was seen after %v, want at once", late)
		}
		_ = a.Close()
		_ = b.Close()
		time.Sleep(5 * time.Minute)
	})
}

func TestDelayKeepsTheOrderOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(7)
		l := listen(t, n.Node("b"), 1)
		n.SetDelay(100*time.Millisecond, time.Second)
		begun := time.Now()
		a, b := connect(t, n.Node("a"), l)
		if took := time.Since(begun); took < 200*time.Millisecond || took > 2*time.Second {
			t.Errorf("the dial took %v, want a round trip of 0.2 to 2s", took)
		}
		begun = time.Now()
		for i := range 50 {
			if _, err := a.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		_ = a.Close()
		got, err := io.ReadAll(b)
		took := time.Since(begun)
		for i := range got {
			if got[i] != byte(i) {
				t.Fatalf("got %v, want the order in which they were sent", got)
			}
		}
		if err != nil || len(got) != 50 || took < 100*time.Millisecond || took > time.Second {
			t.Errorf("got %d bytes after %v (%v), want 50 within a second", len(got), took, err)
		}
	})
}

func TestCutOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		l := listen(t, n.Node("b"), 1)
		a, b := connect(t, n.Node("a"), l)
		n.CutOneWay("a", "b")
		if n.Reach("a", "b") || !n.Reach("b", "a") {
			t.Error("Reach does not tell what was cut")
		}
		_, _ = a.Write([]byte("lost"))
		_, _ = b.Write([]byte("here"))
		buf := make([]byte, 4)
		if _, err := io.ReadFull(a, buf); err != nil || string(buf) != "here" {
			t.Errorf("the way that is not cut: got %q %v", buf, err)
		}
		_ = b.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the way that is cut: got %v, want a timeout", err)
		}
		back := listen(t, n.Node("a"), 1)
		for from, to := range map[string]net.Listener{"a": l, "b": back} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := n.Node(from).Dial(ctx, "tcp", to.Addr().String()); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s dials %s: got %v, want a timeout", from, to.Addr(), err)
			}
			cancel()
		}
		n.Mend("b", "a")
		_ = b.SetReadDeadline(time.Time{})
		if _, err := io.ReadFull(b, buf); err != nil || string(buf) != "lost" {
			t.Errorf("after it was mended: got %q %v, want what was in flight", buf, err)
		}
	})
}
