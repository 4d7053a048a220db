package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

const (
	pollEvery = 150 * time.Millisecond
	lookLimit = 5 * time.Second // for one look; a node may be stuck
	// patience is how long looks may fail before the wait is given up: an agent
	// that restarts, or another node that has yet to hear of the job.
	patience = 10 * time.Second
)

// errWaitOver ends a wait that took longer than it may.
var errWaitOver = errors.New("the wait ran out")

// A look is what is known of a job at one moment.
type look struct {
	name  string
	job   api.Job
	slots []api.Task // that are wanted
	extra []api.Task // that are not, and may still run
}

// lookAt asks for a job and its tasks.
func lookAt(ctx context.Context, c client, name string) (look, error) {
	l := look{name: name}
	var err error
	if l.job, err = c.Job(ctx, name); err != nil {
		return l, err
	}
	all, err := c.Tasks(ctx, api.TaskFilter{Job: name, All: true})
	for _, t := range all {
		if t.Desired != "stopped" {
			l.slots = append(l.slots, t)
		} else if mayRun(t) {
			l.extra = append(l.extra, t)
		}
	}
	return l, err
}

// mayRun says whether t may have a copy that could still be stopped. That of a
// lost task cannot: its node is dead as far as anyone knows.
func mayRun(t api.Task) bool {
	return !t.State.Final() && t.State != api.Pending && t.State != api.Lost
}

// A verdict is what a look means to somebody who waits.
type verdict int

const (
	going   verdict = iota // something is under way
	reached                // all is as asked
	stuck                  // nothing is under way, and no node takes what is open
	failed                 // nothing is under way, and something failed
	ended                  // somebody stopped the job meanwhile
)

// judge says how far a job that is wanted has come. The tasks of a restart must
// have another template than those in old: a copy of an old one that still runs
// is yet to be replaced. A batch job is as asked when complete.
func judge(l look, old map[string]bool) verdict {
	if isStopped(l) {
		return ended
	}
	batch := l.job.Type == api.BatchJob
	refused, bad, rolling, stays, templates := 0, 0, 0, 0, map[string]bool{}
	busy := l.job.Replicas - len(l.slots) + len(l.extra)
	for _, t := range l.slots {
		templates[t.TemplateHash] = true
		switch {
		case isDone(l.job, t) && (batch || !old[t.TemplateHash]):
		case isDone(l.job, t):
			rolling++ // waits for its turn, which does not come while others fail
			if t.Stays != "" {
				stays++
			}
		case t.State == api.Failed, t.State == api.Pending && t.Failures > 0:
			if old[t.TemplateHash] {
				busy++ // what failed is to be replaced
			} else {
				bad++
			}
		case t.State == api.Pending && t.Reason != "":
			refused++
		default:
			busy++
		}
	}
	switch {
	case busy > 0:
		return going
	case bad > 0:
		return failed
	case rolling > stays:
		return going
	case stays > 0:
		return stuck // each has had its turn, and no node takes it as it is to be
	case refused > 0:
		return stuck
	case !batch && len(old) > 0 && len(templates) > 1:
		return going // two restarts in a row: the earlier one still rolls
	}
	return reached
}

// isStopped says whether the job is kept, but not wanted.
func isStopped(l look) bool { return l.job.Status != nil && l.job.Status.State == api.JobStopped }

// isDone says whether t is in the state that a task of job is wanted in.
func isDone(job api.Job, t api.Task) bool {
	if job.Type == api.BatchJob {
		return t.State == api.Complete
	}
	return t.State == api.Running
}

// mark tells whether tasks are the same and have not been restarted since.
func mark(l look) string {
	var b strings.Builder
	for _, t := range l.slots {
		fmt.Fprintf(&b, "%s %d ", t.Attempt, t.Restarts)
	}
	return b.String()
}

// A wait says how to wait for a job.
type wait struct {
	env      *Env
	c        client
	timeout  time.Duration // 0 is no limit
	stable   time.Duration // how long all must run before that counts
	forRoom  bool          // no room is no reason to end
	progress *progress
}

// judged looks until a verdict stands. stuck and failed must be seen twice in a
// row: between two attempts a slot looks so for a moment.
func (w *wait) judged(ctx context.Context, name string, old map[string]bool) (l look, v verdict, err error) {
	var last verdict
	var since time.Time
	var was string
	err = w.poll(ctx, func(ctx context.Context) (bool, error) {
		fresh, err := lookAt(ctx, w.c, name)
		if err != nil {
			return false, err
		}
		l, v = fresh, judge(fresh, old)
		w.progress.update(ctx, l)
		twice := v == last
		last = v
		switch v {
		case ended:
			return true, nil
		case failed:
			return twice, nil
		case stuck:
			return twice && !w.forRoom, nil
		case reached:
			now := w.env.Now()
			if m := mark(l); !twice || m != was {
				since, was = now, m
			}
			return l.job.Type == api.BatchJob || now.Sub(since) >= w.stable, nil
		}
		return false, nil
	})
	return l, v, err
}

// gone looks until no task under the name may still run, and returns the last
// look. Tasks of a later life, a new job of that name, do not count; life 0 is any.
func (w *wait) gone(ctx context.Context, name string, life int64) (look, error) {
	l := look{name: name}
	err := w.poll(ctx, func(ctx context.Context) (bool, error) {
		left, err := w.c.Tasks(ctx, api.TaskFilter{Job: name, All: true})
		if err != nil && api.CodeOf(err) != api.JobNotFound { // that is as gone as can be
			return false, err
		}
		l.extra = slices.DeleteFunc(left, func(t api.Task) bool { return !mayRun(t) || life != 0 && t.Life > life })
		w.progress.update(ctx, l)
		return len(l.extra) == 0, nil
	})
	return l, err
}

// poll calls once at once and then steadily until it is done, the time is up
// (errWaitOver), ctx is done, or it has only failed for too long.
func (w *wait) poll(ctx context.Context, once func(context.Context) (bool, error)) error {
	limited := ctx
	if w.timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var failing time.Time
	for {
		one, cancel := context.WithTimeout(limited, lookLimit)
		done, err := once(one)
		cancel()
		switch now := w.env.Now(); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && done:
			return nil
		case limited.Err() != nil:
			return errWaitOver
		case err == nil:
			failing = time.Time{}
		case failing.IsZero():
			failing = now
		case now.Sub(failing) >= patience:
			return err
		}
		select {
		case <-limited.Done():
		case <-tick.C:
		}
	}
}
