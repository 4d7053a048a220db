// Package fake is a driver that runs nothing: an engine in memory that does what a
// script says. It serves tests and simulations.
//
// Invariants: time passes only through package time and there is no I/O, so it
// works in a testing/synctest bubble; IDs depend on nothing but how often an attempt
// was started, so the same calls at the same times give the same history. A Driver
// is the engine, not the agent's part of it: an agent that starts anew is handed the
// same Driver and finds its containers there.
package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// Behaviour is what becomes of one start. The zero value starts at once, runs until
// it is stopped, and stops at once with code 143.
type Behaviour struct {
	PullTakes  time.Duration // how long fetching the image takes, if it must be fetched
	PullErr    error         // what Start fails with instead of having fetched it
	StartTakes time.Duration // until it runs
	StartErr   error         // what Start fails with instead
	HangStart  bool          // Start ends only with its context, or when stopped
	Detached   bool          // when Start's context ends within StartTakes, the engine starts it all the same

	Ends     bool          // it ends by itself
	RunFor   time.Duration // after that
	ExitCode int           // with this code

	StopTakes time.Duration // how long it takes to end when asked; at most the grace
	HangStop  bool          // neither asking nor killing ends it: Stop ends only with its context

	Output []string // lines that it writes to stdout when it starts
}

// Event names what happened to a container.
type Event string

// The events. Between Ran and Ended a container runs.
const (
	Starting Event = "starting" // Start was called
	Ran      Event = "ran"
	Stopping Event = "stopping" // Stop was called
	Ended    Event = "ended"    // for whatever reason
	Gone     Event = "gone"     // removed, vanished, replaced, or failed to start
)

// Entry is one line of a Driver's history.
type Entry struct {
	At     time.Time
	Event  Event
	ID     string
	Labels runtime.Labels
}

// Driver is an engine in memory. Script must be set before the first Start, if at
// all, and must depend on nothing but its argument to keep a run repeatable.
type Driver struct {
	Script func(runtime.Spec) Behaviour // nil: always the zero Behaviour

	node    api.NodeID
	cluster string

	mu         sync.Mutex // guards the next five and every container
	fault      error
	absent     map[string]bool // images that are not here
	starts     map[string]int  // how often an attempt was started
	containers map[string]*container
	history    []Entry

	watchMu  sync.Mutex // guards watchers, and is held while they are called
	watchers map[*func()]bool
}

// container is one container; the driver's mutex guards it.
type container struct {
	runtime.Container
	does  Behaviour
	timer *time.Timer   // of its own end; nil when it has none
	ended chan struct{} // closed when it does not run any more
}

var _ runtime.Driver = (*Driver)(nil)

// New returns an engine without containers, on which every image is present.
func New(node api.NodeID, cluster string) *Driver {
	return &Driver{
		node: node, cluster: cluster,
		absent: map[string]bool{}, starts: map[string]int{},
		containers: map[string]*container{}, watchers: map[*func()]bool{},
	}
}

// Name is "fake".
func (d *Driver) Name() string { return "fake" }

// Check returns what SetFault has set.
func (d *Driver) Check(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fault
}

// SetFault makes Check fail with err from now on; nil ends that.
func (d *Driver) SetFault(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = err
}

// SetImage says whether image is here. A pull puts it there.
func (d *Driver) SetImage(image string, present bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.absent[image] = !present
}

// HasImage is true unless SetImage said otherwise.
func (d *Driver) HasImage(image string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.absent[image]
}

// History returns all that has happened since New, oldest first. Nothing of it is
// ever dropped.
func (d *Driver) History() []Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.history)
}

// Kill ends a running container behind everybody's back, as an operator's kill or a
// crash would. It says whether there was one to end.
func (d *Driver) Kill(id string, exitCode int) bool {
	defer d.notify()
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.containers[id]
	return c != nil && d.end(c, exitCode)
}

// Vanish takes a container away without a trace, running or not, as a wiped engine
// would. It says whether there was one.
func (d *Driver) Vanish(id string) bool {
	defer d.notify()
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.containers[id]
	if c == nil {
		return false
	}
	d.end(c, -1)
	d.forget(c)
	return true
}

