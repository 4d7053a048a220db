package gossip

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Places bounds what is served at once: so much in all, and so much for one peer,
// so that none can take the places of the others.
type Places struct {
	all, each int

	mu    sync.Mutex
	total int
	of    map[peer.ID]int
}

// NewPlaces makes places for all, of which one peer gets each at the most.
func NewPlaces(all, each int) *Places {
	return &Places{all: all, each: each, of: make(map[peer.ID]int)}
}

// Take takes a place for id, if there is one. Who has taken it gives it back by
// Leave.
func (p *Places) Take(id peer.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total == p.all || p.of[id] == p.each {
		return false
	}
	p.total++
	p.of[id]++
	return true
}

// Leave gives a place of id back.
func (p *Places) Leave(id peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.of[id]--; p.of[id] == 0 {
		delete(p.of, id)
	}
}
