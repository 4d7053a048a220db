package gossip_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"

	"github.com/exitae337/orchestergo/gossip"
)

// attack is a node, and peers that have the secret and lost their mind.
type attack struct {
	t    *testing.T
	node *repNode
	evil host.Host
	boot string // of evil, which has synced, as its pushes say
}

// newAttack syncs once as an empty node would, so that pushes are taken.
func newAttack(t *testing.T, set func(*gossip.ReplicaConfig)) *attack {
	a := &attack{t: t, node: repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), set), evil: repHost(t), boot: "evil"}
	repConnect(t, a.evil, a.node.host)
	a.sync()
	return a
}

// sync is an honest sync of an empty table, begun by evil.
func (a *attack) sync() {
	a.t.Helper()
	empty := gossip.NewTable(tblRules)
	session, hello := empty.StartSync(time.Now(), gossip.SyncArgs{Peer: a.node.host.ID().String(), Boot: a.boot})
	s := a.stream(gossip.SyncProtocol)
	defer s.Close()
	for send := []gossip.SyncMessage{hello}; ; {
		for _, m := range send {
			hostileWrite(a.t, s, m)
		}
		var m gossip.SyncMessage
		hostileRead(a.t, s, &m)
		out, err := session.Step(time.Now(), m)
		if err != nil {
			a.t.Fatalf("sync of an empty table: %v", err)
		}
		if send = out.Send; out.Over {
			for _, m := range send {
				hostileWrite(a.t, s, m)
			}
			break
		}
	}
	repUntil(a.t, "the hostile peer to have synced", func() bool { return a.node.Synced(a.evil.ID()) })
}

func (a *attack) stream(id protocol.ID) network.Stream {
	a.t.Helper()
	s, err := a.evil.NewStream(a.t.Context(), a.node.host.ID(), id)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = s.Reset() })
	return s
}

// unhurt makes sure that the node answers an honest third peer, and that neither
// memory nor goroutines are left of what was done.
func (a *attack) unhurt(base usage) {
	a.t.Helper()
	honest := repStart(a.t, repHost(a.t), filepath.Join(a.t.TempDir(), "table.db"), nil)
	repConnect(a.t, honest.host, a.node.host)
	job := tblJob("honest", 7, uint64(time.Now().UnixNano()), "h")
	repUntil(a.t, "an honest peer to sync", func() bool { return honest.Synced(a.node.host.ID()) })
	if err := honest.Put(a.t.Context(), job); err != nil {
		a.t.Fatal(err)
	}
	repUntil(a.t, "an honest peer to be heard", func() bool { return repHas(a.node, job) })
	if err := honest.stop(); err != nil {
		a.t.Error(err)
	}
	_ = honest.host.Close()
	var now usage
	ok := func() bool { now = used(); return now.goroutines <= base.goroutines+20 && now.heap <= base.heap+32<<20 }
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatalf("afterwards %d goroutines and %d KiB, before %d and %d", now.goroutines, now.heap>>10, base.goroutines, base.heap>>10)
		}
	}
}

type usage struct {
	goroutines int
	heap       uint64
}

func used() usage {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{runtime.NumGoroutine(), m.HeapAlloc}
}

