package peer

import (
	"time"

	"github.com/exitae337/orchestergo/api"
)

// A logMerge puts the lines of several sources in the order of their times. It
// holds one line of each: a source waits until its line was taken, so neither a
// slow reader nor a fast writer costs memory or a line.
type logMerge struct{ open []*logSource }

// logSource is one run of a task's program, whose lines come in order.
type logSource struct {
	task  logTask
	taken chan struct{} // its line was taken: it may hand over the next

	line  api.LogLine
	full  bool      // it has a line
	until time.Time // while it has none, those of others wait for its next until then
	last  time.Time // of the line before
	good  bool      // its node answered
	broke bool      // its node went, and may come back
	again bool      // it is the same run once more, after that
}

// next is the source with the oldest line, once no other may come up with an older
// one. Until then it says how long at most that can take; 0 is for ever.
func (m *logMerge) next(now time.Time) (first *logSource, wait time.Duration) {
	for _, s := range m.open {
		switch {
		case !s.full:
			wait = max(wait, s.until.Sub(now))
		case first == nil || s.line.Time.Before(first.line.Time):
			first = s
		}
	}
	if first == nil {
		return nil, 0
	}
	if wait > 0 {
		return nil, wait
	}
	return first, 0
}
