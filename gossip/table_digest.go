package gossip

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// bucketCount is how many parts a table is compared in. More parts make the first
// message of a sync larger, fewer make the lists of keys that follow longer.
const bucketCount = 256

// Digest is equal on two tables when they have the same visible records. Expired
// tombstones and their children are not visible: one node forgets them earlier
// than another, and both are right.
func (t *Table) Digest() string {
	return fmt.Sprintf("%016x", xxhash.Sum64(t.bucketSums()))
}

// bucketSums is one sum of hashes for each bucket, eight bytes each.
func (t *Table) bucketSums() []byte {
	out := make([]byte, 0, bucketCount*8)
	for _, s := range t.sums {
		out = binary.BigEndian.AppendUint64(out, s)
	}
	return out
}

// count puts e into the sums (by 1) or takes it out (by -1), if it is visible.
func (t *Table) count(e *entry, by int) {
	if e.hidden {
		return
	}
	if by < 0 {
		t.sums[bucketOf(e.rec.Key)] -= e.hash
	} else {
		t.sums[bucketOf(e.rec.Key)] += e.hash
	}
}

// setHidden moves e out of the digests or into them.
func (t *Table) setHidden(e *entry, hidden bool) {
	if e.hidden == hidden {
		return
	}
	t.count(e, -1)
	e.hidden = hidden
	t.count(e, 1)
}

// hideChildren makes the children of e as visible as it is.
func (t *Table) hideChildren(e *entry) {
	for _, c := range t.children[e.rec.Key] {
		t.setHidden(c, c.buried || e.buried)
	}
}

func bucketOf(key string) byte { return byte(xxhash.Sum64String(key)) }

// headHash names one version of one key. Fields are preceded by their lengths, so
// that no two heads look alike.
func headHash(key string, s Stamp) uint64 {
	b := make([]byte, 0, 256)
	for _, f := range [...]string{key, s.Mid, s.Writer} {
		b = binary.AppendUvarint(b, uint64(len(f)))
		b = append(b, f...)
	}
	b = binary.BigEndian.AppendUint64(b, s.Major)
	b = binary.BigEndian.AppendUint64(b, s.Minor)
	return xxhash.Sum64(b)
}
