package peer

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

// Plan says what a write would do, see api.Service.
func (p *Peer) Plan(ctx context.Context, spec api.Job, create bool, o api.WriteOptions) (api.Job, error) {
	if err := cmp.Or(spec.Validate(), o.Validate()); err != nil {
		return api.Job{}, err
	}
	o.Key = "" // nothing is done, so nothing was done before
	c := p.replacement(spec.Spec(), o)
	if create {
		c = p.creation(spec.Spec(), o)
	}
	job, lot, err := p.dryRun(c, time.Now())
	if err != nil || len(lot.Slots) == 0 {
		return job, err
	}
	result, _ := p.auctioneer.Hold(ctx, lot)
	p.fillIn(job, result)
	return job, nil
}

// dryRun is the job as c would make it, with a plan that lacks who would take what
// is to be placed, and the lot to ask for that.
func (p *Peer) dryRun(c change, now time.Time) (api.Job, bidding.Lot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, err := p.nextVersion(c, now)
	if err != nil {
		return api.Job{}, bidding.Lot{}, err
	}
	old, plan := p.index.jobs[c.name], &api.Plan{Action: "update", Slots: []api.PlanSlot{}}
	switch {
	case next == nil:
		next, plan.Action = old, "unchanged"
	case old == nil || old.Removed:
		plan.Action = "create"
	case next.Life() != old.Life():
		plan.Action = "replace"
	}
	nodes := p.nodes(now)
	w := p.world(nodes, now)
	plan.Slots = append(append(plan.Slots, p.dropped(w, next)...), p.planned(w, next)...) // a list, if of nothing
	for i := range plan.Slots {
		s := &plan.Slots[i]
		s.FromName, s.NodeName = nameOf(nodes, s.From), nameOf(nodes, s.Node)
	}
	job := *next.asRead()
	job.ETag, job.Plan = "", plan
	if old != nil && !old.Removed {
		job.ETag = old.ETag
	}
	a := Auction{Job: c.name, Life: next.Life(), Reason: "dry run"}
	for _, s := range plan.Slots {
		if s.Action == "create" || s.Action == "move" {
			id, _ := api.ParseTaskID(s.Task) // as we wrote it
			a.Slots = append(a.Slots, id.Index)
		}
	}
	lot := p.emptyLot(next, a, nodes)
	lot.Dry = true
	for _, i := range a.Slots {
		lot.Slots = append(lot.Slots, p.lotSlot(next, i, a.Reason, now))
	}
	return job, lot, nil
}

// dropped are the slots that run and that j does not want. Lock held.
func (p *Peer) dropped(w *World, j *JobRecord) []api.PlanSlot {
	var out []api.PlanSlot
	for k, a := range p.index.slots[j.Spec.Name] {
		if !a.State.Final() && (k.Life != j.Life() || !j.Wants(k.Slot)) && w.node(a.Owner()).Alive {
			out = append(out, api.PlanSlot{Task: k.String(), Action: "stop", From: a.Owner()})
		}
	}
	slices.SortFunc(out, func(a, b api.PlanSlot) int {
		return cmp.Or(cmp.Compare(len(a.Task), len(b.Task)), cmp.Compare(a.Task, b.Task))
	})
	return out
}

// planned are the slots that j wants.
func (p *Peer) planned(w *World, j *JobRecord) []api.PlanSlot {
	var out []api.PlanSlot
	for i := range j.Spec.Replicas {
		if !j.Wants(i) {
			continue
		}
		k := j.Slot(i)
		s := api.PlanSlot{Task: k.String(), Action: "keep"}
		a := w.Slots(k)
		switch condition := w.Condition(j, k); {
		case condition == Unserved:
			s.Action = "create"
		case condition == Served && a.Hash != j.Hash:
			s.Action, s.From, s.Reason = "move", a.Owner(), "the job has changed"
		case condition == Served && w.toMove(j, a) != "":
			s.Action, s.From, s.Reason = "move", a.Owner(), w.toMove(j, a)
		default:
			s.From, s.Node = a.Owner(), a.Owner()
		}
		out = append(out, s)
	}
	return out
}

// fillIn says who would take what is to be placed, or why nobody does.
func (p *Peer) fillIn(job api.Job, result bidding.Result) {
	p.mu.Lock()
	nodes := p.nodes(time.Now())
	p.mu.Unlock()
	bySlot := map[string]*api.PlanSlot{}
	for i := range job.Plan.Slots {
		if s := &job.Plan.Slots[i]; s.Action == "create" || s.Action == "move" {
			bySlot[s.Task] = s
		}
	}
	name := func(slot int) string { return SlotKey{Job: job.Name, Slot: slot}.String() }
	for _, placed := range result.Placed {
		s := bySlot[name(placed.Slot)]
		s.Node, s.NodeName, s.Score, s.StopFirst = placed.Node, nameOf(nodes, placed.Node), placed.Score, placed.StopFirst
	}
	for _, left := range result.Left {
		bySlot[name(left.Slot)].Reason = left.Why
	}
}
