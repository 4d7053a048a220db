package peer

import (
	"context"
	"errors"
	"maps"
	stdruntime "runtime"
	"strconv"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/runtime"
)

// Timing of operations on containers.
const (
	engineWait  = 10 * time.Second       // for an engine to answer a question
	pullReports = 10 * time.Second       // between two records about one pull
	startQuick  = 500 * time.Millisecond // a start that takes longer is told of
)

// op is something being done to the containers of a slot.
type op struct {
	n      int // how many such
	epoch  uint64
	cancel context.CancelFunc // of a start; nil otherwise
}

// maxStarts bounds attempts being started at once. An engine makes best use of the
// machine with some four for each core (BenchmarkDockerForty).
func maxStarts() int { return 4 * stdruntime.NumCPU() }

// occupy marks a slot as busy. Lock held.
func (c *core) occupy(k SlotKey, epoch uint64, cancel context.CancelFunc) {
	o := c.busy[k]
	if o == nil {
		o = &op{}
		c.busy[k] = o
	}
	o.n++
	if cancel != nil {
		o.epoch, o.cancel = epoch, cancel
	}
}

// release undoes occupy, after the list of containers was brought up to date.
func (p *Peer) release(ctx context.Context, k SlotKey) {
	p.list(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free(k)
}

// free undoes one occupy. Lock held.
func (c *core) free(k SlotKey) {
	if o := c.busy[k]; o != nil {
		if o.n--; o.n == 0 {
			delete(c.busy, k)
		}
	}
}

// cancelStale ends starts that nobody wants any more. Lock held.
func (c *core) cancelStale() {
	for k, o := range c.busy {
		if o.cancel == nil {
			continue
		}
		a, j := c.index.slot(k), c.index.jobs[k.Job]
		if !c.index.canRead(k.Job) {
			continue
		}
		if j == nil || j.Life() != k.Life || !j.Wants(k.Slot) || a == nil || a.Owner() != c.id || a.Epoch() != o.epoch || !a.State.Live() {
			o.cancel()
		}
	}
}

// beginStart prepares a start. Lock held; the function returned runs without it.
func (p *Peer) beginStart(s Start) func(context.Context) {
	a, j := p.index.slot(s.Key), p.index.jobs[s.Key.Job]
	driver := p.drivers[j.Spec.Driver]
	if driver == nil {
		p.reportLocked(Report{Key: s.Key, Epoch: s.Epoch, State: api.Failed, Failed: true, Reason: "node has no driver " + j.Spec.Driver}, time.Now())
		return nil
	}
	sctx, cancel := context.WithCancel(p.ctx)
	p.occupy(s.Key, s.Epoch, cancel)
	spec := p.spec(j, a)
	timeout := time.Duration(j.Spec.StartTimeout)
	return func(ctx context.Context) {
		defer p.release(ctx, s.Key)
		defer cancel()
		p.start(sctx, cancel, driver, startOrder{s, spec, timeout})
	}
}

type startOrder struct {
	Start
	spec    runtime.Spec
	timeout time.Duration
}

func (p *Peer) start(ctx context.Context, cancel context.CancelFunc, d runtime.Driver, o startOrder) {
	select {
	case p.startSlots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	tell := func() {
		p.update(o.Key, o.Epoch, func(a *Assignment) {
			if o.Restarts == 0 && a.State != api.Accepted {
				return
			}
			starting(a, o.Start)
		})
	}
	if o.Restarts > 0 {
		tell() // how often it was started must not be forgotten
	} else {
		slow := time.AfterFunc(startQuick, tell) // most are running by then, and nobody need hear of it
		defer slow.Stop()
	}
	late := time.AfterFunc(o.timeout, cancel)
	defer late.Stop()
	var told time.Time
	c, err := d.Start(ctx, o.spec, func(state api.TaskState, detail string) {
		late.Reset(o.timeout) // what makes progress is not late
		if now := time.Now(); now.Sub(told) >= pullReports {
			told = now
			p.report(Report{Key: o.Key, Epoch: o.Epoch, State: state, Reason: detail})
		}
	})
	<-p.startSlots // the next one need not wait until this is on disk
	switch {
	case err == nil:
		p.metrics.starts.WithLabelValues(d.Name()).Inc()
		p.report(Report{Key: o.Key, Epoch: o.Epoch, State: api.Running, Container: &c})
	case errors.Is(err, runtime.ErrBusy), p.ctx.Err() != nil:
		// The list of containers tells what there is.
	case ctx.Err() != nil:
		p.report(Report{Key: o.Key, Epoch: o.Epoch, State: api.Failed, Failed: true, Reason: "not running within its start timeout"})
	default:
		p.report(Report{Key: o.Key, Epoch: o.Epoch, State: api.Failed, Failed: true, Reason: err.Error()})
	}
}

// starting has a record say that its attempt is being started.
func starting(a *Assignment, s Start) {
	a.State, a.Restarts, a.Reason, a.ExitCode, a.FinishedAt = api.Starting, s.Restarts, "", nil, time.Time{}
	if s.Restarts > 0 {
		a.Reason = "restarted in place: " + s.Why
	}
}

// spec is what the driver is told to run. Lock held.
func (c *core) spec(j *JobRecord, a *Assignment) runtime.Spec {
	env := maps.Clone(j.Spec.Env)
	for k, v := range map[string]string{
		"ORCH_JOB": a.Key.Job, "ORCH_TASK": a.Key.String(), "ORCH_INDEX": strconv.Itoa(a.Key.Slot),
		"ORCH_LIFE": strconv.FormatInt(a.Key.Life, 10), "ORCH_EPOCH": strconv.FormatUint(a.Epoch(), 10), "ORCH_NODE": string(c.id),
	} {
		env[k] = v
	}
	return runtime.Spec{
		Labels: runtime.Labels{
			Cluster: c.cluster, Job: a.Key.Job, Life: a.Key.Life, Slot: a.Key.Slot, Epoch: a.Epoch(),
			Node: c.id, Boot: c.boot, TemplateHash: a.Hash, Lock: c.lock,
			Resources: j.Spec.Resources, Ports: j.Spec.Ports, StopTimeout: j.Spec.StopTimeout,
		},
		Image: j.Spec.Image, Pull: j.Spec.Pull, Command: j.Spec.Command, Env: env, Limits: j.Spec.Limits,
		Access: j.Spec.Access(),
	}
}

// beginStop prepares the end of a container. Lock held.
func (p *Peer) beginStop(s Stop) func(context.Context) {
	k, d := s.Held.Key(), p.drivers[s.Held.Driver]
	p.occupy(k, 0, nil)
	return func(ctx context.Context) {
		defer p.release(ctx, k)
		p.log.WithField("task", s.Held.Labels.Task()).WithField("why", s.Why).Info("stopping")
		err := d.Stop(p.ctx, s.Held.ID, s.Grace)
		if err == nil {
			p.metrics.stops.WithLabelValues(d.Name()).Inc()
		}
		if err != nil && !errors.Is(err, runtime.ErrNotFound) && p.ctx.Err() == nil {
			p.log.WithField("task", s.Held.Labels.Task()).WithError(err).Warn("stop failed, trying again")
		}
	}
}

// beginRemove prepares forgetting a container. Lock held.
func (p *Peer) beginRemove(r Remove) func(context.Context) {
	k, d := r.Held.Key(), p.drivers[r.Held.Driver]
	p.occupy(k, 0, nil)
	return func(ctx context.Context) {
		defer p.release(ctx, k)
		if err := d.Remove(p.ctx, r.Held.ID); err != nil && !errors.Is(err, runtime.ErrNotFound) && p.ctx.Err() == nil {
			p.log.WithField("task", r.Held.Labels.Task()).WithError(err).Warn("remove failed, trying again")
		}
	}
}

// report writes what this node observes of a slot of its own.
func (p *Peer) report(r Report) {
	p.mu.Lock()
	p.reportLocked(r, time.Now())
	p.unlockAndPut()
	p.look()
}

// reportLocked is report with the lock held; the caller puts the outbox.
func (c *core) reportLocked(r Report, now time.Time) {
	c.updateLocked(r.Key, r.Epoch, now, func(a *Assignment) {
		ran := !a.StartedAt.IsZero() && now.Sub(a.StartedAt) >= steady
		inPlace := r.State == api.Running && a.State == api.Starting && a.Restarts > 0 // what ended it before is still of interest
		if r.Reason != "" || a.State != r.State && !inPlace || a.Reason == runtime.Paused {
			a.Reason = r.Reason
		}
		a.State = r.State
		if h := r.Container; h != nil {
			a.ContainerID, a.PID, a.StartedAt, a.FinishedAt = h.ID, h.PID, h.StartedAt, h.FinishedAt
			if h.State == runtime.Exited {
				code := h.ExitCode
				a.ExitCode = &code
			}
		}
		if !r.Ended.IsZero() {
			a.FinishedAt = r.Ended
			if r.Container == nil { // it has vanished
				a.ContainerID, a.PID = "", 0
			}
		}
		if r.State.Final() && a.FinishedAt.IsZero() {
			a.FinishedAt = now
		}
		if r.Failed {
			if c.hooks.failed != nil {
				c.hooks.failed(r.Key)
			}
			if ran {
				a.Failures = 0
			}
			a.Failures++
			c.blame(a, now)
		}
		if r.State == api.Complete {
			a.RanEpoch, a.Stamp.Major = a.Epoch(), bidding.MaxEpoch
		}
	})
}

// countFailure counts an attempt that failed, if this node has its driver. Lock held.
func (p *Peer) countFailure(k SlotKey) {
	if j := p.index.jobs[k.Job]; j != nil && p.drivers[j.Spec.Driver] != nil {
		p.metrics.failures.WithLabelValues(j.Spec.Driver).Inc()
	}
}

// blame remembers that a job's task failed here, and keeps this node out of the
// job's auctions for a while: a node where all fails at once always looks emptiest.
// It sits out longer than the slot itself waits, so that others come first. Lock held.
func (c *core) blame(a *Assignment, now time.Time) {
	f := c.failures[a.Key.Job]
	if f == nil || f.hash != a.Hash || now.Sub(f.at) > steady {
		f = &fault{hash: a.Hash}
		c.failures[a.Key.Job] = f
	}
	f.count++
	f.at, f.until, f.what = now, now.Add(2*bidding.Backoff(f.count, 1)), a.Key.String()
}

// adoptLocked writes a container's label as the record of its slot. Lock held.
func (c *core) adoptLocked(ad Adopt, now time.Time) {
	l := ad.Held.Labels
	a := &Assignment{
		State: api.Running, Hash: l.TemplateHash, Reason: "found running", ContainerID: ad.Held.ID, PID: ad.Held.PID,
		AcceptedAt: ad.Held.StartedAt, StartedAt: ad.Held.StartedAt, Key: ad.Held.Key(),
	}
	a.Stamp.Major, a.Stamp.Mid, a.Stamp.Writer = l.Epoch, string(c.id), string(c.id)+"."+l.Boot
	c.log.WithField("task", l.Task()).Info("adopted by its label")
	c.write(a, now)
}

// update changes this node's own record of an attempt, if it still is that, and
// writes it with the next n.
func (p *Peer) update(k SlotKey, epoch uint64, change func(*Assignment)) {
	p.mu.Lock()
	p.updateLocked(k, epoch, time.Now(), change)
	p.unlockAndPut()
}

func (c *core) updateLocked(k SlotKey, epoch uint64, now time.Time, change func(*Assignment)) {
	old := c.index.slot(k)
	if old == nil || old.Owner() != c.id || old.Epoch() != epoch || old.State.Final() {
		return // another attempt by now, or ended: final states are final
	}
	a := *old
	if change(&a); a == *old {
		return
	}
	a.Stamp.Minor = old.Stamp.Minor + 1
	a.Stamp.Writer = c.writer()
	c.write(&a, now)
}

// write takes a record of this node into the index and the outbox. Lock held.
func (c *core) write(a *Assignment, now time.Time) {
	r, err := a.record(now)
	if err != nil {
		c.log.WithError(err).Error("a record cannot be written")
		return
	}
	c.note(r, now)
	c.outbox = append(c.outbox, r)
}
