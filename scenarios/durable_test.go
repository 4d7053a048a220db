package scenarios_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// durableRounds is the environment variable with how often TestAcknowledgedIsKept
// kills; without it a few times.
const durableRounds = "ORCH_DURABLE_ROUNDS"

// TestAcknowledgedIsKept kills the node that took a write the instant after its
// answer, or while it is about it, and at times another one with it. What was
// acknowledged is known to the survivors at once, and everywhere after a power cut of
// all; what was removed is gone; and of what had no answer all say the same.
func TestAcknowledgedIsKept(t *testing.T) {
	rounds := 20
	if s := os.Getenv(durableRounds); s != "" {
		var err error
		rounds, err = strconv.Atoi(s)
		must(t, err)
	}
	_, lab := newLab(t, scenarios.LabConfig{})
	ctx := deadline(t, patience+time.Duration(rounds)*2*time.Second)
	must(t, lab.Start(ctx, 5))
	k := &killer{t: t, lab: lab, journal: newJournal(), back: map[*scenarios.Node]chan error{}}
	began := time.Now()
	for i := range rounds {
		k.round(ctx, i)
	}
	took := time.Since(began)
	k.awaitBack(lab.Nodes()...)

	last := lab.Nodes()[rounds%5]
	w, err := write(ctx, last, "last", "v")
	must(t, lab.PowerCut(ctx))
	must(t, err)
	if got := len(holders(t, lab, "last", "v")); got < w.Disks {
		t.Errorf("after the power cut the last write is on %d disks; it was said to be on %d", got, w.Disks)
	}
	k.journal.note("last", "v", w, nil)
	order := lab.Nodes()
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	must(t, bootAll(ctx, lab, order))
	must(t, lab.AwaitReady(ctx))
	eventually(ctx, t, "after the power cut all know what was acknowledged", 30*time.Second, func(ctx context.Context) error { return k.journal.agreed(ctx, lab) })
	must(t, scenarios.Throughout(ctx, 2*time.Second, func() error { return k.journal.agreed(ctx, lab) }))
	t.Logf("%d rounds in %s, %d kills: %s", rounds, took.Round(time.Millisecond), k.kills, k.journal)
	if kept := k.journal.disks[3]; kept < rounds/2 {
		t.Errorf("only %d of %d writes were acknowledged on three disks: the test shows little", kept, rounds)
	}
}

// killer writes and kills.
type killer struct {
	t       *testing.T
	lab     *scenarios.Lab
	journal *journal
	back    map[*scenarios.Node]chan error // nodes that are being started again
	kills   int
}

// round is one write, the end of the node that was asked, and a look at the rest.
func (k *killer) round(ctx context.Context, i int) {
	k.t.Helper()
	all := k.lab.Nodes()
	asked := all[i%len(all)]
	victims := []*scenarios.Node{asked}
	if i%4 == 1 {
		victims = append(victims, all[(i+1+rand.IntN(len(all)-1))%len(all)])
	}
	k.awaitBack(victims...)
	if len(k.back)+len(victims) > 2 { // no more than two of the three disks are away
		k.awaitBack(all...)
	}
	what := k.what(i)
	w, err := k.writeAndKill(ctx, i, what, victims)
	disks := k.journal.note(what.job, what.version, w, err)
	if i%5 != 4 && err != nil {
		k.t.Fatalf("round %d: %s was to bring %s to %q: %v", i, asked.Name, what.job, what.version, err)
	}
	for _, n := range all {
		if !n.Running() || k.back[n] != nil || (err == nil && disks <= len(victims)) {
			continue // it is no survivor, or the write was not promised to have any
		}
		eventually(ctx, k.t, fmt.Sprintf("round %d: %s knows what was acknowledged", i, n.Name), 10*time.Second, func(ctx context.Context) error {
			return k.journal.heldBy(ctx, n)
		})
	}
	for _, n := range victims {
		done := make(chan error, 1)
		k.back[n] = done
		go func() { done <- k.lab.Restart(ctx, n) }()
	}
}

// change is a job and the version that it is to have.
type change struct{ job, version string }

// what is written in a round: a new job, or the removal or change of one that is
// there. A job that an unanswered request may have changed is not changed again: the
// two would be made beside each other, and either may win. Removal wins in any case.
func (k *killer) what(i int) change {
	all, settled := k.journal.there()
	switch {
	case i%3 == 1 && len(all) > 0:
		return change{all[rand.IntN(len(all))], removed}
	case i%3 == 2 && len(settled) > 0:
		return change{settled[rand.IntN(len(settled))], fmt.Sprintf("v%d", i)}
	}
	return change{fmt.Sprintf("job-%d", i), "v1"}
}

// writeAndKill asks the first victim, and kills all of them as soon as it answers, or
// in every fifth round a moment after it was asked.
func (k *killer) writeAndKill(ctx context.Context, i int, what change, victims []*scenarios.Node) (w api.Written, err error) {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		w, err = write(ctx, victims[0], what.job, what.version)
	}()
	if i%5 == 4 {
		<-time.After(time.Duration(rand.IntN(4000)) * time.Microsecond)
	} else {
		<-answered
	}
	var kills errgroup.Group
	for _, n := range victims {
		kills.Go(func() error { return k.lab.Kill(ctx, n) })
	}
	must(k.t, kills.Wait())
	k.kills += len(victims)
	<-answered
	return w, err
}

// awaitBack waits until those of nodes that are being started again are ready.
func (k *killer) awaitBack(nodes ...*scenarios.Node) {
	k.t.Helper()
	for _, n := range nodes {
		if done := k.back[n]; done != nil {
			must(k.t, <-done)
			delete(k.back, n)
		}
	}
}

