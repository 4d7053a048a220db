package peer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Timing and limits of logs.
const (
	sourceWait   = dataWait               // how long the lines of others wait for the first of a source
	followLag    = 250 * time.Millisecond // and, when following, for each further one
	newRuns      = 500 * time.Millisecond // how often what is followed is looked at for new attempts, if it has changed
	newRunsMost  = 10                     // or else after so many times
	untilGrace   = 500 * time.Millisecond // for lines written just before following ends
	maxSources   = 256                    // read at once
	maxLogFaults = 8                      // told of in one error
)

// logReader reads the logs that one caller asked for.
type logReader struct {
	p       *Peer
	names   []api.TaskID // Index -1 is a whole job
	options api.LogOptions
	each    func(api.LogLine) error

	events  chan logEvent
	readers sync.WaitGroup
	merge   logMerge
	begun   map[string]*logSource // by run
	more    bool                  // what is named may begin further runs
	seen    string                // revision of what is named when it was looked at
	skipped int                   // times that it was the same
	good    bool                  // a source was read: faults are told beside its lines
	faults  []api.LogLine         // held back: if no source can be read, they are the answer
}

// A logEvent is a line of a source, its end, or neither: it was reached.
type logEvent struct {
	source *logSource
	line   *api.LogLine
	end    bool
	err    error // of an end
}

// Logs streams what tasks wrote, see api.Service.
func (p *Peer) Logs(ctx context.Context, names []string, o api.LogOptions, each func(api.LogLine) error) error {
	r := &logReader{p: p, options: o, each: each, events: make(chan logEvent), begun: map[string]*logSource{}}
	for _, name := range names {
		id, err := api.ParseTaskID(name)
		if api.ValidJobName(name) {
			id, err = api.TaskID{Job: name, Index: -1}, nil
		}
		if err != nil {
			return err
		}
		r.names = append(r.names, id)
	}
	r.seen = r.revision()
	tasks, err := r.look(true)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer r.readers.Wait()
	defer cancel()
	if o.Follow && !o.Until.IsZero() {
		inner, done := context.WithDeadline(ctx, o.Until.Add(untilGrace))
		defer done()
		if err := r.run(inner, tasks); ctx.Err() != nil || inner.Err() == nil {
			return err
		}
		return nil
	}
	return r.run(ctx, tasks)
}

// run hands over lines until there are no more.
func (r *logReader) run(ctx context.Context, tasks []logTask) error {
	if err := r.begin(ctx, tasks); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var again <-chan time.Time
	if r.options.Follow {
		tick := time.NewTicker(newRuns)
		defer tick.Stop()
		again = tick.C
	}
	for {
		if err := r.drain(); err != nil {
			return err
		}
		first, wait := r.merge.next(time.Now())
		if first != nil {
			if err := r.show(first); err != nil {
				return err
			}
			continue
		}
		if len(r.merge.open) == 0 && (!r.more || !r.options.Follow) {
			return r.end()
		}
		timer.Stop()
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-r.events:
			if err := r.take(e); err != nil {
				return err
			}
		case <-timer.C:
		case <-again:
			if err := r.join(ctx); err != nil {
				return err
			}
		}
	}
}

