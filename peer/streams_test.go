package peer_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
	"github.com/exitae337/orchestergo/peer"
)

// A teller is a service that only tells events.
type eventTeller struct {
	api.Service
	log peer.EventLog
}

func (s eventTeller) Events(ctx context.Context, f api.EventFilter, each func(api.Event) error) error {
	return s.log.Follow(ctx, f, each)
}

func (s eventTeller) Version(context.Context) (api.Version, error) { return api.Version{}, nil }

// Times and sizes of the test of many streams.
const (
	streams     = 1000
	slowStreams = 40 // take nothing, but want everything
	fastStreams = 10 // want everything; all others want what never happens
	perStream   = 128 << 10
	happening   = peer.MaxEvents + 6000
	slowest     = 10 * time.Second // an answer to somebody else, on a busy machine; a slow reader is let be for 30 s
)

// TestAThousandStreams opens many streams of events, some of whose readers take
// nothing, and lets more happen than is kept: the memory is bounded, nobody else
// waits, those who read miss nothing, and those who do not are cut.
func TestAThousandStreams(t *testing.T) {
	l := peer.NewEventLog("boot")
	addr := serveSlowly(t, eventTeller{log: l})
	var readers sync.WaitGroup
	before := heap()
	slow := make([]net.Conn, 0, slowStreams)
	var read atomic.Int64
	all := make([]net.Conn, 0, streams)
	for i := range streams {
		filter := "type=alarm"
		if i < slowStreams+fastStreams {
			filter = "type=task"
		}
		c, r := openStream(t, addr, filter)
		all = append(all, c)
		switch {
		case i < slowStreams:
			_ = c.(*net.TCPConn).SetReadBuffer(256 << 10)
			slow = append(slow, c)
		case i < slowStreams+fastStreams:
			readers.Go(func() { countEvents(t, r, &read) })
		}
	}
	idle := heap()
	if each := int(idle-before) / streams; idle > before && each > perStream {
		t.Errorf("an idle stream takes %d bytes, want at most %d", each, perStream)
	}

	answers := make(chan time.Duration)
	stop := make(chan struct{})
	go func() {
		defer close(answers)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				answers <- askOnce(t, addr)
			}
		}
	}()
	var took []time.Duration
	var collected sync.WaitGroup
	collected.Go(func() {
		for d := range answers {
			took = append(took, d)
		}
	})
	for n := range happening / 100 {
		fill(l, 100, "web")
		for read.Load() < int64(n-30)*100*fastStreams { // so far ahead, not more: who reads is to keep up
			<-time.After(time.Millisecond)
		}
	}
	readers.Wait()
	close(stop)
	collected.Wait()
	worst := slices.Max(took)
	busy := heap()
	t.Logf("%d streams: %d KiB each while idle, %d KiB with %d events; %d other answers, the slowest after %v",
		streams, (idle-before)/streams>>10, (busy-before)/streams>>10, peer.MaxEvents, len(took), worst)
	if worst > slowest {
		t.Errorf("somebody else waited %v for an answer, want at most %v", worst, slowest)
	}
	if grown := int64(busy) - int64(idle); grown > 4*peer.MaxEventBytes {
		t.Errorf("what happened takes %d bytes more, want at most %d", grown, 4*peer.MaxEventBytes)
	}
	for _, c := range slow {
		readToCut(t, c)
	}
	for _, c := range all {
		c.Close()
	}
}

// serveSlowly serves with small buffers in the kernel for those who come first, so
// that a reader who takes nothing is felt soon.
func serveSlowly(t *testing.T, svc api.Service) string {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := rest.NewServer(rest.Config{Service: svc, View: func() api.View { return api.View{Name: "n1"} }, Log: log}).HTTP()
	conns := 0 // one goroutine accepts them
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if conns++; conns <= slowStreams {
			_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
		}
		return ctx
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return l.Addr().String()
}

// openStream asks for events and returns after the first mark.
func openStream(t *testing.T, addr, filter string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET /v1/events?%s HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n", filter)
	r := bufio.NewReaderSize(c, 1<<10)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(line, []byte(`"mark"`)) {
			return c, r
		}
	}
}

// countEvents reads until it has seen all that happens.
func countEvents(t *testing.T, r *bufio.Reader, read *atomic.Int64) {
	for seen := 0; seen < happening; {
		line, err := r.ReadSlice('\n')
		if err != nil {
			t.Errorf("a reader that keeps up was cut after %d events: %v", seen, err)
			return
		}
		if bytes.Contains(line, []byte(`"task.running"`)) {
			seen++
			read.Add(1)
		}
	}
}

// askOnce asks for something else, over a connection of its own.
func askOnce(t *testing.T, addr string) time.Duration {
	begun := time.Now()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + addr + "/v1/version")
	if err != nil {
		t.Error(err)
		return 0
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&api.Version{}); err != nil {
		t.Error(err)
	}
	return time.Since(begun)
}

// readToCut reads what is on its way to a reader that took nothing: it ends with a
// reset or, if nothing could be sent for too long, in the middle.
func readToCut(t *testing.T, c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	r, seen := bufio.NewReader(c), 0
	for {
		line, err := r.ReadBytes('\n')
		var timeout net.Error
		switch {
		case bytes.Contains(line, []byte(`"reset"`)):
			return
		case errors.As(err, &timeout) && timeout.Timeout():
			t.Errorf("a reader that took nothing hangs after %d events", seen)
			return
		case err != nil:
			return
		case bytes.Contains(line, []byte(`"task.running"`)):
			if seen++; seen == happening {
				t.Errorf("a reader that took nothing was sent all %d events", seen)
				return
			}
		}
	}
}

// heap is what is in use after a collection, stacks included.
func heap() uint64 {
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