// List returns all containers, sorted by ID.
func (d *Driver) List(ctx context.Context) ([]runtime.Container, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]runtime.Container, 0, len(d.containers))
	for _, c := range d.containers {
		list = append(list, c.Container)
	}
	slices.SortFunc(list, func(a, b runtime.Container) int { return cmp.Compare(a.ID, b.ID) })
	return list, ctx.Err()
}

// Watch calls changed once, for what was before, and after every change of state
// until ctx ends.
func (d *Driver) Watch(ctx context.Context, changed func()) error {
	d.watchMu.Lock()
	d.watchers[&changed] = true
	changed()
	d.watchMu.Unlock()
	<-ctx.Done()
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	delete(d.watchers, &changed)
	return nil
}

// notify tells the watchers. The caller does not have the mutex, so that they may
// look at once.
func (d *Driver) notify() {
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	for changed := range d.watchers {
		(*changed)()
	}
}

// note adds to the history. The caller has the mutex.
func (d *Driver) note(e Event, c *container) {
	d.history = append(d.history, Entry{At: time.Now(), Event: e, ID: c.ID, Labels: c.Labels})
}

// end ends c with code, unless it has ended. The caller has the mutex.
func (d *Driver) end(c *container, code int) bool {
	if c.State == runtime.Exited {
		return false
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.State, c.ExitCode, c.FinishedAt = runtime.Exited, code, time.Now()
	if code > 128 {
		c.Reason = fmt.Sprintf("killed by signal %d", code-128)
	}
	close(c.ended)
	d.note(Ended, c)
	return true
}

// forget takes c off the list. The caller has the mutex.
func (d *Driver) forget(c *container) {
	delete(d.containers, c.ID)
	d.note(Gone, c)
}

// Remove forgets an exited container.
func (d *Driver) Remove(_ context.Context, id string) error {
	defer d.notify()
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.containers[id]
	switch {
	case c == nil:
		return fmt.Errorf("remove %.80q: %w", id, runtime.ErrNotFound)
	case c.State != runtime.Exited:
		return fmt.Errorf("remove %s: it runs; stop it first", id)
	}
	d.forget(c)
	return nil
}

// Stop asks, waits as the script says, and kills after grace.
func (d *Driver) Stop(ctx context.Context, id string, grace time.Duration) error {
	d.mu.Lock()
	c := d.containers[id]
	if c == nil {
		d.mu.Unlock()
		return fmt.Errorf("stop %.80q: %w", id, runtime.ErrNotFound)
	}
	over := c.State == runtime.Exited
	if !over {
		d.note(Stopping, c)
	}
	d.mu.Unlock()
	if over {
		return nil
	}
	takes, code := c.does.StopTakes, 128+15
	if takes > grace {
		takes, code = grace, 128+9
	}
	var patience <-chan time.Time // never, if it hangs
	if !c.does.HangStop {
		t := time.NewTimer(takes)
		defer t.Stop()
		patience = t.C
	}
	select {
	case <-c.ended:
	case <-patience:
		d.mu.Lock()
		d.end(c, code)
		d.mu.Unlock()
		d.notify()
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", id, ctx.Err())
	}
	return nil
}

// Logs gives the script's output. All of it was written when the container started.
func (d *Driver) Logs(ctx context.Context, id string, o api.LogOptions, each func(api.LogLine) error) error {
	d.mu.Lock()
	c := d.containers[id]
	if c == nil {
		d.mu.Unlock()
		return fmt.Errorf("logs of %.80q: %w", id, runtime.ErrNotFound)
	}
	at, lines := c.StartedAt, c.does.Output
	d.mu.Unlock()
	if at.IsZero() || at.Before(o.Since) || !o.Until.IsZero() && at.After(o.Until) || len(o.Streams) > 0 && !slices.Contains(o.Streams, "stdout") {
		lines = nil
	}
	if o.Tail >= 0 {
		lines = lines[max(0, len(lines)-o.Tail):]
	}
	for _, line := range lines {
		if err := each(api.LogLine{Time: at, Stream: "stdout", Line: line}); err != nil {
			return err
		}
	}
	if !o.Follow {
		return nil
	}
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errPullNever is why an absent image is not fetched.
var errPullNever = errors.New(`it is not here, and pull is "never"`)