// drain takes what sources have sent while a line was shown.
func (r *logReader) drain() error {
	for {
		select {
		case e := <-r.events:
			if err := r.take(e); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// show hands over the line of s, and lets s send the next meanwhile.
func (r *logReader) show(s *logSource) error {
	line := s.line
	s.full, s.last = false, line.Time
	s.taken <- struct{}{}
	err := r.each(line)
	s.until = time.Now().Add(r.lag())
	return err
}

func (r *logReader) lag() time.Duration {
	if r.options.Follow {
		return followLag
	}
	return sourceWait
}

// take notes an event.
func (r *logReader) take(e logEvent) error {
	s := e.source
	if !e.end {
		if s.good = true; e.line != nil {
			s.line, s.full = *e.line, true
		} else {
			s.until = time.Now().Add(r.lag())
		}
		return r.reached()
	}
	r.merge.open = slices.DeleteFunc(r.merge.open, func(o *logSource) bool { return o == s })
	switch code := api.CodeOf(e.err); {
	case e.err == nil:
		return r.reached()
	case code == api.TaskNotFound && s.task.quiet:
		return nil
	case code == api.NodeUnreachable:
		s.broke, e.err = true, unreachable()
	}
	if s.again && !s.good {
		return nil // this was told when it went
	}
	return r.fault(s.task, asAPIError(e.err))
}

func unreachable() *api.Error { return api.Errorf(api.NodeUnreachable, "node unreachable") }

// reached notes that a source can be read.
func (r *logReader) reached() error {
	r.good = true
	return r.tell()
}

// fault tells that lines of a task are missing.
func (r *logReader) fault(t logTask, err *api.Error) error {
	r.faults = append(r.faults, api.LogLine{Task: t.id.Slot(), Epoch: t.id.Epoch, Node: t.name, Fault: err})
	if r.good || r.options.Follow && r.more {
		return r.tell()
	}
	return nil
}

func (r *logReader) tell() error {
	for _, l := range r.faults {
		if err := r.each(l); err != nil {
			return err
		}
	}
	r.faults = nil
	return nil
}

// ofNode names the node of a fault that does not say which it is.
func ofNode(l api.LogLine) *api.Error {
	if l.Fault.Code != api.NodeUnreachable || l.Node == "" {
		return l.Fault
	}
	named := *l.Fault
	named.Detail = l.Node + ": " + named.Detail
	return &named
}

// end is the answer when there is nothing more to read.
func (r *logReader) end() error {
	switch {
	case len(r.faults) == 0:
		return nil
	case len(r.faults) == 1:
		return ofNode(r.faults[0])
	}
	var all []string
	for i, l := range r.faults {
		if i == maxLogFaults {
			all = append(all, fmt.Sprintf("and %d more", len(r.faults)-i))
			break
		}
		all = append(all, fmt.Sprintf("%s: %s", l.Task, ofNode(l).Detail))
	}
	return api.Errorf(r.faults[0].Fault.Code, "%s", strings.Join(all, "; "))
}

// begin reads the runs that are there when the caller asks.
func (r *logReader) begin(ctx context.Context, tasks []logTask) error {
	var waiting []logTask
	for _, t := range tasks {
		if t.run == "" {
			waiting = append(waiting, t)
		} else if len(r.begun) < maxSources {
			if err := r.start(ctx, t, r.options); err != nil {
				return err
			}
		}
	}
	if n := len(tasks) - len(waiting); n > maxSources {
		r.good = true
		err := api.Errorf(api.TooLarge, "%d of %d tasks are read at once: name some of them", maxSources, n)
		if err := r.fault(logTask{id: tasks[0].id, name: r.p.cfg.Name}, err); err != nil {
			return err
		}
	}
	if len(waiting) == 0 || r.options.Follow && r.more {
		return nil
	}
	t, why := waiting[0], fmt.Sprintf("it is %s", waiting[0].state)
	if more := len(waiting) - 1; more > 0 {
		why += fmt.Sprintf(", and %d more have not run yet", more)
	}
	r.good = r.good || len(tasks) > 1
	return r.fault(t, api.Errorf(api.TaskNotFound, "%s", why))
}

// join begins with the runs that have come since, from their first line, and with
// those of nodes that are back, from where they broke off.
func (r *logReader) join(ctx context.Context) error {
	now := r.revision()
	if r.skipped++; now == r.seen && r.skipped < newRunsMost {
		return nil // a thousand readers must not hold the node's lock for nothing
	}
	r.seen, r.skipped = now, 0
	tasks, err := r.look(false)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		old := r.begun[t.run]
		if t.run == "" || len(r.merge.open) >= maxSources || old != nil && !(old.broke && t.alive) {
			continue
		}
		o := r.options
		o.Tail = -1
		if old != nil && !old.last.IsZero() {
			o.Since = old.last.Add(1)
		}
		if err := r.start(ctx, t, o); err != nil {
			return err
		}
	}
	return nil
}

// revision changes when something about what is named does.
func (r *logReader) revision() string {
	var b strings.Builder
	for _, id := range r.names {
		b.WriteString(r.p.revisions.of(id.Job))
	}
	return b.String()
}

// start reads one run, unless its node is dead: then it says so at once.
func (r *logReader) start(ctx context.Context, t logTask, o api.LogOptions) error {
	s := &logSource{task: t, taken: make(chan struct{}, 1), until: time.Now().Add(sourceWait)}
	if old := r.begun[t.run]; old != nil {
		s.again, s.last = true, old.last
	}
	r.begun[t.run] = s
	if !t.alive {
		s.broke = true
		if t.quiet {
			return nil
		}
		return r.fault(t, unreachable())
	}
	r.merge.open = append(r.merge.open, s)
	r.readers.Go(func() {
		err := r.p.readLog(ctx, t, o, func(l *api.LogLine) error {
			err := r.send(ctx, logEvent{source: s, line: l})
			if err != nil || l == nil {
				return err
			}
			select {
			case <-s.taken:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		_ = r.send(ctx, logEvent{source: s, end: true, err: err}) // or nobody listens any more
	})
	return nil
}

func (r *logReader) send(ctx context.Context, e logEvent) error {
	select {
	case r.events <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
