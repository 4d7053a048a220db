package peer

import (
	"context"
	"fmt"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// What only tests outside the package need to see.

// Digest is equal on two nodes that know the same.
func (p *Peer) Digest() string { return p.replica.Digest() }

// Dump is the table in words.
func (p *Peer) Dump() (out []string) {
	p.replica.Range("", func(r gossip.Record) bool {
		out = append(out, fmt.Sprintf("%s %+v %s", r.Key, r.Stamp, r.Value))
		return true
	})
	return out
}

// Record is what the table has under a key.
func (p *Peer) Record(key string) (gossip.Record, bool) { return p.replica.Get(key) }

// PutRecord puts a record into the table as it is.
func (p *Peer) PutRecord(ctx context.Context, r gossip.Record) error { return p.replica.Put(ctx, r) }

// Stamps are those of all records by key.
func (p *Peer) Stamps() map[string]gossip.Stamp {
	out := map[string]gossip.Stamp{}
	p.replica.Range("", func(r gossip.Record) bool {
		out[r.Key] = r.Stamp
		return true
	})
	return out
}

// Completed are the slots whose tasks this node knows to have ended well.
func (p *Peer) Completed() (out []SlotKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, of := range p.index.slots {
		for k, a := range of {
			if a.State == api.Complete {
				out = append(out, k)
			}
		}
	}
	return out
}

// LastAuction is the id of the last auction that this node held about a slot, or "".
func (p *Peer) LastAuction(k SlotKey) string {
	s, _ := p.auctioneer.Sheets().Latest(k.Job, k.Life, k.Slot)
	return s.ID
}

// Byes counts the boots that said they would be back.
func (p *Peer) Byes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byes)
}

// PutRaw writes a record as it is.
func (p *Peer) PutRaw(r gossip.Record) error { return p.replica.PutLazy(r) }
