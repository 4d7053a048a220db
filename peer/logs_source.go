package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// logPulse is how often a source says that it is there while it has no line.
const logPulse = dataWait / 4

// logTask is an attempt whose logs are asked for.
type logTask struct {
	id    api.TaskID
	life  int64
	state api.TaskState
	run   string       // tells runs of programs apart; "" has nothing to read
	nodes []api.NodeID // that may have its logs
	name  string       // of the node, if it is known
	alive bool         // there is one to ask
	quiet bool         // not wanted any more: that its logs are gone need not be told
}

// look finds the attempts that are named, and notes whether there may be more. A
// name of nothing is an error if strict; else what it named is gone.
func (r *logReader) look(strict bool) ([]logTask, error) {
	p, now := r.p, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	nodes := p.nodes(now)
	w := p.world(nodes, now)
	r.more = false
	var out []logTask
	for _, id := range r.names {
		j, keys, err := p.namedSlots(id)
		if err != nil && strict {
			return nil, err
		}
		for _, k := range keys {
			t, err := p.logTask(nodes, j, k, id.Epoch)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(out, func(o logTask) bool { return o.id == t.id }) {
				out = append(out, t)
			}
			r.more = r.more || id.Epoch == 0 && j.Wants(k.Slot) && w.Condition(j, k) != Done
		}
	}
	return out, nil
}

// namedSlots are the slots of a job, if Index is negative, or one. Lock held.
func (p *Peer) namedSlots(id api.TaskID) (*JobRecord, []SlotKey, error) {
	j := p.index.jobs[id.Job]
	switch {
	case id.Index < 0 && (j == nil || j.Removed):
		return nil, nil, jobNotFound(id.Job)
	case id.Index < 0:
		return j, p.slotsToList(j, true), nil
	case j == nil:
		return nil, nil, api.Errorf(api.TaskNotFound, "no task %s: no job is named %s", id, id.Job)
	case !j.Wants(id.Index) && p.index.slot(j.Slot(id.Index)) == nil:
		return nil, nil, api.Errorf(api.TaskNotFound, "job %s has no task %d (it has %d)", id.Job, id.Index, j.Spec.Replicas)
	}
	return j, []SlotKey{j.Slot(id.Index)}, nil
}

// logTask is the last attempt at a slot, or the one of an epoch. Lock held.
func (p *Peer) logTask(nodes map[api.NodeID]*nodeView, j *JobRecord, k SlotKey, epoch uint64) (logTask, error) {
	t := logTask{id: api.TaskID{Job: k.Job, Index: k.Slot, Epoch: epoch}, life: k.Life, state: api.Pending, quiet: epoch == 0 && !j.Wants(k.Slot)}
	a := p.index.slot(k)
	switch {
	case epoch != 0 && (a == nil || a.Ran() < epoch):
		return t, api.Errorf(api.TaskNotFound, "there has been no attempt %s yet", t.id)
	case a == nil:
		return t, nil
	case epoch == 0 || epoch == a.Ran():
		t.id.Epoch, t.state, t.nodes = a.Ran(), a.State, []api.NodeID{a.Owner()}
		if a.ContainerID != "" {
			t.run = fmt.Sprint(a.Owner(), " ", a.ContainerID, " ", a.StartedAt.UnixNano())
		}
	default:
		t.run, t.nodes = t.id.String(), p.whoHad(k, epoch, nodes)
	}
	if len(t.nodes) == 1 {
		t.name = nameOf(nodes, t.nodes[0])
	}
	t.alive = slices.ContainsFunc(t.nodes, func(id api.NodeID) bool { return nodes[id] != nil && nodes[id].Alive })
	return t, nil
}

// whoHad is the node of an earlier attempt or, if this one does not remember it,
// every node that is alive. Lock held.
func (p *Peer) whoHad(k SlotKey, epoch uint64, nodes map[api.NodeID]*nodeView) []api.NodeID {
	for _, a := range p.past[k] {
		if a.Epoch == epoch {
			return []api.NodeID{a.Node}
		}
	}
	var all []api.NodeID
	for id, v := range nodes {
		if v.Alive {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

// readLog hands over the lines of one attempt from whichever of its nodes has
// them, and nil once that node is reached.
func (p *Peer) readLog(ctx context.Context, t logTask, o api.LogOptions, each func(*api.LogLine) error) error {
	q := question{Op: "logs", Job: t.id.Job, Life: t.life, Slot: t.id.Index, Epoch: t.id.Epoch, Logs: o}
	for _, node := range t.nodes {
		begun := false
		err := p.askNode(ctx, node, q, func(a answer) error {
			if a.Line == nil && (begun || a.Last) {
				return nil
			}
			begun = true
			return each(a.Line)
		})
		if err == nil || begun || ctx.Err() != nil || len(t.nodes) == 1 {
			return err
		}
	}
	return api.Errorf(api.TaskNotFound, "no node that is alive has logs of %s", t.id)
}

// serveLogs answers with the logs of one of this node's own attempts, and with
// nothing now and then while there is nothing to say.
func (p *Peer) serveLogs(ctx context.Context, q question, send func(answer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	turn, pulsed := make(chan struct{}, 1), make(chan struct{}) // to send; no more pulses
	defer func() {
		cancel()
		<-pulsed
	}()
	inTurn := func(a answer) error {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-turn }()
		return send(a)
	}
	go func() {
		defer close(pulsed)
		tick := time.NewTicker(logPulse)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-tick.C:
				_ = inTurn(answer{}) // the lines meet the same fault
			}
		}
	}()
	return p.localLogs(ctx, q, func(l api.LogLine) error { return inTurn(answer{Line: &l}) })
}

// localLogs reads the logs of one of this node's own containers.
func (p *Peer) localLogs(ctx context.Context, q question, each func(api.LogLine) error) error {
	id := api.TaskID{Job: q.Job, Index: q.Slot, Epoch: q.Epoch}
	driver, container := p.logContainer(SlotKey{Job: q.Job, Life: q.Life, Slot: q.Slot}, q.Epoch)
	if p.drivers[driver] == nil {
		return api.Errorf(api.TaskNotFound, "node %s no longer has logs of %s", p.cfg.Name, id)
	}
	err := p.drivers[driver].Logs(ctx, container, q.Logs, func(l api.LogLine) error {
		l.Task, l.Epoch, l.Node = id.Slot(), id.Epoch, p.cfg.Name
		return each(l)
	})
	switch {
	case errors.Is(err, runtime.ErrNotFound):
		return api.Errorf(api.TaskNotFound, "node %s no longer has logs of %s", p.cfg.Name, id)
	case err != nil && ctx.Err() == nil:
		return fmt.Errorf("logs of %s: %w", id, err)
	}
	return err
}

// logContainer is the container of an attempt and the driver that has it: as the
// record of the attempt says or, if that has been followed by another, by its label.
func (p *Peer) logContainer(k SlotKey, epoch uint64) (driver, container string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, j := p.index.slot(k), p.index.jobs[k.Job]; a != nil && j != nil && a.Owner() == p.id && a.Ran() == epoch {
		driver, container = j.Spec.Driver, a.ContainerID
	}
	for _, h := range p.containers {
		if h.Key() == k && (h.ID == container || container == "" && h.Labels.Epoch == epoch) {
			return h.Driver, h.ID
		}
	}
	if container == "" {
		return "", ""
	}
	return driver, container // not listed yet
}
