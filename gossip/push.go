package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	pushTimeout = 10 * time.Second
	// pushDelay gathers what changes together; nobody waits for it.
	pushDelay = 40 * time.Millisecond
	// pushFan is to how many random peers news go when there are many. With the
	// receivers passing news on, about 98 % hear of it that way, and the others by
	// the next syncs.
	pushFan = 4
	// outboxMost and outboxBytes bound what waits for a slow peer. Above them, a sync
	// is cheaper.
	outboxMost  = 4096
	outboxBytes = 4 << 20
	// pushesToOne is how many pushes are under way to one peer at once, fewer than it
	// takes: it may hear of the end of one after the beginning of the next.
	pushesToOne = 12
	// pushesMost is how many more wait for that, before a sync is cheaper.
	pushesMost = 1024
	// busyWait is the pause before a peer that had no place is asked again.
	busyWait = 50 * time.Millisecond
)

// Answers of a peer that takes no records, or whose disk does not count.
var (
	errUnsynced = errors.New("not synced yet")
	errBusy     = errors.New("too much at once")
	errNoMember = errors.New("not a member yet: its next start may find nothing")
)

// outbox is what waits to be pushed to one peer, the newest version of each key.
type outbox struct {
	recs   map[string]Record
	bytes  int
	onward bool
	busy   bool // a goroutine empties it
}

// Ack says how far a record got.
type Ack struct {
	Disks int // that hold exactly the records, this node's included
	// Greater are records that a peer had instead. They are merged here, and the
	// write is void.
	Greater []Record
}

// Replicate is Put, and then waits until the records are on so many disks, this
// node's included. It gives up when ctx ends, no live peer is left to try, or one
// has greater records; then the Ack says how far it got, and spreading goes on. An
// error is one of Put.
func (r *Replica) Replicate(ctx context.Context, disks int, recs ...Record) (Ack, error) {
	wait, err := r.write(recs)
	if err != nil {
		return Ack{}, err
	}
	return r.count(ctx, disks, recs, wait)
}

// Confirm is Replicate for what the table has already under keys: it spreads it
// again and says on how many disks it is.
func (r *Replica) Confirm(ctx context.Context, disks int, keys ...string) (Ack, error) {
	var recs []Record
	for _, key := range keys {
		rec, ok := r.Get(key)
		if !ok {
			return Ack{}, fmt.Errorf("confirm %s: %w", key, ErrNotKept)
		}
		recs = append(recs, rec)
	}
	return r.count(ctx, disks, recs, r.store.Flush)
}

// count pushes records that are in the table to others until they are on so many
// disks; wait returns when they are on this node's.
func (r *Replica) count(ctx context.Context, disks int, recs []Record, wait func(context.Context) error) (Ack, error) {
	peers := r.alive()
	at := len(peers) // how many are asked at once
	if at > r.cfg.Few {
		at = min(at, max(disks, 1)) // one to spare
		r.spread(recs, "")
	}
	results := make(chan pushResult, len(peers))
	for _, id := range peers[:at] {
		r.pushDurable(id, recs, results)
	}
	if err := wait(ctx); err != nil {
		return Ack{}, err
	}
	ack := Ack{Disks: 1}
	for open := at; ack.Disks < disks && open > 0; open-- {
		select {
		case res := <-results:
			if res.err == nil && len(res.greater) == 0 {
				ack.Disks++
				continue
			}
			if ack.Greater = res.greater; len(ack.Greater) > 0 {
				return ack, nil
			}
			if at < len(peers) {
				r.pushDurable(peers[at], recs, results)
				at++
				open++
			}
		case <-ctx.Done():
			return ack, nil
		}
	}
	return ack, nil
}

// pushResult is what one peer made of records that were to be on its disk.
type pushResult struct {
	greater []Record
	err     error
}

