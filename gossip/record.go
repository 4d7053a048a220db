package gossip

import (
	"cmp"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Stamp orders the versions of a record. Stamps are compared field by field in
// the order written; no clock is involved. Two different values never carry the
// same stamp, since Writer names the boot that wrote it and a boot never writes
// one stamp twice.
type Stamp struct {
	Major  uint64 `json:"a"`
	Mid    string `json:"b,omitempty"`
	Minor  uint64 `json:"c,omitempty"`
	Writer string `json:"w"`
}

// Compare is negative, zero or positive as s orders before, with or after o.
func (s Stamp) Compare(o Stamp) int {
	return cmp.Or(
		cmp.Compare(s.Major, o.Major),
		cmp.Compare(s.Mid, o.Mid),
		cmp.Compare(s.Minor, o.Minor),
		cmp.Compare(s.Writer, o.Writer),
	)
}

// Record is one entry of the replicated table. Merging two versions of a key
// keeps the one with the greater stamp, which makes merging commutative,
// associative and idempotent.
type Record struct {
	Key     string `json:"k"`
	Value   []byte `json:"v,omitempty"`
	Stamp   Stamp  `json:"s"`
	Removed bool   `json:"x,omitempty"` // a tombstone: the key was removed, and its value is the last one
	Time    int64  `json:"t"`           // unix ms at the writer; orders nothing, ages tombstones
}

// Limits of a record on the wire and on disk.
const (
	MaxKey   = 512
	MaxValue = 512 << 10
)

// ErrShape is wrapped by the errors of Check.
var ErrShape = errors.New("malformed record")

// size is about what r takes in memory.
func (r Record) size() int {
	return len(r.Key) + len(r.Value) + len(r.Stamp.Mid) + len(r.Stamp.Writer)
}

// Check says whether r is within the limits.
func (r Record) Check() error {
	switch {
	case r.Key == "" || len(r.Key) > MaxKey:
		return fmt.Errorf("%w: key of %d bytes (1 to %d are allowed)", ErrShape, len(r.Key), MaxKey)
	case len(r.Value) > MaxValue:
		return fmt.Errorf("%w: %s has %d bytes (at most %d)", ErrShape, r.Key, len(r.Value), MaxValue)
	case r.Stamp.Writer == "" || len(r.Stamp.Writer) > MaxKey || len(r.Stamp.Mid) > MaxKey:
		return fmt.Errorf("%w: the stamp of %s has no writer, or one that is too long", ErrShape, r.Key)
	case !utf8.ValidString(r.Key) || !utf8.ValidString(r.Stamp.Mid) || !utf8.ValidString(r.Stamp.Writer):
		// JSON would carry it as another key.
		return fmt.Errorf("%w: key or stamp of %q is not UTF-8", ErrShape, r.Key)
	}
	return nil
}

// Rules is what the owner of the data tells the table about it. All are pure.
type Rules struct {
	// Parent names the record on which key depends, or "". A parent has none itself.
	Parent func(key string) string
	// Keep says whether r may be in the table beside the current version of its
	// parent (the zero Record if the table has none, or if r has no parent). It is
	// asked again for all children when a parent changes or goes.
	Keep func(r, parent Record) bool
	// Born is when the thing that r is about was created (unix ms), for records
	// that may be set aside after a long absence; ok is false for all others.
	Born func(r Record) (ms int64, ok bool)
}
