package peer_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// replay is what a reader of one node's events makes of them.
type replay struct {
	mu     sync.Mutex               // guards what follows
	tasks  map[string]api.EventType // last event of each attempt's slot
	nodes  map[string]api.EventType // of each node, by name
	uids   map[string]string        // uid → type and message
	twice  []string
	resets int
	last   string // id
}

// replayOf follows the events of n until ctx ends.
func (c *cluster) replayOf(ctx context.Context, n *node, done *sync.WaitGroup) *replay {
	r := &replay{tasks: map[string]api.EventType{}, nodes: map[string]api.EventType{}, uids: map[string]string{}}
	a := n.agent
	done.Go(func() {
		_ = a.Events(ctx, api.EventFilter{Follow: true}, func(e api.Event) error { // ends with ctx, or with the node
			r.take(e)
			return nil
		})
	})
	synctest.Wait() // it follows
	return r
}

func (r *replay) take(e api.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = e.ID
	family, _, _ := strings.Cut(string(e.Type), ".")
	switch {
	case e.Type == api.EventReset:
		r.resets++
	case family == "task":
		if e.Type != api.EventTaskSuperseded {
			r.tasks[e.Task] = e.Type
		}
	case family == "node" && e.Type != api.EventNodeJoined:
		r.nodes[e.NodeName] = e.Type
	}
	if e.UID == "" {
		return
	}
	if r.uids[e.UID] != "" {
		r.twice = append(r.twice, e.Message)
	}
	r.uids[e.UID] = string(e.Type) + " " + e.Message
}

func (r *replay) of(what string) (map[string]api.EventType, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if what == "nodes" {
		return maps.Clone(r.nodes), slices.Clone(r.twice)
	}
	return maps.Clone(r.tasks), slices.Clone(r.twice)
}

// has are the messages of all events of a type, sorted.
func (r *replay) has(t api.EventType) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, text := range r.uids {
		if message, ok := strings.CutPrefix(text, string(t)+" "); ok {
			out = append(out, message)
		}
	}
	slices.Sort(out)
	return out
}

// All nodes tell the same of what happens: placing, a death and the repair, the
// return, a drain, a removal; and what they told is how it is.
func TestClusterEvents(t *testing.T) {
	inCluster(t, 4, eightCPUs, func(t *testing.T, c *cluster) {
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		defer readers.Wait()
		defer cancel()
		var all []*replay
		for _, n := range c.nodes[:3] {
			all = append(all, c.replayOf(ctx, n, &readers))
		}
		c.submit(c.nodes[0], service("web", 6))
		c.settle(10*time.Second, c.nodes...)
		victim := c.nodes[3]
		lost := runs("web", victim)
		c.crash(victim)
		c.settle(10*time.Second, c.rest(victim)...)
		time.Sleep(time.Second)
		for i, r := range all {
			gone := append(r.has(api.EventTaskLost), r.has(api.EventTaskSuperseded)...) // the latter where the repair was heard of before the death
			if len(gone) != lost {
				t.Errorf("%s told of %q gone, want %d", c.nodes[i].name, gone, lost)
			}
			if got := r.has(api.EventNodeFailed); len(got) != 1 || !strings.HasPrefix(got[0], "n3: connection refused") || !strings.Contains(got[0], fmt.Sprintf("; %d task", lost)) {
				t.Errorf("%s told of failed nodes: %q", c.nodes[i].name, got)
			}
		}
		victim.start(false)
		c.settle(30*time.Second, c.nodes...)
		if _, err := c.nodes[0].agent.DrainNode(ctx, "n2"); err != nil {
			t.Fatal(err)
		}
		c.within(time.Minute, "n2 is empty", func() string {
			n, err := c.nodes[0].agent.Node(ctx, "n2")
			if err != nil || n.Status != api.NodeDrained {
				return fmt.Sprint(n.Status, err)
			}
			return ""
		})
		c.did(c.nodes[1].agent.Scale(ctx, "web", 4, api.WriteOptions{}))
		delete(c.want, "web")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for i, r := range all {
			tasks, twice := r.of("tasks")
			want := map[string]api.EventType{"web.0": api.EventTaskRunning, "web.1": api.EventTaskRunning, "web.2": api.EventTaskRunning,
				"web.3": api.EventTaskRunning, "web.4": api.EventTaskStopped, "web.5": api.EventTaskStopped}
			if !maps.Equal(tasks, want) {
				t.Errorf("%s told in the end: %v", c.nodes[i].name, tasks)
			}
			nodes, _ := r.of("nodes")
			delete(nodes, c.nodes[i].name)
			if nodes["n3"] != api.EventNodeReady || i != 2 && nodes["n2"] != api.EventNodeDrained {
				t.Errorf("%s told of the nodes: %v", c.nodes[i].name, nodes)
			}
			if len(twice) > 0 {
				t.Errorf("%s told twice: %q", c.nodes[i].name, twice)
			}
			for _, kind := range []api.EventType{api.EventJobCreated, api.EventJobUpdated, api.EventTaskRunning, api.EventTaskStopped, api.EventTaskPlaced} {
				if got, want := r.has(kind), all[0].has(kind); !slices.Equal(got, want) {
					t.Errorf("%s: %s told %q, %s told %q", kind, c.nodes[i].name, got, c.nodes[0].name, want)
				}
			}
		}
		c.did(c.nodes[1].agent.Remove(ctx, "web", api.WriteOptions{}))
		time.Sleep(10 * time.Second)
		if got := all[0].has(api.EventJobRemoved); len(got) != 1 {
			t.Errorf("removed: %q", got)
		}
	})
}

