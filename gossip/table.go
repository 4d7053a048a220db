package gossip

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/btree"
)

// DefaultRetention is the least age at which a tombstone may go.
const DefaultRetention = 24 * time.Hour

// Why a record was not taken.
var (
	// ErrNotKept says that Rules.Keep refused a record beside its parent.
	ErrNotKept = errors.New("not kept beside its parent")
	// ErrExpired says that a tombstone is one that everybody had and forgot.
	ErrExpired = errors.New("expired tombstone")
	// ErrFull says that there is no room for a new key, or none for a larger value.
	ErrFull = errors.New("the table is full")
)

// How large a table gets unless its owner says otherwise.
const (
	DefaultMaxRecords = 1 << 18
	DefaultMaxBytes   = 256 << 20
)

// Table is the replicated table of one node, as a value: no lock, no clock, no
// I/O. It is not safe for concurrent use; Snapshot is the way to read it beside a
// writer. Records are copied on the way in and out.
type Table struct {
	// Retention is the least age at which a tombstone may go. Set it before use.
	Retention time.Duration
	// MaxRecords and MaxBytes (of keys and values) bound what is taken, tombstones
	// included. What is there can still be changed and removed in a full table.
	MaxRecords, MaxBytes int

	rules    Rules
	tree     *btree.BTreeG[*entry]
	children map[string]map[string]*entry // parent's key → key → child
	tombs    map[string]*entry            // every entry with Removed
	size     int                          // of all records, in bytes
	rev      uint64                       // rises with every change
	sums     [bucketCount]uint64          // sums of the hashes of visible entries, by bucket of the key
	holds    map[string]hold              // what each peer was seen to hold, by id
	graves   map[uint64]struct{}          // hashes of tombstones that went
	dug      []uint64                     // the same, oldest first
	meta     Meta
	era      uint64 // rises when records are set aside
}

// An entry's record never changes once it is in the tree, so that snapshots can
// read it without a lock; the other fields belong to the table.
type entry struct {
	rec    Record
	hash   uint64 // of key and stamp
	rev    uint64 // of the table when it came in
	buried bool   // a tombstone past its retention
	hidden bool   // not in the digests: buried, or a child of a buried one
}

func entryLess(a, b *entry) bool { return a.rec.Key < b.rec.Key }

// NewTable makes an empty table. Functions that are nil in rules mean: no
// parents, all kept, none set aside.
func NewTable(rules Rules) *Table {
	if rules.Parent == nil {
		rules.Parent = func(string) string { return "" }
	}
	if rules.Keep == nil {
		rules.Keep = func(Record, Record) bool { return true }
	}
	if rules.Born == nil {
		rules.Born = func(Record) (int64, bool) { return 0, false }
	}
	return &Table{
		Retention:  DefaultRetention,
		MaxRecords: DefaultMaxRecords,
		MaxBytes:   DefaultMaxBytes,
		rules:      rules,
		tree:       btree.NewG(16, entryLess),
		children:   make(map[string]map[string]*entry),
		tombs:      make(map[string]*entry),
		holds:      make(map[string]hold),
		graves:     make(map[uint64]struct{}),
		meta:       Meta{Heard: make(map[string]int64)},
	}
}

// Merged says what a merge did.
type Merged struct {
	News    []Record  // taken, in the order taken
	Dropped []string  // keys of children that went because a parent changed; before News
	Stale   []Record  // ours, for each record offered that was lesser than it
	Refused []Refused // offered and not taken for another reason than its stamp
}

// Refused is a record that was not taken, and why: ErrShape, ErrNotKept,
// ErrExpired or ErrFull.
type Refused struct {
	Key string
	Err error
}

// Merge takes every record that is greater than the table's and that the rules
// keep. Records without a parent are considered first, whatever the order given,
// so a parent and its children can come in one call. A tombstone that is past its
// retention, not later than the floor and of a key that the table does not know
// is refused: everybody had it once.
func (t *Table) Merge(now time.Time, recs ...Record) Merged {
	return t.merge(now, recs, mergeOffered)
}

// Load is Merge for what comes from this node's own disk, where nothing is
// refused for its age or for want of room.
func (t *Table) Load(now time.Time, recs ...Record) Merged {
	return t.merge(now, recs, mergeOwn)
}

// mergeKind says where records come from.
type mergeKind int

const (
	mergeOffered mergeKind = iota
	mergeAsked             // by key, so that whether to take expired ones has been decided
	mergeOwn
)

func (t *Table) merge(now time.Time, recs []Record, kind mergeKind) Merged {
	var m Merged
	later := make([]Record, 0, len(recs))
	for _, r := range recs {
		if err := r.Check(); err != nil {
			m.Refused = append(m.Refused, Refused{r.Key, err})
			continue
		}
		if t.rules.Parent(r.Key) != "" {
			later = append(later, r)
			continue
		}
		t.mergeOne(now, r, kind, &m)
	}
	for _, r := range later {
		t.mergeOne(now, r, kind, &m)
	}
	return m
}