func hostileWrite(t *testing.T, w io.Writer, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = msgio.NewVarintWriter(w).WriteMsg(b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func hostileRead(t *testing.T, r io.Reader, v any) {
	t.Helper()
	b, err := msgio.NewVarintReader(r).ReadMsg()
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// frameOf puts its length before a frame.
func frameOf(b string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}

func TestReadFrame(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want error // nil: read
	}{
		{"a frame", frameOf(`{"a":[1,2,{"b":"\",\\"}]}`), nil},
		{"commas in a text", frameOf(`{"a":"` + strings.Repeat(",[", 1<<17) + `"}`), nil},
		{"as deep as may be", frameOf(strings.Repeat("[", 32) + strings.Repeat("]", 32)), nil},
		{"nothing", nil, io.EOF},
		{"part of a frame", frameOf(`{"a":1}`)[:5], io.ErrUnexpectedEOF},
		{"a length and nothing", binary.AppendUvarint(nil, gossip.MaxFrame), io.ErrUnexpectedEOF},
		{"one byte too long", binary.AppendUvarint(nil, gossip.MaxFrame+1), gossip.ErrProtocol},
		{"the longest length", binary.AppendUvarint(nil, 1<<64-1), gossip.ErrProtocol},
		{"very many elements", frameOf(`{"records":[{}` + strings.Repeat(",{}", 1<<17) + `]}`), gossip.ErrProtocol},
		{"very many numbers", frameOf(`{"records":[0` + strings.Repeat(",0", 1<<17) + `]}`), gossip.ErrProtocol},
		{"very deep", frameOf(strings.Repeat(`{"a":[`, 1<<10)), gossip.ErrProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := gossip.ReadFrame(bufio.NewReader(bytes.NewReader(tt.in)), 1<<16)
			if !errors.Is(err, tt.want) || (tt.want == nil && !bytes.HasSuffix(tt.in, got)) {
				t.Errorf("got %d bytes, %v; want %v", len(got), err, tt.want)
			}
		})
	}
}

// A length is no reason to take memory.
func TestReadFrameTakesMemoryAsItComes(t *testing.T) {
	in := append(binary.AppendUvarint(nil, gossip.MaxFrame), make([]byte, 100)...)
	got := testing.AllocsPerRun(1, func() {}) // warm up
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 64
	for range times {
		if _, err := gossip.ReadFrame(bufio.NewReader(bytes.NewReader(in)), 1); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("got %v, want an unexpected end", err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 64<<10 {
		t.Errorf("%d bytes taken for 100 (%v)", each, got)
	}
}

// Whoever takes all of its places takes none of the others', and is told.
func TestPlacesOfOnePeer(t *testing.T) {
	a := newAttack(t, nil)
	base := used()
	for id, each := range map[protocol.ID]int{gossip.SyncProtocol: 2, gossip.PushProtocol: 16} {
		var held []network.Stream
		for range each {
			s := a.stream(id)
			if _, err := s.Write([]byte{0x80}); err != nil { // the beginning of a frame
				t.Fatal(err)
			}
			held = append(held, s)
		}
		// Streams are handled beside each other: the refused one may be any. So ask
		// until one is, with all others held.
		repUntil(t, "one more to be refused", func() bool {
			s := a.stream(id)
			defer s.Reset()
			if _, err := s.Write([]byte{0x80}); err != nil {
				return false
			}
			said := make(chan string, 1)
			go func() {
				b, _ := msgio.NewVarintReader(s).ReadMsg()
				said <- string(b)
			}()
			select {
			case b := <-said:
				return strings.Contains(b, fmt.Sprintf("busy: %d streams at once with one peer", each))
			case <-time.After(time.Second):
				return false
			}
		})
		a.unhurt(usage{1 << 20, base.heap})
		for _, s := range held {
			_ = s.Reset()
		}
	}
	a.unhurt(base)
}

func TestFloodOfPushes(t *testing.T) {
	a := newAttack(t, nil)
	base := used()
	deaf := make([]network.Stream, 64)
	for i := range deaf { // answers are never read
		s := a.stream(gossip.PushProtocol)
		deaf[i] = s
		_ = s.SetWriteDeadline(time.Now().Add(2 * time.Second))
		go func() {
			job := tblJob("flood", 7, 1, "e")
			job.Value = make([]byte, 300<<10)
			for v := uint64(1); v < 20; v++ {
				job.Stamp.Minor = v
				if msgio.NewVarintWriter(s).WriteMsg(gossip.EncodePush(a.boot, job)) != nil {
					return
				}
			}
		}()
	}
	a.unhurt(usage{1 << 20, base.heap})
	for _, s := range deaf {
		_ = s.Reset()
	}
	a.unhurt(base)
}

func TestEndlessStreams(t *testing.T) {
	a := newAttack(t, nil)
	base := used()
	for name, junk := range map[string][]byte{"no frame at all": bytes.Repeat([]byte{0xff}, 64<<10), "spaces": bytes.Repeat([]byte(" "), 64<<10)} {
		for _, id := range []protocol.ID{gossip.SyncProtocol, gossip.PushProtocol} {
			s := a.stream(id)
			_ = s.SetWriteDeadline(time.Now().Add(30 * time.Second))
			err := error(nil)
			for err == nil {
				_, err = s.Write(junk)
			}
			if !errors.Is(err, network.ErrReset) {
				t.Errorf("%s on %s: %v, want a reset", name, id, err)
			}
		}
	}
	a.unhurt(base)
}

// A digest and lists of nonsense end the sync, and no other.
func TestNonsenseInASync(t *testing.T) {
	a := newAttack(t, nil)
	base := used()
	hello := gossip.SyncMessage{Hello: &gossip.Hello{Min: 1, Max: 1, Boot: "evil", Digest: "?", Heard: map[string]int64{}}, Last: true}
	for i := range 5000 {
		hello.Hello.Heard[fmt.Sprint("nobody", i)] = 1 << 62
	}
	long := strings.Repeat("k", gossip.MaxKey+1)
	tests := map[string]string{
		"bits of other buckets": `{"picked":"AAAA","last":true}`,
		"a key that is none":    `{"heads":[{"k":"` + long + `","s":{"a":1,"w":"e"}}],"last":true}`,
		"a stamp that is none":  `{"wants":[{"k":"` + long + `"}],"last":true}`,
		"another type":          `{"heads":{"k":1},"last":true}`,
		"no JSON":               `{"heads":`,
		"very many keys":        `{"heads":[0` + strings.Repeat(",0", 1<<17) + `],"last":true}`,
		"very many, in frames":  "",
	}
	for name, frame := range tests {
		t.Run(name, func(t *testing.T) {
			s := a.begun(hello)
			defer s.Reset()
			frames := 1
			if frame == "" {
				frames, frame = 40, `{"heads":[{"k":"x"}`+strings.Repeat(`,{"k":"x"}`, 1<<14)+`]}`
			}
			for range frames {
				if _, err := s.Write(frameOf(frame)); err != nil {
					break
				}
			}
			b, err := msgio.NewVarintReader(s).ReadMsg()
			var said gossip.SyncMessage
			if err == nil {
				err = json.Unmarshal(b, &said)
			}
			if err != nil && !errors.Is(err, network.ErrReset) || err == nil && !strings.Contains(said.Error, "sync protocol") {
				t.Errorf("the answer is %+v, %v; want an error or the end", said, err)
			}
		})
	}
	a.unhurt(base)
	if n := len(a.node.Meta().Heard); n > 1100 {
		t.Errorf("remembered of %d nodes when they synced, want few", n)
	}
}

// begun is a sync in which the node has answered the hello.
func (a *attack) begun(hello gossip.SyncMessage) network.Stream {
	a.t.Helper()
	for {
		s := a.stream(gossip.SyncProtocol)
		_ = s.SetDeadline(time.Now().Add(30 * time.Second))
		hostileWrite(a.t, s, hello)
		var reply gossip.SyncMessage
		hostileRead(a.t, s, &reply)
		if reply.Hello != nil {
			return s
		}
		if !strings.Contains(reply.Error, "busy") { // with the ends of those before
			a.t.Fatalf("the answer to a hello is %+v", reply)
		}
		_ = s.Reset()
	}
}

// News for a peer that takes streams and never reads do not pile up.
func TestPeerThatNeverReads(t *testing.T) {
	a := newAttack(t, nil)
	for _, id := range []protocol.ID{gossip.PushProtocol, gossip.SyncProtocol} {
		a.evil.SetStreamHandler(id, func(network.Stream) {})
	}
	base := used()
	job := tblJob("web", 7, 1, "n")
	ctx, cancel := context.WithCancel(t.Context())
	for v := uint64(1); v <= 400; v++ {
		job.Key = fmt.Sprint("j/web", v%3)
		job.Value, job.Stamp.Minor = make([]byte, 200<<10), v
		if err := a.node.PutLazy(job); err != nil {
			t.Fatal(err)
		}
		if v%4 == 0 { // who waits for disks goes away, what was begun for him does not at once
			safe := tblJob("durable", 7, v, "n")
			go func() { _, _ = a.node.Replicate(ctx, 2, safe) }()
		}
	}
	cancel()
	if now := used(); now.heap > base.heap+64<<20 {
		t.Errorf("%d MiB are held for a peer that never reads", (now.heap-base.heap)>>20)
	}
	a.unhurt(base)
}
