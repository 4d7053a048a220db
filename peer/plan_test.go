package peer_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
)

var planNow = time.Unix(1_700_000_000, 0)

// planJob is version 1 of a job of life 7.
func planJob(name string, replicas int) *peer.JobRecord {
	spec := api.NewJob()
	spec.Name, spec.Driver, spec.Command, spec.Replicas = name, "process", []string{"sleep", "1d"}, replicas
	return &peer.JobRecord{Spec: spec, Stamp: gossip.Stamp{Major: 7, Minor: 1, Writer: "w"}, Hash: spec.TemplateHash(0)}
}

// planWorld is a world that tests can change.
type planWorld struct {
	peer.World
	job     *peer.JobRecord // the first
	slots   map[peer.SlotKey]*peer.Assignment
	changed map[peer.SlotKey]time.Time
	owner   []api.NodeID // of the slots of job
}

// newPlanWorld has job web of three slots, each running on a node of its own, and
// a fourth node, the coordinator, which is Self.
func newPlanWorld() *planWorld {
	w := &planWorld{job: planJob("web", 3), slots: map[peer.SlotKey]*peer.Assignment{}, changed: map[peer.SlotKey]time.Time{}}
	w.World = peer.World{
		Now: planNow, Jobs: []*peer.JobRecord{w.job}, Nodes: map[api.NodeID]peer.NodeState{},
		Slots:   func(k peer.SlotKey) *peer.Assignment { return w.slots[k] },
		Changed: func(k peer.SlotKey) time.Time { return w.changed[k] },
		Memory:  map[peer.SlotKey]*peer.Memory{}, MoveAt: map[peer.SlotKey]time.Time{}, Busy: map[string]bool{},
		Random: func() float64 { return 0.5 },
	}
	for _, id := range []api.NodeID{"a", "b", "c", "d"} {
		w.Nodes[id] = peer.NodeState{ID: id, Alive: true, State: peer.StateReady}
	}
	ranks := peer.Ranks("web", w.Nodes)
	w.Self, w.owner = ranks[0], ranks[1:]
	for i, id := range w.owner {
		w.put(w.job, i, 1, id, api.Running)
	}
	return w
}

// put writes the record of a slot; it changed an hour ago.
func (w *planWorld) put(j *peer.JobRecord, slot int, epoch uint64, owner api.NodeID, state api.TaskState) *peer.Assignment {
	k := j.Slot(slot)
	a := &peer.Assignment{State: state, Hash: j.Hash, Key: k, Stamp: gossip.Stamp{Major: epoch, Mid: string(owner), Minor: 1, Writer: string(owner) + ".boot"}}
	w.slots[k], w.changed[k] = a, w.Now.Add(-time.Hour)
	return a
}

// slot is the record of a slot of the first job.
func (w *planWorld) slot(i int) *peer.Assignment { return w.slots[w.job.Slot(i)] }

// node changes the state of the owner of slot i.
func (w *planWorld) node(i int, change func(*peer.NodeState)) {
	n := w.Nodes[w.owner[i]]
	change(&n)
	w.Nodes[w.owner[i]] = n
}

func (w *planWorld) die(i int) {
	w.node(i, func(n *peer.NodeState) { n.Alive, n.State, n.AbsentSince = false, "", w.Now.Add(-time.Second) })
}

// plan is what the loop does of it: observe, then plan.
func (w *planWorld) plan() []peer.Action {
	peer.Observe(&w.World)
	return peer.Plan(&w.World)
}

func words(actions []peer.Action) []string {
	out := make([]string, len(actions))
	for i, a := range actions {
		out[i] = a.String()
	}
	return out
}

