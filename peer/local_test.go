package peer_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
)

const me = api.NodeID("me")

// localWorld is a node's view of its own tasks that tests can change. Its job is
// web of life 7, with two replicas. Another node that can be alive is "other":
// it orders after "me" where epochs are equal, and "aaa" before.
type localWorld struct {
	peer.Local
	job     *peer.JobRecord
	changed map[peer.SlotKey]time.Time
	alive   map[api.NodeID]bool
}

func newLocalWorld() *localWorld {
	w := &localWorld{job: planJob("web", 2), changed: map[peer.SlotKey]time.Time{}, alive: map[api.NodeID]bool{me: true, "other": true, "aaa": true}}
	w.Local = peer.Local{
		Self: me, Boot: "boot", Now: planNow, Jobs: map[string]*peer.JobRecord{"web": w.job}, Slots: map[peer.SlotKey]*peer.Assignment{},
		Busy: map[peer.SlotKey]bool{}, LivesKnown: true,
		Alive:   func(id api.NodeID) bool { return w.alive[id] },
		Changed: func(k peer.SlotKey) time.Time { return w.changed[k] },
	}
	return w
}

// record writes the record of slot 0; it changed just now.
func (w *localWorld) record(epoch uint64, owner api.NodeID, state api.TaskState) *peer.Assignment {
	k := w.job.Slot(0)
	a := &peer.Assignment{State: state, Hash: w.job.Hash, Key: k, Stamp: gossip.Stamp{Major: epoch, Mid: string(owner), Minor: 3, Writer: string(owner) + ".boot"}}
	w.Slots[k], w.changed[k] = a, w.Now
	return a
}

// running is the record of a task of this node that runs as container id.
func (w *localWorld) running(epoch uint64, id string) *peer.Assignment {
	a := w.record(epoch, me, api.Running)
	a.ContainerID, a.PID, a.StartedAt = id, 5, w.Now.Add(-time.Minute)
	return a
}

// waits makes the record of slot 0 that of a task which has ended, when its
// container says or just now, and is to be started again.
func (w *localWorld) waits(reason string) *peer.Assignment {
	a := w.Slots[w.job.Slot(0)]
	a.State, a.Reason, a.FinishedAt = api.Starting, reason, w.Now
	for _, h := range w.Containers {
		a.FinishedAt = h.FinishedAt
	}
	return a
}

// held adds a container of slot 0 of the current specification.
func (w *localWorld) held(id string, epoch uint64, state runtime.State) *peer.Held {
	h := peer.Held{Driver: "fake", Container: runtime.Container{
		ID: id, State: state, PID: 5, StartedAt: w.Now.Add(-time.Minute),
		Labels: runtime.Labels{Job: "web", Life: 7, Epoch: epoch, Node: me, Boot: "old", TemplateHash: w.job.Hash, StopTimeout: api.Duration(4 * time.Second)},
	}}
	if state == runtime.Exited {
		h.PID, h.FinishedAt, h.ExitCode = 0, w.Now.Add(-time.Minute), 1
	}
	w.Containers = append(w.Containers, h)
	return &w.Containers[len(w.Containers)-1]
}

// say is an action with all that its String leaves out.
func say(a peer.Action) string {
	switch a := a.(type) {
	case peer.Start:
		return fmt.Sprintf("%s (restarts %d)", a, a.Restarts)
	case peer.Report:
		s := a.String()
		if a.Container != nil {
			s += " [" + a.Container.ID + "]"
		}
		if a.Failed {
			s += " (failed)"
		}
		return s
	case peer.Stop:
		return fmt.Sprintf("%s [%s] (grace %s)", a, a.Held.ID, a.Grace)
	case peer.Remove:
		return fmt.Sprintf("%s [%s]", a, a.Held.ID)
	case peer.Adopt:
		return fmt.Sprintf("%s [%s]", a, a.Held.ID)
	}
	return a.String()
}

type localTest struct {
	name   string
	change func(*localWorld)
	want   []string
}

