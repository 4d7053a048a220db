package gossip

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
)

// ErrStale is wrapped by a StaleError.
var ErrStale = errors.New("a greater record is there already")

// StaleError says that records were not written since the table has greater or
// equal ones.
type StaleError struct{ Current []Record }

// Error names the records that are there.
func (e *StaleError) Error() string {
	names := make([]string, len(e.Current))
	for i, r := range e.Current {
		names[i] = r.String()
	}
	return fmt.Sprintf("%v: %s", ErrStale, strings.Join(names, ", "))
}

// Unwrap makes errors.Is(err, ErrStale) true.
func (e *StaleError) Unwrap() error { return ErrStale }

// Put writes records here, all or none. They are on this node's disk when it
// returns, and on their way to the others. A StaleError says that one was not
// greater than what is there, with that; ErrNotKept that the rules refuse one;
// ErrFull that there is no room.
// Without Run it waits until ctx ends.
func (r *Replica) Put(ctx context.Context, recs ...Record) error {
	wait, err := r.write(recs)
	if err != nil {
		return err
	}
	r.spread(recs, "")
	return wait(ctx)
}

// PutLazy is Put without waiting for the disk, for what can be told again.
func (r *Replica) PutLazy(recs ...Record) error {
	if _, err := r.write(recs); err != nil {
		return err
	}
	r.spread(recs, "")
	return nil
}

// write merges this node's own records, all or none.
func (r *Replica) write(recs []Record) (wait func(context.Context) error, err error) {
	defer r.deliver()
	r.mu.Lock()
	defer r.mu.Unlock()
	stale := &StaleError{}
	batch := make(map[string]Record, len(recs))
	for _, rec := range recs {
		if err := rec.Check(); err != nil {
			return nil, err
		}
		if cur, ok := r.table.Get(rec.Key); ok && rec.Stamp.Compare(cur.Stamp) <= 0 {
			stale.Current = append(stale.Current, cur)
		}
		batch[rec.Key] = rec
	}
	if len(stale.Current) > 0 {
		return nil, stale
	}
	for _, rec := range recs {
		parent := r.table.rules.Parent(rec.Key)
		p, ok := batch[parent]
		if !ok && parent != "" {
			p, _ = r.table.Get(parent)
		}
		if !r.table.rules.Keep(rec, p) {
			return nil, fmt.Errorf("write %s: %w", rec.Key, ErrNotKept)
		}
	}
	if !r.table.hasRoom(recs...) {
		r.noteFull()
		return nil, fmt.Errorf("write %s: %w: it has %d records of %d, and %d bytes of %d",
			recs[0].Key, ErrFull, r.table.Len(), r.table.MaxRecords, r.table.size, r.table.MaxBytes)
	}
	return r.commit(r.table.Load(r.cfg.Now(), recs...)), nil
}

// commit hands what a merge changed to the disk and to OnChange, with r.mu held:
// both see changes in the order in which they happened.
func (r *Replica) commit(m Merged) (wait func(context.Context) error) {
	for _, no := range m.Refused {
		switch {
		case errors.Is(no.Err, ErrShape):
			r.log.WithError(no.Err).Warn("a record was not taken")
		case errors.Is(no.Err, ErrFull):
			r.noteFull()
		}
	}
	if len(m.News) == 0 && len(m.Dropped) == 0 {
		return r.store.Flush
	}
	r.tell(replicaEvent{changed: m.News, dropped: m.Dropped})
	return r.store.Commit(Batch{Delete: m.Dropped, Put: m.News})
}

// tell queues e for deliver, with r.mu held.
func (r *Replica) tell(e replicaEvent) {
	r.events = append(r.events, e)
	r.untold += e.size()
}

func (e replicaEvent) size() (n int) {
	for _, rec := range e.changed {
		n += rec.size()
	}
	return n
}

// deliver calls OnChange and OnAside for what happened, in order. When somebody
// does so already, that one goes on with ours: so a callback may write.
func (r *Replica) deliver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy {
		return
	}
	r.busy = true
	defer func() { r.busy = false }()
	for len(r.events) > 0 {
		e := r.events[0]
		r.events = r.events[1:]
		r.call(e)
		r.untold -= e.size()
		if r.told != nil && r.untold <= backlogMost {
			close(r.told)
			r.told = nil
		}
	}
}

// call runs the callbacks outside the lock.
func (r *Replica) call(e replicaEvent) {
	r.mu.Unlock()
	defer r.mu.Lock()
	if e.aside != nil && r.cfg.OnAside != nil {
		r.cfg.OnAside(*e.aside)
	}
	if r.cfg.OnChange != nil && (len(e.changed) > 0 || len(e.dropped) > 0) {
		r.cfg.OnChange(e.changed, e.dropped)
	}
}

// Receive merges records that came inside a message of another protocol, and
// returns when they are on disk. It does so only if a sync with from has
// completed since the connection and both boots began; otherwise it takes nothing,
// returns false, and starts a sync.
func (r *Replica) Receive(ctx context.Context, from peer.ID, recs ...Record) (synced bool, err error) {
	m, wait, ok := r.absorb(from, recs)
	if !ok {
		r.greet(from)
		return false, nil
	}
	r.spread(m.News, from)
	return true, wait(ctx)
}

// ReceiveLazy is Receive without waiting for the disk. A Put that follows it is
// not on disk before it.
func (r *Replica) ReceiveLazy(from peer.ID, recs ...Record) (synced bool) {
	m, _, ok := r.absorb(from, recs)
	if !ok {
		r.greet(from)
		return false
	}
	r.spread(m.News, from)
	return true
}

// absorb merges records of a peer, if we are synced with it: looked at under the
// lock under which that may end, see distrust.
func (r *Replica) absorb(from peer.ID, recs []Record) (m Merged, wait func(context.Context) error, ok bool) {
	defer r.deliver()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.Synced(from) {
		return m, nil, false
	}
	m = r.table.Merge(r.cfg.Now(), recs...)
	return m, r.commit(m), true
}
