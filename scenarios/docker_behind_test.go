package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestDockerBehindOurBack does to containers what operators and kernels do. Each
// comes back, in its place or, once restarts are used up, as a new attempt, and the
// words say why. What may be restarted thrice is hurt thrice: the wait before the last
// restart is long enough to be looked at, however late a busy engine tells of an end.
// Containers that are not ours are left alone by all of it.
func TestDockerBehindOurBack(t *testing.T) {
	t.Parallel()
	ctx, lab := startDocker(t, 3, scenarios.LabConfig{})
	engine := lab.Engine()
	strangers := []string{
		sentinel(ctx, t, engine, nil),
		sentinel(ctx, t, engine, map[string]string{"orch.cluster": "another", "orch.node": string(lab.Nodes()[0].ID()), "orch.job": "web", "orch.task": "web.0"}),
	}
	asked := lab.Nodes()[0]

	tests := []struct {
		name     string
		attempts int // restarts in place
		do       func(id string) error
		epoch    uint64
		words    string // one of these is said of the first attempt at last
	}{
		{"killed", 3, func(id string) error { return engine.ContainerKill(ctx, id, "SIGKILL") }, 1, "starting: killed by signal 9, restarts in 4s (3 of 3)"},
		{"removed", 3, func(id string) error {
			return engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
		}, 1, "starting: its container is gone, restarts in 4s (3 of 3)|starting: killed by signal 9, restarts in 4s (3 of 3)"},
		{"stopped", 3, func(id string) error { return engine.ContainerStop(ctx, id, container.StopOptions{}) }, 1, "starting: killed by signal 15, restarts in 4s (3 of 3)"},
		{"killed-no-restart", 0, func(id string) error { return engine.ContainerKill(ctx, id, "SIGKILL") }, 2, "failed: killed by signal 9"},
		{"removed-no-restart", 0, func(id string) error {
			return engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
		}, 2, "failed: its container is gone|failed: killed by signal 9"},
	}
	t.Run("each", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				job := boxes(t, tt.name, 2)
				job.Restart.Attempts = tt.attempts
				submit(ctx, t, asked, job)
				settle(ctx, t, lab, tt.name, 2, 20*time.Second)
				first, other := taskAt(ctx, t, asked, tt.name+".0"), taskAt(ctx, t, asked, tt.name+".1")
				words := watchWords(ctx, t, asked, first.Attempt)
				for restarts := min(1, tt.attempts); restarts <= tt.attempts; restarts++ {
					before := taskAt(ctx, t, asked, first.ID)
					must(t, tt.do(before.ContainerID))
					eventually(ctx, t, "it runs again", 30*time.Second, func(ctx context.Context) error {
						now := taskAt(ctx, t, asked, before.ID)
						if now.State != api.Running || now.ContainerID == before.ContainerID || now.Epoch != tt.epoch || now.Restarts != restarts {
							return fmt.Errorf("%s is %s in %.12s after %d restarts (%s), want attempt %d after %d", now.Attempt, now.State, now.ContainerID, now.Restarts, now.Reason, tt.epoch, restarts)
						}
						return nil
					})
				}
				settle(ctx, t, lab, tt.name, 2, 20*time.Second)
				said := words()
				if !slices.ContainsFunc(strings.Split(tt.words, "|"), func(w string) bool { return strings.Contains(said, w) }) {
					t.Errorf("said of it: %q, want %q", said, tt.words)
				}
				if now := taskAt(ctx, t, asked, other.ID); now.ContainerID != other.ContainerID {
					t.Errorf("%s was not touched, and is another container now", other.ID)
				}
				_, err := asked.Service().Remove(ctx, tt.name, api.WriteOptions{})
				must(t, err)
			})
		}
		t.Run("paused", func(t *testing.T) {
			t.Parallel()
			pausedBehindOurBack(ctx, t, lab)
		})
	})
	for _, id := range strangers {
		intact(ctx, t, engine, id)
	}
	eventually(ctx, t, "no container is left of the removed jobs", 30*time.Second, func(ctx context.Context) error {
		list, err := lab.Containers(ctx)
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("%d are, such as that of %s, %s", len(list), list[0].Task, list[0].State)
		}
		return err
	})
}

// pausedBehindOurBack pauses a container: it is as somebody wants it, so it stays, and
// everybody says that it is paused, until it is not. Killed while paused, it is
// restarted as any other.
func pausedBehindOurBack(ctx context.Context, t *testing.T, lab *scenarios.Lab) {
	engine, asked := lab.Engine(), lab.Nodes()[0]
	submit(ctx, t, asked, boxes(t, "paused", 2))
	settle(ctx, t, lab, "paused", 2, 20*time.Second)
	before := taskAt(ctx, t, asked, "paused.0")
	says := func(what string, want api.Task) {
		t.Helper()
		for _, n := range lab.Nodes() {
			eventually(ctx, t, n.Name+" says that it is "+what, 20*time.Second, func(ctx context.Context) error {
				now := taskAt(ctx, t, n, before.ID)
				if now.State != api.Running || now.Reason != want.Reason || now.Restarts != want.Restarts || now.Epoch != 1 || (now.ContainerID == before.ContainerID) != (want.Restarts == 0) {
					return fmt.Errorf("it says that %s is %s (%s) in %.12s after %d restarts", now.Attempt, now.State, now.Reason, now.ContainerID, now.Restarts)
				}
				return nil
			})
		}
	}
	must(t, engine.ContainerPause(ctx, before.ContainerID))
	says("paused", api.Task{Reason: "paused"})
	must(t, engine.ContainerUnpause(ctx, before.ContainerID))
	says("not paused", api.Task{})
	must(t, engine.ContainerPause(ctx, before.ContainerID))
	says("paused", api.Task{Reason: "paused"})
	must(t, engine.ContainerKill(ctx, before.ContainerID, "SIGKILL"))
	says("restarted", api.Task{Reason: "restarted in place: killed by signal 9", Restarts: 1})
	_, err := asked.Service().Remove(ctx, "paused", api.WriteOptions{})
	must(t, err)
}