func (t *Table) mergeOne(now time.Time, r Record, kind mergeKind, m *Merged) {
	old, known := t.entry(r.Key)
	if known {
		if c := r.Stamp.Compare(old.rec.Stamp); c == 0 {
			return
		} else if c < 0 {
			m.Stale = append(m.Stale, copyOf(old.rec))
			return
		}
	} else if kind == mergeOffered && t.expired(now, r) && r.Time <= t.meta.Floor {
		m.Refused = append(m.Refused, Refused{r.Key, ErrExpired})
		return
	}
	parent := t.parentOf(r.Key)
	if !t.rules.Keep(r, parentRecord(parent)) {
		m.Refused = append(m.Refused, Refused{r.Key, ErrNotKept})
		return
	}
	if kind != mergeOwn && !t.hasRoom(r) {
		m.Refused = append(m.Refused, Refused{r.Key, ErrFull})
		return
	}
	e := t.put(now, copyOf(r), parent)
	m.News = append(m.News, copyOf(r))
	for _, child := range t.childrenOf(r.Key) {
		if !t.rules.Keep(child.rec, e.rec) {
			t.remove(child)
			m.Dropped = append(m.Dropped, child.rec.Key)
		}
	}
}

// hasRoom says whether recs may come in together. For what is there already there is
// some room above the bound, so that it can be changed, and above all removed, in a
// full table.
func (t *Table) hasRoom(recs ...Record) bool {
	count, size := t.Len(), t.size
	for _, r := range recs {
		grow, most := r.size(), t.MaxBytes
		if old, ok := t.entry(r.Key); ok {
			grow -= old.rec.size()
			most += most / 16
		} else if count++; count > t.MaxRecords {
			return false
		}
		if size += grow; grow > 0 && size > most {
			return false
		}
	}
	return true
}

// roomy says whether the table is clearly below its bounds.
func (t *Table) roomy() bool {
	return t.Len() < t.MaxRecords-t.MaxRecords/16 && t.size < t.MaxBytes-t.MaxBytes/16
}

// put replaces what the table has under r's key. r's bytes are the table's own.
func (t *Table) put(now time.Time, r Record, parent *entry) *entry {
	if old, ok := t.entry(r.Key); ok {
		t.remove(old)
	}
	t.rev++
	e := &entry{rec: r, hash: headHash(r.Key, r.Stamp), rev: t.rev, buried: t.expired(now, r)}
	e.hidden = e.buried || (parent != nil && parent.buried)
	t.tree.ReplaceOrInsert(e)
	t.size += r.size()
	if r.Removed {
		t.tombs[r.Key] = e
	}
	if p := t.rules.Parent(r.Key); p != "" {
		if t.children[p] == nil {
			t.children[p] = make(map[string]*entry)
		}
		t.children[p][r.Key] = e
	}
	t.count(e, 1)
	t.hideChildren(e)
	return e
}

// remove takes e out of the table, and leaves its children.
func (t *Table) remove(e *entry) {
	t.count(e, -1)
	t.size -= e.rec.size()
	t.tree.Delete(e)
	delete(t.tombs, e.rec.Key)
	if p := t.rules.Parent(e.rec.Key); p != "" {
		delete(t.children[p], e.rec.Key)
		if len(t.children[p]) == 0 {
			delete(t.children, p)
		}
	}
}

// removeTree takes e and its children out, and returns them, e first.
func (t *Table) removeTree(e *entry) []Record {
	out := []Record{e.rec}
	for _, child := range t.childrenOf(e.rec.Key) {
		t.remove(child)
		out = append(out, child.rec)
	}
	t.remove(e)
	return out
}

func (t *Table) entry(key string) (*entry, bool) {
	return t.tree.Get(&entry{rec: Record{Key: key}})
}

func (t *Table) parentOf(key string) *entry {
	p := t.rules.Parent(key)
	if p == "" {
		return nil
	}
	e, _ := t.entry(p)
	return e
}

// childrenOf lists the children of key in key order: a simulator that replays a
// seed must see one order.
func (t *Table) childrenOf(key string) []*entry {
	out := make([]*entry, 0, len(t.children[key]))
	for _, c := range t.children[key] {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *entry) int { return strings.Compare(a.rec.Key, b.rec.Key) })
	return out
}

// Get returns the record under key, tombstones included.
func (t *Table) Get(key string) (Record, bool) {
	e, ok := t.entry(key)
	if !ok {
		return Record{}, false
	}
	return copyOf(e.rec), true
}

// Len is the number of records, tombstones included.
func (t *Table) Len() int { return t.tree.Len() }

// Rev rises with every record that comes in. It means nothing on another node.
func (t *Table) Rev() uint64 { return t.rev }

// Range calls f with every record whose key has the prefix, tombstones included,
// in key order, until f returns false. f must not change the table.
func (t *Table) Range(prefix string, f func(Record) bool) {
	rangeTree(t.tree, prefix, f)
}

// Snapshot is the table as it is now. It costs little, and may be read while the
// table is written.
func (t *Table) Snapshot() Snapshot { return Snapshot{t.tree.Clone()} }

// Snapshot is a table at one moment.
type Snapshot struct{ tree *btree.BTreeG[*entry] }

// Range is Table.Range on the snapshot.
func (s Snapshot) Range(prefix string, f func(Record) bool) { rangeTree(s.tree, prefix, f) }

func rangeTree(tree *btree.BTreeG[*entry], prefix string, f func(Record) bool) {
	from := &entry{rec: Record{Key: prefix}}
	tree.AscendGreaterOrEqual(from, func(e *entry) bool {
		return strings.HasPrefix(e.rec.Key, prefix) && f(copyOf(e.rec))
	})
}

func copyOf(r Record) Record {
	r.Value = slices.Clone(r.Value)
	return r
}

func parentRecord(e *entry) Record {
	if e == nil {
		return Record{}
	}
	return e.rec
}

// String names a record in logs and errors.
func (r Record) String() string {
	s := fmt.Sprintf("%s@%d", r.Key, r.Stamp.Major)
	if r.Removed {
		s += " (removed)"
	}
	return s
}
