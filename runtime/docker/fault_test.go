package docker_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/docker"
)

func TestNoEngine(t *testing.T) {
	closed := listenUnix(t)
	closed.SetUnlinkOnClose(false)
	closed.Close()
	cases := map[string]struct{ host, words string }{
		"no socket":    {"unix://" + filepath.Join(t.TempDir(), "none"), "no such file"},
		"nobody there": {"unix://" + closed.Addr().String(), "is not running"},
		"no machine":   {"tcp://127.0.0.1:1", "cannot reach the docker engine at tcp://127.0.0.1:1"},
	}
	if os.Getuid() != 0 { // root may do everything
		l := listenUnix(t)
		if err := os.Chmod(l.Addr().String(), 0); err != nil {
			t.Fatal(err)
		}
		cases["forbidden"] = struct{ host, words string }{"unix://" + l.Addr().String(), "permission denied"}
	}
	for what, q := range cases {
		d := newDriver(t, docker.Config{Host: q.host, Cluster: "c", Node: node})
		if err := d.Check(t.Context()); err == nil || !strings.Contains(err.Error(), q.words) {
			t.Errorf("%s: Check says %v, want %q", what, err, q.words)
		}
		if _, err := d.List(t.Context()); err == nil || !strings.Contains(err.Error(), q.words) {
			t.Errorf("%s: List says %v, want %q", what, err, q.words)
		}
		if d.HasImage("x") {
			t.Errorf("%s: HasImage is true", what)
		}
	}
}

// mute accepts connections, reads, and never answers.
func mute(t *testing.T) string {
	l := listenUnix(t)
	var all sync.WaitGroup
	over := make(chan struct{})
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { <-over; conn.Close() })
			all.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		}
	})
	t.Cleanup(func() { l.Close(); close(over); all.Wait() })
	return "unix://" + l.Addr().String()
}

// TestEngineHangs lets each method end by the caller's deadline, and those without
// one by their own.
func TestEngineHangs(t *testing.T) {
	t.Parallel()
	d := newDriver(t, docker.Config{Host: mute(t), Cluster: "c", Node: node})
	spec := rig{cluster: "c", image: "x"}.spec("web")
	always := rig{cluster: "c", image: "x"}.spec("other")
	always.Pull = "always"
	calls := map[string]func(ctx context.Context) error{
		"Check":      d.Check,
		"List":       func(ctx context.Context) error { _, err := d.List(ctx); return err },
		"Siblings":   func(ctx context.Context) error { _, err := d.Siblings(ctx); return err },
		"Start":      func(ctx context.Context) error { _, err := d.Start(ctx, spec, nil); return err },
		"Start pull": func(ctx context.Context) error { _, err := d.Start(ctx, always, nil); return err },
		"Stop":       func(ctx context.Context) error { return d.Stop(ctx, fakeID, time.Hour) },
		"Remove":     func(ctx context.Context) error { return d.Remove(ctx, fakeID) },
		"Reap":       func(ctx context.Context) error { return d.Reap(ctx, runtime.Container{ID: fakeID}) },
		"Logs": func(ctx context.Context) error {
			return d.Logs(ctx, fakeID, api.LogOptions{Follow: true, Tail: -1}, func(api.LogLine) error { return nil })
		},
	}
	for what, call := range calls {
		t.Run(what, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			begun := time.Now()
			if err := call(ctx); err == nil {
				t.Error("no error")
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("it took %s, want a tenth of a second", took)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error)
	go func() { watched <- d.Watch(ctx, func() {}) }()
	begun := time.Now()
	if d.HasImage("x") || time.Since(begun) > 3*time.Second {
		t.Errorf("HasImage took %s", time.Since(begun))
	}
	var own sync.WaitGroup
	for what, call := range map[string]func(context.Context) error{"Check": calls["Check"], "List": calls["List"]} {
		own.Go(func() {
			begun := time.Now()
			err := call(context.Background())
			if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), "does not answer") || took > soon {
				t.Errorf("%s without a deadline took %s and said %v, want that it does not answer", what, took, err)
			}
		})
	}
	own.Wait()
	cancel()
	if err := <-watched; err != nil {
		t.Errorf("Watch: %v", err)
	}
}

// proxy is a way to the real engine that can be cut.
type proxy struct {
	host string

	mu    sync.Mutex // guards the fields below
	cut   bool
	conns map[net.Conn]bool
}

// newProxy leads to the socket at target.
func newProxy(t *testing.T, target string) *proxy {
	l := listenUnix(t)
	p := &proxy{host: "unix://" + l.Addr().String(), conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.forward(conn, target) })
		}
	})
	t.Cleanup(func() { l.Close(); p.set(true); all.Wait() })
	return p
}

func (p *proxy) forward(in net.Conn, target string) {
	defer in.Close()
	out, err := net.Dial("unix", target)
	if err != nil {
		return
	}
	defer out.Close()
	p.mu.Lock()
	p.conns[in] = true
	cut := p.cut
	p.mu.Unlock()
	if cut {
		return
	}
	go func() {
		_, _ = io.Copy(out, in)
		out.Close()
	}()
	_, _ = io.Copy(in, out)
}

// set cuts all connections and refuses new ones, or lets them through again.
func (p *proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	for conn := range p.conns {
		conn.Close()
		delete(p.conns, conn)
	}
}

func TestWatchReconnects(t *testing.T) {
	r := newRig(t)
	path, ok := strings.CutPrefix(r.cli.DaemonHost(), "unix://")
	if !ok {
		t.Skipf("the engine is at %s, not at a socket", r.cli.DaemonHost())
	}
	p := newProxy(t, path)
	d := newDriver(t, docker.Config{Host: p.host, Cluster: r.cluster, Node: node})
	kept, lost := r.start(t, r.spec("kept", "sleep")), r.start(t, r.spec("lost", "sleep"))
	changes := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- d.Watch(ctx, func() {
			select {
			case changes <- struct{}{}:
			default:
			}
		})
	}()
	<-changes
	if c, _ := find(t, d, kept.ID); c.State != runtime.Running {
		t.Fatalf("it is %+v, want running", c)
	}
	p.set(true)
	if list, err := d.List(t.Context()); err == nil {
		t.Errorf("List = %+v with no way to the engine, want an error", list)
	}
	if err := r.Stop(t.Context(), lost.ID, 0); err != nil {
		t.Fatal(err)
	}
	p.set(false)
	late := time.After(soon)
	for {
		select {
		case <-changes:
		case <-late:
			t.Fatal("not told after the engine was back")
		}
		list, err := d.List(t.Context())
		if err != nil {
			continue // told that the stream broke
		}
		if len(list) != 2 {
			t.Fatalf("List = %+v, want both", list)
		}
		break
	}
	if c, _ := find(t, d, lost.ID); c.State != runtime.Exited {
		t.Errorf("the one is %+v, want exited", c)
	}
	if c, _ := find(t, d, kept.ID); c.State != runtime.Running || c.PID != kept.PID {
		t.Errorf("the other is %+v, want running as before", c)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Watch: %v", err)
	}
}
