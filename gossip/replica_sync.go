package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	syncTimeout = time.Minute
	// onwardMost is how many news of one sync are pushed on. More are a whole
	// table or the end of a long partition, which the others sync for themselves.
	onwardMost = 256
)

// Synced says whether a sync with id has completed since the connection to it,
// and both boots, began.
func (r *Replica) Synced(id peer.ID) bool {
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	p := r.peers[id]
	return p != nil && p.synced != ""
}

// syncedBoot is Synced for a message that says which boot sent it.
func (r *Replica) syncedBoot(id peer.ID, boot string) bool {
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	p := r.peers[id]
	return p != nil && p.synced == boot
}

// EverSynced says whether any sync has completed in this boot.
func (r *Replica) EverSynced() bool {
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	return r.ever
}

// SyncNow syncs with id. When it returns nil, each side has on disk what the other
// had when it began. One sync at a time is begun with a peer; others wait.
func (r *Replica) SyncNow(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	r.peersMu.Lock()
	p := r.peer(id)
	r.peersMu.Unlock()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return fmt.Errorf("sync with %s: %w", id, context.Cause(ctx))
	}
	began := time.Now()
	err := r.syncWith(ctx, id)
	if r.cfg.OnSync != nil {
		r.cfg.OnSync(time.Since(began), err)
	}
	if err != nil {
		r.setBehind(id, true)
		return fmt.Errorf("sync with %s: %w", id, err)
	}
	return nil
}

func (r *Replica) syncWith(ctx context.Context, id peer.ID) (err error) {
	s, err := r.cfg.Host.NewStream(ctx, id, SyncProtocol)
	if err != nil {
		return err
	}
	defer bind(ctx, s)(&err)
	c := r.conversation(s)
	if err := r.store.Flush(ctx); err != nil {
		return err
	}
	args := r.syncArgs(id)
	r.mu.Lock()
	session, hello := r.table.StartSync(r.cfg.Now(), args)
	r.mu.Unlock()
	if err := c.frames.write(hello); err != nil {
		return err
	}
	if err := c.run(ctx, session); err != nil {
		return err
	}
	// The other side closes when it has taken our last word, and is synced too.
	_ = s.CloseWrite()
	_ = c.frames.read(&SyncMessage{})
	return nil
}

// conversation is one sync on one stream.
type conversation struct {
	r      *Replica
	peer   peer.ID
	life   int // of the peer when it began
	stream network.Stream
	frames frames
	boot   string // of the peer
	news   []Record
}

func (r *Replica) conversation(s network.Stream) *conversation {
	id := s.Conn().RemotePeer()
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	return &conversation{r: r, peer: id, life: r.peer(id).life, stream: s, frames: newFrames(s)}
}

// run drives session to its end.
func (c *conversation) run(ctx context.Context, session *Session) error {
	for over := false; !over; {
		frame, err := c.frames.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		var m SyncMessage
		var out SyncOutput
		err = c.r.takeIn(ctx, frame, &m, func() (err error) {
			if m.Hello != nil {
				c.boot = m.Hello.Boot
			}
			out, err = c.step(session, m)
			return err
		})
		if err != nil {
			lastWord(c.stream, c.frames, SyncMessage{Error: err.Error()})
			return err
		}
		if len(c.news) <= onwardMost {
			c.news = append(c.news, out.Merged.News...)
		}
		if out.Durable {
			if err := c.r.store.Flush(ctx); err != nil {
				return err
			}
		}
		// Marked before our last word is out: the other may push the moment it
		// has it.
		if out.Complete {
			c.r.markSynced(c)
		}
		for _, m := range out.Send {
			if err := c.frames.write(m); err != nil {
				return err
			}
		}
		over = out.Over
	}
	if len(c.news) <= onwardMost {
		c.r.spread(c.news, c.peer)
	}
	return nil
}

// step runs one step under the lock, and does what it asks with the disk.
func (c *conversation) step(session *Session, m SyncMessage) (SyncOutput, error) {
	r := c.r
	defer r.deliver()
	r.mu.Lock()
	defer r.mu.Unlock()
	out, err := session.Step(r.cfg.Now(), m)
	r.commit(out.Merged)
	if err != nil {
		return out, err
	}
	if out.BothWays {
		r.log.WithField("peer", c.peer).Warn("this node and a peer have each missed removals of the other: everything is kept, and what was removed may be back")
	}
	if len(out.Aside) > 0 {
		err = r.putAside(c.peer, out.Aside)
	}
	return out, err
}

// putAside writes what a sync took out of the table to a file, with r.mu held.
// If that fails, the records go back.
func (r *Replica) putAside(id peer.ID, recs []Record) error {
	a := Aside{Time: r.cfg.Now(), Peer: id.String(), Records: recs}
	var err error
	if a.File, err = writeAside(r.cfg.AsideDir, a); err != nil {
		r.table.Load(r.cfg.Now(), recs...)
		return err
	}
	keys := make([]string, len(recs))
	for i, rec := range recs {
		keys[i] = rec.Key
	}
	r.tell(replicaEvent{dropped: keys, aside: &a})
	r.store.Commit(Batch{Delete: keys})
	r.distrust(id)
	r.log.WithFields(map[string]any{"peer": id, "file": a.File, "keys": keys}).
		Warn("while this node was away, records were removed elsewhere; those that nobody else knows any more are set aside in a file")
	return nil
}

