package peer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// What a node says of a task that moved: who failed, and which attempts there were;
// and it says so from the records when whoever held the auction is dead too.
func TestClusterExplainsAMove(t *testing.T) {
	inCluster(t, 5, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 3))
		c.settle(10*time.Second, c.nodes...)
		first := last(t, c.nodes[0], "web.1")
		if len(first.Awards) != 3 {
			t.Fatalf("the sheet has %d awards; want all three", len(first.Awards))
		}
		id := "web.1"
		if c.ownerOf(id).id == first.Auctioneer {
			id = "web.2" // its node does not have the sheet
		}
		victim := c.ownerOf(id)
		asked := c.pick(func(n *node) bool { return n != victim && n.id != first.Auctioneer })
		c.crash(victim)
		c.settle(10*time.Second, c.rest(victim)...)
		e, err := asked.agent.Explain(t.Context(), id)
		if err != nil || len(e.Tasks) != 1 {
			t.Fatalf("explain: %+v, %v", e, err)
		}
		s := e.Tasks[0]
		if !strings.HasPrefix(s.Because, victim.name+" failed (") || s.Award == nil || s.Award.NodeName != s.Task.NodeName || s.Award.Epoch != 2 {
			t.Errorf("because %q, award %+v; want that %s failed, and how %s won it", s.Because, s.Award, victim.name, s.Task.NodeName)
		}
		if len(s.History) != 2 || s.History[0].NodeName != victim.name || s.History[0].Ended != "lost" || s.History[0].Until == nil ||
			s.History[1].Epoch != 2 || s.History[1].Ended != "" || s.History[1].Until != nil {
			t.Errorf("history %+v, want @1 lost and @2 going on", s.History)
		}
		if before, err := asked.agent.Auction(t.Context(), id, 1); err != nil || before.ID != first.ID {
			t.Errorf("the auction before is %s, %v; want %s", before.ID, err, first.ID)
		}
		if _, err := asked.agent.Auction(t.Context(), id, 2); api.CodeOf(err) != api.AuctionExpired {
			t.Errorf("two auctions before: %v, want %s", err, api.AuctionExpired)
		}

		keeper := c.byID(last(t, asked, id).Auctioneer)
		if keeper == asked || keeper == c.ownerOf(id) {
			return // the rest would need another node
		}
		c.crash(keeper)
		c.settle(10*time.Second, c.rest(victim, keeper)...)
		e, err = asked.agent.Explain(t.Context(), id)
		if err != nil || len(e.Tasks) != 1 || !strings.HasPrefix(e.Tasks[0].Because, victim.name+" failed (") || e.Tasks[0].Award != nil || len(e.Tasks[0].History) != 2 {
			t.Errorf("without the sheet: %+v, %v; want why and since when all the same", e.Tasks, err)
		}
	})
}

// last is the sheet of a task's auction as n finds it.
func last(t *testing.T, n *node, id string) api.Sheet {
	t.Helper()
	sheet, err := n.agent.Auction(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	return sheet
}

// What waits is told of with the refusals, nodes of one reason together; and of a
// large job so much as anybody reads.
func TestClusterExplainsWhatWaits(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		j := service("big", 2)
		j.Resources.Memory = 64 << 30
		c.submit(c.nodes[0], j)
		delete(c.want, "big")
		c.within(20*time.Second, "refused", func() string {
			for _, n := range c.nodes {
				e, err := n.agent.Explain(t.Context(), "big")
				if err != nil || len(e.Tasks) != 2 || len(e.Refusals) != 1 || len(e.Refusals[0].Nodes) != 3 || !slices.Equal(e.Refusals[0].Slots, []int{0, 1}) {
					return fmt.Sprintf("%s explains %+v, %v", n.name, e, err)
				}
				if j, err := n.agent.Job(t.Context(), "big"); err != nil || !strings.HasPrefix(j.Status.Reason, "big.0: needs 64GiB; ") {
					return fmt.Sprintf("%s says of the job %+v, %v", n.name, j.Status, err)
				}
				if want := "needs 64GiB; the best is n0 with 8GiB free of 8GiB (never fits on any node here)"; e.Tasks[1].Task.Reason != want {
					return fmt.Sprintf("%s says %q, want %q", n.name, e.Tasks[1].Task.Reason, want)
				}
			}
			return ""
		})
		c.did(c.nodes[0].agent.Remove(t.Context(), "big", api.WriteOptions{}))
		many := service("many", 130)
		many.Resources = api.Resources{CPUs: 100, Memory: 1 << 20}
		c.submit(c.nodes[0], many)
		c.settle(time.Minute, c.nodes...)
		e, err := c.nodes[1].agent.Explain(t.Context(), "many")
		if err != nil || len(e.Tasks) != 100 || e.Omitted != 30 || e.Tasks[0].Award == nil {
			t.Errorf("of 130 tasks %d are told of, %d omitted, %v", len(e.Tasks), e.Omitted, err)
		}
	})
}
