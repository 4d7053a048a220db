package peer

import (
	"sync"
	"time"
)

// pulseEvery is the least time between two beats.
const pulseEvery = 50 * time.Millisecond

// A pulse wakes any number of waiters when something changed: the first change at
// once, those that follow closely with one beat together, so that a thousand
// waiters cost no more than twenty rounds a second however much happens.
type pulse struct {
	mu   sync.Mutex    // guards what follows
	next chan struct{} // closed by the next beat; nil while nobody waits
	last time.Time     // of the last beat
	due  bool          // a beat is coming
}

// wait returns what is closed at the next beat. Whoever waits asks for it before
// looking at what may change.
func (p *pulse) wait() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = make(chan struct{})
	}
	return p.next
}

// beat says that something changed.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil || p.due {
		return
	}
	if early := pulseEvery - time.Since(p.last); early > 0 {
		p.due = true
		time.AfterFunc(early, p.fire)
		return
	}
	p.fireLocked()
}

func (p *pulse) fire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fireLocked()
}

func (p *pulse) fireLocked() {
	if p.next != nil {
		close(p.next)
	}
	p.next, p.due, p.last = nil, false, time.Now()
}
