package peer

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Limits of what is kept of events.
const (
	maxEvents     = 10_000
	maxEventBytes = 8 << 20
	eventBatch    = 128              // events that a reader takes at a time
	markEvery     = 15 * time.Second // how long a reader is left without a word
	eventHead     = 256              // about what an event takes beside its texts
)

// eventLog keeps the latest events of this boot in memory. Readers have nothing in
// it but a number: one that is too slow finds what it wanted gone, and nobody waits
// for it.
type eventLog struct {
	boot    string
	started time.Time
	news    pulse

	mu    sync.Mutex  // guards what follows
	kept  []api.Event // oldest first
	last  uint64      // number of the newest; numbers begin at 1
	bytes int
}

func newEventLog(boot string) *eventLog { return &eventLog{boot: boot} }

// add keeps an event, numbered, and forgets the oldest if there are too many.
func (l *eventLog) add(now time.Time, events ...api.Event) {
	if len(events) == 0 {
		return
	}
	l.mu.Lock()
	for _, e := range events {
		l.last++
		e.ID, e.Seen, e.MonoNS = l.id(l.last), now.UTC(), now.Sub(l.started).Nanoseconds()
		if e.Time = e.Time.UTC(); e.Time.IsZero() || e.Time.UnixMilli() == 0 {
			e.Time = e.Seen
		}
		l.kept = append(l.kept, e)
		l.bytes += eventSize(e)
	}
	over := 0
	for len(l.kept)-over > maxEvents || l.bytes > maxEventBytes {
		l.bytes -= eventSize(l.kept[over])
		over++
	}
	l.kept = l.kept[over:] // the array is left behind when it is full; readers may be in it
	l.mu.Unlock()
	l.news.beat()
}

func eventSize(e api.Event) int {
	return eventHead + len(e.Message) + len(e.Job) + len(e.Task) + len(e.Node) + len(e.NodeName) + len(e.ID) + len(e.UID)
}

func (l *eventLog) id(n uint64) string { return l.boot + "." + strconv.FormatUint(n, 10) }

// begin is the number of the last event that a reader does not want any more, and
// whether it has missed some. Since is about what is kept by now.
func (l *eventLog) begin(f api.EventFilter) (at uint64, missed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.last - uint64(len(l.kept))
	if f.After != "" {
		boot, seq, _ := strings.Cut(f.After, ".")
		n, err := strconv.ParseUint(seq, 10, 64)
		if boot == l.boot && err == nil && n >= oldest && n <= l.last {
			return n, false
		}
		missed = true
	}
	if f.Since.IsZero() && f.Follow {
		return l.last, missed
	}
	for at = oldest; at < l.last && l.kept[at-oldest].Time.Before(f.Since); at++ {
	}
	return at, missed
}

// read returns the next few events after a number that are selected, and the number
// up to which it has looked. It is false if the reader is too late for some.
func (l *eventLog) read(at uint64, selects func(*api.Event) bool) (some []api.Event, upto uint64, ok bool) {
	l.mu.Lock()
	kept, last := l.kept, l.last // what is in it does not change
	l.mu.Unlock()
	oldest := last - uint64(len(kept))
	if at < oldest {
		return nil, last, false
	}
	for ; at < last && len(some) < eventBatch; at++ {
		if e := &kept[at-oldest]; selects(e) {
			some = append(some, *e)
		}
	}
	return some, at, true
}

// selector says whether f wants an event. Of a thousand readers most want little, so
// it is quick to say no.
func selector(f api.EventFilter) func(*api.Event) bool {
	types := map[api.EventType]bool{}
	for _, t := range api.EventTypes() {
		types[t] = f.HasType(t)
	}
	return func(e *api.Event) bool {
		switch {
		case !types[e.Type], f.Job != "" && f.Job != e.Job:
			return false
		case f.Task != "" && f.Task != e.Task && f.Task != e.Attempt():
			return false
		}
		return f.Node == "" || isNode(f.Node, e.Node, e.NodeName) || beginsNode(f.Node, e.Node)
	}
}

// follow hands each what f selects, see api.Service.
func (l *eventLog) follow(ctx context.Context, f api.EventFilter, each func(api.Event) error) error {
	at, missed := l.begin(f)
	if missed {
		if err := each(l.about(api.EventReset, at, "events were missed: list again")); err != nil {
			return err
		}
	} else if f.Follow {
		if err := each(l.about(api.EventMark, at, "")); err != nil {
			return err
		}
	}
	selects, quiet := selector(f), time.NewTimer(markEvery)
	defer quiet.Stop()
	for {
		news := l.news.wait()
		some, upto, ok := l.read(at, selects)
		if !ok {
			return each(l.about(api.EventReset, upto, "the reader was too slow, and events were missed: list again"))
		}
		for _, e := range some {
			if err := each(e); err != nil {
				return err
			}
			quiet.Reset(markEvery)
		}
		at = upto
		if len(some) == eventBatch {
			continue
		}
		if !f.Follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		case <-quiet.C:
			if err := each(l.about(api.EventMark, at, "")); err != nil {
				return err
			}
			quiet.Reset(markEvery)
		}
	}
}

// about is an event of the stream itself, at a place in it.
func (l *eventLog) about(t api.EventType, at uint64, message string) api.Event {
	now := time.Now()
	return api.Event{ID: l.id(at), Type: t, Time: now.UTC(), Seen: now.UTC(), MonoNS: now.Sub(l.started).Nanoseconds(), Message: message}
}
