package process

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exitae337/orchestergo/runtime"
)

// Stop sends SIGTERM to the process group of the attempt and, when grace is over,
// SIGKILL to whatever is left of it.
func (d *Driver) Stop(ctx context.Context, id string, grace time.Duration) error {
	a, err := d.load(id)
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if d.look(ctx, a).State == runtime.Exited {
		return nil
	}
	d.mu.Lock()
	h := d.hold(id)
	if until := time.Now().Add(grace); h.grace.IsZero() || until.Before(h.grace) {
		h.grace = until // of several, the one with the least patience counts
	}
	left, child := time.Until(h.grace), h.child
	d.mu.Unlock()
	if left > 0 && a.leader.alive() {
		_ = unix.Kill(-a.leader.PID, unix.SIGTERM) // that it has ended meanwhile is seen below
	}
	ctx, cancel := context.WithCancel(ctx)
	fault := make(chan error, 1)
	var minder sync.WaitGroup
	defer minder.Wait()
	defer cancel()
	if !child { // nobody waits for it: do so while this takes
		minder.Go(func() {
			if _, err := d.mind(ctx, a); err != nil {
				fault <- err
			}
		})
	}
	patience := time.NewTimer(left)
	defer patience.Stop()
	for {
		select {
		case <-h.ended:
			return nil
		case err = <-fault:
		case <-ctx.Done():
			err = ctx.Err()
		case <-patience.C:
			_, err = d.kill(a, h)
		}
		if err != nil {
			return fmt.Errorf("stop %s: %w", a.labels.Task(), err)
		}
	}
}

// mind waits until the wrapper has ended, and makes an end of the attempt.
func (d *Driver) mind(ctx context.Context, a attempt) (*ending, error) {
	if err := awaitDeath(ctx, a.leader); err != nil {
		return nil, err
	}
	return d.finish(ctx, a, nil)
}

// finish makes an end of an attempt whose wrapper has ended: it kills what is left
// of it, after the grace that Stop has given, and writes down how it ended. saw is
// what its parent saw, or nil. Any number may call it; all get the same answer. An
// error means that something of it may live.
func (d *Driver) finish(ctx context.Context, a attempt, saw *ending) (*ending, error) {
	d.mu.Lock()
	h := d.hold(a.id)
	d.mu.Unlock()
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now, err := d.load(a.id)
	if err != nil {
		return nil, err
	}
	if !now.leader.same(a.leader) {
		return nil, errors.New("it was started again meanwhile")
	}
	if now.end != nil { // another was before us
		d.mu.Lock()
		d.forget(a.id, h)
		d.mu.Unlock()
		d.notify()
		return now.end, nil
	}
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		left, err := d.rest(a, h)
		if err != nil {
			return nil, err
		}
		if left == 0 {
			break
		}
		if !sleep(ctx, pause) {
			return nil, ctx.Err()
		}
	}
	d.mu.Lock()
	if h.killed && saw == nil {
		end := endOf(128 + int(unix.SIGKILL))
		saw = &end
	}
	d.mu.Unlock()
	end := a.ending(saw)
	if err := writeJSON(filepath.Join(a.dir, endFile), end); err != nil {
		d.cfg.Log.WithError(err).WithField("task", a.labels.Task().String()).Error("cannot write down how a task ended")
	}
	d.mu.Lock()
	d.forget(a.id, h)
	d.mu.Unlock()
	d.notify()
	return &end, nil
}

// rest kills what is left of a, unless its grace lasts, and says how much there was.
func (d *Driver) rest(a attempt, h *hold) (int, error) {
	d.mu.Lock()
	wait := time.Now().Before(h.grace)
	seen := h.seen
	d.mu.Unlock()
	if wait {
		left, err := members(a, seen)
		return len(left), err
	}
	return d.kill(a, h)
}

// kill sends SIGKILL to all that is of a, and says how many processes that were.
func (d *Driver) kill(a attempt, h *hold) (int, error) {
	d.mu.Lock()
	seen := h.seen
	d.mu.Unlock()
	left, err := members(a, seen)
	if err != nil {
		return 0, err
	}
	var faults []error
	for _, p := range left {
		if p.pid == a.leader.PID {
			d.mu.Lock()
			h.killed = true
			d.mu.Unlock()
		}
		if p.group == a.leader.PID && p.session == a.leader.PID {
			_ = unix.Kill(-p.group, unix.SIGKILL) // all at once, so that none can fork away
		}
		if err := unix.Kill(p.pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			faults = append(faults, fmt.Errorf("kill process %d: %w", p.pid, err))
		}
	}
	return len(left), errors.Join(faults...)
}

// members are the living processes of a: those of its session, and those that have
// its directory in their environment. The number of a session is not given to a new
// process while the session has one; so with the wrapper alive, or dead and its
// number free, it is a's session. In the latter case another may have had the number
// in between and left a session behind as well: then only seen, that we saw the
// wrapper alive, makes it a's.
func members(a attempt, seen bool) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	seen = seen && a.leader.PID > 0
	for _, p := range all {
		if p.pid == a.leader.PID {
			seen = p.stamp == a.leader.Stamp
		}
	}
	var ours []process
	for _, p := range all {
		if !p.zombie && (p.session == a.leader.PID && seen || carries(p.pid, a.dir)) {
			ours = append(ours, p)
		}
	}
	return ours, nil
}
