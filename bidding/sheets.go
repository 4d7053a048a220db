package bidding

import (
	"slices"
	"sync"

	"github.com/exitae337/orchestergo/api"
)

// Limits of what is kept of past auctions: their number, and the slots and awards
// in all of them together, since one can be about a hundred thousand.
const (
	maxSheets = 1000
	maxRows   = 200_000
)

// Sheets keeps the protocols of the latest auctions in memory. It is safe for
// concurrent use.
type Sheets struct {
	mu     sync.RWMutex // guards all below
	order  []string     // ids, oldest first
	byID   map[string]api.Sheet
	latest map[slotOf]string // id of the last auction that was about a slot
	rows   int
}

// slotOf is a slot of one life of a job.
type slotOf struct {
	job  string
	life int64
	slot int
}

// NewSheets is empty.
func NewSheets() *Sheets {
	return &Sheets{byID: map[string]api.Sheet{}, latest: map[slotOf]string{}}
}

// Add keeps s, and forgets the oldest if there are too many. The last one is
// always kept.
func (k *Sheets) Add(s api.Sheet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.byID[s.ID]; ok {
		return
	}
	k.order = append(k.order, s.ID)
	k.byID[s.ID] = s
	k.rows += size(s)
	for _, slot := range s.Slots {
		k.latest[slotOf{s.Job, s.Life, slot}] = s.ID
	}
	for len(k.order) > 1 && (len(k.order) > maxSheets || k.rows > maxRows) {
		k.drop(k.order[0])
		k.order = slices.Delete(k.order, 0, 1)
	}
}

func (k *Sheets) drop(id string) {
	s := k.byID[id]
	delete(k.byID, id)
	k.rows -= size(s)
	for _, slot := range s.Slots {
		if at := (slotOf{s.Job, s.Life, slot}); k.latest[at] == id {
			delete(k.latest, at)
		}
	}
}

func size(s api.Sheet) int { return len(s.Slots) + len(s.Awards) }

// Get returns the sheet of an auction while it is kept. Its lists are shared: not
// to be changed.
func (k *Sheets) Get(id string) (api.Sheet, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s, ok := k.byID[id]
	return s, ok
}

// Latest returns the sheet of the last auction that this node held about a slot.
func (k *Sheets) Latest(job string, life int64, slot int) (api.Sheet, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s, ok := k.byID[k.latest[slotOf{job, life, slot}]]
	return s, ok
}

// Of lists the sheets about a slot, newest first. Their lists are shared: not to be
// changed.
func (k *Sheets) Of(job string, life int64, slot int) []api.Sheet {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var out []api.Sheet
	for _, id := range slices.Backward(k.order) {
		if s := k.byID[id]; s.Job == job && s.Life == life && slices.Contains(s.Slots, slot) {
			out = append(out, s)
		}
	}
	return out
}

// About is s with nothing of other slots than one: small enough for a message
// however many slots the auction was about.
func About(s api.Sheet, slot int) api.Sheet {
	s.Slots = []int{slot}
	rows := []api.SheetRow{}
	for _, row := range s.Awards {
		if row.Slot == slot {
			rows = append(rows, row)
		}
	}
	s.Awards = rows
	return s
}
