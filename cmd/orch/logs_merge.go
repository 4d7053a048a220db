package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// A merger puts the lines of several sources in the order of their times. The
// lines of one source come in order; the oldest of all is known once each source
// that is still open has a line to show.
type merger struct {
	open  map[string]bool
	lines map[string][]api.LogLine // never empty lists
}

func newMerger() *merger {
	return &merger{open: map[string]bool{}, lines: map[string][]api.LogLine{}}
}

// start makes a source one to wait for.
func (m *merger) start(source string) { m.open[source] = true }

// end says that no more lines come from a source.
func (m *merger) end(source string) { delete(m.open, source) }

func (m *merger) push(source string, line api.LogLine) {
	m.lines[source] = append(m.lines[source], line)
}

// next takes the oldest line. It has none while a source that may have an older
// one is silent, unless forced.
func (m *merger) next(forced bool) (api.LogLine, bool) {
	for source := range m.open {
		if len(m.lines[source]) == 0 && !forced {
			return api.LogLine{}, false
		}
	}
	oldest := ""
	for source, lines := range m.lines {
		first, best := lines[0].Time, time.Time{}
		if oldest != "" {
			best = m.lines[oldest][0].Time
		}
		if oldest == "" || first.Before(best) || first.Equal(best) && source < oldest {
			oldest = source
		}
	}
	if oldest == "" {
		return api.LogLine{}, false
	}
	line := m.lines[oldest][0]
	if m.lines[oldest] = m.lines[oldest][1:]; len(m.lines[oldest]) == 0 {
		delete(m.lines, oldest)
	}
	return line, true
}

// A logEvent is a line of a source, or its end.
type logEvent struct {
	task api.Task
	line api.LogLine
	end  bool
	err  error // of an end
}

// A logReader runs the sources of one command.
type logReader struct {
	*logsCommand
	c       client
	wanted  sources
	events  chan logEvent
	readers sync.WaitGroup
	merged  *merger
	begun   map[string]bool // attempts
	running int             // sources that have not ended
	good    int             // sources that ended well
	failed  error           // of the first source that did not
}

// merge prints the lines of all sources until the last has ended or, if they are
// followed, until ctx is done.
func (l *logsCommand) merge(ctx context.Context, c client, wanted sources, first []api.Task) error {
	ctx, cancel := context.WithCancel(ctx)
	r := &logReader{logsCommand: l, c: c, wanted: wanted, events: make(chan logEvent), merged: newMerger(), begun: map[string]bool{}}
	defer r.readers.Wait()
	defer cancel()
	for _, t := range first {
		r.start(ctx, t, l.options)
	}
	lag, again := readLag, (<-chan time.Time)(nil)
	if l.follow {
		lag = followLag
		look := time.NewTicker(newSources)
		defer look.Stop()
		again = look.C
	}
	tick := time.NewTicker(lag)
	defer tick.Stop()
	for r.running > 0 || again != nil {
		forced := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-r.events:
			r.take(e)
		case <-tick.C:
			forced = true
		case <-again:
			r.startNew(ctx)
		}
		if err := r.flush(forced); err != nil {
			return err
		}
	}
	if err := r.flush(true); err != nil {
		return err
	}
	if r.good == 0 && r.failed != nil {
		return said(exitCode(r.failed))
	}
	return nil
}

// start reads the log of one attempt; one that is not placed yet has none.
func (r *logReader) start(ctx context.Context, t api.Task, o api.LogOptions) {
	if r.begun[t.Attempt] {
		return
	}
	if t.Node == "" {
		if !r.follow {
			r.missing(t, errors.New("it is pending"))
		}
		return
	}
	r.begun[t.Attempt] = true
	r.merged.start(t.Attempt)
	r.running++
	r.readers.Go(func() {
		err := r.c.Logs(ctx, t.Attempt, o, func(line api.LogLine) error {
			return r.send(ctx, logEvent{task: t, line: line})
		})
		_ = r.send(ctx, logEvent{task: t, end: true, err: err}) // or nobody listens any more
	})
}

func (r *logReader) send(ctx context.Context, e logEvent) error {
	select {
	case r.events <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startNew begins with attempts that have come since, from their first line.
func (r *logReader) startNew(ctx context.Context) {
	tasks, err := r.wanted.attempts(ctx, r.c)
	if err != nil {
		return // the next look may succeed; sources that broke have been told of
	}
	for _, t := range tasks {
		r.start(ctx, t, api.LogOptions{Follow: true, Tail: -1})
	}
}

// take notes an event.
func (r *logReader) take(e logEvent) {
	if !e.end {
		if e.line.Task == "" {
			e.line.Task = e.task.ID
		}
		r.merged.push(e.task.Attempt, e.line)
		return
	}
	r.merged.end(e.task.Attempt)
	r.running--
	if e.err == nil {
		r.good++
		return
	}
	if r.failed == nil {
		r.failed = e.err
	}
	r.missing(e.task, e.err)
}

// flush prints what can be.
func (r *logReader) flush(forced bool) error {
	for {
		line, ok := r.merged.next(forced)
		if !ok {
			return nil
		}
		if err := r.print(r.env.Stdout, line); err != nil {
			return err
		}
	}
}
