package peer_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
)

// drawLocal draws records and containers of three slots of one job, in any state
// that a history of crashes, restored disks and partitions could leave behind.
func drawLocal(t *rapid.T) *localWorld {
	w := newLocalWorld()
	j := w.job
	j.Spec.Replicas = rapid.IntRange(0, 3).Draw(t, "replicas")
	j.Removed = rapid.IntRange(0, 7).Draw(t, "removed") == 0
	j.Stopped = rapid.IntRange(0, 7).Draw(t, "stopped") == 0
	if rapid.IntRange(0, 2).Draw(t, "batch") == 0 {
		j.Spec.Type = api.BatchJob
	}
	w.LivesKnown = rapid.Bool().Draw(t, "lives known")
	w.alive["other"] = rapid.Bool().Draw(t, "other alive")
	switch rapid.IntRange(0, 9).Draw(t, "job") {
	case 0:
		clear(w.Jobs)
	case 1:
		j.Stamp.Major = 8
	}
	for i := range 3 {
		k := peer.SlotKey{Job: "web", Life: 7, Slot: i}
		drawRecord(t, w, k)
		for epoch := uint64(1); epoch <= 4; epoch++ {
			drawHeld(t, w, k, epoch)
		}
		w.Busy[k] = rapid.IntRange(0, 7).Draw(t, "busy") == 0
	}
	return w
}

func drawRecord(t *rapid.T, w *localWorld, k peer.SlotKey) {
	states := []api.TaskState{"", api.Accepted, api.Pulling, api.Starting, api.Running, api.Running, api.Stopping, api.Stopped, api.Failed}
	if w.job.Spec.Type == api.BatchJob {
		states = append(states, api.Complete)
	}
	state := rapid.SampledFrom(states).Draw(t, "state")
	if state == "" {
		return
	}
	owner := rapid.SampledFrom([]api.NodeID{me, me, "other", "aaa"}).Draw(t, "owner")
	a := &peer.Assignment{
		State: state, Hash: rapid.SampledFrom([]string{w.job.Hash, w.job.Hash, "old"}).Draw(t, "hash"), Key: k,
		StopFirst: rapid.IntRange(0, 3).Draw(t, "stop first") == 0, Restarts: rapid.IntRange(0, 4).Draw(t, "restarts"),
		Stamp: gossip.Stamp{Major: rapid.Uint64Range(1, 4).Draw(t, "epoch"), Mid: string(owner), Minor: 1, Writer: string(owner) + ".boot"},
	}
	if state == api.Running {
		a.ContainerID = rapid.SampledFrom([]string{"", fmt.Sprintf("c%d.1", k.Slot), fmt.Sprintf("c%d.2", k.Slot)}).Draw(t, "container")
		a.StartedAt, a.PID = w.Now.Add(-drawAge(t, "started")), 5
	}
	if state == api.Starting && rapid.Bool().Draw(t, "waits") {
		a.StartedAt, a.FinishedAt = w.Now.Add(-drawAge(t, "started")), w.Now.Add(-drawAge(t, "finished"))
	}
	if state == api.Complete {
		a.RanEpoch, a.Stamp.Major = a.Stamp.Major, bidding.MaxEpoch
	}
	w.Slots[k], w.changed[k] = a, w.Now.Add(-drawAge(t, "changed"))
}

func drawHeld(t *rapid.T, w *localWorld, k peer.SlotKey, epoch uint64) {
	state := rapid.SampledFrom([]runtime.State{"", "", "", runtime.Running, runtime.Exited, runtime.Created}).Draw(t, "container state")
	if state == "" {
		return
	}
	h := w.held(fmt.Sprintf("c%d.%d", k.Slot, epoch), epoch, state)
	h.Labels.Slot = k.Slot
	h.Labels.TemplateHash = rapid.SampledFrom([]string{w.job.Hash, "old"}).Draw(t, "container hash")
	if a := w.Slots[k]; a != nil && a.Owner() == me && a.Ran() == epoch {
		h.Labels.TemplateHash = a.Hash // an owner starts what its record says
	}
	if state == runtime.Exited {
		h.FinishedAt = w.Now.Add(-drawAge(t, "finished"))
		h.ExitCode = rapid.IntRange(0, 1).Draw(t, "exit code")
	}
}

func TestReconcileProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawLocal(t)
		actions := peer.Reconcile(&w.Local)
		if again := peer.Reconcile(&w.Local); !reflect.DeepEqual(actions, again) {
			t.Fatalf("the same world was judged as %q, then %q", words(actions), words(again))
		}
		starts, reports, about := map[peer.SlotKey]int{}, map[peer.SlotKey]int{}, map[string]int{}
		for _, action := range actions {
			var k peer.SlotKey
			switch a := action.(type) {
			case peer.Start:
				k = a.Key
				checkStart(t, w, a)
				starts[k]++
			case peer.Report:
				k = a.Key
				rec := w.Slots[k]
				if rec == nil || rec.Owner() != me || rec.Epoch() != a.Epoch || rec.State.Final() {
					t.Fatalf("%s: the record is %+v", a, rec)
				}
				if a.State == api.Stopped && slices.ContainsFunc(w.Containers, func(h peer.Held) bool { return h.Key() == k && h.State != runtime.Exited }) {
					t.Fatalf("%s: a container of it is left", a)
				}
				reports[k]++
			case peer.Stop:
				k = a.Held.Key()
				checkStop(t, w, a)
				about[a.Held.ID]++
			case peer.Remove:
				k = a.Held.Key()
				if a.Held.State != runtime.Exited {
					t.Fatalf("%s: it is %s", a, a.Held.State)
				}
				about[a.Held.ID]++
			case peer.Adopt:
				k = a.Held.Key()
				if rec := w.Slots[k]; rec != nil && peer.LabelStamp(&w.Local, &a.Held).Compare(rec.Stamp) <= 0 {
					t.Fatalf("%s: the record is %+v", a, rec.Stamp)
				}
				about[a.Held.ID]++
			default:
				t.Fatalf("unexpected action %T", action)
			}
			if w.Busy[k] {
				t.Fatalf("%s: the slot is busy", action)
			}
			if s := action.String(); s == "" || strings.ContainsAny(s, "\n%") {
				t.Fatalf("cannot be printed: %q", s)
			}
		}
		for k := range w.Slots {
			if starts[k] > 1 || reports[k] > 1 {
				t.Fatalf("%s: %d starts, %d reports: %q", k, starts[k], reports[k], words(actions))
			}
		}
		for id, n := range about {
			if n > 1 {
				t.Fatalf("%d actions about container %s: %q", n, id, words(actions))
			}
		}
	})
}

// checkStart checks what holds of every start.
func checkStart(t *rapid.T, w *localWorld, s peer.Start) {
	a, j := w.Slots[s.Key], w.Jobs[s.Key.Job]
	switch {
	case a == nil || a.Owner() != me || a.Epoch() != s.Epoch || !a.State.Live():
		t.Fatalf("%s: the record is %+v", s, a)
	case j == nil || j.Life() != s.Key.Life || !j.Wants(s.Key.Slot):
		t.Fatalf("%s: the slot is not wanted", s)
	}
	for _, h := range w.Containers {
		if h.Key() != s.Key || h.State == runtime.Exited {
			continue
		}
		if h.Labels.Epoch == s.Epoch || j.Spec.StopFirst() || a.StopFirst {
			t.Fatalf("%s: container %s of it is %s", s, h.ID, h.State)
		}
	}
}

// checkStop checks that what is stopped serves nobody: it is not the container of
// a live record of this node, unless that slot is not wanted or it never started.
func checkStop(t *rapid.T, w *localWorld, s peer.Stop) {
	a, j := w.Slots[s.Held.Key()], w.Jobs["web"]
	if s.Held.State == runtime.Exited {
		t.Fatalf("%s: it has exited", s)
	}
	if j == nil && !w.LivesKnown {
		t.Fatalf("%s: its life may be known to others", s)
	}
	if a == nil || j == nil || j.Life() != s.Held.Labels.Life || !j.Wants(s.Held.Labels.Slot) || s.Held.State == runtime.Created {
		return
	}
	if a.Owner() == me && a.State.Live() && a.Epoch() == s.Held.Labels.Epoch {
		t.Fatalf("%s: the record says that it is %s here", s, a.State)
	}
	followed := a.State == api.Running && w.alive[a.Owner()] || a.Owner() == me && (a.StopFirst || a.State == api.Stopping)
	ended := a.State.Final() && a.Owner() == me || a.State == api.Complete
	if !followed && !ended && !j.Spec.StopFirst() {
		t.Fatalf("%s: it is the only copy: the record is %+v", s, a)
	}
}

