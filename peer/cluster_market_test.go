package peer_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/peer"
)

// Twenty jobs, submitted to all nodes at once, for which there is room for twelve:
// exactly twelve run and no node is ever overcommitted; the others say why they
// wait, and start when there is room.
func TestClusterOvercommit(t *testing.T) {
	inCluster(t, 5, api.Resources{CPUs: 3000, Memory: 8 << 30}, func(t *testing.T, c *cluster) {
		c.nodes[4].stop() // four nodes of three each
		c.within(2*time.Minute, "four nodes are left", func() string { return c.unsettled(c.nodes[:4]...) })
		nodes := c.nodes[:4]
		var submits sync.WaitGroup
		for i := range 20 {
			submits.Go(func() {
				if _, err := nodes[i%4].agent.Submit(t.Context(), service(fmt.Sprintf("job%02d", i), 1), api.WriteOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		submits.Wait()
		c.within(30*time.Second, "twelve run", c.exactly(12, nodes))
		time.Sleep(2 * time.Minute)
		if why := c.exactly(12, nodes)(); why != "" {
			t.Error(why)
		}
		tasks, err := nodes[1].agent.Tasks(t.Context(), api.TaskFilter{State: api.Pending})
		if err != nil || len(tasks) != 8 {
			t.Fatalf("%d tasks are pending, %v; want 8", len(tasks), err)
		}
		for _, task := range tasks {
			if task.Reason == "" || task.Auction == "" {
				t.Errorf("%s is pending for %q, with sheet %q; want both", task.ID, task.Reason, task.Auction)
			}
			if sheet, err := nodes[2].agent.Auction(t.Context(), task.ID, 0); err != nil || len(sheet.Bids) != 4 {
				t.Errorf("the sheet of %s: %d bids, %v; want 4", task.ID, len(sheet.Bids), err)
			}
		}
		for i, n := range nodes[:3] {
			gone := n.containers()[0].Labels.Job
			c.did(nodes[i+1].agent.Remove(t.Context(), gone, api.WriteOptions{}))
		}
		took := c.within(15*time.Second, "three of the others start", func() string {
			if why := c.exactly(12, nodes)(); why != "" {
				return why
			}
			if got := len(c.starts(time.Time{})); got != 15 {
				return fmt.Sprintf("%d were started in all, want 15", got)
			}
			return ""
		})
		t.Logf("three others run %v after three were removed", took)
		c.noStarts(10*time.Minute, "while all is full")
	})
}

// exactly says so unless so many containers run on nodes.
func (c *cluster) exactly(want int, nodes []*node) func() string {
	return func() string {
		got := 0
		for _, n := range nodes {
			got += len(n.containers())
		}
		if got != want {
			return fmt.Sprintf("%d containers run, want %d", got, want)
		}
		return ""
	}
}

// A node that joins gets what waits for room.
func TestClusterJoinMakesRoom(t *testing.T) {
	inCluster(t, 5, api.Resources{CPUs: 1000, Memory: 8 << 30}, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 6))
		c.within(30*time.Second, "five run", c.exactly(5, c.nodes))
		time.Sleep(10 * time.Minute) // long enough for the longest pause between two tries
		if why := c.exactly(5, c.nodes)(); why != "" {
			t.Error(why)
		}
		sixth := c.add(api.Resources{CPUs: 2000, Memory: 8 << 30})
		sixth.start(false)
		took := c.settle(15*time.Second, c.nodes...)
		t.Logf("all run %v after the join", took)
		if runs("web", sixth) != 1 {
			t.Errorf("the sixth runs %d, want 1", runs("web", sixth))
		}
	})
}

// The first node of a cluster works alone, and those that join take part.
func TestClusterGrowsFromOne(t *testing.T) {
	inCluster(t, 1, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 3))
		c.settle(10*time.Second, c.nodes...)
		for range 2 {
			c.add(eightCPUs).start(false)
			c.settle(30*time.Second, c.nodes...)
		}
		c.noStarts(time.Minute, "after the joins")
		c.submit(c.nodes[2], service("api", 3))
		c.settle(10*time.Second, c.nodes...)
		c.crash(c.nodes[0], c.nodes[1])
		c.settle(time.Minute, c.nodes[2])
	})
}

// In a quiet hour nothing is started, auctioned or written.
func TestClusterQuietHour(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		for i := range 10 {
			c.submit(c.nodes[i%5], service(fmt.Sprintf("job%d", i), i%4))
		}
		c.settle(30*time.Second, c.nodes...)
		time.Sleep(20 * time.Second)
		digest, auctions, before := c.nodes[0].agent.Digest(), c.auctions(), c.placement()
		c.noStarts(time.Hour, "in a quiet hour")
		if got := c.auctions(); len(got) < 13 || !slices.Equal(got, auctions) {
			t.Errorf("auctions were held: the last are %v, and were %v", got, auctions)
		}
		if got := c.nodes[0].agent.Digest(); got != digest {
			t.Error("the table has changed")
		}
		if got := c.placement(); got != before {
			t.Errorf("it was\n%s\nand is\n%s", before, got)
		}
		c.settle(time.Second, c.nodes...)
	})
}

// auctions are the last ones that every node has held about every slot.
func (c *cluster) auctions() []string {
	live := c.live()
	tasks, err := live[0].agent.Tasks(c.t.Context(), api.TaskFilter{})
	if err != nil {
		c.t.Fatal(err)
	}
	var out []string
	for _, n := range live {
		for _, t := range tasks {
			if id := n.agent.LastAuction(peer.SlotKey{Job: t.Job, Life: t.Life, Slot: t.Index}); id != "" {
				out = append(out, id)
			}
		}
	}
	return out
}
