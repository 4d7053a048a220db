package gossip_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/gossip"
)

// tblCluster makes nodes "0", "1", … that all are members since before tblStart.
func tblCluster(n int) []*tblSide {
	var nodes []*tblSide
	for i := range n {
		s := tblNode(fmt.Sprint(i))
		for j := range n {
			if j != i {
				s.members = append(s.members, gossip.Peer{ID: fmt.Sprint(j), Since: 1})
			}
		}
		nodes = append(nodes, s)
	}
	return nodes
}

// restart brings a node back from a disk, its own as it is when disk is nil.
func (s *tblSide) restart(now time.Time, disk *tblDisk) {
	if disk == nil {
		disk = s.disk()
	}
	s.table = tblOf(now, disk.recs)
	s.table.SetMeta(disk.meta)
	s.boot += "+"
}

type tblDisk struct {
	recs []gossip.Record
	meta gossip.Meta
}

func (s *tblSide) disk() *tblDisk { return &tblDisk{tblAll(s.table), s.table.Meta()} }

func tblHas(s *tblSide, key string) string {
	r, ok := s.table.Get(key)
	switch {
	case !ok:
		return "nothing"
	case r.Removed:
		return "a tombstone"
	}
	return "it"
}

func tblExpect(t *testing.T, want string, key string, nodes ...*tblSide) {
	t.Helper()
	for _, s := range nodes {
		if got := tblHas(s, key); got != want {
			t.Errorf("node %s has %s under %s, want %s", s.id, got, key, want)
		}
	}
}

// A power cut of days loses nothing.
func TestAbsenceOfAllLosesNothing(t *testing.T) {
	n := tblCluster(3)
	n[0].table.Merge(tblStart, tblJob("web", 7, 1, "0"), tblSlot("web", 7, 1, 1, "0"))
	tblMustSync(t, tblStart, n[0], n[1])
	tblMustSync(t, tblStart, n[0], n[2])
	later := tblStart.Add(72 * time.Hour)
	for _, s := range n {
		s.restart(later, nil)
		s.table.Expire(later, s.members)
	}
	tblMustSync(t, later, n[2], n[1])
	tblMustSync(t, later, n[0], n[1])
	tblExpect(t, "it", "j/web", n...)
	tblExpect(t, "it", "a/web/7/1", n...)
}

// A removal beside a partition of more than the retention does not come undone.
func TestPartitionDoesNotBringBackWhatWasRemoved(t *testing.T) {
	n := tblCluster(2)
	n[1].table.Merge(tblStart, tblJob("web", 7, 1, "1"), tblSlot("web", 7, 1, 1, "1"))
	tblMustSync(t, tblStart, n[0], n[1])
	job, _ := n[0].table.Get("j/web")
	n[0].table.Merge(tblStart, tblRemoved(job, tblStart, "0"))
	later := tblStart.Add(26 * time.Hour)
	if gone := n[0].table.Expire(later, n[0].members); len(gone) > 0 {
		t.Fatalf("dropped %v, which node 1 was not seen to hold", gone)
	}
	tblMustSync(t, later, n[1], n[0])
	tblExpect(t, "a tombstone", "j/web", n...)
	if n[0].table.Digest() != n[1].table.Digest() {
		t.Errorf("digests differ")
	}
	want := []string{"j/web", "a/web/7/1"}
	if gone := n[0].table.Expire(later, n[0].members); !slices.Equal(gone, want) {
		t.Errorf("node 0 dropped %v, want %v", gone, want)
	}
	if got := n[0].table.Meta().Floor; got != tblStart.UnixMilli() {
		t.Errorf("floor %d, want the tombstone's time %d", got, tblStart.UnixMilli())
	}
	tblMustSync(t, later, n[1], n[0])
	tblExpect(t, "nothing", "j/web", n[0])
	n[1].table.Expire(later, n[1].members)
	tblExpect(t, "nothing", "j/web", n[1])
	tblExpect(t, "nothing", "a/web/7/1", n[1])
}

// A job that was removed while its node was away is not handed back with a label
// of its slot either: the child of an old life has no place beside the new one.
func TestOldLifeDoesNotComeBackBesideTheNewOne(t *testing.T) {
	n := tblCluster(3)
	n[0].table.Merge(tblStart, tblJob("web", 7, 1, "0"), tblSlot("web", 7, 1, 1, "2"))
	tblMustSync(t, tblStart, n[0], n[1])
	tblMustSync(t, tblStart, n[0], n[2])
	job, _ := n[0].table.Get("j/web")
	n[0].table.Merge(tblStart, tblRemoved(job, tblStart, "0"))
	tblMustSync(t, tblStart, n[0], n[1])
	later := tblStart.Add(30 * time.Hour)
	n[0].table.Expire(later, n[0].members)
	n[0].table.Merge(later, tblJob("web", 9, 1, "0"), tblSlot("web", 9, 1, 1, "1"))
	tblMustSync(t, later, n[0], n[1])
	n[2].restart(later, nil)
	tblMustSync(t, later, n[2], n[1])
	if m := n[1].table.Merge(later, tblSlot("web", 7, 1, 9, "2")); len(m.News) > 0 {
		t.Errorf("a slot of the old life was taken: %v", m.News)
	}
	for _, s := range n[1:] {
		if r, _ := s.table.Get("j/web"); r.Stamp.Major != 9 {
			t.Errorf("node %s has life %d, want 9", s.id, r.Stamp.Major)
		}
		tblExpect(t, "nothing", "a/web/7/1", s)
		tblExpect(t, "it", "a/web/9/1", s)
	}
}