// carryOut does to the world what a node would do, in an instant.
func (w *localWorld) carryOut(actions []peer.Action) {
	find := func(id string) *peer.Held {
		return &w.Containers[slices.IndexFunc(w.Containers, func(h peer.Held) bool { return h.ID == id })]
	}
	drop := func(id string) {
		w.Containers = slices.DeleteFunc(w.Containers, func(h peer.Held) bool { return h.ID == id })
	}
	for _, action := range actions {
		switch a := action.(type) {
		case peer.Start:
			id := fmt.Sprintf("c%d.%d", a.Key.Slot, a.Epoch)
			drop(id)
			h := w.held(id, a.Epoch, runtime.Running)
			h.Labels.Slot, h.Labels.TemplateHash, h.StartedAt = a.Key.Slot, w.Slots[a.Key].Hash, w.Now
			w.write(a.Key, func(rec *peer.Assignment) {
				rec.State, rec.Restarts, rec.FinishedAt = api.Starting, a.Restarts, time.Time{}
			})
		case peer.Stop:
			h := find(a.Held.ID)
			h.State, h.PID, h.FinishedAt, h.ExitCode = runtime.Exited, 0, w.Now, 143
		case peer.Remove:
			drop(a.Held.ID)
		case peer.Adopt:
			l := a.Held.Labels
			w.changed[a.Held.Key()] = w.Now
			w.Slots[a.Held.Key()] = &peer.Assignment{
				State: api.Running, Hash: l.TemplateHash, ContainerID: a.Held.ID, PID: a.Held.PID, StartedAt: a.Held.StartedAt,
				Key: a.Held.Key(), Stamp: peer.LabelStamp(&w.Local, &a.Held),
			}
		case peer.Report:
			w.write(a.Key, func(rec *peer.Assignment) {
				rec.State, rec.Reason = a.State, a.Reason
				if c := a.Container; c != nil {
					rec.ContainerID, rec.PID, rec.StartedAt, rec.FinishedAt = c.ID, c.PID, c.StartedAt, c.FinishedAt
				}
				if !a.Ended.IsZero() {
					rec.FinishedAt = a.Ended
				}
				if a.State == api.Complete {
					rec.RanEpoch, rec.Stamp.Major = rec.Epoch(), bidding.MaxEpoch
				}
			})
		}
	}
}

func (w *localWorld) write(k peer.SlotKey, change func(*peer.Assignment)) {
	next := *w.Slots[k]
	change(&next)
	next.Stamp.Minor++
	w.Slots[k], w.changed[k] = &next, w.Now
}

// Whatever the world was like, a node left to itself comes to rest, and then runs
// exactly what it should.
func TestReconcileComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawLocal(t)
		clear(w.Busy)
		var last []peer.Action
		for range 40 { // the longest pause before a restart is eight seconds
			last = peer.Reconcile(&w.Local)
			w.carryOut(last)
			w.Now = w.Now.Add(time.Second)
		}
		if len(last) > 0 {
			t.Fatalf("after 40 seconds it still wants to %q", words(last))
		}
		for i := range 3 {
			checkRest(t, w, peer.SlotKey{Job: "web", Life: 7, Slot: i})
		}
	})
}

// checkRest checks a slot of a node that has come to rest.
func checkRest(t *rapid.T, w *localWorld, k peer.SlotKey) {
	a, j := w.Slots[k], w.Jobs[k.Job]
	up := map[string]peer.Held{}
	for _, h := range w.Containers {
		if h.Key() == k && h.State != runtime.Exited {
			up[h.ID] = h
		}
	}
	ids := slices.Sorted(maps.Keys(up))
	switch {
	case j == nil:
		if w.LivesKnown && len(up) > 0 {
			t.Fatalf("%s: nobody knows its job, and %v run", k, ids)
		}
	case j.Life() != k.Life || !j.Wants(k.Slot):
		if len(up) > 0 {
			t.Fatalf("%s is not wanted, and %v run", k, ids)
		}
		if j.Life() == k.Life && a != nil && a.Owner() == me && !a.State.Final() {
			t.Fatalf("%s is not wanted, and its record says %s", k, a.State)
		}
	case a == nil:
		if len(up) > 0 {
			t.Fatalf("%s has no record, and %v run", k, ids)
		}
	case a.Owner() == me && !a.State.Final():
		if h, ok := up[a.ContainerID]; len(up) != 1 || !ok || a.State != api.Running || h.Labels.TemplateHash != a.Hash {
			t.Fatalf("%s is %s here as container %q, and %v run", k, a.State, a.ContainerID, ids)
		}
	case a.State == api.Complete, a.State == api.Running && w.alive[a.Owner()], j.Spec.StopFirst() && a.Owner() != me:
		if len(up) > 0 {
			t.Fatalf("%s is %s on %s, and %v run here", k, a.State, a.Owner(), ids)
		}
	}
}