// A reader that waits for a change of a job hears of it, and of nothing else; one
// that waits for it to run or to be gone is told so at once.
func TestClusterWaits(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		asked := c.nodes[2].agent
		c.submit(c.nodes[0], service("api", 1))
		c.settle(10*time.Second, c.nodes...)
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		known := asked.Revision(ctx, "api", "")
		heard := make(chan string, 1)
		go func() { heard <- asked.Revision(ctx, "api", known) }()
		time.Sleep(30 * time.Second)
		select {
		case <-heard:
			t.Error("a reader was woken, and nothing had changed")
		default:
		}
		c.did(c.nodes[1].agent.Scale(ctx, "api", 2, api.WriteOptions{}))
		c.want["api"] = 2
		begun := time.Now()
		if got := <-heard; got == known || time.Since(begun) > time.Second {
			t.Errorf("%s after %s, %v after the change", got, known, time.Since(begun))
		}

		created := time.Now()
		c.submit(c.nodes[0], service("web", 3))
		job, reached, err := asked.WaitJob(ctx, "web", api.GoalRunning)
		if err != nil || !reached || job.Status.Running != 3 {
			t.Errorf("running: %v, %v, %+v", reached, err, job.Status)
		}
		t.Logf("three run %v after they were asked for", time.Since(created))
		if _, _, err := asked.WaitJob(ctx, "web", api.GoalComplete); api.CodeOf(err) != api.Invalid {
			t.Errorf("to wait for a service to complete: %v", err)
		}
		if _, _, err := asked.WaitJob(ctx, "none", api.GoalRunning); api.CodeOf(err) != api.JobNotFound {
			t.Errorf("to wait for a job that is not there: %v", err)
		}
		short, cancelShort := context.WithTimeout(ctx, time.Second)
		defer cancelShort()
		if job, reached, err := asked.WaitJob(short, "web", api.GoalGone); err != nil || reached || job.Name != "web" {
			t.Errorf("gone, while it runs: %v, %v", reached, err)
		}
		c.did(c.nodes[0].agent.Remove(ctx, "web", api.WriteOptions{}))
		delete(c.want, "web")
		job, reached, err = asked.WaitJob(ctx, "web", api.GoalGone)
		if err != nil || !reached || job.Name != "web" || runs("web", c.nodes...) > 0 {
			t.Errorf("gone: %v, %v, %d run", reached, err, runs("web", c.nodes...))
		}
		c.settle(10*time.Second, c.nodes...)
	})
}

// A node that is left alone says so, and what its events say afterwards is true.
func TestClusterIsolatedEvents(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		defer readers.Wait()
		defer cancel()
		c.submit(c.nodes[0], service("web", 3))
		c.settle(10*time.Second, c.nodes...)
		alone := c.nodes[1]
		r := c.replayOf(ctx, alone, &readers)
		c.twice = true
		c.net.Partition(names([]*node{alone}))
		c.settle(time.Minute, alone)
		if got := r.has(api.EventNodeIsolated); len(got) != 1 {
			t.Errorf("cut off, the node told %q", got)
		}
		c.net.Heal()
		c.settle(time.Minute, c.nodes...)
		time.Sleep(30 * time.Second)
		tasks, _ := r.of("tasks")
		nodes, twice := r.of("nodes")
		for _, n := range c.nodes {
			if nodes[n.name] != api.EventNodeReady {
				t.Errorf("after the heal %s is %s by the events", n.name, nodes[n.name])
			}
		}
		for id, last := range tasks {
			if last != api.EventTaskRunning {
				t.Errorf("after the heal %s is %s by the events", id, last)
			}
		}
		if len(twice) > 0 {
			t.Errorf("told twice: %q", twice)
		}
	})
}
