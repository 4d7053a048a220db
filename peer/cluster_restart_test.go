package peer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime/fake"
)

// A task is restarted by its owner, whoever is asked: in the same epoch, and stopped
// before it starts. Meanwhile nobody else does anything about it.
func TestClusterRestartOfATask(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		c.script(fake.Behaviour{StartTakes: 3 * time.Second, StopTakes: 5 * time.Second})
		c.submit(c.nodes[0], service("web", 3))
		c.settle(20*time.Second, c.nodes...)
		owner := c.ownerOf("web.1")
		asked := c.rest(owner)[0]
		so, end := c.follow(t.Context(), asked, api.LogOptions{Tail: 0}, "web.1")
		begun := c.now()
		task, err := asked.agent.RestartTask(t.Context(), "web.1")
		if err != nil || task.Attempt != "web.1@1" || task.State != api.Starting || task.Restarts != 1 || task.Reason != "restarted in place: asked to" {
			t.Fatalf("restarted: %+v, %v", task, err)
		}
		if _, err := asked.agent.RestartTask(t.Context(), "web.1@1"); api.CodeOf(err) != api.NotRunning {
			t.Errorf("once more at once: %v, want %s", err, api.NotRunning)
		}
		c.within(20*time.Second, "running again", func() string {
			task, err := asked.agent.Task(t.Context(), "web.1")
			if err != nil || task.State != api.Running || task.Restarts != 1 || task.Epoch != 1 || !task.StartedAt.After(begun) {
				return fmt.Sprintf("web.1 is %+v, %v", task, err)
			}
			return ""
		})
		if got := c.starts(begun); len(got) != 1 || !strings.HasPrefix(got[0], "web.1@1 on "+owner.name) {
			t.Errorf("started were %v, want web.1@1 once more", got)
		}
		if low, high, _ := c.extremes("web", begun); low != 2 || high != 3 {
			t.Errorf("%d to %d copies ran, want 2 to 3", low, high)
		}
		c.settle(10*time.Second, c.nodes...)
		c.noStarts(time.Minute, "after the restart")

		if _, err := asked.agent.RestartTask(t.Context(), "web.7"); api.CodeOf(err) != api.TaskNotFound {
			t.Errorf("of no task: %v, want %s", err, api.TaskNotFound)
		}
		delete(c.want, "web")
		c.did(asked.agent.Stop(t.Context(), "web", api.WriteOptions{}))
		c.within(20*time.Second, "stopped", func() string {
			if n := runs("web", c.nodes...); n > 0 {
				return fmt.Sprintf("%d run", n)
			}
			return ""
		})
		if _, err := asked.agent.RestartTask(t.Context(), "web.1"); api.CodeOf(err) != api.NotRunning {
			t.Errorf("of a stopped one: %v, want %s", err, api.NotRunning)
		}
		select {
		case err := <-end:
			if err != nil && !errors.Is(err, t.Context().Err()) || so() != "" {
				t.Errorf("its logs ended with %v after %q", err, so())
			}
		case <-time.After(time.Minute):
			t.Error("its logs were followed on although the job was stopped")
		}
	})
}