// distrust takes no records of any peer but one before the next sync with it: who was
// away as well may still have what was set aside just now. With r.mu held.
func (r *Replica) distrust(but peer.ID) {
	r.peersMu.Lock()
	for id, p := range r.peers {
		if id != but {
			p.life++
			p.synced, p.behind = "", true
		}
	}
	r.peersMu.Unlock()
	for _, id := range r.cfg.Host.Network().Peers() {
		r.greet(id)
	}
}

func (r *Replica) syncArgs(id peer.ID) SyncArgs {
	a := SyncArgs{Peer: id.String(), Boot: r.cfg.Boot, Members: r.members()}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	if now.Sub(r.heard).Abs() >= min(time.Minute, r.cfg.Retention/20) || !r.Synced(id) {
		a.Heard, r.heard = true, now
	}
	return a
}

func (r *Replica) markSynced(c *conversation) {
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	r.ever = true
	if p := r.peer(c.peer); p.life == c.life {
		p.synced, p.behind = c.boot, false
	}
}

func (r *Replica) setBehind(id peer.ID, behind bool) {
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	r.peer(id).behind = behind
}

// serveSync is the other side of syncWith.
func (r *Replica) serveSync(ctx context.Context, s network.Stream) (err error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	defer bind(ctx, s)(&err)
	c := r.conversation(s)
	args := r.syncArgs(c.peer)
	r.mu.Lock()
	session := r.table.AnswerSync(r.cfg.Now(), args)
	r.mu.Unlock()
	return c.run(ctx, session)
}

func (r *Replica) connected(_ network.Network, c network.Conn) { r.greet(c.RemotePeer()) }

func (r *Replica) disconnected(n network.Network, c network.Conn) {
	id := c.RemotePeer()
	if n.Connectedness(id) == network.Connected {
		return
	}
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	p := r.peer(id)
	p.life++
	p.synced = ""
}

// greet syncs with a peer that just appeared. Its handlers may be a moment behind
// its connection, hence the repetitions; after that it is everyday work.
func (r *Replica) greet(id peer.ID) {
	r.peersMu.Lock()
	p := r.peer(id)
	skip := p.synced != "" || p.greeting
	p.greeting = p.greeting || !skip
	r.peersMu.Unlock()
	if skip {
		return
	}
	ok := r.spawn(func(ctx context.Context) {
		defer r.greeted(id)
		for wait := 100 * time.Millisecond; wait < 2*time.Second; wait *= 4 {
			if r.Synced(id) || r.cfg.Host.Network().Connectedness(id) != network.Connected {
				return
			}
			err := r.SyncNow(ctx, id)
			if err == nil {
				return
			}
			r.log.WithField("peer", id).WithError(err).Debug("first sync failed")
			if !sleep(ctx, wait) {
				return
			}
		}
	})
	if !ok {
		r.greeted(id)
	}
}

func (r *Replica) greeted(id peer.ID) {
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	r.peer(id).greeting = false
}

// sleep waits, and says whether ctx is still good.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keepSyncing is the anti-entropy: whatever got lost, the next round repairs.
func (r *Replica) keepSyncing(ctx context.Context) {
	for sleep(ctx, jitter(r.cfg.SyncEvery)) {
		for _, id := range r.pick() {
			r.spawn(func(ctx context.Context) {
				if err := r.SyncNow(ctx, id); err != nil && ctx.Err() == nil {
					r.log.WithField("peer", id).WithError(err).Debug("sync failed")
				}
			})
		}
	}
}

func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

// pick chooses a random connected peer, and one more that is known to be behind.
// One with which a sync is under way is left out: it may hang, and syncs with it
// must not pile up.
func (r *Replica) pick() []peer.ID {
	alive := slices.DeleteFunc(r.alive(), r.syncing)
	connected := slices.DeleteFunc(slices.Clone(alive), func(id peer.ID) bool {
		return r.cfg.Host.Network().Connectedness(id) != network.Connected
	})
	if len(connected) > 0 {
		alive = connected
	}
	if len(alive) == 0 {
		return nil
	}
	out := alive[:1]
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	for _, id := range alive[1:] {
		if p := r.peer(id); p.behind || p.synced == "" {
			return append(slices.Clone(out), id)
		}
	}
	return out
}

func (r *Replica) syncing(id peer.ID) bool {
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	return len(r.peer(id).turn) > 0
}

// alive lists the live peers but this node, in random order.
func (r *Replica) alive() []peer.ID {
	ids := slices.DeleteFunc(slices.Clone(r.cfg.Alive()), func(id peer.ID) bool { return id == r.self })
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}
