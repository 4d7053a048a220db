package peer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// sights is what was last told in events and shown to readers, to tell the next
// change. The lock of the node guards it.
type sights struct {
	told   map[api.NodeID]nodeSight
	shown  map[api.NodeID]figures
	open   map[SlotKey]unserved // unserved slots
	alarms map[string]alarm
}

func newSights() sights { return sights{open: map[SlotKey]unserved{}} }

// figures are what a list of nodes shows and no event is about.
type figures struct {
	tasks              int
	free, capacity     api.Resources
	drivers, why, name string
	reachable, ready   bool
	version            uint64 // of its member record
}

func (p *Peer) teller() teller { return teller{name: p.nodeName} }

// nodeName is a name for people. Lock held.
func (p *Peer) nodeName(id api.NodeID) string {
	if m := p.index.members[id]; m != nil && m.Name != "" {
		return cut(m.Name, 64)
	}
	return id.Short()
}

// tellRecord tells what a change of one key says, and wakes readers. Lock held.
func (p *Peer) tellRecord(key string, prev entry, at, now time.Time) {
	next := p.index.entry(key)
	job, lost := "", false
	switch {
	case next.slot != nil:
		job, lost = next.slot.Key.Job, p.sights.open[next.slot.Key].told == api.EventTaskLost
	case next.job != nil:
		job = next.job.Spec.Name
	case prev.slot != nil:
		job = prev.slot.Key.Job
	}
	p.revisions.bump(job)
	p.events.add(now, p.teller().recordEvents(prev, next, lost, at)...)
}

// tellNodes tells what became of nodes since the last look, and of what they
// complain. What was there before this node was ready is no news. Lock held.
func (p *Peer) tellNodes(nodes map[api.NodeID]*nodeView, now time.Time) {
	first := p.sights.told == nil
	sights, shown := make(map[api.NodeID]nodeSight, len(nodes)), make(map[api.NodeID]figures, len(nodes))
	changed := len(nodes) != len(p.sights.told)
	var out []api.Event
	for id, v := range nodes {
		next := p.nodeSight(v, nodes)
		var prev *nodeSight
		if s, known := p.sights.told[id]; known {
			prev = &s
		} else if first {
			prev = p.firstSight(next)
		}
		if next.status == api.NodeFailed && prev != nil && prev.status != next.status {
			next.why = p.withTasks(next)
		}
		events, seen := nodeEvents(prev, next, now)
		out, sights[id], shown[id] = append(out, events...), seen, p.figures(v)
		changed = changed || len(events) > 0 || shown[id] != p.sights.shown[id]
	}
	slices.SortStableFunc(out, func(a, b api.Event) int { return a.Time.Compare(b.Time) })
	alarms := p.lasting(now)
	out = append(out, alarmEvents(p.sights.alarms, alarms, now)...)
	p.sights.told, p.sights.shown, p.sights.alarms = sights, shown, alarms
	if changed {
		p.revisions.bump("")
	}
	p.events.add(now, out...)
}

// firstSight is what a node is taken to have been before the first look: what it
// is, so that nothing is told of it, except for this node itself.
func (p *Peer) firstSight(n nodeSight) *nodeSight {
	switch {
	case n.id != p.id:
	case n.born.Before(p.started.Truncate(time.Millisecond)):
		n.status, n.isolated = api.NodeStarting, false
	default:
		return nil
	}
	return &n
}

// nodeSight is a node as it is now. Lock held.
func (p *Peer) nodeSight(v *nodeView, nodes map[api.NodeID]*nodeView) nodeSight {
	s := nodeSight{id: v.ID, name: v.name, boot: v.boot, status: v.status(), why: v.why, since: v.since}
	if v.Alive {
		s.since, s.why = time.Time{}, "" // when it was seen to be so
	}
	if v.member != nil {
		s.version, s.born = v.member.Stamp.Minor, time.UnixMilli(int64(v.member.Stamp.Major))
	}
	if s.status == api.NodeLeft && v.member != nil && v.member.Removed && !writtenBy(v.member.Stamp, v.ID) {
		s.why = "removed by " + shortWriter(v.member.Stamp)
	}
	if v.ID == p.id {
		known, alive := 0, 0
		for id, other := range nodes {
			if id != p.id && !other.Left {
				known++
			}
			if id != p.id && other.Alive {
				alive++
			}
		}
		s.isolated = known > 0 && (alive == 0 || p.membership.Isolated())
	}
	return s
}

// writtenBy says whether a node's own boot wrote a stamp.
func writtenBy(s gossip.Stamp, id api.NodeID) bool {
	return len(s.Writer) > len(id) && s.Writer[:len(id)] == string(id)
}

