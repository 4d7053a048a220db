package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestAgentRestartKeepsTasks ends an agent in two ways and starts it again before
// anybody moves its tasks: they are the same processes as before.
func TestAgentRestartKeepsTasks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		failover time.Duration
		end      func(*scenarios.Lab, context.Context, *scenarios.Node) error
	}{
		"killed":     {30 * time.Second, (*scenarios.Lab).Kill},
		"terminated": {0, (*scenarios.Lab).Terminate}, // it says that it will be back
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, lab := startLab(t, 3, scenarios.LabConfig{})
			job := sleeper("web", 6)
			job.FailoverAfter = api.Duration(tt.failover)
			submit(ctx, t, lab.Nodes()[0], job)
			settle(ctx, t, lab, "web", 6, 20*time.Second)
			victim := fullest(ctx, t, lab, "web")
			tasks, procs := identities(ctx, t, lab)

			must(t, tt.end(lab, ctx, victim))
			must(t, scenarios.Throughout(ctx, 2*time.Second, func() error {
				if _, now := identities(ctx, t, lab); !maps.Equal(now, procs) {
					return fmt.Errorf("without its agent, the tasks' processes became %v, want %v", now, procs)
				}
				return nil
			}))
			must(t, lab.Restart(ctx, victim))
			must(t, lab.AwaitReady(ctx))
			settle(ctx, t, lab, "web", 6, 20*time.Second)
			must(t, scenarios.Throughout(ctx, 3*time.Second, func() error { return lab.CheckJob(ctx, "web", 6) }))
			tasksAfter, procsAfter := identities(ctx, t, lab)
			if !maps.Equal(tasksAfter, tasks) {
				t.Errorf("after the restart the tasks are %v, want %v", tasksAfter, tasks)
			}
			if !maps.Equal(procsAfter, procs) {
				t.Errorf("after the restart the processes are %v, want %v", procsAfter, procs)
			}
		})
	}
}

// identities are process number and start time of each task as the API says, and
// of each process as the system says.
func identities(ctx context.Context, t *testing.T, lab *scenarios.Lab) (tasks map[string]string, procs map[int]string) {
	t.Helper()
	tasks, procs = map[string]string{}, map[int]string{}
	for _, n := range lab.Alive() {
		for _, task := range tasksOf(ctx, t, n, "web") {
			if task.StartedAt != nil && task.Node == n.ID() {
				tasks[task.Attempt] = fmt.Sprintf("%d since %s", task.PID, task.StartedAt.UTC().Format(time.RFC3339Nano))
			}
		}
	}
	all, err := lab.Procs()
	must(t, err)
	for _, p := range all {
		procs[p.PID] = fmt.Sprintf("%s@%d since %s", p.Task, p.Epoch, p.Started)
	}
	return tasks, procs
}

// TestPowerCut ends everything at once. What was acknowledged runs again, once,
// and what was removed does not, though all that runs it were told just before.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 5, scenarios.LabConfig{})
	submit(ctx, t, lab.Nodes()[3], sleeper("gone", 5))
	settle(ctx, t, lab, "gone", 5, 20*time.Second)
	for i, name := range []string{"web", "db", "api"} {
		submit(ctx, t, lab.Nodes()[i], sleeper(name, 3))
	}
	w, err := lab.Nodes()[4].Service().Remove(ctx, "gone", api.WriteOptions{})
	if err != nil || !w.Durable() {
		t.Fatalf("remove = %+v, %v, want it on all disks that it takes", w, err)
	}
	must(t, lab.PowerCut(ctx))
	if procs, err := lab.Procs(); err != nil || len(procs) > 0 || len(lab.Alive()) > 0 {
		t.Fatalf("after the power cut: %v, %v, %d agents, want nothing", procs, err, len(lab.Alive()))
	}
	must(t, lab.Restart(ctx, lab.Nodes()...))
	must(t, lab.AwaitReady(ctx))
	for _, name := range []string{"web", "db", "api"} {
		settle(ctx, t, lab, name, 3, 60*time.Second)
	}
	must(t, scenarios.Throughout(ctx, 2*time.Second, func() error { return lab.CheckGone(ctx, "gone") }))
}

// TestPowerComesBackSlowly ends everything at once and boots one node after the other. The
// first ones do not take over what belongs to those that are still to come.
func TestPowerComesBackSlowly(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 5, scenarios.LabConfig{})
	submit(ctx, t, lab.Nodes()[0], sleeper("web", 10))
	settle(ctx, t, lab, "web", 10, 20*time.Second)
	owners := func() map[string]string {
		all := map[string]string{}
		for _, task := range tasksOf(ctx, t, lab.Alive()[0], "web") {
			all[task.ID] = task.NodeName
		}
		return all
	}
	must(t, scenarios.Throughout(ctx, time.Second, func() error { return lab.CheckJob(ctx, "web", 10) })) // all disks have it
	before := owners()
	must(t, lab.PowerCut(ctx))
	for _, i := range []int{3, 1, 4, 0, 2} {
		must(t, lab.Restart(ctx, lab.Nodes()[i])) // alone, the first takes a while to be ready
	}
	must(t, lab.AwaitReady(ctx))
	settle(ctx, t, lab, "web", 10, 30*time.Second)
	if after := owners(); !maps.Equal(before, after) {
		t.Errorf("after the power cut the tasks are at %v, want %v", after, before)
	}
}

// TestRemovedWhileAway removes a job while a node that runs some of it has no
// agent. The removal reaches it when it is back.
func TestRemovedWhileAway(t *testing.T) {
	ctx, lab := startLab(t, 3, scenarios.LabConfig{})
	submit(ctx, t, lab.Nodes()[0], sleeper("web", 6))
	settle(ctx, t, lab, "web", 6, 20*time.Second)
	victim := fullest(ctx, t, lab, "web")
	must(t, lab.Kill(ctx, victim))
	if _, err := lab.Alive()[0].Service().Remove(ctx, "web", api.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	must(t, lab.Restart(ctx, victim))
	gone, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	must(t, scenarios.Eventually(gone, "web is gone everywhere", func() error { return lab.CheckGone(gone, "web") }))
}

// TestAcceptingNodeDies kills the host that took a job as soon as it has said 201.
func TestAcceptingNodeDies(t *testing.T) {
	ctx, lab := startLab(t, 5, scenarios.LabConfig{})
	for i, n := range lab.Nodes()[:2] {
		name := fmt.Sprintf("web-%d", i)
		submit(ctx, t, n, sleeper(name, 6))
		must(t, lab.KillHost(ctx, n))
		settle(ctx, t, lab, name, 6, 30*time.Second)
		job, err := lab.Alive()[0].Service().Job(ctx, name)
		if err == nil && (job.Status == nil || job.Status.State != api.JobRunning) {
			err = errors.New("it is not said to run")
		}
		if err != nil {
			t.Errorf("%s at a survivor: %v", name, err)
		}
	}
}
