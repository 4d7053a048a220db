package gossip_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-msgio"

	"github.com/exitae337/orchestergo/gossip"
)

// Records that make no sense, or only to a later release, stay alone.
func TestMalformedAndLaterRecords(t *testing.T) {
	a := newAttack(t, nil)
	base := used()
	s := a.stream(gossip.PushProtocol)
	_ = s.SetDeadline(time.Now().Add(30 * time.Second))
	later := `{"min":1,"max":9,"boot":"evil","later":{"x":[1]},"records":[
		{"k":"","s":{"a":1,"w":"e"}},
		{"k":"j/` + strings.Repeat("x", gossip.MaxKey) + `","s":{"a":1,"w":"e"}},
		{"k":"j/nowriter","s":{"a":1}},
		{"k":"a/none/7/1","s":{"a":1,"w":"e"}},
		{"k":"j/later","v":"eyJsYXRlciI6MX0=","s":{"a":7,"w":"e","z":5},"t":1,"later":true}]}`
	if _, err := s.Write(frameOf(later)); err != nil {
		t.Fatal(err)
	}
	var reply struct{ Refused []string }
	hostileRead(t, s, &reply)
	if len(reply.Refused) != 4 {
		t.Errorf("refused %q, want the four that make no sense", reply.Refused)
	}
	if _, ok := a.node.Get("j/later"); !ok || a.node.Len() != 1 {
		t.Errorf("%d records are there, want the one of a later release", a.node.Len())
	}
	_ = s.Reset()
	for _, junk := range []string{`{"min":9,"max":9,"boot":"evil"}`, `[]`, `nonsense`, ``} {
		s := a.stream(gossip.PushProtocol)
		_ = s.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := s.Write(frameOf(junk)); err != nil {
			t.Fatal(err)
		}
		var no struct{ Error string }
		hostileRead(t, s, &no)
		_ = s.Reset()
		if !strings.Contains(no.Error, "sync protocol") {
			t.Errorf("%q: the answer is %q, want an error", junk, no.Error)
		}
	}
	a.unhurt(base)
}

// A million records are taken as far as there is room, and those that were there are
// neither lost nor stuck.
func TestAMillionTinyRecords(t *testing.T) {
	const room = 1 << 14
	a := newAttack(t, func(c *gossip.ReplicaConfig) { c.MaxRecords = room })
	job := tblJob("web", 7, 1, "n")
	if err := a.node.Put(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	base := used()
	const frames, each = 100, 10_000
	var s network.Stream
	for f, sent := 0, 0; f < frames; f, sent = f+1, sent+1 {
		if sent%10 == 0 { // a stream has its time
			s = a.stream(gossip.PushProtocol)
			_ = s.SetDeadline(time.Now().Add(30 * time.Second))
		}
		var b strings.Builder
		fmt.Fprintf(&b, `{"min":1,"max":1,"boot":"%s","records":[`, a.boot)
		for i := range each {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"k":"j/%d","s":{"a":1,"w":"e"}}`, f*each+i)
		}
		b.WriteString("]}")
		if _, err := s.Write(frameOf(b.String())); err != nil {
			t.Fatal(err)
		}
		var reply struct {
			Refused []string
			Error   string
		}
		hostileRead(t, s, &reply)
		if reply.Error != "" || (f > room/each && len(reply.Refused) != each) {
			t.Fatalf("frame %d: %d refused, %q; want all of %d above the limit", f, len(reply.Refused), reply.Error, each)
		}
		if sent%10 == 9 {
			_ = s.Reset()
		}
	}
	if n := a.node.Len(); n != room {
		t.Errorf("%d records, want the %d that there is room for", n, room)
	}
	if a.node.Full().IsZero() {
		t.Error("a full table is not told of")
	}
	if err := a.node.Put(t.Context(), tblJob("new", 7, 1, "n")); !errors.Is(err, gossip.ErrFull) {
		t.Errorf("a new record in a full table: %v, want ErrFull", err)
	}
	next := tblJob("web", 7, 2, "n")
	if err := a.node.Put(t.Context(), next); err != nil {
		t.Errorf("another version in a full table: %v", err)
	}
	if now := used(); now.heap > base.heap+64<<20 {
		t.Errorf("%d MiB are held for tiny records", (now.heap-base.heap)>>20)
	}
	gone := tblRemoved(next, time.Now(), "n")
	if err := a.node.Put(t.Context(), gone); err != nil {
		t.Errorf("a removal in a full table: %v", err)
	}
	honest := repStart(t, repHost(t), filepath.Join(t.TempDir(), "table.db"), nil)
	if err := honest.Put(t.Context(), tblJob("theirs", 7, 1, "h")); err != nil {
		t.Fatal(err)
	}
	repConnect(t, honest.host, a.node.host)
	repUntil(t, "the removal, and all else, at an honest peer with room", func() bool { return repHas(honest, gone) && honest.Len() == room+1 })
	if ack, err := honest.Replicate(t.Context(), 2, tblJob("more", 7, 1, "h")); err != nil || ack.Disks != 1 {
		t.Errorf("a record for which the other has no room: %+v, %v, want 1 disk", ack, err)
	}
}

// While the owner has not heard of what came, no more than so much comes.
func TestSlowOwnerHoldsPushesBack(t *testing.T) {
	heard := make(chan struct{})
	a := newAttack(t, func(c *gossip.ReplicaConfig) {
		c.OnChange = func([]gossip.Record, []string) { <-heard }
	})
	base := used()
	const streams, each, size = 16, 20, 300 << 10
	for i := range streams {
		s := a.stream(gossip.PushProtocol)
		go func() {
			for v := range each {
				job := tblJob(fmt.Sprint("job", i, "-", v), 7, 1, "e")
				job.Value = make([]byte, size)
				if msgio.NewVarintWriter(s).WriteMsg(gossip.EncodeLazyPush(a.boot, job)) != nil {
					return
				}
				if _, err := msgio.NewVarintReader(s).ReadMsg(); err != nil {
					return
				}
			}
		}()
	}
	const most = 16<<20/size + 1 + streams // each had looked before the last came
	repUntil(t, "pushes to be taken", func() bool { return a.node.Len() > most/2 })
	<-time.After(time.Second)
	if n := a.node.Len(); n > most {
		t.Errorf("%d records of %d KiB were taken and not told, want at most %d", n, size>>10, most)
	}
	close(heard)
	a.unhurt(usage{base.goroutines, base.heap + 3*streams*each*size}) // the honest peer has them too
}
