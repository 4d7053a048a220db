package peer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// A task that should move or be replaced, and that no node takes, stays, and every node
// says why: of the task and, where it is not what the job asks for, of the job.
func TestClusterSaysWhatStays(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		const none = ""
		says := func(what, stays, reason string) {
			t.Helper()
			c.within(30*time.Second, what, func() string {
				for _, n := range c.nodes {
					task, err := n.agent.Task(t.Context(), "web.0")
					if err != nil || !strings.HasPrefix(task.Stays, stays) || stays == none && task.Stays != none {
						return fmt.Sprintf("%s says of the task %q, %v; want %q", n.name, task.Stays, err, stays)
					}
					jobs, err := n.agent.Jobs(t.Context())
					if err != nil || len(jobs) != 1 || !strings.HasPrefix(jobs[0].Status.Reason, reason) || reason == none && jobs[0].Status.Reason != none {
						return fmt.Sprintf("%s says of the jobs %+v, %v; want %q", n.name, jobs, err, reason)
					}
				}
				return ""
			})
		}
		j := service("web", 1)
		j.Resources.CPUs = 6000
		c.submit(c.nodes[0], j)
		c.settle(30*time.Second, c.nodes...)
		owner := c.ownerOf("web.0")
		for _, n := range c.rest(owner) {
			if _, err := n.agent.CordonNode(t.Context(), "self"); err != nil {
				t.Fatal(err)
			}
		}
		says("nothing is to move", none, none)
		if _, err := owner.agent.DrainNode(t.Context(), "self"); err != nil {
			t.Fatal(err)
		}
		says("nobody takes it", "cannot move: ", none) // the job is as it should be
		if _, err := owner.agent.ResumeNode(t.Context(), "self"); err != nil {
			t.Fatal(err)
		}
		says("it need not move", none, none)

		large := j
		large.Resources.Memory = 64 << 30
		c.did(owner.agent.Put(t.Context(), large, api.WriteOptions{}))
		says("nobody takes what it is to be", "cannot be replaced: needs ", "web.0 cannot be replaced: needs ")
		if task, err := owner.agent.Task(t.Context(), "web.0"); err != nil || task.Epoch != 1 || task.State != api.Running {
			t.Errorf("it is %+v, %v; want what ran before", task, err)
		}
		c.did(owner.agent.Put(t.Context(), j, api.WriteOptions{}))
		says("it is what it was", none, none)
	})
}
