package peer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Version describes this program, see api.Service.
func (p *Peer) Version(context.Context) (api.Version, error) { return p.cfg.Version, nil }

// View says how much this node sees.
func (p *Peer) View() api.View {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	v := api.View{Node: p.id, Name: p.cfg.Name}
	for _, n := range p.nodes(now) {
		if n.Alive {
			v.Alive++
		}
		if !n.Left {
			v.Known++
		}
	}
	v.Synced = p.replica.EverSynced() || p.ready && v.Known == 1
	v.Isolated = v.Known > 1 && (v.Alive == 1 || p.membership.Isolated())
	return v
}

// Jobs lists the jobs, see api.Service.
func (p *Peer) Jobs(ctx context.Context) ([]api.Job, error) {
	now := time.Now()
	p.mu.Lock()
	nodes := p.nodes(now)
	out, lives := []api.Job{}, []int64{}
	for _, j := range p.index.sortedJobs() {
		out, lives = append(out, p.job(j, nodes, now)), append(lives, j.Life())
	}
	p.mu.Unlock()
	p.explainJobs(ctx, out, lives)
	return out, nil
}

// Job returns one job, see api.Service.
func (p *Peer) Job(ctx context.Context, name string) (api.Job, error) {
	now := time.Now()
	p.mu.Lock()
	if err := p.unreadJob(name); err != nil {
		p.mu.Unlock()
		return api.Job{}, err
	}
	j := p.index.jobs[name]
	if j == nil || j.Removed {
		p.mu.Unlock()
		return api.Job{}, jobNotFound(name)
	}
	one := []api.Job{p.job(j, p.nodes(now), now)}
	p.mu.Unlock()
	p.explainJobs(ctx, one, []int64{j.Life()})
	return one[0], nil
}

// job is a record as users see it. Lock held.
func (c *core) job(j *JobRecord, nodes map[api.NodeID]*nodeView, now time.Time) api.Job {
	out := j.Spec.Spec() // but for these, it shares nothing with j
	out.Command = slices.Clone(out.Command)
	out.Env, out.Labels = maps.Clone(out.Env), maps.Clone(out.Labels)
	out.ID = fmt.Sprintf("%s-%d", j.Spec.Name, j.Life())
	out.Generation = j.Version()
	out.ETag, out.Template = j.ETag, j.Hash
	out.CreatedAt, out.UpdatedAt = time.UnixMilli(j.Life()).UTC(), j.UpdatedAt
	w := c.world(nodes, now)
	if ranks := Ranks(j.Spec.Name, w.Nodes); len(ranks) > 0 {
		out.Coordinator = ranks[0]
	}
	out.Status = c.status(w, j)
	return out
}

func (c *core) status(w *World, j *JobRecord) *api.Status {
	s := &api.Status{}
	switch {
	case j.Removed:
		s.State = api.JobRemoving
		return s
	case j.Stopped:
		s.State = api.JobStopped
		return s
	}
	s.Wanted = j.Spec.Replicas
	done, old := 0, 0
	for i := range j.Spec.Replicas {
		k := j.Slot(i)
		a := w.Slots(k)
		switch is := w.Condition(j, k); {
		case is == Done:
			done++
		case is == Served && a.State == api.Running:
			s.Running++
			if a.Hash != j.Hash {
				old++
				if why := c.whyStays(w, j, k); why != "" && s.Reason == "" {
					s.Reason = k.String() + " " + why
				}
			}
		case is == Served && a.waits():
			s.Pending++
			s.Reason = k.String() + ": " + a.Reason
		case is == Unserved && a != nil && a.State == api.Failed:
			s.Failed++
			s.Reason = k.String() + " failed: " + a.Reason
		default:
			s.Pending++
			if m := c.memory[k]; m != nil && m.Why != "" && s.Reason == "" {
				s.Reason = k.String() + ": " + m.Why
			}
		}
	}
	switch {
	case j.Spec.Type == api.BatchJob && done == s.Wanted:
		s.State = api.JobComplete
	case s.Running+done == s.Wanted && old > 0:
		s.State = api.JobUpdating
	case s.Running+done == s.Wanted:
		s.State = api.JobRunning
	case s.Running+done > 0:
		s.State = api.JobDegraded
	case s.Failed > 0:
		s.State = api.JobFailed
	default:
		s.State = api.JobPending
	}
	return s
}

