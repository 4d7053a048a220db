package scenarios_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestDockerHealsWhoeverDies runs six containers on five hosts and kills each kind
// of host: the one that took the request, the coordinator of the job, the fullest,
// and one with nothing on it if there is one.
func TestDockerHealsWhoeverDies(t *testing.T) {
	ctx, lab := startDocker(t, 5, scenarios.LabConfig{})
	asked := lab.Nodes()[0]
	job := submit(ctx, t, asked, boxes(t, "web", 6))
	settle(ctx, t, lab, "web", 6, 30*time.Second)

	kinds := []struct {
		name string
		pick func() *scenarios.Node
	}{
		{"took the request", func() *scenarios.Node { return asked }},
		{"coordinator", func() *scenarios.Node {
			now, err := lab.Nodes()[0].Service().Job(ctx, job.Name)
			must(t, err)
			return lab.NodeByID(now.Coordinator)
		}},
		{"fullest", func() *scenarios.Node { return fullest(ctx, t, lab, "web") }},
		{"emptiest", func() *scenarios.Node { return emptiest(ctx, t, lab, "web") }},
		{"fullest again", func() *scenarios.Node { return fullest(ctx, t, lab, "web") }},
	}
	var healed []time.Duration
	for _, kind := range kinds {
		victim := kind.pick()
		held := heldBy(ctx, t, lab, victim)
		r := healOnce(ctx, t, lab, victim)
		t.Logf("%s, %s with %d containers: noticed after %s, healed after %s", kind.name, victim.Name, held, r.Noticed, r.Healed)
		if held > 0 {
			healed = append(healed, r.Healed)
		}
		must(t, lab.Restart(ctx, victim))
		must(t, lab.AwaitReady(ctx))
		settle(ctx, t, lab, "web", 6, 20*time.Second)
	}
	if got := median(healed); got > 2*time.Second {
		t.Errorf("the median of %d repairs is %s, want at most 2s: %v", len(healed), got, healed)
	} else {
		t.Logf("median of %d repairs: %s", len(healed), got)
	}
}

// heldBy counts the containers that run of a node.
func heldBy(ctx context.Context, t testing.TB, lab *scenarios.Lab, n *scenarios.Node) (held int) {
	t.Helper()
	list, err := lab.Containers(ctx)
	must(t, err)
	for _, c := range list {
		if c.Runs() && c.Node == n.ID() {
			held++
		}
	}
	return held
}

// emptiest is the living node with fewest tasks of a job.
func emptiest(ctx context.Context, t testing.TB, lab *scenarios.Lab, job string) *scenarios.Node {
	t.Helper()
	alive := lab.Alive()
	held := map[api.NodeID]int{}
	for _, task := range tasksOf(ctx, t, alive[0], job) {
		held[task.Node]++
	}
	best := alive[0]
	for _, n := range alive {
		if held[n.ID()] < held[best.ID()] {
			best = n
		}
	}
	return best
}

// TestDockerAgentRestart ends an agent in two ways and starts it again before
// anybody moves its tasks: they are the same containers, and were never restarted.
func TestDockerAgentRestart(t *testing.T) {
	t.Parallel()
	ctx, lab := startDocker(t, 3, scenarios.LabConfig{})
	ends := map[string]struct {
		failover time.Duration
		end      func(*scenarios.Lab, context.Context, *scenarios.Node) error
	}{
		"killed":     {30 * time.Second, (*scenarios.Lab).Kill},
		"terminated": {0, (*scenarios.Lab).Terminate}, // it says that it will be back
	}
	for name, tt := range ends {
		t.Run(name, func(t *testing.T) {
			job := boxes(t, name, 5)
			job.FailoverAfter = api.Duration(tt.failover)
			submit(ctx, t, lab.Nodes()[0], job)
			settle(ctx, t, lab, name, 5, 30*time.Second)
			victim := fullest(ctx, t, lab, name)
			before := births(ctx, t, lab)
			same := func() error {
				if now := births(ctx, t, lab); !maps.Equal(now, before) {
					return fmt.Errorf("the containers became %v, want %v", now, before)
				}
				return nil
			}
			must(t, tt.end(lab, ctx, victim))
			must(t, scenarios.Throughout(ctx, 2*time.Second, same))
			must(t, lab.Restart(ctx, victim))
			must(t, lab.AwaitReady(ctx))
			settle(ctx, t, lab, name, 5, 20*time.Second)
			must(t, scenarios.Throughout(ctx, 2*time.Second, same))
			for _, task := range tasksOf(ctx, t, victim, name) {
				if task.Node == victim.ID() && (task.Epoch != 1 || task.Restarts != 0) {
					t.Errorf("%s was restarted %d times, want the first attempt and no restart", task.Attempt, task.Restarts)
				}
			}
			_, err := lab.Nodes()[0].Service().Remove(ctx, name, api.WriteOptions{})
			must(t, err)
			eventually(ctx, t, name+" is gone", 20*time.Second, func(ctx context.Context) error { return lab.CheckGone(ctx, name) })
		})
	}
}

