package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
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

func (p *Peer) readyLocked() error {
	if p.ready {
		return nil
	}
	e := api.Errorf(api.NotReady, "node %s is not ready: %s", p.cfg.Name, p.notReady)
	e.RetryAfter = time.Second
	return e
}

// Submit creates a job, see api.Service.
func (p *Peer) Submit(ctx context.Context, spec api.Job) (api.Written, error) {
	if err := spec.Validate(); err != nil {
		return api.Written{}, err
	}
	now := time.Now()
	p.mu.Lock()
	j, err := p.create(spec.Spec(), now)
	p.mu.Unlock()
	if err != nil {
		return api.Written{}, err
	}
	w, err := p.storeJob(ctx, j, now)
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.Stale {
		return w, &api.Error{
			Code: api.JobExists, Detail: fmt.Sprintf("job %s was created elsewhere at the same time", spec.Name), Current: e.Current,
			Hint: "choose another name, or remove it first: orch rm " + spec.Name,
		}
	}
	return w, err
}

// create makes the record of a new life. Lock held.
func (p *Peer) create(spec api.Job, now time.Time) (*JobRecord, error) {
	if err := p.readyLocked(); err != nil {
		return nil, err
	}
	if off := p.clockOff(); off > clockLimit {
		e := api.Errorf(api.ClockOff, "the clock of node %s is %s off from the other nodes'", p.cfg.Name, off.Round(time.Second)).
			WithHint("set the clocks right (chrony, systemd-timesyncd) or ask another node")
		e.RetryAfter = 30 * time.Second
		return nil, e
	}
	life := uint64(now.UnixMilli())
	if old := p.index.jobs[spec.Name]; old != nil {
		if !old.Removed {
			job := p.job(old, p.nodes(now), now)
			return nil, &api.Error{
				Code: api.JobExists, Detail: fmt.Sprintf("the name %s is taken (generation %d)", spec.Name, old.Version()), Current: &job,
				Hint: "choose another name, or remove it first: orch rm " + spec.Name,
			}
		}
		life = max(life, old.Stamp.Major+1)
	}
	return &JobRecord{Spec: spec, UpdatedAt: now.UTC(), Stamp: gossip.Stamp{Major: life, Minor: 1, Writer: p.writer()}}, nil
}

// storeJob writes one job record to the disks that make it safe. The answer is the
// job as it then is.
func (p *Peer) storeJob(ctx context.Context, j *JobRecord, now time.Time) (api.Written, error) {
	r, err := j.record(now)
	if err != nil {
		return api.Written{}, err
	}
	wanted := p.disksWanted()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	ack, err := p.replica.Replicate(ctx, wanted, r)
	greater := ack.Greater
	if errors.Is(err, gossip.ErrStale) {
		if cur, ok := p.replica.Get(r.Key); ok && len(greater) == 0 {
			greater = []gossip.Record{cur}
		}
	} else if err != nil {
		return api.Written{}, fmt.Errorf("store job %s: %w", j.Spec.Name, err)
	}
	p.look()
	if len(greater) > 0 {
		return api.Written{}, p.stale(j.Spec.Name, greater[0])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(r, time.Now())
	cur := p.index.jobs[j.Spec.Name]
	if cur == nil || cur.Stamp.Compare(r.Stamp) != 0 {
		if cur, err = decodeJob(r); err != nil {
			return api.Written{}, err
		}
	}
	return api.Written{Job: p.job(cur, p.nodes(time.Now()), time.Now()), Disks: ack.Disks, Wanted: wanted}, nil
}

// stale is the refusal of a write that somebody overtook.
func (p *Peer) stale(name string, greater gossip.Record) error {
	e := api.Errorf(api.Stale, "job %s was changed elsewhere at the same time", name).WithHint("look at it again, and repeat what is still wanted")
	if j, err := decodeJob(greater); err == nil && !j.Removed {
		p.mu.Lock()
		job := p.job(j, p.nodes(time.Now()), time.Now())
		p.mu.Unlock()
		e.Current = &job
	}
	return e
}

// disksWanted is how many disks make a write safe.
func (p *Peer) disksWanted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, m := range p.index.members {
		if !m.Removed {
			n++
		}
	}
	return max(1, min(durableDisks, n))
}

// change writes the next version of a job, as edit makes it from the current one.
// If edit says that nothing changes, nothing is written.
func (p *Peer) change(ctx context.Context, name string, edit func(*JobRecord) (changed bool, err error)) (api.Written, error) {
	now := time.Now()
	p.mu.Lock()
	next, job, err := p.nextVersion(name, now, edit)
	p.mu.Unlock()
	switch {
	case err != nil:
		return api.Written{}, err
	case next == nil:
		return api.Written{Job: job, Disks: p.disksWanted(), Wanted: p.disksWanted(), Existed: true}, nil
	}
	return p.storeJob(ctx, next, now)
}

// nextVersion is nil if nothing changes; then the job is as it stays. Lock held.
func (p *Peer) nextVersion(name string, now time.Time, edit func(*JobRecord) (bool, error)) (*JobRecord, api.Job, error) {
	if err := p.readyLocked(); err != nil {
		return nil, api.Job{}, err
	}
	old := p.index.jobs[name]
	if old == nil || old.Removed {
		return nil, api.Job{}, jobNotFound(name)
	}
	next := *old
	changed, err := edit(&next)
	if err != nil {
		return nil, api.Job{}, err
	}
	if !changed {
		return nil, p.job(old, p.nodes(now), now), nil
	}
	if next.Spec.TemplateHash(0) != old.Spec.TemplateHash(0) || next.Spec.Replicas != old.Spec.Replicas {
		prev := old.Spec
		next.Previous = &prev
	}
	next.UpdatedAt = now.UTC()
	next.Stamp.Minor, next.Stamp.Writer = old.Version()+1, p.writer()
	if next.Removed {
		next.Stamp.Mid = removedMid
	}
	return &next, api.Job{}, nil
}

func jobNotFound(name string) *api.Error {
	return api.Errorf(api.JobNotFound, "no job is named %.80q", name).WithHint("orch jobs lists them")
}

// Remove removes a job for good, see api.Service.
func (p *Peer) Remove(ctx context.Context, name string) (api.Written, error) {
	return p.change(ctx, name, func(j *JobRecord) (bool, error) {
		j.Removed = true
		return true, nil
	})
}

// Scale sets the number of replicas, see api.Service.
func (p *Peer) Scale(ctx context.Context, name string, replicas int) (api.Written, error) {
	return p.change(ctx, name, func(j *JobRecord) (bool, error) {
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
func (p *Peer) Stop(ctx context.Context, name string) (api.Written, error) {
	return p.change(ctx, name, func(j *JobRecord) (bool, error) {
		changed := !j.Stopped
		j.Stopped = true
		return changed, nil
	})
}

// Restart wants a stopped job again or replaces its tasks, see api.Service.
func (p *Peer) Restart(ctx context.Context, name string) (api.Written, error) {
	return p.change(ctx, name, func(j *JobRecord) (bool, error) {
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
	next := *old
	next.Removed = true
	next.Stamp.Mid, next.Stamp.Minor, next.Stamp.Writer = removedMid, old.Stamp.Minor+1, p.writer()
	p.mu.Unlock()
	r, err := next.record(now)
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
