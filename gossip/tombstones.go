package gossip

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Peer is a member of the cluster as the table's owner knows it.
type Peer struct {
	ID    string
	Since int64 // when its life as a member began, unix ms
}

// Meta is what a node remembers of tombstones and absences. It belongs on disk
// with the records.
type Meta struct {
	// Floor is the time of the newest tombstone that was dropped anywhere we know
	// of, unix ms. Who was away when it was dropped may hold what it removed.
	Floor int64 `json:"floor"`
	// Heard is when anyone last synced with a member, by id, unix ms.
	Heard map[string]int64 `json:"heard"`
	// LastSync is when this node last began a sync that completed, unix ms.
	LastSync int64 `json:"last_sync"`
}

// hold says that a peer, as long as it lives in this boot, has every record that
// came into our table up to rev.
type hold struct {
	boot string
	rev  uint64
}

// maxGraves bounds the memory of tombstones dropped. Forgetting one costs a
// round of passing it about again, nothing more.
const maxGraves = 1 << 16

// maxStrangers bounds of how many who are no members it is remembered when anyone
// synced with them.
const maxStrangers = 1024

// Meta returns a copy of what belongs on disk beside the records.
func (t *Table) Meta() Meta {
	m := t.meta
	m.Heard = maps.Clone(m.Heard)
	return m
}

// SetMeta restores what Meta returned.
func (t *Table) SetMeta(m Meta) {
	t.meta = m
	t.meta.Heard = make(map[string]int64, len(m.Heard))
	maps.Copy(t.meta.Heard, m.Heard)
}

// Synced is the time up to which this node has surely heard of every removal:
// the least, over all members but itself, of when anyone last synced with that
// member (or its life began), and at most its own last sync. A sync with someone
// who was away as well is thus worth no more than what that one has heard.
func (t *Table) Synced(members []Peer) int64 {
	least := t.meta.LastSync
	for _, p := range members {
		least = min(least, max(t.meta.Heard[p.ID], p.Since))
	}
	return least
}

// expired says whether r is a tombstone past its retention.
func (t *Table) expired(now time.Time, r Record) bool {
	return r.Removed && now.UnixMilli()-r.Time >= t.Retention.Milliseconds()
}

// bury hides the tombstones that have expired, with their children, and shows
// those that have not (a clock can go back).
func (t *Table) bury(now time.Time) {
	for _, e := range t.tombs {
		b := t.expired(now, e.rec)
		if b == e.buried {
			continue
		}
		e.buried = b
		p := t.parentOf(e.rec.Key)
		t.setHidden(e, b || (p != nil && p.buried))
		t.hideChildren(e)
	}
}

// Expire drops the tombstones that are past their retention and that every member
// (this node left out) was seen to hold, with their children, and raises the
// floor. It returns the keys that went, in order. Call it now and then, and
// before comparing digests: it also takes expired tombstones out of them.
func (t *Table) Expire(now time.Time, members []Peer) (gone []string) {
	t.bury(now)
	t.forgetStrangers(members)
	var due []*entry
	for _, e := range t.tombs {
		if e.buried && t.heldByAll(e, members) {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b *entry) int { return strings.Compare(a.rec.Key, b.rec.Key) })
	for _, e := range due {
		if cur, ok := t.entry(e.rec.Key); !ok || cur != e {
			continue // went with its parent
		}
		for _, r := range t.removeTree(e) {
			gone = append(gone, r.Key)
			if r.Removed {
				t.dig(headHash(r.Key, r.Stamp))
			}
		}
		t.meta.Floor = max(t.meta.Floor, e.rec.Time)
	}
	return gone
}

func (t *Table) heldByAll(e *entry, members []Peer) bool {
	for _, p := range members {
		if t.holds[p.ID].rev < e.rev {
			return false
		}
	}
	return true
}

// dig remembers a tombstone that went, so that a peer that still has it and has
// not seen everybody hold it can be told: this one is done. Without that, nodes
// that forget at different times would teach each other the same tombstone for
// ever.
func (t *Table) dig(hash uint64) {
	if _, ok := t.graves[hash]; ok {
		return
	}
	t.graves[hash] = struct{}{}
	t.dug = append(t.dug, hash)
	if len(t.dug) > maxGraves {
		delete(t.graves, t.dug[0])
		t.dug = t.dug[1:]
	}
}

// met notes the boot of a peer. A new boot may have woken up with an old disk, so
// what the former one held counts for nothing.
func (t *Table) met(peer, boot string) {
	if t.holds[peer].boot != boot {
		t.holds[peer] = hold{boot: boot}
	}
}

// unheld lists the hidden tombstones that peer was not yet seen to hold. They are
// in no digest, so they have to be offered by name.
func (t *Table) unheld(peer string) []*entry {
	var out []*entry
	for _, e := range t.tombs {
		if e.hidden && e.rev > t.holds[peer].rev {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return strings.Compare(a.rec.Key, b.rec.Key) })
	return out
}

// touch makes key count as not yet held by anyone.
func (t *Table) touch(key string) {
	if e, ok := t.entry(key); ok {
		t.rev++
		e.rev = t.rev
	}
}

// noteFloor learns another's floor. One from the future is nonsense: it would
// make nodes set aside everything they have.
func (t *Table) noteFloor(now time.Time, floor int64) {
	if floor <= now.UnixMilli() {
		t.meta.Floor = max(t.meta.Floor, floor)
	}
}

// noteHeard learns when anyone synced with whom. What a fast clock says counts
// as now. Who is not among the members may be one whose record comes later, so
// some such are remembered too.
func (t *Table) noteHeard(now time.Time, members []Peer, heard map[string]int64) {
	for id, ms := range heard {
		_, known := t.meta.Heard[id]
		known = known || slices.ContainsFunc(members, func(p Peer) bool { return p.ID == id })
		if !known && (len(t.meta.Heard) >= len(members)+maxStrangers || !memberID.MatchString(id)) {
			continue
		}
		t.meta.Heard[id] = max(t.meta.Heard[id], min(ms, now.UnixMilli()))
	}
}

// forgetStrangers drops what was heard of those who are no members, when they are
// many.
func (t *Table) forgetStrangers(members []Peer) {
	if len(members) == 0 || len(t.meta.Heard) < len(members)+maxStrangers/2 {
		return
	}
	known := make(map[string]bool, len(members))
	for _, p := range members {
		known[p.ID] = true
	}
	maps.DeleteFunc(t.meta.Heard, func(id string, _ int64) bool { return !known[id] })
}

// setAside takes keys and their children out of the table and returns the
// records. Tombstones stay.
func (t *Table) setAside(keys []string) []Record {
	var out []Record
	t.era++
	for _, k := range keys {
		if e, ok := t.entry(k); ok {
			out = append(out, t.removeTree(e)...)
		}
	}
	return out
}
