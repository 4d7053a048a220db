package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// clockLimit is how far a clock may be off before its node refuses to create
// anything: lives are told apart by creation times.
const clockLimit = 60 * time.Second

// Ready is nil once this node may act.
func (p *Peer) Ready(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readyLocked()
}

func (c *core) readyLocked() error {
	if c.ready {
		return nil
	}
	e := api.Errorf(api.NotReady, "node %s is not ready: %s", c.cfg.Name, c.notReady)
	e.RetryAfter = time.Second
	return e
}

// Submit creates a job, see api.Service.
func (p *Peer) Submit(ctx context.Context, spec api.Job, o api.WriteOptions) (api.Written, error) {
	if err := spec.Validate(); err != nil {
		return api.Written{}, err
	}
	return p.create(ctx, p.creation(spec.Spec(), o))
}

// create writes a job that must not be there yet.
func (p *Peer) create(ctx context.Context, ch change) (api.Written, error) {
	w, err := p.writeJob(ctx, ch)
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.Stale && e.Current != nil && ch.opts.Meets(e.Current.ETag) {
		return w, &api.Error{
			Code: api.JobExists, Detail: fmt.Sprintf("job %s was created elsewhere at the same time", ch.name), Current: e.Current, Hint: takenHint(ch.name),
		}
	}
	return w, err
}

// creation is the change that makes a job.
func (c *core) creation(spec api.Job, o api.WriteOptions) change {
	ch := newChange("submit", spec.Name, o, spec)
	ch.next = func(old *JobRecord, now time.Time) (*JobRecord, error) {
		if old != nil && !old.Removed {
			return nil, c.nameTaken(old, now)
		}
		return c.newLife(spec, old, now)
	}
	return ch
}

// nameTaken refuses to create what is there. Lock held.
func (c *core) nameTaken(old *JobRecord, now time.Time) error {
	job := c.job(old, c.nodes(now), now)
	return &api.Error{
		Code: api.JobExists, Detail: fmt.Sprintf("the name %s is taken (generation %d)", old.Spec.Name, old.Version()), Current: &job, Hint: takenHint(old.Spec.Name),
	}
}

func takenHint(name string) string {
	return fmt.Sprintf("orch update %s changes that job; orch rm %s removes it; --name gives this one another name", name, name)
}

// Put creates a job or replaces its specification, see api.Service.
func (p *Peer) Put(ctx context.Context, spec api.Job, o api.WriteOptions) (api.Written, error) {
	if err := spec.Validate(); err != nil {
		return api.Written{}, err
	}
	return p.writeJob(ctx, p.replacement(spec.Spec(), o))
}

// replacement is the change that makes a job what spec says.
func (c *core) replacement(spec api.Job, o api.WriteOptions) change {
	ch := newChange("put", spec.Name, o, spec)
	ch.next = func(old *JobRecord, now time.Time) (*JobRecord, error) { return c.replaced(spec, old, now) }
	return ch
}

// replaced is the version of a job with another specification; nil if it has that
// already. A batch job never changes: its tasks may have run to their end, so another
// specification is another life. Lock held.
func (c *core) replaced(spec api.Job, old *JobRecord, now time.Time) (*JobRecord, error) {
	if old == nil || old.Removed {
		return c.newLife(spec, old, now)
	}
	if len(spec.Differs(old.Spec)) == 0 {
		return nil, nil
	}
	next := c.nextOf(old, now)
	if spec.Type == api.BatchJob || old.Spec.Type == api.BatchJob {
		var err error
		if next, err = c.newLife(spec, old, now); err != nil {
			return nil, err
		}
	}
	next.Spec, next.Previous = spec, old.asRead()
	return next, nil
}

// edited is the change of a job that is there, as edit makes its next version from
// the current one. If edit says that nothing changes, nothing is written.
func (c *core) edited(ch change, edit func(*JobRecord) (changed bool, err error)) change {
	ch.next = func(old *JobRecord, now time.Time) (*JobRecord, error) {
		if old == nil || old.Removed {
			return nil, jobNotFound(ch.name)
		}
		next := c.nextOf(old, now)
		if changed, err := edit(next); err != nil || !changed {
			return nil, err
		}
		if next.Spec.Replicas != old.Spec.Replicas {
			next.Previous = old.asRead()
		}
		return next, nil
	}
	return ch
}