// watchWords collects what is said of an attempt until the function is called.
func watchWords(ctx context.Context, t testing.TB, n *scenarios.Node, attempt string) func() string {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var said []string
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for last := ""; ; {
			if task, err := n.Service().Task(ctx, attempt); err == nil && task.Reason != last {
				last = task.Reason
				said = append(said, fmt.Sprintf("%s: %s", task.State, task.Reason))
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func() string {
		cancel()
		<-done
		t.Logf("said of %s: %q", attempt, said)
		return strings.Join(said, "; ")
	}
}

// TestDockerOutOfMemory limits a container that eats. It is told that memory was the
// cause, is restarted as often as it may be, and then placed anew after a while.
func TestDockerOutOfMemory(t *testing.T) {
	ctx, lab := startDocker(t, 2, scenarios.LabConfig{})
	job := boxes(t, "hungry", 1, "eat")
	job.Restart.Attempts = 1
	job.Resources.Memory, job.Limits.Memory = 16<<20, 16<<20
	submit(ctx, t, lab.Nodes()[0], job)
	for _, n := range lab.Nodes() {
		var ended api.Task
		eventually(ctx, t, "hungry.0 failed for want of memory", 30*time.Second, func(ctx context.Context) error {
			ended = taskAt(ctx, t, n, "hungry.0")
			if ended.State != api.Failed || !strings.Contains(ended.Reason, "out of memory") {
				return fmt.Errorf("%s says of %s: %s (%s) after %d failures", n.Name, ended.Attempt, ended.State, ended.Reason, ended.Failures)
			}
			return nil
		})
		if ended.Restarts != 1 || ended.ExitCode == nil || *ended.ExitCode != 137 {
			t.Errorf("%s failed after %d restarts, exit code %v, want after 1, 137", ended.Attempt, ended.Restarts, ended.ExitCode)
		}
		if strings.Count(ended.Reason, "out of memory") != 1 {
			t.Errorf("reason %q, want the cause once", ended.Reason)
		}
		t.Logf("%s: %s", ended.Attempt, ended.Reason)
	}
}

// TestDockerImageMissing asks for an image that nobody has and nobody may pull. The
// task fails with those words and is tried again later each time; other jobs run.
func TestDockerImageMissing(t *testing.T) {
	t.Parallel()
	ctx, lab := startDocker(t, 2, scenarios.LabConfig{})
	asked := lab.Nodes()[0]
	job := boxes(t, "ghost", 1)
	job.Image = "orch-test/nobody-has-this:1"
	submit(ctx, t, asked, job)

	var failed []time.Time
	eventually(ctx, t, "ghost.0 failed four times", 40*time.Second, func(ctx context.Context) error {
		task := taskAt(ctx, t, asked, "ghost.0")
		for len(failed) < task.Failures {
			failed = append(failed, time.Now())
		}
		if len(failed) < 4 {
			return fmt.Errorf("%s is %s after %d failures: %s", task.Attempt, task.State, task.Failures, task.Reason)
		}
		return nil
	})
	submit(ctx, t, asked, boxes(t, "web", 2))
	settle(ctx, t, lab, "web", 2, 20*time.Second)
	first, last := failed[1].Sub(failed[0]), failed[3].Sub(failed[2])
	t.Logf("between failures: %s, %s, %s", first, failed[2].Sub(failed[1]), last)
	if last < time.Second || last < first {
		t.Errorf("the times between failures are %s at first and %s at last, want them to grow", first, last)
	}
	for _, n := range lab.Nodes() {
		eventually(ctx, t, "the reason is told", 10*time.Second, func(ctx context.Context) error {
			task := taskAt(ctx, t, n, "ghost.0")
			if task.State != api.Pending && task.State != api.Failed {
				return fmt.Errorf("it is %s", task.State)
			}
			for _, word := range []string{job.Image, "not on this node", "never"} {
				if !strings.Contains(task.Reason, word) {
					return fmt.Errorf("%s says %q, want %q in it", n.Name, task.Reason, word)
				}
			}
			return nil
		})
	}
	t.Log(taskAt(ctx, t, asked, "ghost.0").Reason)
}

// sentinel starts a container that is not the lab's, with the labels given, and
// returns its ID.
func sentinel(ctx context.Context, t testing.TB, engine *client.Client, labels map[string]string) string {
	t.Helper()
	tag, err := tinyImage()
	must(t, err)
	c, err := engine.ContainerCreate(ctx, &container.Config{Image: tag, Cmd: []string{"sleep"}, Labels: labels}, nil, nil, nil, "")
	if err != nil {
		t.Fatalf("create a container that is not orch's: %v", err)
	}
	t.Cleanup(func() {
		err := engine.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true})
		if err != nil && !cerrdefs.IsNotFound(err) {
			t.Errorf("remove %.12s: %v", c.ID, err)
		}
	})
	must(t, engine.ContainerStart(ctx, c.ID, container.StartOptions{}))
	return c.ID
}

// intact wants that a container still runs and was never restarted.
func intact(ctx context.Context, t testing.TB, engine *client.Client, id string) {
	t.Helper()
	in, err := engine.ContainerInspect(ctx, id)
	if err == nil && (!in.State.Running || in.State.Paused || in.RestartCount != 0) {
		err = errors.New("it is " + in.State.Status)
	}
	if err != nil {
		t.Errorf("a container that is not of orch was touched: %v", err)
	}
}
