package peer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/fake"
)

// print has every task write lines when it starts, the first of them its name.
func (c *cluster) print(lines int) {
	for _, n := range c.nodes {
		n.engine.Script = func(s runtime.Spec) fake.Behaviour {
			b := fake.Behaviour{Output: []string{s.Labels.Task().String()}}
			for i := range lines - 1 {
				b.Output = append(b.Output, fmt.Sprint(i))
			}
			return b
		}
	}
}

// logs reads what n has of names.
func (c *cluster) logs(n *node, o api.LogOptions, names ...string) (lines, faults []string, err error) {
	err = n.agent.Logs(c.t.Context(), names, o, func(l api.LogLine) error {
		if l.Fault != nil {
			faults = append(faults, l.Node+" "+l.Task+" "+l.Fault.Detail)
		} else {
			lines = append(lines, l.Line)
		}
		return nil
	})
	slices.Sort(lines)
	return lines, faults, err
}

// ownerOf is the node of a task as all see it.
func (c *cluster) ownerOf(id string) *node {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.agent != nil {
			task, err := n.agent.Task(c.t.Context(), id)
			if err != nil {
				c.t.Fatal(err)
			}
			return c.byID(task.Node)
		}
	}
	return nil
}

// The logs of a job come from all its nodes. One that is dead is told of at once,
// one that does not answer after two seconds, and neither holds up the others.
func TestClusterLogsWithADeadNode(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.print(1)
		j := service("web", 5)
		j.OnPartition = "freeze" // its tasks stay where they are
		c.submit(c.nodes[0], j)
		c.settle(10*time.Second, c.nodes...)
		if got, faults, err := c.logs(c.nodes[0], api.LogOptions{Tail: -1}, "web"); len(got) != 5 || len(faults) != 0 || err != nil {
			t.Fatalf("got %q, %q, %v; want five lines", got, faults, err)
		}
		dead := c.ownerOf("web.1")
		asked := c.rest(dead)[0]
		c.crash(dead)
		c.want["web"] = 4
		c.within(time.Minute, "seen", func() string {
			if task, err := asked.agent.Task(t.Context(), "web.1"); err != nil || task.State != api.Lost {
				return fmt.Sprintf("web.1 is %s, %v", task.State, err)
			}
			return ""
		})
		begun := time.Now()
		got, faults, err := c.logs(asked, api.LogOptions{Tail: -1}, "web")
		if want := []string{"web.0@1", "web.2@1", "web.3@1", "web.4@1"}; !slices.Equal(got, want) || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
		if want := []string{dead.name + " web.1 node unreachable"}; !slices.Equal(faults, want) {
			t.Errorf("missing are %q, want %q", faults, want)
		}
		if _, _, err = c.logs(asked, api.LogOptions{Tail: -1}, "web.1"); api.CodeOf(err) != api.NodeUnreachable || !strings.Contains(err.Error(), dead.name+": node unreachable") {
			t.Errorf("logs of the lost one: %v, want %s of %s", err, api.NodeUnreachable, dead.name)
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("that took %s of virtual time, want none", took)
		}
		dumb := c.pick(func(n *node) bool { return n != asked && n != dead && runs("web", n) == 1 })
		dumb.agent.host.mute.Store(true)
		begun = time.Now()
		got, faults, err = c.logs(asked, api.LogOptions{Tail: -1}, "web")
		if took := time.Since(begun); len(got) != 3 || len(faults) != 2 || err != nil || took > 3*time.Second {
			t.Errorf("with one that is dumb, after %s: got %q, %q, %v; want three lines within 3 s", took, got, faults, err)
		}
		dumb.agent.host.mute.Store(false)
	})
}

