package peer

import (
	"fmt"

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

// LastAuction is the id of the last auction that this node held about a slot, or "".
func (p *Peer) LastAuction(k SlotKey) string {
	s, _ := p.auctioneer.Sheets().Latest(k.Job, k.Life, k.Slot)
	return s.ID
}