// Tasks lists tasks, see api.Service. Why a slot is pending is asked of the job's
// coordinator, which alone knows.
func (p *Peer) Tasks(ctx context.Context, f api.TaskFilter) ([]api.Task, error) {
	now := time.Now()
	p.mu.Lock()
	if f.Job != "" {
		if err := p.unreadJob(f.Job); err != nil {
			p.mu.Unlock()
			return nil, err
		}
		if j := p.index.jobs[f.Job]; j == nil || j.Removed && !f.All {
			p.mu.Unlock()
			return nil, jobNotFound(f.Job)
		}
	}
	nodes := p.nodes(now)
	w := p.world(nodes, now)
	all, goes := []api.Task{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(p.index.jobs)) {
		j := p.index.jobs[name]
		if f.Job != "" && name != f.Job {
			continue
		}
		for _, k := range p.slotsToList(j, f.All) {
			t := p.task(w, nodes, j, k)
			all, goes[t.ID] = append(all, t), wanted(t) && w.shouldGo(j, p.index.slot(k))
		}
	}
	p.mu.Unlock()
	all = slices.DeleteFunc(all, func(t api.Task) bool {
		return f.State != "" && t.State != f.State || f.Node != "" && !isNode(f.Node, t.Node, t.NodeName) && !beginsNode(f.Node, t.Node)
	})
	p.explainPending(ctx, all, goes)
	return all, nil
}

// slotsToList is the wanted slots and those that are not but still live; with all,
// every one that there is a record of. Lock held.
func (p *Peer) slotsToList(j *JobRecord, all bool) []SlotKey {
	var out []SlotKey
	for i := range j.Spec.Replicas {
		if j.Wants(i) {
			out = append(out, j.Slot(i))
		}
	}
	for k, a := range p.index.slots[j.Spec.Name] {
		if k.Life == j.Life() && !j.Wants(k.Slot) && (all || !a.State.Final()) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b SlotKey) int { return a.Slot - b.Slot })
	return out
}

