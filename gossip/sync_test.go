package gossip_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/gossip"
)

// tblSide is one end of a sync without a network.
type tblSide struct {
	table   *gossip.Table
	id      string
	boot    string
	members []gossip.Peer // without itself
	aside   []gossip.Record
}

func tblNode(id string, recs ...gossip.Record) *tblSide {
	return &tblSide{table: tblOf(tblStart, recs), id: id, boot: id + ".1"}
}

// tblSync runs a sync between two sides and returns the frames that passed.
func tblSync(now time.Time, a, b *tblSide) (frames int, err error) {
	return tblSyncBetween(now, a, b, func(int) {})
}

// tblSyncBetween is tblSync with something done after each turn.
func tblSyncBetween(now time.Time, a, b *tblSide, between func(turn int)) (frames int, err error) {
	sa, hello := a.table.StartSync(now, gossip.SyncArgs{Peer: b.id, Boot: a.boot, Members: a.members, Heard: true})
	sb := b.table.AnswerSync(now, gossip.SyncArgs{Peer: a.id, Boot: b.boot, Members: b.members, Heard: true})
	side, session, done := b, sb, 0
	turns := 0
	for turn := []gossip.SyncMessage{hello}; len(turn) > 0; {
		turns++
		between(turns)
		var next []gossip.SyncMessage
		for _, m := range turn {
			frames++
			wire, err := json.Marshal(m)
			if err != nil {
				return frames, err
			}
			if len(wire) > gossip.MaxFrame {
				return frames, fmt.Errorf("frame of %d bytes", len(wire))
			}
			m, err = gossip.DecodeSyncFrame(wire)
			if err != nil {
				return frames, err
			}
			out, err := session.Step(now, m)
			if err != nil {
				return frames, err
			}
			side.aside = append(side.aside, out.Aside...)
			next = append(next, out.Send...)
			if out.Complete {
				done++
			}
		}
		turn = next
		if session == sb {
			side, session = a, sa
		} else {
			side, session = b, sb
		}
	}
	if done != 2 {
		return frames, fmt.Errorf("%d sides say that the sync completed, want 2", done)
	}
	return frames, nil
}

type tblFatal interface{ Fatalf(string, ...any) }

func tblMustSync(t tblFatal, now time.Time, a, b *tblSide) {
	if _, err := tblSync(now, a, b); err != nil {
		t.Fatalf("sync %s with %s: %v", a.id, b.id, err)
	}
}

func TestOneSyncMakesTablesEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ra, rb := tblRecords().Draw(t, "a"), tblRecords().Draw(t, "b")
		a, b := tblNode("a", ra...), tblNode("b", rb...)
		if rapid.Bool().Draw(t, "forget") {
			a.table.Expire(tblStart, nil)
		}
		a.table.SetMeta(gossip.Meta{LastSync: tblStart.UnixMilli()})
		ra, rb = tblAll(a.table), tblAll(b.table)
		tblMustSync(t, tblStart, a, b)
		got, want := tblVisible(a.table, tblStart), tblVisible(b.table, tblStart)
		if !tblSame(got, want) {
			t.Fatalf("after a sync a has\n%v\nb has\n%v", got, want)
		}
		if a.table.Digest() != b.table.Digest() {
			t.Fatalf("digests differ after a sync: %v", got)
		}
		c, d := tblNode("a", ra...), tblNode("b", rb...)
		tblMustSync(t, tblStart, d, c)
		if other := tblVisible(c.table, tblStart); !tblSame(other, got) {
			t.Fatalf("begun by b, the sync gives\n%v\nbegun by a\n%v", other, got)
		}
		tblMustSync(t, tblStart, a, b) // each has seen the other hold expired tombstones
		if frames, err := tblSync(tblStart, a, b); err != nil || frames != 2 {
			t.Fatalf("a sync of equal tables takes %d frames (%v), want 2", frames, err)
		}
	})
}

func TestSyncOfLargeTables(t *testing.T) {
	var big []gossip.Record
	for i := range 6 {
		r := tblJob(fmt.Sprintf("big%d", i), 7, 1, "n1")
		r.Value = []byte(strings.Repeat("x", gossip.MaxValue-i))
		big = append(big, r)
	}
	a, b := tblNode("a", append(big, tblMany(5000)...)...), tblNode("b", tblJob("other", 3, 1, "n2"))
	tblMustSync(t, tblStart, b, a)
	if got, want := b.table.Len(), 5007; got != want || a.table.Digest() != b.table.Digest() {
		t.Errorf("b has %d records, want %d; digests %s and %s", got, want, a.table.Digest(), b.table.Digest())
	}
}