func TestPlan(t *testing.T) {
	failed := func(w *planWorld, failures int, ago time.Duration) {
		w.put(w.job, 0, 2, w.owner[0], api.Failed)
		w.slot(0).Failures, w.slot(0).Reason = failures, "exited with code 1"
		w.changed[w.job.Slot(0)] = w.Now.Add(-ago)
	}
	batch := func(w *planWorld) { w.job.Spec.Type = api.BatchJob }
	tests := []struct {
		name   string
		change func(*planWorld)
		want   []string // $0 is the owner of slot 0
	}{
		{"all is well", func(*planWorld) {}, nil},
		{"first placement", func(w *planWorld) { clear(w.slots) }, []string{"place web[0 1 2]: first placement"}},
		{"scaled up", func(w *planWorld) { w.job.Spec.Replicas = 5 }, []string{"place web[3 4]: first placement"}},
		{"scaled down", func(w *planWorld) { w.job.Spec.Replicas = 1; w.die(1); w.die(2) }, nil},
		{"no replicas", func(w *planWorld) { w.job.Spec.Replicas = 0; clear(w.slots) }, nil},
		{"stopped", func(w *planWorld) { w.job.Stopped = true; clear(w.slots) }, nil},
		{"an auction is under way", func(w *planWorld) { w.Busy["web"] = true; w.die(0) }, nil},
		{"of another job", func(w *planWorld) { w.Busy["db"] = true; w.die(0) }, []string{"place web[0]: node $0 failed"}},

		{"owner died", func(w *planWorld) { w.die(0) }, []string{"place web[0]: node $0 failed"}},
		{"two died", func(w *planWorld) { w.die(0); w.die(2) }, []string{"place web[0 2]: node $0 failed; node $2 failed"}},
		{"owner is not known at all", func(w *planWorld) { delete(w.Nodes, w.owner[0]) }, []string{"place web[0]: node $0 failed"}},
		{"owner not yet seen since boot", func(w *planWorld) {
			delete(w.Nodes, w.owner[0])
			w.Absent = peer.NodeState{AbsentSince: w.Now.Add(-29 * time.Second), UnknownUntil: w.Now.Add(time.Second)}
		}, nil},
		{"boot grace is over", func(w *planWorld) {
			delete(w.Nodes, w.owner[0])
			w.Absent = peer.NodeState{AbsentSince: w.Now.Add(-30 * time.Second), UnknownUntil: w.Now}
		}, []string{"place web[0]: node $0 failed"}},
		{"planned restart", func(w *planWorld) {
			w.die(0)
			w.node(0, func(n *peer.NodeState) { n.UnknownUntil = w.Now.Add(time.Nanosecond) })
		}, nil},
		{"planned restart that did not come back", func(w *planWorld) {
			w.die(0)
			w.node(0, func(n *peer.NodeState) { n.UnknownUntil = w.Now })
		}, []string{"place web[0]: node $0 failed"}},
		{"failover_after", func(w *planWorld) { w.job.Spec.FailoverAfter = api.Duration(time.Second + 1); w.die(0) }, nil},
		{"failover_after has passed", func(w *planWorld) { w.job.Spec.FailoverAfter = api.Duration(time.Second); w.die(0) },
			[]string{"place web[0]: node $0 failed"}},
		{"owner died, and is known by name", func(w *planWorld) {
			w.die(0)
			w.node(0, func(n *peer.NodeState) { n.Name, n.Why = "vps2", "connection refused" })
		}, []string{"place web[0]: vps2 failed (connection refused at $t)"}},
		{"left, whatever the deadlines", func(w *planWorld) {
			w.job.Spec.FailoverAfter = api.Duration(time.Hour)
			w.die(0)
			w.node(0, func(n *peer.NodeState) { n.Left, n.UnknownUntil = true, w.Now.Add(time.Hour) })
		}, []string{"place web[0]: node $0 left"}},

		{"frozen, and its owner died", func(w *planWorld) { w.job.Spec.OnPartition = "freeze"; w.die(0) }, nil},
		{"frozen, and its owner left", func(w *planWorld) {
			w.job.Spec.OnPartition = "freeze"
			w.die(0)
			w.node(0, func(n *peer.NodeState) { n.Left = true })
		}, []string{"place web[0]: node $0 left"}},
		{"frozen, and its owner was removed", func(w *planWorld) { w.job.Spec.OnPartition = "freeze"; delete(w.Nodes, w.owner[0]) },
			[]string{"place web[0]: node $0 failed"}},
		{"frozen, and failed on its own", func(w *planWorld) { w.job.Spec.OnPartition = "freeze"; failed(w, 1, time.Minute) },
			[]string{"place web[0]: attempt @2 failed: exited with code 1"}},

		{"failed a moment ago", func(w *planWorld) { failed(w, 3, bidding.Backoff(3, 0.5)-1) }, nil},
		{"failed long enough ago", func(w *planWorld) { failed(w, 3, bidding.Backoff(3, 0.5)) },
			[]string{"place web[0]: attempt @2 failed: exited with code 1"}},
		{"failed, and its node died", func(w *planWorld) { failed(w, 1, time.Minute); w.die(0) },
			[]string{"place web[0]: attempt @2 failed: exited with code 1"}},
		{"failed often: five minutes at most", func(w *planWorld) { failed(w, math.MaxInt, 5*time.Minute) },
			[]string{"place web[0]: attempt @2 failed: exited with code 1"}},
		{"the last auction left it over", func(w *planWorld) {
			w.die(0)
			w.Memory[w.job.Slot(0)] = &peer.Memory{RetryAt: w.Now.Add(1)}
		}, nil},
		{"the last auction left it over a while ago", func(w *planWorld) {
			w.die(0)
			w.Memory[w.job.Slot(0)] = &peer.Memory{RetryAt: w.Now}
		}, []string{"place web[0]: node $0 failed"}},
		{"the longer pause counts", func(w *planWorld) {
			failed(w, 3, 0)
			w.Memory[w.job.Slot(0)] = &peer.Memory{RetryAt: w.Now}
		}, nil},
		{"stopped, then wanted again", func(w *planWorld) { w.slot(0).State = api.Stopped }, []string{"place web[0]: it was stopped"}},
		{"stopping, and wanted again", func(w *planWorld) { w.slot(0).State = api.Stopping }, []string{"place web[0]: it was stopping"}},
		{"not running for long", func(w *planWorld) {
			w.slot(0).State = api.Pulling
			w.changed[w.job.Slot(0)] = w.Now.Add(-2*time.Duration(w.job.Spec.StartTimeout) - 1)
		}, []string{"place web[0]: node $0 did not get it running in time"}},
		{"not running for not so long", func(w *planWorld) {
			w.slot(0).State = api.Accepted
			w.changed[w.job.Slot(0)] = w.Now.Add(-2 * time.Duration(w.job.Spec.StartTimeout))
		}, nil},
		{"to be restarted by its owner", func(w *planWorld) { w.waits(0, 0) }, nil},
		{"a pause longer than a start may take", func(w *planWorld) {
			w.job.Spec.StartTimeout = api.Duration(time.Second)
			w.waits(0, 6*time.Second)
		}, nil},
		{"its owner does not restart it", func(w *planWorld) {
			w.job.Spec.StartTimeout = api.Duration(time.Second)
			w.waits(0, 6*time.Second+1)
		}, []string{"place web[0]: node $0 did not get it running in time"}},
		{"to be restarted, and its owner drains", func(w *planWorld) {
			w.waits(0, 0)
			w.node(0, func(n *peer.NodeState) { n.State = peer.StateDraining })
		}, []string{"move web[0]: node is draining"}},
		{"to be restarted, and another's owner drains", func(w *planWorld) {
			w.waits(0, 0)
			w.node(1, func(n *peer.NodeState) { n.State = peer.StateDraining })
		}, []string{"move web[1]: node is draining"}},
		{"to be restarted, in the old form", func(w *planWorld) { w.waits(0, 0); w.job.Hash = "new" }, []string{"move web[0]: the job has changed"}},
		{"to be restarted, in the new form: no more of the old ones are given up", func(w *planWorld) {
			w.waits(0, 0)
			w.job.Hash, w.slot(0).Hash = "new", "new"
		}, nil},
		{"running for long", func(w *planWorld) { w.changed[w.job.Slot(0)] = time.Time{} }, nil},

		{"complete, whoever dies", func(w *planWorld) { batch(w); w.slot(0).State = api.Complete; w.die(0) }, nil},
		{"complete, and its node left", func(w *planWorld) {
			batch(w)
			w.slot(0).State = api.Complete
			w.node(0, func(n *peer.NodeState) { n.Alive, n.Left = false, true })
		}, nil},
		{"complete, and its node drains", func(w *planWorld) {
			batch(w)
			w.slot(0).State = api.Complete
			w.node(0, func(n *peer.NodeState) { n.State = peer.StateDraining })
		}, nil},
		{"complete, of another specification", func(w *planWorld) { batch(w); w.slot(0).State, w.slot(0).Hash = api.Complete, "old" }, nil},
		{"a batch task stops: two at once would be a fault", func(w *planWorld) { batch(w); w.slot(0).State = api.Stopping }, nil},
		{"a batch task was stopping when its node went silent", func(w *planWorld) {
			batch(w)
			w.slot(0).State = api.Stopping
			w.die(0)
			w.node(0, func(n *peer.NodeState) { n.UnknownUntil = w.Now.Add(time.Second) })
		}, nil},
		{"a batch task was stopping when its node died", func(w *planWorld) { batch(w); w.slot(0).State = api.Stopping; w.die(0) },
			[]string{"place web[0]: it was stopping"}},

		{"the job has changed", func(w *planWorld) { w.job.Hash = "new" }, []string{"move web[0]: the job has changed"}},
		{"two at a time", func(w *planWorld) { w.job.Hash = "new"; w.job.Spec.MaxParallel = 2 }, []string{"move web[0 1]: the job has changed"}},
		{"all at once", func(w *planWorld) { w.job.Hash = "new"; w.job.Spec.MaxParallel = 9 }, []string{"move web[0 1 2]: the job has changed"}},
		{"one is in motion", func(w *planWorld) {
			w.job.Hash = "new"
			w.slot(2).State, w.slot(2).Hash = api.Starting, "new"
			w.recent(2)
		}, nil},
		{"one of two is in motion", func(w *planWorld) {
			w.job.Hash, w.job.Spec.MaxParallel = "new", 2
			w.slot(2).State, w.slot(2).Hash = api.Pulling, "new"
			w.recent(2)
		}, []string{"move web[0]: the job has changed"}},
		{"half way", func(w *planWorld) { w.job.Hash = "new"; w.slot(0).Hash = "new" }, []string{"move web[1]: the job has changed"}},
		{"the new form fails: no more of the old ones are given up", func(w *planWorld) {
			w.job.Hash = "new"
			w.slot(0).State, w.slot(0).Hash, w.slot(0).Failures = api.Failed, "new", 9
			w.recent(0)
		}, nil},
		{"the new form fails, two at a time", func(w *planWorld) {
			w.job.Hash, w.job.Spec.MaxParallel = "new", 2
			w.slot(0).State, w.slot(0).Hash, w.slot(0).Failures = api.Failed, "new", 9
			w.recent(0)
		}, []string{"move web[1]: the job has changed"}},
		{"the new form fails, but a node drains", func(w *planWorld) {
			w.slot(0).State, w.slot(0).Failures = api.Failed, 9
			w.recent(0)
			w.node(1, func(n *peer.NodeState) { n.State = peer.StateDraining })
		}, []string{"move web[1]: node is draining"}},
		{"its driver stopped working just now", func(w *planWorld) {
			w.node(1, func(n *peer.NodeState) {
				n.Lost = map[string]time.Time{w.job.Spec.Driver: w.Now.Add(-59 * time.Second)}
			})
		}, nil},
		{"its driver stopped working a minute ago", func(w *planWorld) {
			w.node(1, func(n *peer.NodeState) { n.Lost = map[string]time.Time{w.job.Spec.Driver: w.Now.Add(-time.Minute)} })
		}, []string{"move web[1]: driver " + planJob("web", 1).Spec.Driver + " of its node does not work any more"}},
		{"its driver stopped working a minute ago, while it started", func(w *planWorld) {
			w.slot(0).State = api.Starting
			w.recent(0)
			w.node(0, func(n *peer.NodeState) { n.Lost = map[string]time.Time{w.job.Spec.Driver: w.Now.Add(-time.Minute)} })
		}, []string{"move web[0]: driver " + planJob("web", 1).Spec.Driver + " of its node does not work any more"}},
		{"another driver stopped working", func(w *planWorld) {
			w.node(1, func(n *peer.NodeState) { n.Lost = map[string]time.Time{"other": w.Now.Add(-time.Hour)} })
		}, nil},
		{"dead, and its record came long after: the partition heals", func(w *planWorld) {
			w.node(0, func(n *peer.NodeState) { n.Alive, n.State, n.AbsentSince = false, "", w.Now.Add(-time.Minute) })
			w.changed[w.job.Slot(0)] = w.Now.Add(-time.Second)
		}, nil},
		{"dead, and nothing followed that record", func(w *planWorld) {
			w.node(0, func(n *peer.NodeState) { n.Alive, n.State, n.AbsentSince = false, "", w.Now.Add(-time.Minute) })
			w.changed[w.job.Slot(0)] = w.Now.Add(-10 * time.Second)
		}, []string{"place web[0]: node $0 failed"}},
		{"dead, and its record came right after", func(w *planWorld) {
			w.node(0, func(n *peer.NodeState) { n.Alive, n.State, n.AbsentSince = false, "", w.Now.Add(-5*time.Second) })
			w.changed[w.job.Slot(0)] = w.Now.Add(-time.Second)
		}, []string{"place web[0]: node $0 failed"}},
		{"found no taker", func(w *planWorld) { w.job.Hash = "new"; w.MoveAt[w.job.Slot(0)] = w.Now.Add(1) },
			[]string{"move web[1]: the job has changed"}},
		{"found no taker a while ago", func(w *planWorld) { w.job.Hash = "new"; w.MoveAt[w.job.Slot(0)] = w.Now },
			[]string{"move web[0]: the job has changed"}},
		{"none found a taker", func(w *planWorld) {
			w.job.Hash = "new"
			for i := range 3 {
				w.MoveAt[w.job.Slot(i)] = w.Now.Add(1)
			}
		}, nil},
		{"what nobody serves comes first", func(w *planWorld) { w.job.Hash = "new"; w.die(1) }, []string{"place web[1]: node $1 failed"}},
		{"what cannot be placed holds up no move", func(w *planWorld) {
			w.job.Hash = "new"
			w.die(1)
			w.Memory[w.job.Slot(1)] = &peer.Memory{RetryAt: w.Now.Add(1)}
		}, []string{"move web[0]: the job has changed"}},
		{"owner drains", func(w *planWorld) { w.node(1, func(n *peer.NodeState) { n.State = peer.StateDraining }) }, []string{"move web[1]: node is draining"}},
		{"owner is about to leave", func(w *planWorld) { w.node(1, func(n *peer.NodeState) { n.State = peer.StateLeaving }) },
			[]string{"move web[1]: node is leaving"}},
		{"owner of a batch task drains", func(w *planWorld) {
			batch(w)
			w.node(1, func(n *peer.NodeState) { n.State = peer.StateDraining })
		}, []string{"move web[1]: node is draining"}},
		{"a draining node is a coordinator too", func(w *planWorld) {
			w.Nodes[w.Self] = peer.NodeState{ID: w.Self, Alive: true, State: peer.StateDraining}
			w.die(0)
		}, []string{"place web[0]: node $0 failed"}},
		{"a starting node does nothing", func(w *planWorld) {
			w.Nodes[w.Self] = peer.NodeState{ID: w.Self, Alive: true, State: peer.StateStarting}
			w.die(0)
		}, nil},
		{"a leaving node does nothing", func(w *planWorld) {
			w.Nodes[w.Self] = peer.NodeState{ID: w.Self, Alive: true, State: peer.StateLeaving}
			w.die(0)
		}, nil},
		{"a node that has just begun to act leaves it to the others", func(w *planWorld) { w.Since = w.Now.Add(time.Nanosecond - 2*time.Second); w.die(0) }, nil},
		{"and then does not", func(w *planWorld) { w.Since = w.Now.Add(-2 * time.Second); w.die(0) }, []string{"place web[0]: node $0 failed"}},
		{"nor if there are no others", func(w *planWorld) { w.Since = w.Now; w.die(0); w.die(1); w.die(2) },
			[]string{"place web[0 1 2]: node $0 failed; node $1 failed; node $2 failed"}},
		{"records of an earlier life say nothing", func(w *planWorld) { w.job.Stamp.Major++ }, []string{"place web[0 1 2]: first placement"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newPlanWorld()
			test.change(w)
			for i, want := range test.want {
				for slot, id := range w.owner {
					want = strings.ReplaceAll(want, fmt.Sprint("$", slot), id.Short())
				}
				test.want[i] = strings.ReplaceAll(want, "$t", w.Now.Add(-time.Second).UTC().Format("15:04:05.000Z"))
			}
			if slices.ContainsFunc(test.want, func(s string) bool { return strings.Contains(s, "; ") }) { // reasons are sorted
				head, reasons, _ := strings.Cut(test.want[0], ": ")
				sorted := strings.Split(reasons, "; ")
				slices.Sort(sorted)
				test.want[0] = head + ": " + strings.Join(sorted, "; ")
			}
			if got := words(w.plan()); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// waits has the owner of a slot restart it after four seconds, as it said so long ago.
func (w *planWorld) waits(i int, ago time.Duration) {
	a := w.slot(i)
	a.State, a.Restarts, a.FinishedAt = api.Starting, 2, w.Now.Add(-ago)
	w.changed[a.Key] = w.Now.Add(-ago)
}

func (w *planWorld) recent(i int) { w.changed[w.job.Slot(i)] = w.Now }

// A node that is not the coordinator waits, asks, and acts once told to take over.
func TestPlanOfOthers(t *testing.T) {
	w := newPlanWorld()
	w.Self = w.owner[2] // the last rank
	w.job.Hash = "new"  // moves are the coordinator's alone
	w.slot(2).Hash = "new"
	w.die(0)
	higher := peer.Ranks("web", w.Nodes)[:2] // the dead node has no rank
	expect := func(what string, want ...string) {
		t.Helper()
		if got := words(w.plan()); !slices.Equal(got, want) {
			t.Fatalf("%s: got %q, want %q", what, got, want)
		}
	}
	k := w.job.Slot(0)
	expect("at once")
	m := w.Memory[k]
	if m == nil || !m.Since.Equal(w.Now) || m.Patience != peer.PatienceMin+peer.PatienceVar/2 {
		t.Fatalf("memory of the unserved slot: got %+v", m)
	}
	w.Now = w.Now.Add(m.Patience - 1)
	expect("before its patience ends")
	w.Now = w.Now.Add(1)
	expect("then", "ask 2 higher ranks about web[0]")
	if got, want := w.plan()[0], (peer.Ask{Job: "web", Life: 7, Slots: []int{0}, Higher: higher}); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	m.AskAt, m.Asked = w.Now.Add(5*time.Second), 1 // somebody is on it
	expect("when somebody is on it")
	w.Now = w.Now.Add(5 * time.Second)
	expect("but not for ever", "ask 2 higher ranks about web[0]")
	m.TakeOver = true
	expect("when nobody is on it", "place web[0]: node "+w.owner[0].Short()+" failed")
	m.RetryAt = w.Now.Add(time.Second)
	expect("even then not before it may be tried again")
	w.Nodes[w.owner[0]] = peer.NodeState{ID: w.owner[0], Alive: true, State: peer.StateReady}
	expect("once it is served")
	if len(w.Memory) != 0 {
		t.Errorf("what is served is still remembered as unserved: %v", w.Memory)
	}
}

func TestObserve(t *testing.T) {
	w := newPlanWorld()
	stopped := planJob("stopped", 2)
	stopped.Stopped = true
	w.Jobs = append(w.Jobs, stopped)
	gone := peer.SlotKey{Job: "gone", Life: 1, Slot: 0}
	w.Memory[gone] = &peer.Memory{}
	w.die(0)
	peer.Observe(&w.World)
	k := w.job.Slot(0)
	if len(w.Memory) != 1 || w.Memory[k] == nil {
		t.Fatalf("got memory of %v, want of %v only", w.Memory, k)
	}
	first := *w.Memory[k]
	w.Now, w.Random = w.Now.Add(time.Minute), func() float64 { return 0.9 }
	peer.Observe(&w.World)
	if got := *w.Memory[k]; got != first {
		t.Errorf("a second look changed the memory: got %+v, want %+v", got, first)
	}
	w.node(0, func(n *peer.NodeState) { n.UnknownUntil = w.Now.Add(1) })
	peer.Observe(&w.World)
	if len(w.Memory) != 0 {
		t.Errorf("a slot of an owner that is unknown is remembered as unserved")
	}
}

func TestPresence(t *testing.T) {
	now := planNow
	for what, test := range map[string]struct {
		node     peer.NodeState
		failover time.Duration
		want     peer.Presence
	}{
		"alive":              {peer.NodeState{Alive: true, Left: true, UnknownUntil: now.Add(1)}, time.Hour, peer.Alive},
		"dead":               {peer.NodeState{AbsentSince: now}, 0, peer.Gone},
		"never seen":         {peer.NodeState{}, 0, peer.Gone},
		"failover":           {peer.NodeState{AbsentSince: now.Add(-9)}, 10, peer.Unknown},
		"failover over":      {peer.NodeState{AbsentSince: now.Add(-10)}, 10, peer.Gone},
		"restarting":         {peer.NodeState{AbsentSince: now.Add(-10), UnknownUntil: now.Add(1)}, 0, peer.Unknown},
		"the later deadline": {peer.NodeState{AbsentSince: now.Add(-9), UnknownUntil: now.Add(-1)}, 10, peer.Unknown},
		"left":               {peer.NodeState{AbsentSince: now, UnknownUntil: now.Add(1), Left: true}, time.Hour, peer.Gone},
	} {
		if got := test.node.At(now, test.failover); got != test.want {
			t.Errorf("%s: got presence %d, want %d", what, got, test.want)
		}
	}
}

func TestRanks(t *testing.T) {
	nodes := map[api.NodeID]peer.NodeState{}
	const n, jobs = 10, 5000
	for i := range n {
		id := api.NodeID(fmt.Sprintf("12D3KooWnode%02d", i))
		nodes[id] = peer.NodeState{ID: id, Alive: true, State: peer.StateReady}
	}
	first := map[api.NodeID]int{}
	for i := range jobs {
		first[peer.Ranks(fmt.Sprintf("job-%d", i), nodes)[0]]++
	}
	for id := range nodes { // a standard deviation is 21
		if got := first[id]; got < jobs/n*8/10 || got > jobs/n*12/10 {
			t.Errorf("%s coordinates %d of %d jobs, want about %d", id, got, jobs, jobs/n)
		}
	}
}