// An old tombstone, met again after everybody forgot it, removes nothing: neither
// a later life of its name nor anything else, and it is not taken back.
func TestForgottenTombstoneIsNotTakenBack(t *testing.T) {
	n := tblCluster(2)
	dead := tblRemoved(tblJob("web", 7, 2, "0"), tblStart, "0")
	n[0].table.Merge(tblStart, dead)
	tblMustSync(t, tblStart, n[0], n[1])
	later := tblStart.Add(25 * time.Hour)
	n[0].table.Expire(later, n[0].members)
	tblExpect(t, "nothing", "j/web", n[0])
	if m := n[0].table.Merge(later, dead); len(m.Refused) != 1 || !errors.Is(m.Refused[0].Err, gossip.ErrExpired) {
		t.Errorf("merged again: %+v, want it refused as expired", m)
	}
	tblMustSync(t, later, n[1], n[0])
	tblExpect(t, "nothing", "j/web", n[0])
	n[0].table.Merge(later, tblJob("web", 9, 1, "0"))
	if m := n[0].table.Merge(later, dead); len(m.Stale) != 1 {
		t.Errorf("merged beside a later life: %+v, want the later life as the answer", m)
	}
	tblExpect(t, "it", "j/web", n[0])
	// It still removes what it is greater than.
	n[1].restart(later, &tblDisk{recs: []gossip.Record{tblJob("old", 3, 1, "1")}})
	n[1].table.SetMeta(gossip.Meta{Floor: later.UnixMilli()})
	n[1].table.Merge(later, tblRemoved(tblJob("old", 3, 1, "1"), tblStart, "0"))
	tblExpect(t, "a tombstone", "j/old", n[1])
}

// Nodes 0 and 2 leave; the job is removed on 1 and forgotten; they come back and
// meet each other first. That they have just synced, with each other, must not
// count as having heard of the removal.
func TestAbsentNodesDoNotVouchForEachOther(t *testing.T) {
	n := tblCluster(3)
	n[0].table.Merge(tblStart, tblJob("web", 7, 1, "0"), tblSlot("web", 7, 1, 1, "2"))
	for range 2 {
		tblMustSync(t, tblStart, n[0], n[1])
		tblMustSync(t, tblStart, n[0], n[2])
	}
	removed := tblStart.Add(time.Hour)
	job, _ := n[1].table.Get("j/web")
	n[1].table.Merge(removed, tblRemoved(job, removed, "1"))
	n[1].members = nil // 0 and 2 have left
	back := removed.Add(26 * time.Hour)
	if gone := n[1].table.Expire(back, nil); len(gone) != 2 {
		t.Fatalf("dropped %v, want the job and its slot", gone)
	}
	for _, s := range n {
		s.members = nil
		for _, o := range n {
			if o != s {
				since := back
				if o == n[1] {
					since = time.UnixMilli(1)
				}
				s.members = append(s.members, gossip.Peer{ID: o.id, Since: since.UnixMilli()})
			}
		}
	}
	n[0].table.Merge(back, tblJob("new", uint64(back.UnixMilli()), 1, "0"))
	tblMustSync(t, back, n[0], n[2])
	tblMustSync(t, back, n[2], n[1])
	tblMustSync(t, back, n[1], n[0])
	tblMustSync(t, back, n[0], n[2])
	tblExpect(t, "nothing", "j/web", n...)
	tblExpect(t, "nothing", "a/web/7/1", n...)
	tblExpect(t, "it", "j/new", n...)
	for _, s := range []*tblSide{n[0], n[2]} {
		if len(s.aside) != 2 || s.aside[0].Key != "j/web" || s.aside[1].Key != "a/web/7/1" {
			t.Errorf("node %s set aside %v, want the job and its slot", s.id, s.aside)
		}
	}
}

