package peer_test

import (
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// asides are the jobs that n says that of has set aside.
func (c *cluster) asides(n, of *node) map[string]api.Aside {
	c.t.Helper()
	var list []api.Aside
	c.within(30*time.Second, n.name+" is told what "+of.name+" has set aside", func() (why string) { // gossip sees it before there is a connection
		var err error
		if list, err = n.agent.NodeAsides(c.t.Context(), of.name); err != nil {
			why = err.Error()
		}
		return why
	})
	out := map[string]api.Aside{}
	for _, a := range list {
		out[a.Job] = a
	}
	return out
}

// alarms are the codes of what n complains of.
func (n *node) alarms() string {
	cluster, err := n.agent.Cluster(n.c.t.Context())
	if err != nil {
		return err.Error()
	}
	codes := ""
	for _, a := range cluster.Alarms {
		codes += a.Code + " "
	}
	return codes
}

// Two nodes are away while jobs are removed, are removed themselves, and come back
// when nobody remembers that: they set the jobs aside, and say so. What is restored
// runs again as a new life, and neither of the two lists it any more.
func TestClusterRestoresWhatWasSetAside(t *testing.T) {
	const retention = 3 * time.Minute
	inCluster(t, 4, eightCPUs, func(t *testing.T, c *cluster) {
		c.retention = retention
		for _, n := range c.nodes {
			n.stop()
			n.start(false)
		}
		c.settle(time.Minute, c.nodes...)
		ctx, asked := t.Context(), c.nodes[0]
		c.submit(asked, service("web", 3))
		c.submit(asked, service("old", 2))
		c.submit(asked, service("kept", 2))
		c.submit(asked, service("idle", 2))
		c.settle(time.Minute, c.nodes...)
		c.did(asked.agent.Scale(ctx, "web", 4, api.WriteOptions{}))
		c.did(asked.agent.Stop(ctx, "idle", api.WriteOptions{}))
		c.want["web"], c.want["idle"] = 4, 0
		c.settle(time.Minute, c.nodes...)
		was, err := asked.agent.Job(ctx, "web")
		if err != nil {
			t.Fatal(err)
		}

		here, away := c.nodes[:2], c.nodes[2:]
		c.crash(away...)
		c.settle(2*time.Minute, here...)
		for _, name := range []string{"web", "old", "idle"} {
			c.did(asked.agent.Remove(ctx, name, api.WriteOptions{}))
			delete(c.want, name)
		}
		for _, n := range away {
			if _, err := asked.agent.RemoveNode(ctx, n.name); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(retention + 2*time.Minute)
		for _, n := range away {
			n.start(false)
		}
		c.settle(2*time.Minute, c.nodes...)

		for _, n := range away {
			got := c.asides(asked, n)
			web := got["web"]
			if len(got) != 3 || web.Node != n.id || web.Life != was.CreatedAt.UnixMilli() || web.Taken || web.Spec == nil || web.Spec.Replicas != 4 || web.Spec.ETag != was.ETag || web.Reason == "" || !got["idle"].Stopped {
				t.Fatalf("%s has set aside %+v, want web as it was, old and idle", n.name, got)
			}
			if got := n.alarms(); got != "set_aside " {
				t.Errorf("%s has the alarms %q", n.name, got)
			}
		}
		if got := c.asides(away[0], asked); len(got) != 0 {
			t.Errorf("who was here has set aside %v", got)
		}

		restore := func(n *node, r api.Restoring, o api.WriteOptions) (api.Written, error) {
			return asked.agent.Restore(ctx, n.name, r, o)
		}
		c.refused(api.JobNotFound)(restore(away[0], api.Restoring{Job: "kept"}, api.WriteOptions{}))
		c.refused(api.JobNotFound)(restore(away[0], api.Restoring{Job: "web", File: "aside-1.json"}, api.WriteOptions{}))
		c.refused(api.Invalid)(restore(away[0], api.Restoring{}, api.WriteOptions{}))
		c.refused(api.NodeNotFound)(asked.agent.Restore(ctx, "nobody", api.Restoring{Job: "web"}, api.WriteOptions{}))

		key := api.WriteOptions{Key: "once"}
		w, err := restore(away[0], api.Restoring{Job: "web"}, key)
		if err != nil || !w.Created || !w.Durable() || w.Job.Replicas != 4 || w.Job.CreatedAt.UnixMilli() <= was.CreatedAt.UnixMilli() {
			t.Fatalf("restored: %+v, %v", w, err)
		}
		if again, err := restore(away[0], api.Restoring{Job: "web"}, key); err != nil || !again.Existed || again.Job.ETag != w.Job.ETag {
			t.Errorf("the same request again: %+v, %v", again, err)
		}
		c.did(restore(away[1], api.Restoring{Job: "idle"}, api.WriteOptions{}))
		c.want["web"] = 4
		c.settle(time.Minute, c.nodes...)
		if j, err := asked.agent.Job(ctx, "idle"); err != nil || j.Status.State != api.JobStopped {
			t.Errorf("what was stopped is %+v, %v", j.Status, err)
		}
		for _, n := range away {
			if got := c.asides(asked, n); len(got) != 1 || got["old"].Job == "" {
				t.Errorf("%s lists %v, want what nobody has restored", n.name, got)
			}
		}

		// The name is taken; what was restored is removed, and stays so.
		c.submit(asked, service("old", 1))
		c.settle(time.Minute, c.nodes...) // everybody has heard of it
		if e := c.refused(api.JobExists)(restore(away[1], api.Restoring{Job: "old"}, api.WriteOptions{})); e.Current == nil || e.Current.Replicas != 1 {
			t.Errorf("the refusal has %+v as what is there", e.Current)
		}
		if got := c.asides(asked, away[1]); !got["old"].Taken {
			t.Errorf("the name of what is set aside is taken, and that is not said: %+v", got)
		}
		c.did(asked.agent.Remove(ctx, "old", api.WriteOptions{}))
		c.did(asked.agent.Remove(ctx, "web", api.WriteOptions{}))
		delete(c.want, "old")
		delete(c.want, "web")
		c.settle(time.Minute, c.nodes...)
		time.Sleep(retention + 2*time.Minute)
		c.refused(api.JobNotFound)(restore(away[0], api.Restoring{Job: "web"}, api.WriteOptions{}))
		c.did(restore(away[0], api.Restoring{Job: "old"}, api.WriteOptions{}))
		c.want["old"] = 2
		c.settle(time.Minute, c.nodes...)
		for _, n := range away {
			n.stop()
			n.start(false)
		}
		c.settle(time.Minute, c.nodes...)
		for _, n := range away {
			if got, alarms := c.asides(asked, n), n.alarms(); len(got) != 0 || alarms != "" {
				t.Errorf("all is restored, and %s lists %v, with alarms %q", n.name, got, alarms)
			}
		}
	})
}