// pushDurable pushes recs to id in a goroutine of its own, which outlives the
// caller, and reports once. A sync comes first where there was none yet.
func (r *Replica) pushDurable(id peer.ID, recs []Record, results chan<- pushResult) {
	ok := r.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, pushTimeout)
		defer cancel()
		greater, err := r.pushTo(ctx, id, recs, pushRequest{Durable: true})
		if errors.Is(err, errUnsynced) {
			if err = r.SyncNow(ctx, id); err == nil { // it has them now; but does its disk count?
				greater, err = r.pushTo(ctx, id, recs, pushRequest{Durable: true})
			}
		}
		if err != nil {
			r.setBehind(id, true)
			r.log.WithField("peer", id).WithError(err).Debug("push failed")
		}
		results <- pushResult{greater, err}
	})
	if !ok {
		results <- pushResult{err: ErrClosed}
	}
}

// spread queues records for the live peers except one: all of them while they are
// few, else some, who pass on what is news to them.
func (r *Replica) spread(recs []Record, except peer.ID) {
	if len(recs) == 0 {
		return
	}
	ids := r.alive()
	many := len(ids) > r.cfg.Few
	sent := 0
	for i, rec := range recs {
		if i == 0 {
			recs = slices.Clone(recs)
		}
		recs[i] = copyOf(rec) // once for all peers
	}
	for _, id := range ids {
		if id == except {
			continue
		}
		if many && sent == pushFan {
			break
		}
		sent++
		r.post(id, recs, many)
	}
}

// post puts records, which do not change any more, into the outbox of id.
func (r *Replica) post(id peer.ID, recs []Record, onward bool) {
	r.peersMu.Lock()
	p := r.peer(id)
	if p.out.recs == nil {
		p.out.recs = make(map[string]Record)
	}
	for _, rec := range recs {
		if old, ok := p.out.recs[rec.Key]; !ok || rec.Stamp.Compare(old.Stamp) > 0 {
			p.out.recs[rec.Key] = rec
			p.out.bytes += rec.size() - old.size()
		}
	}
	p.out.onward = p.out.onward || onward
	if len(p.out.recs) > outboxMost || p.out.bytes > outboxBytes {
		p.out.recs, p.out.bytes, p.behind = nil, 0, true
	}
	start := !p.out.busy && len(p.out.recs) > 0
	p.out.busy = p.out.busy || start
	r.peersMu.Unlock()
	if start && !r.spawn(func(ctx context.Context) { r.empty(ctx, id) }) {
		r.peersMu.Lock()
		defer r.peersMu.Unlock()
		p.out = outbox{}
	}
}

// empty pushes what is in the outbox of id until nothing is. What a peer did not
// get, a sync brings.
func (r *Replica) empty(ctx context.Context, id peer.ID) {
	for sleep(ctx, pushDelay) {
		recs, onward := r.collect(id)
		if recs == nil {
			return
		}
		if err := r.pushLazy(ctx, id, recs, onward); err != nil {
			r.setBehind(id, true)
			r.log.WithField("peer", id).WithError(err).Debug("push failed")
		}
	}
}

// collect takes all out of the outbox. When there is nothing, its goroutine is
// taken to be gone.
func (r *Replica) collect(id peer.ID) (recs []Record, onward bool) {
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	p := r.peer(id)
	for _, rec := range p.out.recs {
		recs = append(recs, rec)
	}
	onward = p.out.onward
	p.out = outbox{busy: recs != nil}
	return recs, onward
}

func (r *Replica) pushLazy(ctx context.Context, id peer.ID, recs []Record, onward bool) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	_, err := r.pushTo(ctx, id, recs, pushRequest{Onward: onward})
	if errors.Is(err, errUnsynced) {
		return r.SyncNow(ctx, id)
	}
	return err
}

// pushTo sends recs to id, merges what it has that is greater, and returns that. It
// waits for its turn, and comes again to a peer that has too much to do.
func (r *Replica) pushTo(ctx context.Context, id peer.ID, recs []Record, req pushRequest) (greater []Record, err error) {
	if !r.Synced(id) {
		return nil, errUnsynced
	}
	kept := r.kept(recs)
	switch {
	case len(kept) == len(recs):
	case req.Durable:
		return nil, fmt.Errorf("push to %s: %w", id, ErrNotKept)
	case len(kept) == 0:
		return nil, nil
	}
	done, err := r.pushTurn(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("push to %s: %w", id, err)
	}
	defer done()
	for {
		greater, err = r.pushOnce(ctx, id, kept, req)
		if !errors.Is(err, errBusy) || !sleep(ctx, busyWait) {
			return greater, err
		}
	}
}