func runLocal(t *testing.T, tests []localTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newLocalWorld()
			test.change(w)
			var got []string
			for _, a := range peer.Reconcile(&w.Local) {
				got = append(got, say(a))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("\n got %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestReconcileOwn(t *testing.T) {
	exited := func(code int, ago time.Duration) func(*localWorld) {
		return func(w *localWorld) {
			w.running(2, "c2")
			h := w.held("c2", 2, runtime.Exited)
			h.ExitCode, h.FinishedAt = code, w.Now.Add(-ago)
		}
	}
	batch := func(then func(*localWorld)) func(*localWorld) {
		return func(w *localWorld) { w.job.Spec.Type = api.BatchJob; then(w) }
	}
	runLocal(t, []localTest{
		{"nothing", func(*localWorld) {}, nil},
		{"accepted", func(w *localWorld) { w.record(2, me, api.Accepted) }, []string{"start web.0@2 (restarts 0)"}},
		{"begun by a boot before", func(w *localWorld) { w.record(2, me, api.Starting).Restarts = 2 }, []string{"start web.0@2 (restarts 2)"}},
		{"accepted by another", func(w *localWorld) { w.record(2, "other", api.Accepted) }, nil},
		{"it runs", func(w *localWorld) { w.record(2, me, api.Starting); w.held("c2", 2, runtime.Running) },
			[]string{"report web.0@2 running [c2]"}},
		{"it runs as known", func(w *localWorld) { w.running(2, "c2"); w.held("c2", 2, runtime.Running) }, nil},
		{"as another container", func(w *localWorld) { w.running(2, "c1"); w.held("c2", 2, runtime.Running) }, []string{"report web.0@2 running [c2]"}},
		{"as another process", func(w *localWorld) { w.running(2, "c2").PID = 6; w.held("c2", 2, runtime.Running) },
			[]string{"report web.0@2 running [c2]"}},
		{"paused", func(w *localWorld) { w.running(2, "c2"); w.held("c2", 2, runtime.Running).Reason = runtime.Paused },
			[]string{"report web.0@2 running: paused [c2]"}},
		{"paused as known", func(w *localWorld) {
			w.running(2, "c2").Reason = runtime.Paused
			w.held("c2", 2, runtime.Running).Reason = runtime.Paused
		}, nil},
		{"paused no more", func(w *localWorld) { w.running(2, "c2").Reason = runtime.Paused; w.held("c2", 2, runtime.Running) },
			[]string{"report web.0@2 running [c2]"}},
		{"left half started", func(w *localWorld) { w.record(2, me, api.Starting); w.held("c2", 2, runtime.Created) },
			[]string{"stop web.0@2: it was left half started [c2] (grace 0s)"}},
		{"busy", func(w *localWorld) {
			w.record(2, me, api.Accepted)
			w.held("c1", 1, runtime.Exited)
			w.held("c3", 3, runtime.Running)
			w.Busy[w.job.Slot(0)] = true
		}, nil},

		{"too long until it ran", func(w *localWorld) {
			w.record(2, me, api.Pulling)
			w.changed[w.job.Slot(0)] = w.Now.Add(-time.Duration(w.job.Spec.StartTimeout) - 1)
		}, []string{"report web.0@2 failed: not running within its start timeout (failed)"}},
		{"just in time", func(w *localWorld) {
			w.record(2, me, api.Pulling)
			w.changed[w.job.Slot(0)] = w.Now.Add(-time.Duration(w.job.Spec.StartTimeout))
		}, []string{"start web.0@2 (restarts 0)"}},

		{"exited: not before a second", exited(1, time.Second-1), []string{"report web.0@2 starting: exited with code 1, restarts in 1s (1 of 3) [c2]"}},
		{"that was said", func(w *localWorld) {
			exited(1, time.Second-1)(w)
			w.waits("exited with code 1, restarts in 1s (1 of 3)")
		}, nil},
		{"something else was said", func(w *localWorld) { exited(1, time.Second-1)(w); w.waits("progress") },
			[]string{"report web.0@2 starting: exited with code 1, restarts in 1s (1 of 3) [c2]"}},
		{"exited: again, as it was said", func(w *localWorld) {
			exited(1, time.Second)(w)
			w.waits("exited with code 1, restarts in 1s (1 of 3)")
		}, []string{"start web.0@2 (restarts 1)"}},
		{"exited: again", exited(1, time.Second), []string{"start web.0@2 (restarts 1)"}},
		{"exited well: a service runs again", exited(0, time.Second), []string{"start web.0@2 (restarts 1)"}},
		{"exited the third time: not before four seconds", func(w *localWorld) {
			exited(1, 4*time.Second-1)(w)
			w.Slots[w.job.Slot(0)].Restarts = 2
		}, []string{"report web.0@2 starting: exited with code 1, restarts in 4s (3 of 3) [c2]"}},
		{"exited the third time", func(w *localWorld) { exited(1, 4*time.Second)(w); w.Slots[w.job.Slot(0)].Restarts = 2 },
			[]string{"start web.0@2 (restarts 3)"}},
		{"exited once too often", func(w *localWorld) { exited(7, 0)(w); w.Slots[w.job.Slot(0)].Restarts = 3 },
			[]string{"report web.0@2 failed: exited with code 7 [c2] (failed)"}},
		{"exited by a signal", func(w *localWorld) {
			exited(-1, 0)(w)
			w.Slots[w.job.Slot(0)].Restarts = 3
			w.Containers[0].Reason = "killed by signal 9"
		}, []string{"report web.0@2 failed: killed by signal 9 [c2] (failed)"}},
		{"exited for want of memory", func(w *localWorld) {
			exited(137, 0)(w)
			w.Slots[w.job.Slot(0)].Restarts = 3
			w.Containers[0].OOM = true
		}, []string{"report web.0@2 failed: out of memory (exited with code 137) [c2] (failed)"}},
		{"exited after ten minutes: what was before does not count", func(w *localWorld) {
			exited(1, time.Second)(w)
			a := w.Slots[w.job.Slot(0)]
			a.Restarts, a.StartedAt = 3, w.Containers[0].FinishedAt.Add(-peer.Steady)
		}, []string{"start web.0@2 (restarts 1)"}},
		{"exited after not quite ten minutes", func(w *localWorld) {
			exited(1, time.Second)(w)
			a := w.Slots[w.job.Slot(0)]
			a.Restarts, a.StartedAt = 3, w.Containers[0].FinishedAt.Add(1-peer.Steady)
		}, []string{"report web.0@2 failed: exited with code 1 [c2] (failed)"}},
		{"never restarted", func(w *localWorld) { exited(1, 0)(w); w.job.Spec.Restart.Policy = "no" },
			[]string{"report web.0@2 failed: exited with code 1 [c2] (failed)"}},
		{"batch: ended well", batch(exited(0, 0)), []string{"report web.0@2 complete: exited with code 0 [c2]"}},
		{"batch: ended badly", batch(exited(1, time.Second)), []string{"start web.0@2 (restarts 1)"}},
		{"batch: ended before anybody saw it run", batch(func(w *localWorld) {
			w.record(2, me, api.Starting)
			w.held("c2", 2, runtime.Exited).ExitCode = 0
		}), []string{"report web.0@2 complete: exited with code 0 [c2]"}},
		{"vanished, whenever that was", func(w *localWorld) { w.running(2, "c2"); w.changed[w.job.Slot(0)] = w.Now.Add(-time.Hour) },
			[]string{"report web.0@2 starting: its container is gone, restarts in 1s (1 of 3)"}},
		{"vanished, and that was said", func(w *localWorld) {
			w.running(2, "")
			w.waits("its container is gone, restarts in 1s (1 of 3)").FinishedAt = w.Now.Add(1 - time.Second)
		}, nil},
		{"vanished: again", func(w *localWorld) {
			w.running(2, "")
			w.waits("its container is gone, restarts in 1s (1 of 3)").FinishedAt = w.Now.Add(-time.Second)
		}, []string{"start web.0@2 (restarts 1)"}},
		{"vanished after ten minutes: what was before does not count", func(w *localWorld) {
			a := w.running(2, "c2")
			a.Restarts, a.StartedAt = 3, w.Now.Add(-peer.Steady)
		}, []string{"report web.0@2 starting: its container is gone, restarts in 1s (1 of 3)"}},
		{"and it is started", func(w *localWorld) {
			a := w.running(2, "")
			a.Restarts, a.StartedAt = 3, w.Now.Add(-peer.Steady-time.Second)
			w.waits("its container is gone, restarts in 1s (1 of 3)").FinishedAt = w.Now.Add(-time.Second)
		}, []string{"start web.0@2 (restarts 1)"}},
		{"vanished after not quite ten minutes", func(w *localWorld) {
			a := w.running(2, "c2")
			a.Restarts, a.StartedAt = 3, w.Now.Add(1-peer.Steady)
		}, []string{"report web.0@2 failed: its container is gone (failed)"}},
		{"a pause longer than a start may take", func(w *localWorld) {
			w.job.Spec.StartTimeout, w.changed[w.job.Slot(0)] = api.Duration(time.Second), w.Now.Add(-3*time.Second)
			w.running(2, "").Restarts = 2
			w.waits("its container is gone, restarts in 4s (3 of 3)").FinishedAt = w.Now.Add(-3 * time.Second)
		}, nil},
		{"vanished once too often", func(w *localWorld) { w.running(2, "c2").Restarts = 3 },
			[]string{"report web.0@2 failed: its container is gone (failed)"}},

		{"not wanted", func(w *localWorld) { w.running(2, "c2"); w.held("c2", 2, runtime.Running); w.job.Spec.Replicas = 0 },
			[]string{"report web.0@2 stopping: not wanted", "stop web.0@2: not wanted [c2] (grace 4s)"}},
		{"the job is stopped", func(w *localWorld) { w.running(2, "c2"); w.held("c2", 2, runtime.Running); w.job.Stopped = true },
			[]string{"report web.0@2 stopping: not wanted", "stop web.0@2: not wanted [c2] (grace 4s)"}},
		{"not wanted, still stopping", func(w *localWorld) {
			w.running(2, "c2").State = api.Stopping
			w.held("c2", 2, runtime.Running)
			w.job.Stopped = true
		}, []string{"stop web.0@2: not wanted [c2] (grace 4s)"}},
		{"not wanted, an earlier copy is left", func(w *localWorld) {
			w.running(2, "c2").State = api.Stopping
			w.held("c1", 1, runtime.Running)
			w.held("c2", 2, runtime.Exited)
			w.job.Stopped = true
		}, []string{"stop web.0@1: not wanted [c1] (grace 4s)"}},
		{"not wanted, nothing left", func(w *localWorld) {
			w.running(2, "c2").State = api.Stopping
			w.held("c2", 2, runtime.Exited)
			w.job.Stopped = true
		}, []string{"report web.0@2 stopped: not wanted"}},
		{"not wanted before it began", func(w *localWorld) { w.record(2, me, api.Accepted); w.job.Stopped = true },
			[]string{"report web.0@2 stopped: not wanted"}},
		{"stopping, and wanted again: this attempt has to end", func(w *localWorld) {
			w.running(2, "c2").State = api.Stopping
			w.held("c2", 2, runtime.Exited)
		}, []string{"report web.0@2 stopped"}},
		{"let go, to be placed anew", func(w *localWorld) {
			w.job.Spec.Type = api.BatchJob
			a := w.running(2, "c2")
			a.State, a.Reason = api.Stopping, "let go"
			w.held("c1", 1, runtime.Running)
			w.held("c2", 2, runtime.Running)
		}, []string{"stop web.0@1: let go [c1] (grace 4s)", "stop web.0@2: let go [c2] (grace 4s)"}},
		{"let go, and gone", func(w *localWorld) {
			a := w.running(2, "c2")
			a.State, a.Reason = api.Stopping, "let go"
		}, []string{"report web.0@2 stopped: let go"}},
		{"let go, and nobody knows whether it is gone", func(w *localWorld) {
			a := w.running(2, "c2")
			a.State, a.Reason = api.Stopping, "let go"
			w.Unlisted = map[string]bool{w.job.Spec.Driver: true}
		}, nil},

		{"removed", func(w *localWorld) { w.running(2, "c2"); w.held("c2", 2, runtime.Running); w.job.Removed = true },
			[]string{"report web.0@2 stopping: not wanted", "stop web.0@2: not wanted [c2] (grace 4s)"}},
		{"removed and stopped", func(w *localWorld) {
			w.running(2, "c2").State = api.Stopped
			w.held("c2", 2, runtime.Exited)
			w.job.Removed = true
		}, []string{"remove web.0@2 [c2]"}},
		{"stopped: its logs are kept", func(w *localWorld) {
			w.running(2, "c2").State = api.Stopped
			w.held("c2", 2, runtime.Exited).FinishedAt = w.Now.Add(-peer.LogsKept)
		}, nil},
		{"stopped: its logs are kept for a day", func(w *localWorld) {
			w.running(2, "c2").State = api.Stopped
			w.held("c2", 2, runtime.Exited).FinishedAt = w.Now.Add(-peer.LogsKept - 1)
		}, []string{"remove web.0@2 [c2]"}},
		{"failed, without a container", func(w *localWorld) { w.record(2, me, api.Failed) }, nil},
		{"failed, and found running", func(w *localWorld) { w.record(2, me, api.Failed); w.held("c2", 2, runtime.Running) },
			[]string{"stop web.0@2: its attempt has ended (failed) [c2] (grace 4s)"}},
		{"complete, and found running", batch(func(w *localWorld) {
			a := w.record(2, me, api.Complete)
			a.RanEpoch, a.Stamp.Major = 2, bidding.MaxEpoch
			w.held("c2", 2, runtime.Running)
		}), []string{"stop web.0@2: its attempt has ended (complete) [c2] (grace 4s)"}},
		{"complete", batch(func(w *localWorld) {
			a := w.record(2, me, api.Complete)
			a.RanEpoch, a.Stamp.Major = 2, bidding.MaxEpoch
			w.held("c2", 2, runtime.Exited)
		}), nil},
	})
}

func TestReconcileSuperseded(t *testing.T) {
	batch := func(w *localWorld) { w.job.Spec.Type = api.BatchJob }
	old := func(w *localWorld) { w.held("c1", 1, runtime.Running).Labels.TemplateHash = "old" }
	runLocal(t, []localTest{
		{"kept until the new one runs", func(w *localWorld) { w.held("c1", 1, runtime.Running); w.record(2, "other", api.Starting) }, nil},
		{"the new one runs", func(w *localWorld) { w.held("c1", 1, runtime.Running); w.record(2, "other", api.Running) },
			[]string{"stop web.0@1: the attempt that follows it runs [c1] (grace 4s)"}},
		{"the new one ran on a node that is dead", func(w *localWorld) {
			w.held("c1", 1, runtime.Running)
			w.record(2, "other", api.Running)
			w.alive["other"] = false
		}, nil},
		{"the new one failed", func(w *localWorld) { w.held("c1", 1, runtime.Running); w.record(2, "other", api.Failed) }, nil},
		{"exited, while the new one starts", func(w *localWorld) { w.held("c1", 1, runtime.Exited); w.record(2, "other", api.Starting) }, nil},
		{"exited too often", func(w *localWorld) {
			for epoch := range uint64(peer.ExitedKept + 2) {
				w.held(fmt.Sprintf("c%d", epoch+1), epoch+1, runtime.Exited)
			}
			w.record(peer.ExitedKept+3, "other", api.Running)
		}, []string{"remove web.0@1 [c1]", "remove web.0@2 [c2]"}},
		{"exited too often, and runs again", func(w *localWorld) {
			for epoch := range uint64(peer.ExitedKept + 1) {
				w.held(fmt.Sprintf("c%d", epoch+1), epoch+1, runtime.Exited)
			}
			w.running(peer.ExitedKept+2, "c9")
			w.held("c9", peer.ExitedKept+2, runtime.Running)
		}, []string{"remove web.0@1 [c1]"}},
		{"exited too often, to be restarted", func(w *localWorld) {
			for epoch := range uint64(peer.ExitedKept + 1) {
				w.held(fmt.Sprintf("c%d", epoch+1), epoch+1, runtime.Exited)
			}
			w.running(peer.ExitedKept+1, fmt.Sprintf("c%d", peer.ExitedKept+1))
		}, []string{"remove web.0@1 [c1]", fmt.Sprintf("start web.0@%d (restarts 1)", peer.ExitedKept+1)}},
		{"exited long ago", func(w *localWorld) {
			w.held("c1", 1, runtime.Exited).FinishedAt = w.Now.Add(-peer.LogsKept - 1)
			w.record(2, "other", api.Running)
		}, []string{"remove web.0@1 [c1]"}},
		{"not wanted, of another's record", func(w *localWorld) {
			w.held("c1", 1, runtime.Running)
			w.record(2, "other", api.Starting)
			w.job.Spec.Replicas = 0
		}, []string{"stop web.0@1: not wanted [c1] (grace 4s)"}},
		{"stop-first: at once", func(w *localWorld) { batch(w); w.held("c1", 1, runtime.Running); w.record(2, "other", api.Accepted) },
			[]string{"stop web.0@1: superseded [c1] (grace 4s)"}},
		{"stop-first: even if its owner is dead", func(w *localWorld) {
			batch(w)
			w.held("c1", 1, runtime.Running)
			w.record(2, "other", api.Accepted)
			w.alive["other"] = false
		}, []string{"stop web.0@1: superseded [c1] (grace 4s)"}},
		{"complete elsewhere", func(w *localWorld) {
			batch(w)
			w.held("c1", 1, runtime.Running)
			w.record(bidding.MaxEpoch, "other", api.Complete).RanEpoch = 2
		}, []string{"stop web.0@1: the task is complete [c1] (grace 4s)"}},

		{"the new one is to run here, beside the old", func(w *localWorld) { old(w); w.record(2, me, api.Accepted) },
			[]string{"start web.0@2 (restarts 0)"}},
		{"the new one runs here", func(w *localWorld) { old(w); w.running(2, "c2"); w.held("c2", 2, runtime.Running) },
			[]string{"stop web.0@1: the attempt that follows it runs [c1] (grace 4s)"}},
		{"the new one is there and not yet reported", func(w *localWorld) { old(w); w.record(2, me, api.Starting); w.held("c2", 2, runtime.Running) },
			[]string{"report web.0@2 running [c2]"}},
		{"the new one exited here before it was seen to run", func(w *localWorld) {
			old(w)
			w.record(2, me, api.Starting)
			w.held("c2", 2, runtime.Exited).FinishedAt = w.Now
		}, []string{"report web.0@2 starting: exited with code 1, restarts in 1s (1 of 3) [c2]"}},
		{"the new one failed here", func(w *localWorld) { old(w); w.record(2, me, api.Failed); w.held("c2", 2, runtime.Exited) }, nil},
		{"no room for both: the old one goes first", func(w *localWorld) { old(w); w.record(2, me, api.Accepted).StopFirst = true },
			[]string{"stop web.0@1: it makes room for the attempt that follows it [c1] (grace 4s)"}},
		{"no room for both: the old one is gone", func(w *localWorld) {
			w.held("c1", 1, runtime.Exited).Labels.TemplateHash = "old"
			w.record(2, me, api.Accepted).StopFirst = true
		}, []string{"start web.0@2 (restarts 0)"}},
		{"stop-first, here: the old one goes first", func(w *localWorld) { batch(w); old(w); w.record(2, me, api.Accepted) },
			[]string{"stop web.0@1: superseded [c1] (grace 4s)"}},
		{"stop-first, restarted here: the old one goes first", func(w *localWorld) {
			batch(w)
			old(w)
			w.running(2, "c2")
			w.held("c2", 2, runtime.Exited)
		}, []string{"stop web.0@1: superseded [c1] (grace 4s)"}},
		{"about to be adopted: nothing is started beside it", func(w *localWorld) { w.record(1, me, api.Accepted); w.held("c2", 2, runtime.Running) },
			[]string{"adopt web.0@2 [c2]"}},
		{"stop-first, here: the old one is gone", func(w *localWorld) {
			batch(w)
			w.held("c1", 1, runtime.Exited).Labels.TemplateHash = "old"
			w.record(2, me, api.Accepted)
		}, []string{"start web.0@2 (restarts 0)"}},

		{"awarded while running a current copy: it is kept", func(w *localWorld) { w.held("c1", 1, runtime.Running); w.record(2, me, api.Accepted) },
			[]string{"report web.0@2 running [c1]"}},
		{"and stays", func(w *localWorld) { w.held("c1", 1, runtime.Running); w.running(2, "c1") }, nil},
		{"kept, of a batch job", func(w *localWorld) { batch(w); w.held("c1", 1, runtime.Running); w.running(2, "c1") }, nil},
		{"kept, exited: restarted under its new epoch", func(w *localWorld) { w.held("c1", 1, runtime.Exited); w.running(2, "c1") },
			[]string{"start web.0@2 (restarts 1)"}},
		{"kept, exited well, of a batch job", func(w *localWorld) {
			batch(w)
			w.held("c1", 1, runtime.Exited).ExitCode = 0
			w.running(2, "c1")
		}, []string{"report web.0@2 complete: exited with code 0 [c1]"}},
		{"kept and failed: it is not kept again", func(w *localWorld) { w.held("c1", 1, runtime.Exited); w.record(3, me, api.Accepted) },
			[]string{"start web.0@3 (restarts 0)"}},
		{"two current copies: one is kept", func(w *localWorld) {
			w.held("c0", 1, runtime.Running)
			w.held("c1", 2, runtime.Running)
			w.running(3, "c0")
		}, []string{"stop web.0@2: the attempt that follows it runs [c1] (grace 4s)"}},
	})
}

func TestReconcileLabels(t *testing.T) {
	adopt := []string{"adopt web.0@2 [c2]"}
	runLocal(t, []localTest{
		{"no record", func(w *localWorld) { w.held("c2", 2, runtime.Running) }, adopt},
		{"an earlier record", func(w *localWorld) { w.held("c2", 2, runtime.Running); w.record(1, "other", api.Running) }, adopt},
		{"an earlier record of our own", func(w *localWorld) { w.held("c2", 2, runtime.Running); w.record(1, me, api.Failed) }, adopt},
		{"a tie that we win", func(w *localWorld) { w.held("c2", 2, runtime.Running); w.record(2, "aaa", api.Running) }, adopt},
		{"a tie that we lose", func(w *localWorld) { w.held("c2", 2, runtime.Running); w.record(2, "other", api.Running) },
			[]string{"stop web.0@2: the attempt that follows it runs [c2] (grace 4s)"}},
		{"a tie that we lose to one that does not run yet", func(w *localWorld) { w.held("c2", 2, runtime.Running); w.record(2, "other", api.Accepted) }, nil},
		{"exited: the record that follows says so", func(w *localWorld) { w.held("c2", 2, runtime.Exited) }, adopt},
		{"exited: known", func(w *localWorld) { w.held("c2", 2, runtime.Exited); w.record(3, "other", api.Running) }, nil},
		{"exited, of a slot that is not wanted", func(w *localWorld) { w.held("c2", 2, runtime.Exited); w.job.Stopped = true }, nil},
		{"not wanted", func(w *localWorld) { w.held("c2", 2, runtime.Running); w.job.Stopped = true },
			[]string{"stop web.0@2: not wanted [c2] (grace 4s)"}},
		{"not wanted, beside our own record", func(w *localWorld) {
			w.held("c2", 2, runtime.Running)
			w.record(1, me, api.Running)
			w.job.Stopped = true
		}, []string{"report web.0@1 stopping: not wanted", "stop web.0@2: not wanted [c2] (grace 4s)"}},

		{"nobody knows its job", func(w *localWorld) { w.held("c2", 2, runtime.Running); clear(w.Jobs) },
			[]string{"stop web.0@2: nobody knows its job [c2] (grace 4s)"}},
		{"we do not know its job", func(w *localWorld) { w.held("c2", 2, runtime.Running); clear(w.Jobs); w.LivesKnown = false }, nil},
		{"nobody knows its life", func(w *localWorld) { w.held("c2", 2, runtime.Running); w.job.Stamp.Major = 6 },
			[]string{"stop web.0@2: nobody knows its job [c2] (grace 4s)"}},
		{"we do not know its life", func(w *localWorld) { w.held("c2", 2, runtime.Running); w.job.Stamp.Major = 6; w.LivesKnown = false }, nil},
		{"its job was created anew", func(w *localWorld) { w.held("c2", 2, runtime.Running); w.job.Stamp.Major = 8; w.LivesKnown = false },
			[]string{"stop web.0@2: its job was removed [c2] (grace 4s)"}},
		{"its job was created anew, and its record is still here", func(w *localWorld) {
			w.held("c2", 2, runtime.Running)
			w.running(2, "c2")
			w.job.Stamp.Major = 8
		}, []string{"stop web.0@2: its job was removed [c2] (grace 4s)"}},
		{"its job was removed", func(w *localWorld) { w.held("c2", 2, runtime.Running); w.job.Removed = true; w.LivesKnown = false },
			[]string{"stop web.0@2: its job was removed [c2] (grace 4s)"}},
		{"of an earlier life than the one removed", func(w *localWorld) {
			w.held("c2", 2, runtime.Running)
			w.job.Removed, w.job.Stamp.Major, w.LivesKnown = true, 8, false
		}, []string{"stop web.0@2: its job was removed [c2] (grace 4s)"}},
		{"of a later life than the one removed", func(w *localWorld) {
			w.held("c2", 2, runtime.Running)
			w.job.Removed, w.job.Stamp.Major, w.LivesKnown = true, 6, false
		}, nil},
		{"exited: its job was removed", func(w *localWorld) { w.held("c2", 2, runtime.Exited); w.job.Removed = true }, []string{"remove web.0@2 [c2]"}},
		{"exited: nobody knows its job", func(w *localWorld) { w.held("c2", 2, runtime.Exited); clear(w.Jobs) }, []string{"remove web.0@2 [c2]"}},
		{"exited: we do not know its job", func(w *localWorld) { w.held("c2", 2, runtime.Exited); clear(w.Jobs); w.LivesKnown = false }, nil},
	})
}
