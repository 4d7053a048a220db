package bidding

import "github.com/exitae337/orchestergo/api"

// HeardKey is what sendings are numbered for.
type HeardKey struct {
	Auctioneer api.NodeID
	Boot       string
	Job        string
	Life       int64
	Slot       int
}

// Heard remembers the highest sending that a bidder has heard for each slot from
// each auctioneer, so that a late one cannot undo what was answered to a newer.
// Its size is bounded: a slot is remembered until so many others were heard of
// after it that no message of that age can still be on its way. It is not safe
// for concurrent use.
type Heard struct {
	limit         int
	recent, older map[HeardKey]uint64 // older is dropped when recent is full
}

// NewHeard remembers at least the last limit slots, and at most twice as many.
func NewHeard(limit int) *Heard {
	return &Heard{limit: max(1, limit), recent: map[HeardKey]uint64{}}
}

// Highest is the highest sending heard for key, or 0.
func (h *Heard) Highest(key HeardKey) uint64 {
	return max(h.recent[key], h.older[key])
}

// Note records a sending and returns the highest heard before it.
func (h *Heard) Note(key HeardKey, seq uint64) (before uint64) {
	before = h.Highest(key)
	if _, ok := h.recent[key]; !ok && len(h.recent) >= h.limit {
		h.older, h.recent = h.recent, make(map[HeardKey]uint64, h.limit)
	}
	h.recent[key] = max(before, seq)
	return before
}

// Len is how many slots are remembered.
func (h *Heard) Len() int { return len(h.recent) + len(h.older) }
