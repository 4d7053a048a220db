package peer_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// A node dies in a request that got no further than its own disk, or right after
// one that did: repeated elsewhere with its key, the request makes one job.
func TestClusterKeyOnAnotherNode(t *testing.T) {
	for name, spread := range map[string]bool{"during the request": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
				asked, other := c.nodes[1], c.nodes[3]
				o := api.WriteOptions{Key: "a key"}
				agent, done := asked.agent, make(chan error, 1)
				if !spread {
					c.net.Partition([]string{asked.name}) // nothing gets out of it any more
				}
				go func() {
					_, err := agent.Submit(t.Context(), service("web", 4), o)
					done <- err
				}()
				c.kill(asked) // once all that goes without waiting has gone
				w, err := other.agent.Submit(t.Context(), service("web", 4), o)
				if err != nil {
					t.Fatalf("repeated: %v", err)
				}
				t.Logf("first: %v; repeated: existed %v, on %d of %d disks", <-done, w.Existed, w.Disks, w.Wanted)
				if w.Existed != spread || !w.Durable() {
					t.Errorf("repeated: got %+v, want existed %v, on all disks", w, spread)
				}
				c.want["web"], c.twice = 4, true // it may have died in the middle of the auction
				c.net.Heal()
				c.settle(30*time.Second, c.rest(asked)...)
				asked.start(false) // with what it may have written
				c.settle(time.Minute, c.nodes...)
				jobs, err := asked.agent.Jobs(t.Context())
				if err != nil || len(jobs) != 1 {
					t.Errorf("got %d jobs, %v, want 1", len(jobs), err)
				}
			})
		})
	}
}

// What was stored on too few disks is spread by the repetition, which counts them.
func TestClusterKeyUntilItIsSpread(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		alone := c.nodes[2]
		c.twice = true
		c.net.Partition([]string{alone.name})
		time.Sleep(time.Minute)
		o := api.WriteOptions{Key: "k"}
		for range 2 {
			w, err := alone.agent.Submit(t.Context(), service("web", 1), o)
			if err != nil || w.Disks != 1 || w.Wanted != 3 || w.Durable() {
				t.Fatalf("alone: got %+v, %v, want 1 of 3 disks", w, err)
			}
		}
		c.net.Heal()
		c.want["web"] = 1
		c.settle(time.Minute, c.nodes...)
		w, err := alone.agent.Submit(t.Context(), service("web", 1), o)
		if err != nil || !w.Existed || w.Disks != 3 {
			t.Errorf("after the heal: got %+v, %v, want 3 disks", w, err)
		}
	})
}

func TestClusterKeys(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		ctx, key := t.Context(), func(k string) api.WriteOptions { return api.WriteOptions{Key: k} }
		c.submit(c.nodes[0], service("web", 3))
		c.settle(10*time.Second, c.nodes...)
		first := c.put(c.nodes[0], service("web", 2), api.WriteOptions{Key: "p", IfMatch: "*"})
		c.settle(10*time.Second, c.nodes...)

		// The same again, elsewhere, also after other changes, and though its
		// condition does not hold any more.
		begun := c.now()
		c.did(c.nodes[1].agent.Restart(ctx, "web", key("r")))
		c.within(time.Minute, "restarted", func() string {
			if got := c.starts(begun); len(got) < 2 {
				return fmt.Sprintf("started were %v", got)
			}
			return c.unsettled(c.nodes...)
		})
		again, err := c.nodes[2].agent.Restart(ctx, "web", key("r"))
		if err != nil || !again.Existed {
			t.Errorf("restarted again: got %+v, %v, want nothing done", again, err)
		}
		c.noStarts(time.Minute, "after the repetition of a restart")
		w, err := c.nodes[2].agent.Put(ctx, service("web", 2), api.WriteOptions{Key: "p", IfMatch: "1-00000000"})
		if err != nil || !w.Existed || w.Job.Generation != first.Job.Generation+1 {
			t.Errorf("put again: got %+v, %v, want the job as it is", w, err)
		}

		// Another request with the key.
		c.refused(api.KeyReused)(c.nodes[1].agent.Put(ctx, service("web", 7), key("p")))
		c.refused(api.KeyReused)(c.nodes[1].agent.Scale(ctx, "web", 7, key("p")))
		c.refused(api.KeyReused)(c.nodes[1].agent.Submit(ctx, service("api", 1), key("p")))
		c.refused(api.Invalid)(c.nodes[1].agent.Submit(ctx, service("api", 1), key("new\nline")))

		// It outlives the job.
		c.did(c.nodes[1].agent.Remove(ctx, "web", key("x")))
		delete(c.want, "web")
		c.settle(time.Minute, c.nodes...)
		for what, o := range map[string]api.WriteOptions{"put": key("p"), "remove": key("x")} {
			var err error
			if what == "put" {
				w, err = c.nodes[2].agent.Put(ctx, service("web", 2), o)
			} else {
				w, err = c.nodes[2].agent.Remove(ctx, "web", o)
			}
			if err != nil || !w.Existed || w.Job.Status.State != api.JobRemoving {
				t.Errorf("%s again after the removal: got %+v, %v, want that it is removed", what, w, err)
			}
		}
		c.refused(api.JobNotFound)(c.nodes[2].agent.Remove(ctx, "web", key("another")))

		// Of many keys the last few are known.
		c.submit(c.nodes[0], service("web", 1))
		for i := range 40 {
			c.did(c.nodes[i%3].agent.Scale(ctx, "web", i%2, key(fmt.Sprint("s", i))))
			synctest.Wait()
		}
		c.want["web"] = 1
		if w, err := c.nodes[0].agent.Scale(ctx, "web", 0, key("s30")); err != nil || !w.Existed || w.Job.Replicas != 1 {
			t.Errorf("an old scaling repeated: got %+v, %v, want nothing done", w, err)
		}
		c.settle(time.Minute, c.nodes...)
	})
}
