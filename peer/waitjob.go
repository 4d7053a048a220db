package peer

import (
	"context"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// WaitJob waits until a job is as the goal says, see api.Service.
func (p *Peer) WaitJob(ctx context.Context, name string, goal api.Goal) (job api.Job, reached bool, err error) {
	known := ""
	job = api.NewJob() // of one that is gone before it was seen, only the name is known
	job.Name = name
	for {
		known = p.Revision(ctx, name, known)
		fresh, there := p.jobIfThere(name)
		if there {
			job = fresh
		}
		switch {
		case !there && goal != api.GoalGone:
			return job, false, jobNotFound(name)
		case !there:
			reached = !p.hasTasks(ctx, name)
		case goal == api.GoalComplete && job.Type != api.BatchJob:
			return job, false, api.Errorf(api.Invalid, "job %s is a service: it never completes", name).WithHint("wait for running or gone")
		default:
			reached = isReached(job, goal)
		}
		if reached {
			return job, true, nil
		}
		select {
		case <-ctx.Done():
			return job, false, nil
		case <-p.ctx.Done():
			return job, false, api.Errorf(api.NotReady, "node %s is stopping", p.cfg.Name)
		default:
		}
	}
}

// jobIfThere is the job as users see it, if it is not removed.
func (p *Peer) jobIfThere(name string) (api.Job, bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	j := p.index.jobs[name]
	if j == nil || j.Removed {
		return api.Job{}, false
	}
	return p.job(j, p.nodes(now), now), true
}

// isReached says whether a job that is there is as wanted.
func isReached(j api.Job, goal api.Goal) bool {
	if j.Status == nil || goal == api.GoalGone {
		return false
	}
	return j.Status.State == api.JobComplete || goal == api.GoalRunning && j.Status.State == api.JobRunning
}

// hasTasks says whether something of a removed job may still run. That of a dead
// node cannot be stopped, and does not count.
func (p *Peer) hasTasks(ctx context.Context, name string) bool {
	tasks, err := p.Tasks(ctx, api.TaskFilter{Job: name, All: true})
	if err != nil {
		return false // not even its tombstone is there
	}
	for _, t := range tasks {
		if !t.State.Final() && t.State != api.Pending && t.State != api.Lost {
			return true
		}
	}
	return false
}