// TestAnswerNamesTheDisks: of five members ever fewer are there to be asked. The
// answer says on how many disks a write is, and at least so many have it when all are
// cut off that instant; it spreads when they are back, and the same request again says so.
func TestAnswerNamesTheDisks(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 5, scenarios.LabConfig{})
	tests := []struct {
		name   string
		away   int
		paused bool // they hang, and hold their connections
		disks  int
	}{
		{"two are dead", 2, false, 3},
		{"three are dead", 3, false, 2},
		{"three hang", 3, true, 2},
		{"all others are dead", 4, false, 1},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nodes := lab.Nodes()
			rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
			asked, job, o := nodes[tt.away], fmt.Sprintf("job-%d", i), api.WriteOptions{Key: fmt.Sprintf("key-%d", i)}
			for _, n := range nodes[:tt.away] {
				if tt.paused {
					hang(ctx, t, lab, n)
				} else {
					must(t, lab.Kill(ctx, n))
				}
			}
			w, err := asked.Service().Submit(ctx, versioned(job, "v"), o)
			must(t, lab.PowerCut(ctx))
			must(t, err)
			have := holders(t, lab, job, "v")
			t.Logf("said to be on %d of %d disks, and is on %d", w.Disks, w.Wanted, len(have))
			if w.Disks != tt.disks || w.Wanted != 3 || w.Durable() != (tt.disks == 3) {
				t.Errorf("the answer says %d of %d disks, want %d of 3", w.Disks, w.Wanted, tt.disks)
			}
			if len(have) < w.Disks || !slices.Contains(have, asked) {
				t.Errorf("the answer says %d disks, and %d have it", w.Disks, len(have))
			}
			must(t, bootAll(ctx, lab, nodes))
			must(t, lab.AwaitReady(ctx))
			for _, n := range lab.Nodes() {
				eventually(ctx, t, n.Name+" knows it", 20*time.Second, func(ctx context.Context) error {
					_, err := n.Service().Job(ctx, job)
					return err
				})
			}
			again, err := nodes[0].Service().Submit(ctx, versioned(job, "v"), o)
			if err != nil || !again.Existed || !again.Durable() || again.Job.ETag != w.Job.ETag {
				t.Errorf("the same request again: %+v, %v, want that it is there and on all disks that it takes", again, err)
			}
		})
	}
}

// TestTwoHoldersDieForGood: exactly three of five nodes hold what was acknowledged.
// The one that was asked and another lose their disks that instant; whatever the
// write was, the two that never heard of it learn it from the third.
func TestTwoHoldersDieForGood(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 5, scenarios.LabConfig{})
	j := newJournal()
	for i := range 2 { // what will be changed, and what will be removed
		w, err := write(ctx, lab.Nodes()[0], fmt.Sprintf("job-%d", i), "v1")
		must(t, err)
		j.note(fmt.Sprintf("job-%d", i), "v1", w, nil)
	}
	eventually(ctx, t, "all know the first jobs", 10*time.Second, func(ctx context.Context) error { return j.agreed(ctx, lab) })
	for _, what := range []change{{"job-0", "v2"}, {"job-1", removed}, {"job-2", "v1"}} {
		alive := lab.Alive()
		rand.Shuffle(len(alive), func(i, j int) { alive[i], alive[j] = alive[j], alive[i] })
		asked, unaware := alive[0], alive[3:]
		for _, n := range unaware {
			hang(ctx, t, lab, n)
		}
		w, err := write(ctx, asked, what.job, what.version)
		must(t, lab.PowerCut(ctx))
		must(t, err)
		j.note(what.job, what.version, w, nil)
		have := holders(t, lab, what.job, what.version)
		if w.Disks != 3 || len(have) != 3 {
			t.Fatalf("%v is said to be on %d disks and is on %d, want 3", what, w.Disks, len(have))
		}
		lost := []*scenarios.Node{asked, have[slices.IndexFunc(have, func(n *scenarios.Node) bool { return n != asked })]}
		survivors := slices.DeleteFunc(alive, func(n *scenarios.Node) bool { return slices.Contains(lost, n) })
		for _, n := range lost {
			must(t, os.RemoveAll(n.DataDir))
		}
		slices.Reverse(survivors) // those that never heard of it are first
		must(t, bootAll(ctx, lab, survivors))
		must(t, lab.AwaitReady(ctx))
		eventually(ctx, t, fmt.Sprintf("%v survives its holders", what), 30*time.Second, func(ctx context.Context) error { return j.agreed(ctx, lab) })
		must(t, scenarios.Throughout(ctx, time.Second, func() error { return j.agreed(ctx, lab) }))
		for _, n := range lost {
			_, err := survivors[0].Service().RemoveNode(ctx, string(n.ID()))
			must(t, err)
			_, err = lab.AddNode(ctx, n.Offers)
			must(t, err)
		}
		must(t, lab.AwaitReady(ctx))
	}
}

// TestMemberFromTheFirstMoment cuts off a node the instant that it is ready. It counts
// among the disks from then on, so its next agent is of the same cluster and has what
// it had.
func TestMemberFromTheFirstMoment(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 1, scenarios.LabConfig{})
	cluster, err := lab.Nodes()[0].Service().Cluster(ctx)
	must(t, err)
	for range 3 {
		n, err := lab.AddNode(ctx, lab.Nodes()[0].Offers)
		must(t, err)
		must(t, lab.Kill(ctx, n))
		must(t, lab.Restart(ctx, n))
		if c, err := n.Service().Cluster(ctx); err != nil || c.ID != cluster.ID {
			t.Errorf("%s is in cluster %s, %v, want %s", n.Name, c.ID, err, cluster.ID)
		}
	}
	must(t, lab.AwaitReady(ctx))
}