// pushTurn waits until few others push to id.
func (r *Replica) pushTurn(ctx context.Context, id peer.ID) (done func(), err error) {
	r.peersMu.Lock()
	p := r.peer(id)
	full := p.pushing == pushesMost
	if !full {
		p.pushing++
	}
	r.peersMu.Unlock()
	if full {
		return nil, errBusy
	}
	leave := func() {
		r.peersMu.Lock()
		p.pushing--
		r.peersMu.Unlock()
	}
	select {
	case p.pushes <- struct{}{}:
		return func() { <-p.pushes; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

func (r *Replica) pushOnce(ctx context.Context, id peer.ID, recs []Record, req pushRequest) (greater []Record, err error) {
	s, err := r.cfg.Host.NewStream(ctx, id, PushProtocol)
	if err != nil {
		return nil, fmt.Errorf("push to %s: %w", id, err)
	}
	defer bind(ctx, s)(&err)
	f := newFrames(s)
	req.Min, req.Max, req.Boot = WireMin, WireMax, r.cfg.Boot
	refused := 0
	for _, req.Records = range batches(r.table.rules, recs) {
		var reply pushReply
		if err := errors.Join(f.write(req), f.read(&reply)); err != nil {
			return greater, fmt.Errorf("push to %s: %w", id, err)
		}
		if reply.Unsynced {
			return greater, errUnsynced
		}
		if reply.Busy {
			return greater, fmt.Errorf("push to %s: %w: %.200s", id, errBusy, reply.Error)
		}
		if reply.Error != "" {
			return greater, fmt.Errorf("push to %s: %w: %.200s", id, ErrProtocol, reply.Error)
		}
		greater = append(greater, reply.Greater...)
		refused += len(reply.Refused) + max(0, len(reply.Stale)-len(reply.Greater))
	}
	if len(greater) > 0 {
		m, _, _ := r.absorb(id, greater)
		r.spread(m.News, id)
	}
	if refused > 0 && req.Durable && len(greater) == 0 {
		return nil, fmt.Errorf("push to %s: %w", id, ErrNotKept)
	}
	return greater, nil
}

// kept are those of recs whose keys the table has. The sync that had to come before a
// push may have set the others aside, and nobody else knows that they were removed.
func (r *Replica) kept(recs []Record) []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(recs), func(rec Record) bool {
		_, ok := r.table.Get(rec.Key)
		return !ok
	})
}

// servePush answers the requests on one stream.
func (r *Replica) servePush(ctx context.Context, s network.Stream) (err error) {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	defer bind(ctx, s)(&err)
	f := newFrames(s)
	for {
		frame, err := f.next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		reply, err := r.answerPush(ctx, s.Conn().RemotePeer(), frame)
		if err != nil {
			lastWord(s, f, pushReply{Error: err.Error()})
			return err
		}
		if err := f.write(reply); err != nil {
			return err
		}
	}
}

func (r *Replica) answerPush(ctx context.Context, from peer.ID, frame []byte) (reply pushReply, err error) {
	var req pushRequest
	var m Merged
	var wait func(context.Context) error
	ok := false
	err = r.takeIn(ctx, frame, &req, func() error {
		if err := req.check(); err != nil {
			return err
		}
		if r.syncedBoot(from, req.Boot) {
			m, wait, ok = r.absorb(from, req.Records)
		}
		return nil
	})
	if err != nil {
		return reply, err
	}
	if !ok {
		return pushReply{Unsynced: true}, nil
	}
	if req.Onward {
		r.spread(m.News, from)
	}
	size := 0
	for _, g := range m.Stale {
		reply.Stale = append(reply.Stale, g.Key)
		if size += recordSize(g); size <= framePart || len(reply.Greater) == 0 {
			reply.Greater = append(reply.Greater, g)
		}
	}
	for _, no := range m.Refused {
		reply.Refused = append(reply.Refused, no.Key)
	}
	switch {
	case !req.Durable:
		return reply, nil
	case !r.cfg.Vouch():
		return reply, errNoMember
	}
	return reply, wait(ctx)
}