func jobNotFound(name string) *api.Error {
	return api.Errorf(api.JobNotFound, "no job is named %.80q", name).WithHint("orch jobs lists them")
}

// Remove removes a job for good, see api.Service.
func (p *Peer) Remove(ctx context.Context, name string, o api.WriteOptions) (api.Written, error) {
	return p.writeJob(ctx, p.removing(name, o))
}

func (c *core) removing(name string, o api.WriteOptions) change {
	return c.edited(newChange("remove", name, o, o.Force), func(j *JobRecord) (bool, error) {
		j.Removed, j.Forced, j.Stamp.Mid = true, o.Force, removedMid
		return true, nil
	})
}

// Scale sets the number of replicas, see api.Service.
func (p *Peer) Scale(ctx context.Context, name string, replicas int, o api.WriteOptions) (api.Written, error) {
	return p.writeJob(ctx, p.scaling(name, replicas, o))
}

func (c *core) scaling(name string, replicas int, o api.WriteOptions) change {
	return c.edited(newChange("scale", name, o, replicas), func(j *JobRecord) (bool, error) {
		if j.Spec.Type == api.BatchJob {
			return false, api.Errorf(api.NotScalable, "job %s is a batch job: its number of tasks is part of what it is", name).
				WithHint("submit another job with the number wanted")
		}
		changed := j.Spec.Replicas != replicas
		j.Spec.Replicas = replicas
		return changed, j.Spec.Validate()
	})
}

// Stop keeps a job without its tasks, see api.Service.
func (p *Peer) Stop(ctx context.Context, name string, o api.WriteOptions) (api.Written, error) {
	return p.writeJob(ctx, p.stopping(name, o))
}

func (c *core) stopping(name string, o api.WriteOptions) change {
	return c.edited(newChange("stop", name, o, nil), func(j *JobRecord) (bool, error) {
		changed := !j.Stopped
		j.Stopped = true
		return changed, nil
	})
}

// Restart wants a stopped job again or replaces its tasks, see api.Service.
func (p *Peer) Restart(ctx context.Context, name string, o api.WriteOptions) (api.Written, error) {
	return p.writeJob(ctx, p.restarting(name, o))
}

func (c *core) restarting(name string, o api.WriteOptions) change {
	return c.edited(newChange("restart", name, o, nil), func(j *JobRecord) (bool, error) {
		if j.Stopped {
			j.Stopped = false
			return true, nil
		}
		if j.Spec.Type == api.BatchJob {
			return false, api.Errorf(api.Invalid, "job %s is a batch job: what is complete is not run again", name).
				WithHint("submit it under another name")
		}
		j.RestartSeq++
		return true, nil
	})
}

// RemoveNode forgets a dead node, see api.Service.
func (p *Peer) RemoveNode(ctx context.Context, id string) (api.Node, error) {
	n, err := p.Node(ctx, id)
	if err != nil {
		return n, err
	}
	if n.Status != api.NodeFailed && n.Status != api.NodeLeft {
		return n, api.Errorf(api.NodeAlive, "node %s is %s: only a failed node can be forgotten", n.Name, n.Status)
	}
	now := time.Now()
	p.mu.Lock()
	old := p.index.members[n.ID]
	if old == nil || old.Removed {
		p.mu.Unlock()
		return n, api.Errorf(api.NodeNotFound, "node %s is no member", n.Name)
	}
	p.mu.Unlock()
	r, err := p.removal(old, now)
	if err != nil {
		return n, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if _, err := p.replica.Replicate(ctx, p.disksWanted(), r); err != nil {
		return n, fmt.Errorf("forget node %s: %w", n.Name, err)
	}
	p.look()
	n.Status = api.NodeLeft
	return n, nil
}
