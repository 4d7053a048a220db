package peer

import (
	"context"
	"errors"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// RestartTask has the owner of a task stop it and start it anew, see api.Service.
// The answer is the task as its owner then has it.
func (p *Peer) RestartTask(ctx context.Context, id string) (api.Task, error) {
	if err := p.Ready(ctx); err != nil {
		return api.Task{}, err
	}
	t, err := p.Task(ctx, id)
	switch {
	case err != nil:
		return api.Task{}, err
	case t.State == api.Lost:
		return api.Task{}, api.Errorf(api.NodeUnreachable, "node %s, which had %s, is not alive", t.NodeName, t.Attempt)
	case t.Node == "":
		return api.Task{}, api.Errorf(api.NotRunning, "task %s is %s: there is nothing to restart", id, t.State)
	}
	var now *api.Task
	err = p.askNode(ctx, t.Node, question{Op: "restart", Job: t.Job, Life: t.Life, Slot: t.Index, Epoch: t.Epoch}, func(a answer) error {
		now = a.Task
		return nil
	})
	if err != nil {
		return api.Task{}, err
	}
	if now == nil { // an owner that says no more
		return p.Task(ctx, id)
	}
	return *now, nil
}

// restartOwn begins to restart a task of this node.
func (p *Peer) restartOwn(ctx context.Context, k SlotKey, epoch uint64) answer {
	p.mu.Lock()
	err := p.restartLocked(k, epoch)
	p.unlockAndPut()
	if err != nil {
		return answer{Error: asAPIError(err)}
	}
	p.look()
	t, err := p.Task(ctx, api.TaskID{Job: k.Job, Index: k.Slot, Epoch: epoch}.String())
	if err != nil {
		return answer{Error: asAPIError(err)}
	}
	return answer{Task: &t}
}

// restartLocked writes that the task starts once more, and leaves it to the loop to
// stop and start it. Until then nothing else is done to the slot. Lock held.
func (p *Peer) restartLocked(k SlotKey, epoch uint64) error {
	id := api.TaskID{Job: k.Job, Index: k.Slot, Epoch: epoch}
	a, j := p.index.slot(k), p.index.jobs[k.Job]
	switch {
	case !p.ready:
		return p.readyLocked()
	case a == nil || j == nil || j.Life() != k.Life || a.Owner() != p.id || a.Epoch() != epoch || !j.Wants(k.Slot):
		return api.Errorf(api.NotRunning, "node %s does not run %s any more", p.cfg.Name, id)
	case a.State != api.Running:
		return api.Errorf(api.NotRunning, "task %s is %s", id, a.State)
	case a.Hash != j.Hash:
		return api.Errorf(api.NotRunning, "task %s is about to be replaced, since its job has changed", id)
	case p.busy[k] != nil:
		return api.Errorf(api.NotRunning, "task %s is being started or stopped already", id)
	}
	var old *Held
	for i, h := range p.containers {
		if h.Key() == k && h.ID == a.ContainerID {
			old = &p.containers[i]
		}
	}
	if old == nil || p.drivers[j.Spec.Driver] == nil {
		return api.Errorf(api.NotRunning, "task %s has just started, or just ended", id)
	}
	start := Start{Key: k, Epoch: epoch, Restarts: a.Restarts + 1, Why: "asked to"}
	p.updateLocked(k, epoch, time.Now(), func(a *Assignment) { starting(a, start) })
	p.queued = append(p.queued, p.beginRestart(*old, start))
	return nil
}

// beginRestart prepares the end of a container and the start of the next. Lock held.
func (p *Peer) beginRestart(old Held, s Start) func(context.Context) {
	j := p.index.jobs[s.Key.Job]
	ctx, cancel := context.WithCancel(p.ctx)
	p.occupy(s.Key, s.Epoch, cancel)
	spec, timeout := p.spec(j, p.index.slot(s.Key)), time.Duration(j.Spec.StartTimeout)
	stopper, starter := p.drivers[old.Driver], p.drivers[j.Spec.Driver]
	return func(loop context.Context) {
		defer p.release(loop, s.Key)
		defer cancel()
		err := stopper.Stop(ctx, old.ID, time.Duration(old.Labels.StopTimeout))
		if err != nil && !errors.Is(err, runtime.ErrNotFound) {
			p.log.WithField("task", old.Labels.Task()).WithError(err).Warn("restart: stop failed") // what runs is reported as running
			return
		}
		p.start(ctx, cancel, starter, startOrder{s, spec, timeout})
	}
}
