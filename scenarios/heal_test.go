package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestHealsWhoeverDies lets ten hosts die one after the other, the one that took
// the request first, and always one that has tasks.
func TestHealsWhoeverDies(t *testing.T) {
	ctx, lab := startLab(t, 5, scenarios.LabConfig{})
	asked := lab.Nodes()[0]
	submit(ctx, t, asked, sleeper("web", 6))
	settle(ctx, t, lab, "web", 6, 20*time.Second)

	var healed []time.Duration
	for i := range 10 {
		victim := asked
		if i > 0 {
			victim = fullest(ctx, t, lab, "web")
		}
		r := healOnce(ctx, t, lab, victim)
		t.Logf("%s: noticed after %s, healed after %s", victim.Name, r.Noticed, r.Healed)
		healed = append(healed, r.Healed)
		must(t, lab.Restart(ctx, victim))
		must(t, lab.AwaitReady(ctx))
		settle(ctx, t, lab, "web", 6, 20*time.Second)
	}
	if got := median(healed); got > 2*time.Second {
		t.Errorf("the median of ten repairs is %s, want at most 2s: %v", got, healed)
	}
}

// TestLastOfFive kills four of five hosts; the last has to run everything.
func TestLastOfFive(t *testing.T) {
	ctx, lab := startLab(t, 5, scenarios.LabConfig{})
	submit(ctx, t, lab.Nodes()[2], sleeper("web", 6))
	settle(ctx, t, lab, "web", 6, 20*time.Second)
	for _, n := range lab.Nodes()[:4] {
		must(t, lab.KillHost(ctx, n))
		settle(ctx, t, lab, "web", 6, 30*time.Second)
	}
}

// TestFourOfFiveAtOnce kills four of five hosts at the same instant. Nobody is left to
// confirm what the last one sees, and it need not wait for Serf.
func TestFourOfFiveAtOnce(t *testing.T) {
	ctx, lab := startLab(t, 5, scenarios.LabConfig{Profile: "lan"}) // whose Serf takes seconds
	last := lab.Nodes()[4]
	submit(ctx, t, last, sleeper("web", 6))
	settle(ctx, t, lab, "web", 6, 20*time.Second)
	var victims errgroup.Group
	began := time.Now()
	for _, n := range lab.Nodes()[:4] {
		victims.Go(func() error { return lab.KillHost(ctx, n) })
	}
	must(t, victims.Wait())
	eventually(ctx, t, "the last sees why they are dead", 10*time.Second, func(ctx context.Context) error {
		nodes, err := last.Service().Nodes(ctx)
		if err != nil {
			return err
		}
		refuse := 0
		for _, n := range nodes {
			if n.Status == api.NodeFailed && strings.Contains(n.Reason, "refused") {
				refuse++
			}
		}
		if refuse != 4 {
			return fmt.Errorf("%d of 4 are: %+v", refuse, nodes)
		}
		return nil
	})
	t.Logf("all four were found dead after %s", time.Since(began).Round(time.Millisecond))
	settle(ctx, t, lab, "web", 6, 30*time.Second)
}

// TestDeathDuringPlacing kills a host while a job is being placed: the auctioneer,
// or one that has just been given tasks.
func TestDeathDuringPlacing(t *testing.T) {
	const replicas = 60
	ctx, lab := startLab(t, 5, scenarios.LabConfig{})
	for _, who := range []string{"auctioneer", "owner"} {
		t.Run(who, func(t *testing.T) {
			asked := lab.Nodes()[0]
			job := submit(ctx, t, asked, sleeper(who, replicas))
			victim := lab.NodeByID(job.Coordinator)
			err := scenarios.Eventually(ctx, "the first is placed", func() error {
				for _, task := range tasksOf(ctx, t, asked, who) {
					if task.State.Live() {
						if who == "owner" {
							victim = lab.NodeByID(task.Node)
						}
						return nil
					}
				}
				return errors.New("all are pending")
			})
			must(t, err)
			if victim == nil {
				t.Fatalf("%s is none of the lab's nodes", job.Coordinator)
			}
			must(t, lab.KillHost(ctx, victim))
			settle(ctx, t, lab, who, replicas, 40*time.Second)
			must(t, lab.Restart(ctx, victim))
			must(t, lab.AwaitReady(ctx))
		})
	}
}

// TestShortPauseIsForgiven stops an agent for less than it takes to be found dead: nothing
// moves, and it takes part again.
func TestShortPauseIsForgiven(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 4, scenarios.LabConfig{Profile: "lan"}) // which takes some 6 s
	submit(ctx, t, lab.Nodes()[0], sleeper("web", 6))
	settle(ctx, t, lab, "web", 6, 20*time.Second)
	before := copiesOf(t, lab, "web")
	victim := fullest(ctx, t, lab, "web")
	for range 3 {
		must(t, lab.Pause(victim))
		must(t, scenarios.Throughout(ctx, time.Second, func() error { return unmoved(t, lab, "web", before) }))
		must(t, lab.Resume(victim))
		must(t, scenarios.Throughout(ctx, time.Second, func() error { return unmoved(t, lab, "web", before) }))
	}
	submit(ctx, t, victim, sleeper("api", 4))
	settle(ctx, t, lab, "api", 4, 20*time.Second)
	must(t, unmoved(t, lab, "web", before))
}

// TestPausedNodeComesBack moves the tasks of a node that hangs; when it goes on, it
// gives them up.
func TestPausedNodeComesBack(t *testing.T) {
	ctx, lab := startLab(t, 4, scenarios.LabConfig{})
	submit(ctx, t, lab.Nodes()[0], sleeper("web", 6))
	settle(ctx, t, lab, "web", 6, 20*time.Second)
	victim := fullest(ctx, t, lab, "web")
	must(t, lab.Pause(victim))
	var asked *scenarios.Node
	for _, n := range lab.Nodes() {
		if n != victim {
			asked = n
		}
	}
	err := scenarios.Eventually(ctx, "the tasks of the paused node are elsewhere", func() error {
		tasks := tasksOf(ctx, t, asked, "web")
		for _, task := range tasks {
			if task.State != api.Running || task.Node == victim.ID() {
				return errors.New(scenarios.Brief(tasks))
			}
		}
		return nil
	})
	must(t, err)
	must(t, lab.Resume(victim))
	settle(ctx, t, lab, "web", 6, 40*time.Second)
}

// healOnce kills a host and wants six tasks of web on the others, each once.
func healOnce(ctx context.Context, t testing.TB, lab *scenarios.Lab, victim *scenarios.Node) scenarios.Repair {
	t.Helper()
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := lab.Heal(within, victim, "web", 6)
	if err != nil {
		t.Fatalf("after the death of %s: %v", victim.Name, err)
	}
	settle(ctx, t, lab, "web", 6, 20*time.Second)
	return r
}

// fullest is the living node with most tasks of a job.
func fullest(ctx context.Context, t testing.TB, lab *scenarios.Lab, job string) *scenarios.Node {
	t.Helper()
	alive := lab.Alive()
	held := map[api.NodeID]int{}
	for _, task := range tasksOf(ctx, t, alive[0], job) {
		held[task.Node]++
	}
	return slices.MaxFunc(alive, func(a, b *scenarios.Node) int { return held[a.ID()] - held[b.ID()] })
}

// median is the middle of d, or the lower of the two.
func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[(len(d)-1)/2]
}