// withTasks adds to why a node failed what there is to do. Lock held.
func (p *Peer) withTasks(n nodeSight) string {
	count := 0
	for name, of := range p.index.slots {
		j := p.index.jobs[name]
		for k, a := range of {
			if a.Owner() == n.id && !a.State.Final() && j != nil && j.Life() == k.Life && j.Wants(k.Slot) {
				count++
			}
		}
	}
	switch count {
	case 0:
		return n.why
	case 1:
		return n.why + "; 1 task to move"
	}
	return fmt.Sprintf("%s; %d tasks to move", n.why, count)
}

// figures are those of a node. Lock held.
func (p *Peer) figures(v *nodeView) figures {
	f := figures{tasks: v.tasks, free: v.free, capacity: v.capacity, drivers: fmt.Sprint(v.drivers), why: v.why, name: v.name, ready: v.ID != p.id || p.ready}
	if v.member != nil {
		f.version = v.member.Stamp.Minor
	}
	if pid, err := peerID(v.ID); err == nil && v.ID != p.id {
		f.reachable = p.connected(pid)
	}
	return f
}

// lasting are the alarms that last. Lock held.
func (p *Peer) lasting(now time.Time) map[string]alarm {
	out := map[string]alarm{}
	for id, of := range p.lostDrivers {
		for driver, since := range of {
			if since.IsZero() {
				continue
			}
			out["driver/"+string(id)+"/"+driver] = alarm{
				kind: api.EventAlarmDriver, node: id, name: p.nodeName(id), since: since,
				what:     "driver " + cut(driver, 64) + " does not work any more; its tasks move after " + engineGrace.String(),
				returned: "driver " + cut(driver, 64) + " works again, or its node has gone",
			}
		}
	}
	if off := p.clockOff(); off > clockLimit {
		out["clock"] = alarm{
			kind: api.EventAlarmClock, node: p.id, name: p.cfg.Name, since: now,
			what:     "the clock is " + off.Round(time.Second).String() + " off from the other nodes'; it refuses to create jobs",
			returned: "the clock agrees with the other nodes' again",
		}
	}
	if since := p.replica.Full(); !since.IsZero() {
		out["table"] = alarm{
			kind: api.EventAlarmTable, node: p.id, name: p.cfg.Name, since: since,
			what:     "the table is full, and new records are refused; orch rm removes jobs that are not needed",
			returned: "the table has room again",
		}
	}
	return out
}

// tellAside tells of jobs that were taken out of the table after an absence.
func (p *Peer) tellAside(a gossip.Aside) {
	now := time.Now()
	p.mu.Lock()
	for _, r := range a.Records {
		if strings.HasPrefix(r.Key, jobKey("")) {
			p.asideLeft++
		}
	}
	p.mu.Unlock()
	p.events.add(now, alarm{
		kind: api.EventAlarmSetAside, node: p.id, name: p.cfg.Name,
	}.event(api.EventAlarmSetAside, now, fmt.Sprintf("%d records that nobody else knows were set aside in %s; orch recover restores them", len(a.Records), a.File)))
}

// tellUnserved tells which slots nobody serves, and which lost ones are back. Lock held.
func (p *Peer) tellUnserved(w *World, nodes map[api.NodeID]*nodeView) {
	t := p.teller()
	var out []api.Event
	for k, m := range p.memory {
		was, known := p.sights.open[k]
		events, is := t.openEvents(was, p.openSlot(w, nodes, k, m), w.Now)
		p.sights.open[k], out = is, append(out, events...)
		if !known || len(events) > 0 {
			p.revisions.bump(k.Job)
		}
	}
	for k, was := range p.sights.open {
		if p.memory[k] != nil {
			continue
		}
		out = append(out, t.backEvents(was, p.index.slot(k), w.Now)...)
		delete(p.sights.open, k)
		p.revisions.bump(k.Job)
	}
	slices.SortStableFunc(out, func(a, b api.Event) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), len(a.Task)-len(b.Task), cmp.Compare(a.Task, b.Task))
	})
	p.events.add(w.Now, out...)
}

// openSlot is a slot that is not served. Lock held.
func (p *Peer) openSlot(w *World, nodes map[api.NodeID]*nodeView, k SlotKey, m *Memory) openSlot {
	o := openSlot{key: k, rec: p.index.slot(k), since: m.Since, why: m.Why}
	j := p.index.jobs[k.Job]
	if j != nil {
		o.wish = j.Version()
	}
	if a := o.rec; a != nil && !a.State.Final() && j != nil {
		o.gone = w.node(a.Owner()).At(w.Now, time.Duration(j.Spec.FailoverAfter)) == Gone
		o.flaps = p.sights.told[a.Owner()].flaps
		if v := nodes[a.Owner()]; o.gone && v != nil {
			o.why = "its node failed: " + v.why
		}
	}
	return o
}

// Events tells what happens, see api.Service.
func (p *Peer) Events(ctx context.Context, f api.EventFilter, each func(api.Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() {
		cancel(api.Errorf(api.NotReady, "node %s is stopping", p.cfg.Name))
	})()
	err := p.events.follow(ctx, f, each)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