// TestDockerDeadSiblingIsReaped kills an agent for good and leaves its containers,
// as when the engine outlives an agent. Its slots run elsewhere soon; after a minute a
// sibling ends what is left, also what had exited of a job that was removed since, and
// nothing else.
func TestDockerDeadSiblingIsReaped(t *testing.T) {
	t.Parallel()
	ctx, lab := startDocker(t, 4, scenarios.LabConfig{})
	submit(ctx, t, lab.Nodes()[0], boxes(t, "web", 6))
	settle(ctx, t, lab, "web", 6, 30*time.Second)
	done := boxes(t, "done", 8, "exit", "0")
	done.Type = api.BatchJob
	submit(ctx, t, lab.Nodes()[0], done)
	eventually(ctx, t, "done is complete", 30*time.Second, func(ctx context.Context) error {
		job, err := lab.Nodes()[0].Service().Job(ctx, "done")
		if err == nil && job.Status.State != api.JobComplete {
			err = fmt.Errorf("it is %s", job.Status.State)
		}
		return err
	})
	stranger := sentinel(ctx, t, lab.Engine(), nil)

	victim := fullest(ctx, t, lab, "web")
	left := heldBy(ctx, t, lab, victim)
	must(t, lab.Kill(ctx, victim))
	died := time.Now()
	_, err := lab.Alive()[0].Service().Remove(ctx, "done", api.WriteOptions{})
	must(t, err)
	asked := lab.Alive()[0]
	eventually(ctx, t, "all run on survivors", 20*time.Second, func(ctx context.Context) error {
		tasks := tasksOf(ctx, t, asked, "web")
		for _, task := range tasks {
			if task.State != api.Running || task.Node == victim.ID() {
				return fmt.Errorf("%s", scenarios.Brief(tasks))
			}
		}
		return nil
	})
	if got := heldBy(ctx, t, lab, victim); got != left {
		t.Errorf("right after its death %d containers of the dead run, want all %d: it may only be cut off", got, left)
	}
	settle(ctx, t, lab, "web", 6, 100*time.Second) // each slot once, so those of the dead are gone
	if took := time.Since(died); took < 55*time.Second {
		t.Errorf("the containers of the dead were ended after %s, want a minute of patience", took)
	} else {
		t.Logf("%d containers of the dead were ended %s after its death", left, took.Round(time.Second))
	}
	eventually(ctx, t, "no container is left of the job that was removed", 20*time.Second, func(ctx context.Context) error {
		list, err := lab.Containers(ctx)
		for _, c := range list {
			if strings.HasPrefix(c.Task, "done.") {
				return fmt.Errorf("that of %s is %s", c.Task, c.State)
			}
		}
		return err
	})
	intact(ctx, t, lab.Engine(), stranger)
}

// TestDockerPowerCut ends everything at once; the containers of before are on the
// engine and do not run. Each slot runs again, once.
func TestDockerPowerCut(t *testing.T) {
	t.Parallel()
	ctx, lab := startDocker(t, 3, scenarios.LabConfig{})
	submit(ctx, t, lab.Nodes()[0], boxes(t, "web", 6))
	settle(ctx, t, lab, "web", 6, 30*time.Second)
	must(t, lab.PowerCut(ctx))
	list, err := lab.Containers(ctx)
	must(t, err)
	for _, c := range list {
		if c.State != container.StateExited {
			t.Errorf("after the power cut, the container of %s is %s", c.Task, c.State)
		}
	}
	must(t, lab.Restart(ctx, lab.Nodes()...))
	must(t, lab.AwaitReady(ctx))
	settle(ctx, t, lab, "web", 6, 60*time.Second)
}