// follow reads what n has of names in the background. The lines so far, and faults
// with a ! before them, are told by so; end says how it ended.
func (c *cluster) follow(ctx context.Context, n *node, o api.LogOptions, names ...string) (so func() string, end <-chan error) {
	var mu sync.Mutex // guards got
	var got []string
	done := make(chan error, 1)
	o.Follow = true
	go func() {
		done <- n.agent.Logs(ctx, names, o, func(l api.LogLine) error {
			mu.Lock()
			defer mu.Unlock()
			if l.Fault != nil {
				l.Line = "!" + l.Node
			}
			got = append(got, l.Line)
			return nil
		})
	}()
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(got, " ")
	}, done
}

// A follower hears of the node that died, and goes on with the next attempt from
// its first line. Earlier attempts are had as long as their node has them. Removing
// the job ends it.
func TestClusterLogsAreFollowedAcrossAMove(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.print(2)
		c.submit(c.nodes[0], service("web", 1))
		c.settle(10*time.Second, c.nodes...)
		owner := c.ownerOf("web.0")
		asked := c.rest(owner)[0]
		so, end := c.follow(t.Context(), asked, api.LogOptions{Tail: 1}, "web")
		is := func(want string) func() string {
			return func() string {
				if got := so(); got != want {
					return fmt.Sprintf("got %q, want %q", got, want)
				}
				return ""
			}
		}
		c.within(5*time.Second, "followed", is("0"))
		time.Sleep(time.Minute) // nothing is said, and that is no fault
		c.crash(owner)
		want := "0 !" + owner.name + " web.0@2 0"
		c.within(10*time.Second, "followed elsewhere", is(want))
		owner.start(false)
		c.settle(30*time.Second, c.nodes...)
		if got, _, err := c.logs(asked, api.LogOptions{Tail: -1}, "web.0@1"); err != nil || !slices.Equal(got, []string{"0", "web.0@1"}) {
			t.Errorf("logs of the first attempt: %q, %v", got, err)
		}
		if _, _, err := c.logs(asked, api.LogOptions{Tail: -1}, "web.0@3"); api.CodeOf(err) != api.TaskNotFound {
			t.Errorf("logs of an attempt that never was: %v, want %s", err, api.TaskNotFound)
		}
		delete(c.want, "web")
		c.did(asked.agent.Remove(t.Context(), "web", api.WriteOptions{}))
		select {
		case err := <-end:
			if err != nil || so() != want {
				t.Errorf("it ended with %v after %q, want %q", err, so(), want)
			}
		case <-time.After(time.Minute):
			t.Error("following did not end with the job")
		}
		if _, _, err := c.logs(asked, api.LogOptions{}, "web"); api.CodeOf(err) != api.JobNotFound {
			t.Errorf("logs of no job: %v, want %s", err, api.JobNotFound)
		}
	})
}

// A reader who takes his time gets every line, and his stopping ends all sources.
func TestClusterLogsWaitForTheReader(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		c.print(400)
		c.submit(c.nodes[0], service("web", 3))
		c.settle(10*time.Second, c.nodes...)
		for _, follow := range []bool{false, true} {
			enough := errors.New("enough")
			n := 0
			err := c.nodes[0].agent.Logs(t.Context(), []string{"web"}, api.LogOptions{Tail: -1, Follow: follow}, func(api.LogLine) error {
				if n++; n%100 == 0 {
					time.Sleep(20 * time.Second)
				}
				if follow && n == 1200 {
					return enough
				}
				return nil
			})
			if n != 1200 || follow != errors.Is(err, enough) {
				t.Errorf("following %v: %d lines and %v, want 1200", follow, n, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, end := c.follow(ctx, c.nodes[0], api.LogOptions{}, "web.0", "web.1")
		synctest.Wait()
		cancel()
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v, want %v", err, context.Canceled)
		}
		so, end := c.follow(t.Context(), c.nodes[1], api.LogOptions{Tail: 1, Until: time.Now().Add(5 * time.Second)}, "web")
		select {
		case err := <-end:
			if err != nil || so() != "398 398 398" {
				t.Errorf("until a time: %v after %q", err, so())
			}
		case <-time.After(10 * time.Second):
			t.Error("following did not end at its time")
		}
	})
}
