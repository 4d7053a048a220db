package peer_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// byAction counts the slots of a plan by action.
func byAction(job api.Job) map[string]int {
	out := map[string]int{}
	for _, s := range job.Plan.Slots {
		out[s.Action]++
	}
	return out
}

// A dry run says what would happen, where or why not, and does nothing.
func TestClusterPlan(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		ctx, before := t.Context(), c.nodes[0].agent.Digest()
		check := func(what string, job api.Job, create bool, action string, want map[string]int) api.Job {
			t.Helper()
			got, err := c.nodes[1].agent.Plan(ctx, job, create, api.WriteOptions{})
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got.Plan.Action != action || fmt.Sprint(byAction(got)) != fmt.Sprint(want) {
				t.Errorf("%s: got %s %v, want %s %v: %+v", what, got.Plan.Action, byAction(got), action, want, got.Plan.Slots)
			}
			return got
		}
		first := check("a new job", service("web", 6), true, "create", map[string]int{"create": 6})
		on := map[string]int{}
		for _, s := range first.Plan.Slots {
			on[s.NodeName]++
			if s.Score <= 0 || s.Reason != "" || s.Node == "" {
				t.Errorf("a slot that fits: got %+v", s)
			}
		}
		if len(on) != 3 || first.ETag != "" {
			t.Errorf("spread over %v, ETag %q", on, first.ETag)
		}
		if none := check("a job of no tasks", service("none", 0), true, "create", map[string]int{}); none.Plan.Slots == nil {
			t.Error("a job of no tasks: its slots are no list")
		}
		big := service("big", 4) // a copy fills a node
		big.Resources = eightCPUs
		for i, s := range check("a job that does not fit", big, true, "create", map[string]int{"create": 4}).Plan.Slots {
			if (s.Node == "") != (i == 3) || (s.Reason == "") != (i < 3) {
				t.Errorf("slot %d: got %+v, want no room for the last", i, s)
			}
		}
		c.noStarts(time.Minute, "after dry runs")
		if got := c.nodes[2].agent.Digest(); got != before {
			t.Error("a dry run has changed the table")
		}

		web := c.submit(c.nodes[0], service("web", 4))
		c.settle(10*time.Second, c.nodes...)
		calm := c.now()
		if got := check("as it is", web, false, "unchanged", map[string]int{"keep": 4}); got.ETag != web.ETag {
			t.Errorf("ETag %s, want that of the job, %s", got.ETag, web.ETag)
		}
		more := web
		more.Replicas = 5
		check("one more", more, false, "update", map[string]int{"keep": 4, "create": 1})
		more.Replicas = 1
		check("three less", more, false, "update", map[string]int{"keep": 1, "stop": 3})
		more.Env = map[string]string{"V": "2"}
		moved := check("another environment", more, false, "update", map[string]int{"move": 1, "stop": 3})
		if s := moved.Plan.Slots[3]; s.From == "" || s.Node == "" || s.Reason != "the job has changed" {
			t.Errorf("the slot that is replaced: got %+v", s)
		}
		more.Type = api.BatchJob
		check("another type", more, false, "replace", map[string]int{"create": 1, "stop": 4})
		_, err := c.nodes[1].agent.Plan(ctx, more, true, api.WriteOptions{})
		if api.CodeOf(err) != api.JobExists {
			t.Errorf("creating what is there: %v", err)
		}
		if _, err = c.nodes[1].agent.Plan(ctx, more, false, api.WriteOptions{IfMatch: "9-x"}); api.CodeOf(err) != api.Stale {
			t.Errorf("an old ETag: %v", err)
		}
		if got := c.starts(calm); len(got) > 0 {
			t.Errorf("dry runs started %v", got)
		}
		c.settle(10*time.Second, c.nodes...)
	})
}

// A node tells the versions it saw, with the one that lost to a write beside it.
func TestClusterHistory(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		ctx := t.Context()
		history := func(n *node) []api.Generation {
			t.Helper()
			list, err := n.agent.History(ctx, "web")
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		first := c.submit(c.nodes[0], service("web", 2))
		c.settle(10*time.Second, c.nodes...)
		c.did(c.nodes[1].agent.Scale(ctx, "web", 3, api.WriteOptions{}))
		c.want["web"] = 3
		c.settle(10*time.Second, c.nodes...)
		left, right := c.nodes[:2], c.nodes[2:]
		c.twice = true
		c.net.Partition(names(left))
		c.settle(time.Minute, left...)
		c.settle(time.Minute, right...)
		a, b := service("web", 3), service("web", 3)
		a.Env["SIDE"], b.Env["SIDE"] = "left", "right"
		sides := map[string]*node{c.put(left[0], a, api.WriteOptions{}).Job.ETag: left[1], c.put(right[0], b, api.WriteOptions{}).Job.ETag: right[1]}
		time.Sleep(10 * time.Second)
		c.net.Heal()
		c.settle(2*time.Minute, c.nodes...)
		won := history(c.nodes[4])[0]
		delete(sides, won.ETag)
		for lost, n := range sides {
			list := history(n)
			var states []string
			for _, g := range list {
				states = append(states, fmt.Sprint(g.Generation, " ", g.State, " ", g.Changed))
			}
			slices.Sort(states)
			want := []string{"1 replaced []", "2 replaced [replicas]", "3 current [env]", "3 void [env]"}
			if !slices.Equal(states, want) || list[0].WriterName == "" || list[3].ETag != first.ETag {
				t.Errorf("got %q, want %q: %+v", states, want, list)
			}
			got, err := n.agent.Generation(ctx, "web", lost)
			if err != nil || got.ETag != lost || len(got.Env) != 1 {
				t.Errorf("the void write: got %+v, %v", got, err)
			}
			if got, err = n.agent.Generation(ctx, "web", "3"); err != nil || got.ETag != won.ETag {
				t.Errorf("generation 3: got %s, %v, want %s", got.ETag, err, won.ETag)
			}
		}
		if got, err := c.nodes[3].agent.Generation(ctx, "web", "1"); err != nil || got.Replicas != 2 {
			t.Errorf("generation 1: got %+v, %v", got, err)
		}
		if _, err := c.nodes[3].agent.Generation(ctx, "web", "77"); api.CodeOf(err) != api.JobNotFound {
			t.Errorf("generation 77: %v", err)
		}

		// A node that was not here knows the one before, from the record.
		c.kill(c.nodes[4])
		time.Sleep(time.Minute)
		c.nodes[4].start(false)
		c.settle(2*time.Minute, c.nodes...)
		if list := history(c.nodes[4]); len(list) != 2 || list[0].ETag != won.ETag || list[1].Generation != 2 {
			t.Errorf("after a restart: got %+v", list)
		}

		// Many versions are not kept for ever.
		for i := range 60 {
			c.did(c.nodes[0].agent.Scale(ctx, "web", i%2, api.WriteOptions{}))
			time.Sleep(10 * time.Millisecond)
		}
		if got := len(history(c.nodes[1])); got != 17 {
			t.Errorf("%d versions are kept, want 17", got)
		}
		c.want["web"] = 1
		c.settle(time.Minute, c.nodes...)
	})
}
