package peer_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/fake"
)

// put has n replace a job, and expects it to run from then on.
func (c *cluster) put(n *node, j api.Job, o api.WriteOptions) api.Written {
	c.t.Helper()
	w, err := n.agent.Put(c.t.Context(), j, o)
	if err != nil {
		c.t.Fatalf("put %s to %s: %v", j.Name, n.name, err)
	}
	c.want[j.Name] = j.Replicas
	return w
}

// refused fails the test unless a write was refused with that code, and returns the refusal.
func (c *cluster) refused(want api.Code) func(api.Written, error) *api.Error {
	c.t.Helper()
	return func(_ api.Written, err error) *api.Error {
		c.t.Helper()
		var e *api.Error
		if !errors.As(err, &e) || e.Code != want {
			c.t.Fatalf("got %v, want the refusal %s", err, want)
		}
		return e
	}
}

// A new specification replaces the tasks one after the other, each new copy before
// the old one stops; what no task is made of restarts none.
func TestClusterPut(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.engine.Script = func(runtime.Spec) fake.Behaviour {
				return fake.Behaviour{StartTakes: 2 * time.Second, StopTakes: time.Second}
			}
		}
		w := c.put(c.nodes[0], service("web", 6), api.WriteOptions{IfNoneMatch: "*"})
		if !w.Created || w.Existed || w.Job.Generation != 1 {
			t.Errorf("the first put: got %+v, want a new job", w)
		}
		c.settle(30*time.Second, c.nodes...)
		e := c.refused(api.Stale)(c.nodes[3].agent.Put(t.Context(), service("web", 9), api.WriteOptions{IfNoneMatch: "*"}))
		if e.Current == nil || e.Current.ETag != w.Job.ETag {
			t.Errorf("the refusal has %+v as what is there, want ETag %s", e.Current, w.Job.ETag)
		}

		calm := c.now()
		same := c.put(c.nodes[1], w.Job, api.WriteOptions{IfMatch: w.Job.ETag}) // as it was read
		if same.Created || !same.Existed || same.Job.ETag != w.Job.ETag || !same.Durable() {
			t.Errorf("nothing changed: got %+v, want ETag %s", same, w.Job.ETag)
		}
		more := w.Job
		more.Replicas, more.Labels, more.MaxParallel = 7, map[string]string{"team": "blue"}, 2
		scaled := c.put(c.nodes[2], more, api.WriteOptions{IfMatch: `"` + w.Job.ETag + `"`})
		c.settle(30*time.Second, c.nodes...)
		if got := c.starts(calm); len(got) != 1 || scaled.Job.Generation != 2 || scaled.Job.Template != w.Job.Template {
			t.Errorf("one more replica started %v; generation %d", got, scaled.Job.Generation)
		}
		c.refused(api.Stale)(c.nodes[4].agent.Scale(t.Context(), "web", 3, api.WriteOptions{IfMatch: w.Job.ETag}))

		begun := c.now()
		more.Env, more.MaxParallel = map[string]string{"V": "2"}, 1
		changed := c.put(c.nodes[3], more, api.WriteOptions{})
		took := c.within(2*time.Minute, "updated", func() string {
			if got := len(c.starts(begun)); got < 7 {
				return fmt.Sprintf("%d were started", got)
			}
			return c.unsettled(c.nodes...)
		})
		t.Logf("7 tasks updated in %v", took)
		low, high, starting := c.extremes("web", begun)
		if got := c.starts(begun); len(got) != 7 || low < 7 || high > 8 || starting > 1 {
			t.Errorf("started %v; %d to %d copies ran, %d were being started at once; want 7 or 8 and one at a time", got, low, high, starting)
		}
		for _, n := range c.nodes {
			for _, h := range n.containers() {
				if h.Labels.TemplateHash != changed.Job.Template {
					t.Errorf("%s still runs %s of an earlier specification", n.name, h.ID)
				}
			}
		}
		c.noStarts(time.Minute, "after the update")
	})
}