// What comes in while a sync is under way is not taken to be held by the other.
func TestChangeDuringSyncIsNotHeld(t *testing.T) {
	for name, who := range map[string]int{"the initiator": 0, "the other": 1} {
		for turn := 1; turn < 7; turn++ {
			n := tblCluster(2)
			job := tblJob("web", 7, 1, "0")
			n[0].table.Merge(tblStart, job)
			tblMustSync(t, tblStart, n[0], n[1])
			n[0].table.Merge(tblStart, tblJob("x", 8, 1, "0"))
			n[1].table.Merge(tblStart, tblJob("y", 8, 1, "1"))
			if _, err := tblSyncBetween(tblStart, n[0], n[1], func(after int) {
				if after == turn {
					n[who].table.Merge(tblStart, tblRemoved(job, tblStart, n[who].id))
				}
			}); err != nil {
				t.Fatalf("%s, turn %d: %v", name, turn, err)
			}
			later := tblStart.Add(25 * time.Hour)
			gone := n[who].table.Expire(later, n[who].members)
			if held := tblHas(n[1-who], "j/web") == "a tombstone"; len(gone) > 0 && !held {
				t.Errorf("removed by %s after turn %d: dropped %v, which the other side does not hold", name, turn, gone)
			}
		}
	}
}

func TestBothWaysKeepsEverything(t *testing.T) {
	a, b := tblNode("a", tblJob("x", 7, 1, "a")), tblNode("b", tblJob("y", 8, 1, "b"))
	a.table.SetMeta(gossip.Meta{Floor: 500})
	b.table.SetMeta(gossip.Meta{Floor: 400})
	tblMustSync(t, tblStart, a, b)
	tblExpect(t, "it", "j/x", a, b)
	tblExpect(t, "it", "j/y", a, b)
	if got := b.table.Meta().Floor; got != 500 {
		t.Errorf("floor %d, want the greater, 500", got)
	}
}

func TestOnlyWhatIsOlderThanTheFloorIsSetAside(t *testing.T) {
	a, b := tblNode("a", tblJob("old", 7, 1, "a"), tblJob("young", 900, 1, "a"),
		gossip.Record{Key: "m/a", Stamp: gossip.Stamp{Writer: "a"}}), tblNode("b")
	b.table.SetMeta(gossip.Meta{Floor: 500, LastSync: 600})
	tblMustSync(t, tblStart, b, a)
	tblExpect(t, "nothing", "j/old", a, b)
	tblExpect(t, "it", "j/young", a, b)
	tblExpect(t, "it", "m/a", a, b)
}

func TestFloorFromTheFutureIsIgnored(t *testing.T) {
	a, b := tblNode("a", tblJob("web", 7, 1, "a")), tblNode("b")
	b.table.SetMeta(gossip.Meta{Floor: tblStart.Add(time.Hour).UnixMilli(), LastSync: tblStart.UnixMilli()})
	tblMustSync(t, tblStart, a, b)
	tblExpect(t, "it", "j/web", a, b)
	if got := a.table.Meta().Floor; got != 0 {
		t.Errorf("floor %d, want 0", got)
	}
}

func TestSyncedIsTheLeastHeard(t *testing.T) {
	tbl := tblOf(tblStart)
	tbl.SetMeta(gossip.Meta{LastSync: 90, Heard: map[string]int64{"a": 50, "b": 70}})
	for _, c := range []struct {
		members []gossip.Peer
		want    int64
	}{
		{nil, 90},
		{[]gossip.Peer{{ID: "a"}, {ID: "b"}}, 50},
		{[]gossip.Peer{{ID: "a", Since: 60}, {ID: "b"}}, 60},
		{[]gossip.Peer{{ID: "b"}, {ID: "c", Since: 80}}, 70},
		{[]gossip.Peer{{ID: "b", Since: 95}}, 90},
		{[]gossip.Peer{{ID: "c"}}, 0},
	} {
		if got := tbl.Synced(c.members); got != c.want {
			t.Errorf("Synced(%v) = %d, want %d", c.members, got, c.want)
		}
	}
}

// A member that was away when a tombstone expired, and never knew what it removed,
// is offered it all the same: until it holds it, it could learn the removed record
// from another that was away.
func TestExpiredTombstoneReachesWhoNeverKnewIt(t *testing.T) {
	n := tblCluster(3)
	n[0].table.Merge(tblStart, tblJob("web", 7, 1, "0"))
	tblMustSync(t, tblStart, n[0], n[1]) // 1 knows the job, 2 does not
	job, _ := n[0].table.Get("j/web")
	n[0].table.Merge(tblStart, tblRemoved(job, tblStart, "0"))
	later := tblStart.Add(30 * time.Hour)
	tblMustSync(t, later, n[0], n[2])
	tblExpect(t, "a tombstone", "j/web", n[2])
	tblMustSync(t, later, n[2], n[1])
	tblExpect(t, "a tombstone", "j/web", n[1])
	tblMustSync(t, later, n[0], n[1])
	for range 2 {
		for i, s := range n {
			tblMustSync(t, later, s, n[(i+1)%3])
			s.table.Expire(later, s.members)
		}
	}
	tblExpect(t, "nothing", "j/web", n...)
}
