package sim

import (
	"container/heap"
	"time"
)

// event is something that happens at a time. Of two at the same time the one that
// was put first happens first.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return x
}

// queue is the time of a run and what happens in it.
type queue struct {
	now    time.Duration // since the run began
	seq    uint64
	events events
	done   int // events so far
}

// after has do happen in d.
func (q *queue) after(d time.Duration, do func()) {
	q.seq++
	heap.Push(&q.events, event{at: q.now + max(d, 0), seq: q.seq, do: do})
}

// runUntil lets everything up to end happen, with check after each.
func (q *queue) runUntil(end time.Duration, check func() bool) bool {
	for len(q.events) > 0 && q.events[0].at <= end {
		e := heap.Pop(&q.events).(event)
		q.now = e.at
		e.do()
		q.done++
		if !check() {
			return false
		}
	}
	q.now = end
	return true
}