// task is a slot as users see it. Lock held.
func (p *Peer) task(w *World, nodes map[api.NodeID]*nodeView, j *JobRecord, k SlotKey) api.Task {
	t := api.Task{
		ID: k.String(), Attempt: k.String(), Job: k.Job, Life: k.Life, Index: k.Slot, State: api.Pending, TemplateHash: j.Hash,
		Driver: j.Spec.Driver, Image: j.Spec.Image, Resources: j.Spec.Resources, Ports: slices.Clone(j.Spec.Ports),
		Desired: "stopped", CreatedAt: j.UpdatedAt,
	}
	wanted := j.Wants(k.Slot)
	if wanted {
		t.Desired = "running"
		if j.Spec.Type == api.BatchJob {
			t.Desired = "complete"
		}
	}
	if m := p.memory[k]; m != nil {
		t.Reason, t.Auction = m.Why, m.Sheet
	}
	a := w.Slots(k)
	if a == nil {
		return t
	}
	t.Epoch = a.Ran()
	t.Attempt = api.TaskID{Job: k.Job, Index: k.Slot, Epoch: t.Epoch}.String()
	if wanted && a.State == api.Stopped {
		return t // of an earlier wish; the slot is pending anew
	}
	t.State, t.TemplateHash, t.Node, t.ContainerID, t.PID = a.State, a.Hash, a.Owner(), a.ContainerID, a.PID
	t.Restarts, t.Failures, t.ExitCode, t.Auction = a.Restarts, a.Failures, a.ExitCode, a.Auction
	t.CreatedAt, t.StartedAt, t.FinishedAt = a.AcceptedAt, timeOrNil(a.StartedAt), timeOrNil(a.FinishedAt)
	switch {
	case a.Reason != "":
		t.Reason = a.Reason
	case a.State.Live() && a.Because != "" && a.Because != firstPlacement:
		t.Reason = a.Because // it came from elsewhere: whoever looks wants to know why
	}
	t.NodeName, t.Stays = nameOf(nodes, a.Owner()), p.whyStays(w, j, k)
	if !a.State.Final() && w.node(a.Owner()).At(w.Now, time.Duration(j.Spec.FailoverAfter)) == Gone {
		t.State, t.Reason = api.Lost, "node "+t.NodeName+" failed"
		if m := p.memory[k]; m != nil && m.Why != "" {
			t.Reason, t.Auction = t.Reason+"; "+m.Why, m.Sheet
		}
	}
	return t
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// maxCoordinators bounds whom a list asks: it is to be had even if hundreds of jobs wait.
const maxCoordinators = 64

// wanted says whether t is one of those that its job should have.
func wanted(t api.Task) bool { return t.Desired != "stopped" }

// explainPending fills in, for pending tasks without a reason and for those that
// should go elsewhere, what their jobs' coordinators say. One that does not answer in
// time leaves them as they are.
func (p *Peer) explainPending(ctx context.Context, tasks []api.Task, goes map[string]bool) {
	type job struct {
		name string
		life int64
	}
	open := map[job][]int{}
	for i, t := range tasks {
		if waits(t) || goes[t.ID] {
			open[job{t.Job, t.Life}] = append(open[job{t.Job, t.Life}], i)
		}
	}
	asked := 0
	for j, which := range open {
		p.mu.Lock()
		ranks := Ranks(j.name, p.world(p.nodes(time.Now()), time.Now()).Nodes)
		p.mu.Unlock()
		if len(ranks) == 0 || ranks[0] == p.id {
			continue
		}
		if asked++; asked > maxCoordinators {
			return
		}
		_ = p.askNode(ctx, ranks[0], question{Op: "pending", Job: j.name, Life: j.life}, func(a answer) error {
			for _, i := range which {
				why, ok := a.Pending[tasks[i].Index]
				switch {
				case !ok, why.Epoch != 0 && why.Epoch != tasks[i].Epoch:
				case why.Epoch != 0:
					tasks[i].Stays = why.Why
				default:
					if tasks[i].State == api.Pending || tasks[i].Reason == "" {
						tasks[i].Reason = why.Why
					}
					tasks[i].Auction = why.Sheet
				}
			}
			return nil
		}) // no answer: the list is still true without the reasons
	}
}

// Task returns one task, see api.Service.
func (p *Peer) Task(ctx context.Context, id string) (api.Task, error) {
	tid, err := api.ParseTaskID(id)
	if err != nil {
		return api.Task{}, err
	}
	now := time.Now()
	p.mu.Lock()
	j := p.index.jobs[tid.Job]
	if j == nil {
		p.mu.Unlock()
		return api.Task{}, api.Errorf(api.TaskNotFound, "no task %s: no job is named %s", id, tid.Job)
	}
	k := j.Slot(tid.Index)
	if !j.Wants(tid.Index) && p.index.slot(k) == nil {
		p.mu.Unlock()
		return api.Task{}, api.Errorf(api.TaskNotFound, "job %s has no task %d (it has %d)", tid.Job, tid.Index, j.Spec.Replicas)
	}
	nodes := p.nodes(now)
	w := p.world(nodes, now)
	t := p.task(w, nodes, j, k)
	goes := map[string]bool{t.ID: wanted(t) && w.shouldGo(j, p.index.slot(k))}
	p.mu.Unlock()
	if tid.Epoch != 0 && tid.Epoch != t.Epoch {
		return api.Task{}, api.Errorf(api.TaskNotFound, "attempt %s is not known; the last is %s", id, t.Attempt)
	}
	one := []api.Task{t}
	p.explainPending(ctx, one, goes)
	return one[0], nil
}
