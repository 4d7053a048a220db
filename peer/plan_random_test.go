package peer_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/peer"
)

func TestRanksProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		job := rapid.StringMatching(`[a-z][a-z0-9]{0,8}`).Draw(t, "job")
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z0-9]{1,6}`), 1, 12, rapid.ID).Draw(t, "ids")
		nodes := map[api.NodeID]peer.NodeState{}
		may := map[api.NodeID]bool{}
		for _, s := range ids {
			id := api.NodeID(s)
			n := peer.NodeState{ID: id, Alive: rapid.Bool().Draw(t, "alive"),
				State: rapid.SampledFrom([]string{"", peer.StateStarting, peer.StateReady, peer.StateReady, peer.StateDraining, peer.StateLeaving}).Draw(t, "state")}
			nodes[id] = n
			if n.Alive && (n.State == peer.StateReady || n.State == peer.StateDraining) {
				may[id] = true
			}
		}
		ranks := peer.Ranks(job, nodes)
		if len(ranks) != len(may) || slices.ContainsFunc(ranks, func(id api.NodeID) bool { return !may[id] }) {
			t.Fatalf("ranks %v, want exactly %v", ranks, may)
		}
		if len(ranks) == 0 {
			return
		}
		// Another node builds its map in another order, and what has no rank changes none.
		again := map[api.NodeID]peer.NodeState{}
		for _, s := range slices.Backward(ids) {
			if may[api.NodeID(s)] {
				again[api.NodeID(s)] = nodes[api.NodeID(s)]
			}
		}
		if got := peer.Ranks(job, again); !slices.Equal(got, ranks) {
			t.Fatalf("the same nodes rank %v and %v", ranks, got)
		}
		// A node that goes changes nothing about the order of the others.
		dead := rapid.SampledFrom(ranks).Draw(t, "dead")
		delete(again, dead)
		want := slices.DeleteFunc(slices.Clone(ranks), func(id api.NodeID) bool { return id == dead })
		if got := peer.Ranks(job, again); !slices.Equal(got, want) {
			t.Fatalf("without %s: got %v, want %v", dead, got, want)
		}
	})
}

// drawWorld draws a world of two jobs and a few nodes in any state.
func drawWorld(t *rapid.T) *planWorld {
	w := newPlanWorld()
	w.Jobs = []*peer.JobRecord{planJob("db", 2), planJob("web", 3)}
	w.job = w.Jobs[1]
	clear(w.slots)
	ids := []api.NodeID{"a", "b", "c", "d"}
	w.Self = rapid.SampledFrom(ids).Draw(t, "self")
	for _, id := range ids {
		n := peer.NodeState{ID: id, Alive: rapid.Bool().Draw(t, "alive")}
		if n.Alive {
			n.State = rapid.SampledFrom([]string{peer.StateReady, peer.StateReady, peer.StateReady, peer.StateDraining, peer.StateLeaving, peer.StateStarting}).Draw(t, "state")
		} else {
			n.Left = rapid.IntRange(0, 3).Draw(t, "left") == 0
			n.AbsentSince = w.Now.Add(-drawAge(t, "absent"))
			if rapid.Bool().Draw(t, "announced") {
				n.UnknownUntil = n.AbsentSince.Add(time.Minute)
			}
		}
		w.Nodes[id] = n
	}
	if rapid.Bool().Draw(t, "somebody died") { // one that was never seen
		delete(w.Nodes, "d")
	}
	for _, j := range w.Jobs {
		j.Spec.Replicas = rapid.IntRange(0, 4).Draw(t, "replicas")
		j.Spec.MaxParallel = rapid.IntRange(1, 3).Draw(t, "max parallel")
		j.Stopped = rapid.IntRange(0, 5).Draw(t, "stopped") == 0
		if rapid.IntRange(0, 2).Draw(t, "batch") == 0 {
			j.Spec.Type = api.BatchJob
		}
		j.Spec.OnPartition = rapid.SampledFrom([]string{"replace", "replace", "freeze"}).Draw(t, "on partition")
		j.Spec.FailoverAfter = api.Duration(rapid.SampledFrom([]time.Duration{0, 0, 30 * time.Second}).Draw(t, "failover"))
		w.Busy[j.Spec.Name] = rapid.IntRange(0, 5).Draw(t, "busy") == 0
		for i := range 5 {
			drawSlot(t, w, j, i, ids)
		}
	}
	return w
}

func drawAge(t *rapid.T, what string) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Second, 59 * time.Second, 2 * time.Minute, 9 * time.Minute, time.Hour}).Draw(t, what)
}

func drawSlot(t *rapid.T, w *planWorld, j *peer.JobRecord, i int, ids []api.NodeID) {
	states := []api.TaskState{"", api.Accepted, api.Pulling, api.Starting, api.Running, api.Running, api.Running, api.Stopping, api.Stopped, api.Failed}
	if j.Spec.Type == api.BatchJob {
		states = append(states, api.Complete)
	}
	k := j.Slot(i)
	if state := rapid.SampledFrom(states).Draw(t, "state"); state != "" {
		a := w.put(j, i, rapid.Uint64Range(1, 3).Draw(t, "epoch"), rapid.SampledFrom(ids).Draw(t, "owner"), state)
		a.Failures = rapid.IntRange(0, 9).Draw(t, "failures")
		if rapid.IntRange(0, 2).Draw(t, "old") == 0 {
			a.Hash = "old"
		}
		w.changed[k] = w.Now.Add(-drawAge(t, "changed"))
	}
	if rapid.IntRange(0, 2).Draw(t, "remembered") == 0 {
		w.Memory[k] = &peer.Memory{
			Since: w.Now.Add(-drawAge(t, "since")), Patience: peer.PatienceMin, TakeOver: rapid.Bool().Draw(t, "take over"),
			RetryAt: w.Now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "retry"))), AskAt: w.Now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "ask"))),
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "no taker") == 0 {
		w.MoveAt[k] = w.Now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "move")))
	}
}

func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		actions := w.plan()
		if again := w.plan(); !reflect.DeepEqual(actions, again) {
			t.Fatalf("the same world was planned as %q, then %q", words(actions), words(again))
		}
		inAction := map[peer.SlotKey]int{}
		for _, action := range actions {
			switch a := action.(type) {
			case peer.Auction:
				checkAuction(t, w, a)
				for _, i := range a.Slots {
					inAction[peer.SlotKey{Job: a.Job, Life: a.Life, Slot: i}]++
				}
			case peer.Ask:
				ranks := peer.Ranks(a.Job, w.Nodes)
				if at := slices.Index(ranks, w.Self); at <= 0 || !slices.Equal(a.Higher, ranks[:at]) {
					t.Fatalf("%s asks %v, ranks are %v", w.Self, a.Higher, ranks)
				}
				for _, i := range a.Slots {
					k := peer.SlotKey{Job: a.Job, Life: a.Life, Slot: i}
					inAction[k]++
					if got := w.Condition(planned(w, a.Job), k); got != peer.Unserved {
						t.Fatalf("asks about slot %d of condition %d", i, got)
					}
				}
			default:
				t.Fatalf("unexpected action %T", action)
			}
			if s := action.String(); s == "" || len(s) > 500 || strings.ContainsAny(s, "\n%") {
				t.Fatalf("cannot be printed: %q", s)
			}
		}
		for k, n := range inAction {
			if n > 1 {
				t.Fatalf("%s is in %d actions: %q", k, n, words(actions))
			}
		}
		checkNoneMissed(t, w, inAction)
	})
}

func planned(w *planWorld, name string) *peer.JobRecord {
	for _, j := range w.Jobs {
		if j.Spec.Name == name {
			return j
		}
	}
	return nil
}

// checkAuction checks what holds of every auction that a plan asks for.
func checkAuction(t *rapid.T, w *planWorld, a peer.Auction) {
	j := planned(w, a.Job)
	switch {
	case j == nil || j.Life() != a.Life || j.Stopped || w.Busy[a.Job]:
		t.Fatalf("%s: of a job that is not to be auctioned", a)
	case len(a.Slots) == 0 || !slices.IsSorted(a.Slots) || a.Slots[0] < 0 || a.Slots[len(a.Slots)-1] >= j.Spec.Replicas:
		t.Fatalf("%s: of %d replicas", a, j.Spec.Replicas)
	case !w.Nodes[w.Self].Coordinates():
		t.Fatalf("%s: by a node in state %s", a, w.Nodes[w.Self].State)
	}
	coordinator := peer.Ranks(a.Job, w.Nodes)[0] == w.Self
	for _, i := range a.Slots {
		k := j.Slot(i)
		rec := w.slots[k]
		switch c := w.Condition(j, k); {
		case c == peer.Undecided, c == peer.Done:
			t.Fatalf("%s: slot %d has condition %d", a, i, c)
		case c == peer.Unserved && (a.Move || !coordinator && !w.Memory[k].TakeOver || w.Now.Before(w.Memory[k].RetryAt)):
			t.Fatalf("%s: slot %d is unserved, coordinator %v, memory %+v", a, i, coordinator, w.Memory[k])
		case c == peer.Served && (!a.Move || !coordinator || rec.State != api.Running || w.Now.Before(w.MoveAt[k])):
			t.Fatalf("%s: slot %d is served (%s), coordinator %v", a, i, rec.State, coordinator)
		case c == peer.Served && rec.Hash == j.Hash && !w.Nodes[rec.Owner()].Moving():
			t.Fatalf("%s: slot %d is as it should be", a, i)
		}
	}
	if !a.Move {
		return
	}
	moving := len(a.Slots)
	for i := range j.Spec.Replicas {
		if k := j.Slot(i); w.Condition(j, k) == peer.Served && w.slots[k].State != api.Running {
			moving++
		}
	}
	if moving > j.Spec.MaxParallel {
		t.Fatalf("%s: %d moves under way, want at most %d", a, moving, j.Spec.MaxParallel)
	}
}

// checkNoneMissed checks that a coordinator auctions all that is due.
func checkNoneMissed(t *rapid.T, w *planWorld, inAction map[peer.SlotKey]int) {
	for _, j := range w.Jobs {
		ranks := peer.Ranks(j.Spec.Name, w.Nodes)
		if len(ranks) == 0 || ranks[0] != w.Self || w.Busy[j.Spec.Name] {
			continue
		}
		for i := range j.Spec.Replicas {
			k := j.Slot(i)
			if !j.Wants(i) || w.Condition(j, k) != peer.Unserved || w.Now.Before(w.Memory[k].RetryAt) {
				continue
			}
			a := w.slots[k]
			if a != nil && a.State == api.Failed && w.Now.Sub(w.changed[k]) < bidding.Backoff(a.Failures, 0.5) {
				continue
			}
			if inAction[k] != 1 {
				t.Fatalf("%s is unserved and due, and in %d actions", k, inAction[k])
			}
		}
	}
}