// A batch job is not changed but made anew: what ran of it stops, and all of the
// new one runs.
func TestClusterPutBatch(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.engine.Script = func(s runtime.Spec) fake.Behaviour {
				return fake.Behaviour{Ends: true, RunFor: time.Duration(1+s.Labels.Slot*60) * time.Second}
			}
		}
		j := service("calc", 2)
		j.Type = api.BatchJob
		first := c.submit(c.nodes[0], j)
		time.Sleep(10 * time.Second) // calc.0 is complete, calc.1 runs
		j.Env = map[string]string{"V": "2"}
		w, err := c.nodes[1].agent.Put(t.Context(), j, api.WriteOptions{IfMatch: first.ETag})
		if err != nil || w.Created || w.Job.ID == first.ID {
			t.Fatalf("got %+v, %v, want another life than %s", w, err, first.ID)
		}
		c.within(2*time.Minute, "complete", func() string {
			got, err := c.nodes[2].agent.Job(t.Context(), "calc")
			if err != nil || got.Status.State != api.JobComplete {
				return fmt.Sprintf("%+v, %v", got.Status, err)
			}
			return c.unsettled(c.nodes...)
		})
		lives := map[int64]int{}
		for _, h := range c.history() {
			if h.Event == fake.Starting {
				lives[h.Labels.Life]++
			}
		}
		if len(lives) != 2 {
			t.Errorf("starts by life: %v, want 2 of each of two", lives)
		}
		for life, starts := range lives {
			if starts != 2 {
				t.Errorf("life %d: %d starts, want 2", life, starts)
			}
		}
	})
}

// Both sides of a partition make the same generation of a job, of which one is
// void after the heal: who read that one changes nothing.
func TestClusterETagsOfTwoSides(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 2))
		c.settle(10*time.Second, c.nodes...)
		left, right := c.nodes[:2], c.nodes[2:]
		c.twice = true
		c.net.Partition(names(left))
		c.settle(time.Minute, left...)
		c.settle(time.Minute, right...)
		a, b := service("web", 2), service("web", 2)
		a.Env["SIDE"], b.Env["SIDE"] = "left", "right"
		read := []api.Job{c.put(left[0], a, api.WriteOptions{}).Job, c.put(right[0], b, api.WriteOptions{}).Job}
		if read[0].Generation != read[1].Generation || read[0].ETag == read[1].ETag {
			t.Fatalf("the sides made %d %s and %d %s, want one generation and two ETags", read[0].Generation, read[0].ETag, read[1].Generation, read[1].ETag)
		}
		time.Sleep(10 * time.Second)
		c.net.Heal()
		c.settle(2*time.Minute, c.nodes...)
		won, err := c.nodes[4].agent.Job(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		for _, job := range read {
			job.Replicas = 3
			for _, n := range c.nodes {
				if job.ETag != won.ETag {
					e := c.refused(api.Stale)(n.agent.Put(t.Context(), job, api.WriteOptions{IfMatch: job.ETag}))
					if e.Current == nil || e.Current.ETag != won.ETag {
						t.Errorf("%s refuses with %+v, want %s", n.name, e.Current, won.ETag)
					}
				}
			}
		}
		if w := c.put(c.nodes[1], func() api.Job { won.Replicas = 3; return won }(), api.WriteOptions{IfMatch: won.ETag}); w.Job.Generation != won.Generation+1 {
			t.Errorf("the ETag that is there made generation %d", w.Job.Generation)
		}
		c.settle(time.Minute, c.nodes...)
	})
}

// Killed tasks are not asked to end.
func TestClusterForcedRemoval(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.engine.Script = func(runtime.Spec) fake.Behaviour { return fake.Behaviour{StopTakes: time.Hour} }
		}
		for _, force := range []bool{false, true} {
			j := service("web", 3)
			j.StopTimeout = api.Duration(time.Minute)
			c.submit(c.nodes[0], j)
			c.settle(10*time.Second, c.nodes...)
			c.did(c.nodes[1].agent.Remove(t.Context(), "web", api.WriteOptions{Force: force}))
			took := c.within(2*time.Minute, "gone", func() string {
				if got := runs("web", c.nodes...); got > 0 {
					return fmt.Sprintf("%d run", got)
				}
				return ""
			})
			if force != (took < 2*time.Second) {
				t.Errorf("gone after %v with force %v", took, force)
			}
			delete(c.want, "web")
			c.settle(time.Minute, c.nodes...)
		}
	})
}