func TestSyncKeepsUnknownBytes(t *testing.T) {
	r := tblJob("web", 7, 1, "n1")
	r.Value = []byte(`{"from":"a later release","x":[1,2,3]}`)
	a, b := tblNode("a", r), tblNode("b")
	tblMustSync(t, tblStart, a, b)
	if got, _ := b.table.Get(r.Key); !reflect.DeepEqual(got, r) {
		t.Errorf("got %v, want %v", got, r)
	}
}

func TestSyncRefusesAnotherProtocol(t *testing.T) {
	for name, m := range map[string]gossip.SyncMessage{
		"no hello": {Last: true},
		"a later":  {Hello: &gossip.Hello{Min: 9, Max: 12, Boot: "x"}, Last: true},
		"no boot":  {Hello: &gossip.Hello{Min: 1, Max: 1}, Last: true},
		"gave up":  {Error: "the disk is full"},
		"no last":  {Hello: &gossip.Hello{Min: 1, Max: 1, Boot: "x"}},
	} {
		s := tblOf(tblStart).AnswerSync(tblStart, gossip.SyncArgs{Peer: "p", Boot: "b"})
		if _, err := s.Step(tblStart, m); !errors.Is(err, gossip.ErrProtocol) {
			t.Errorf("%s: %v, want ErrProtocol", name, err)
		}
		if _, err := s.Step(tblStart, m); !errors.Is(err, gossip.ErrProtocol) {
			t.Errorf("%s: a step after the error: %v, want ErrProtocol", name, err)
		}
	}
}

func FuzzSyncFrame(f *testing.F) {
	f.Add([]byte(`{"hello":{"min":1,"max":1,"boot":"b","digest":"00"},"last":true}`), []byte(`{"picked":"","heads":[{"k":"j/x","s":{"a":1,"w":"w"}}],"last":true}`))
	f.Add([]byte(`{"hello":{"min":1,"max":9,"boot":"b","floor":5},"last":true}`), []byte(`{"wants":[{"k":"j/web","u":true}],"records":[{"k":"a/web/7/1","s":{"a":1,"w":"w"},"t":0}],"last":true}`))
	f.Add([]byte(`{"hello":{"min":1,"max":1,"boot":"b"},"equal":true,"last":true}`), []byte(`{"refused":["j/web"],"done":true,"last":true}`))
	f.Add([]byte(`{"error":"no"}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, initiate := range []bool{false, true} {
			tbl := tblOf(tblStart, tblMany(5))
			s := tbl.AnswerSync(tblStart, gossip.SyncArgs{Peer: "p", Boot: "b"})
			if initiate {
				s, _ = tbl.StartSync(tblStart, gossip.SyncArgs{Peer: "p", Boot: "b"})
			}
			for _, b := range [][]byte{first, second, second, second} {
				m, err := gossip.DecodeSyncFrame(b)
				if err != nil {
					break
				}
				if _, err := s.Step(tblStart, m); err != nil {
					break
				}
			}
			tbl.Range("", func(r gossip.Record) bool {
				if err := r.Check(); err != nil {
					t.Errorf("a record that fails its check came in: %v", err)
				}
				return true
			})
		}
	})
}

func BenchmarkSyncEqual10k(b *testing.B) {
	recs := tblMany(10_000)
	x, y := tblNode("x", recs...), tblNode("y", recs...)
	for b.Loop() {
		if n, err := tblSync(tblStart, x, y); err != nil || n != 2 {
			b.Fatalf("%d frames, %v", n, err)
		}
	}
}

func BenchmarkSyncOneOf10k(b *testing.B) {
	recs := tblMany(10_000)
	x, y := tblNode("x", recs...), tblNode("y", recs...)
	epoch := uint64(1)
	for b.Loop() {
		epoch++
		x.table.Merge(tblStart, tblSlot("web", 7, 5, epoch, "n1"))
		if _, err := tblSync(tblStart, x, y); err != nil {
			b.Fatal(err)
		}
	}
}
