package peer_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// seen says which live node does not see another as it should be.
func (c *cluster) seen(of *node, as func(api.Node) bool) func() string {
	return func() string {
		for _, n := range c.nodes {
			if v, err := n.agent.Node(c.t.Context(), string(of.id)); err != nil || !as(v) {
				return fmt.Sprintf("to %s it is %+v, %v", n.name, v, err)
			}
		}
		return ""
	}
}

// A cordoned node takes nothing new, keeps what it has and goes on coordinating, also
// after a restart; resumed, it takes what waits for it.
func TestClusterCordon(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 6))
		c.settle(20*time.Second, c.nodes...)
		victim := c.coordinator(c.nodes[0], "web")
		asked := c.rest(victim)[0]
		had, begun := runs("web", victim), c.now()
		if n, err := asked.agent.CordonNode(t.Context(), victim.name); err != nil || !n.Cordoned || n.Status != api.NodeReady {
			t.Fatalf("cordoned: %+v, %v", n, err)
		}
		cordoned := c.seen(victim, func(n api.Node) bool { return n.Cordoned && n.Status == api.NodeReady })
		c.within(10*time.Second, "all see it cordoned", cordoned)
		c.noStarts(time.Minute, "once cordoned")

		c.submit(victim, service("api", 6))
		c.settle(20*time.Second, c.nodes...)
		c.did(asked.agent.Scale(t.Context(), "web", 8, api.WriteOptions{}))
		c.want["web"] = 8
		c.settle(20*time.Second, c.nodes...)
		if c.coordinator(asked, "web") != victim || last(t, asked, "web.7").Auctioneer != victim.id {
			t.Errorf("%s held the auction of web.7; want %s, which is cordoned and ready", last(t, asked, "web.7").AuctioneerName, victim.name)
		}
		sheet := last(t, asked, "api.0")
		if !slices.ContainsFunc(sheet.NotAsked, func(n api.NotAsked) bool { return n.Node == victim.id && n.Reason == "is cordoned" }) {
			t.Errorf("not asked were %+v, want that %s is cordoned", sheet.NotAsked, victim.name)
		}

		victim.stop()
		victim.start(false)
		c.settle(time.Minute, c.nodes...)
		if why := cordoned(); why != "" {
			t.Errorf("after a restart %s", why)
		}
		if got := runs("web", victim); got != had || runs("api", victim) != 0 || strings.Contains(fmt.Sprint(c.starts(begun)), "on "+victim.name) {
			t.Errorf("%s has %d of web and %d of api, want its %d of web; started were %v", victim.name, got, runs("api", victim), had, c.starts(begun))
		}

		for _, n := range c.rest(victim) {
			if _, err := n.agent.CordonNode(t.Context(), "self"); err != nil {
				t.Fatal(err)
			}
		}
		c.submit(asked, service("late", 1))
		time.Sleep(time.Minute)
		if task, err := asked.agent.Task(t.Context(), "late.0"); err != nil || task.State != api.Pending || !strings.Contains(task.Reason, "is cordoned") {
			t.Errorf("late.0 is %s: %q, %v; want it pending, all being cordoned", task.State, task.Reason, err)
		}
		if n, err := asked.agent.ResumeNode(t.Context(), victim.name); err != nil || n.Cordoned {
			t.Fatalf("resumed: %+v, %v", n, err)
		}
		c.within(5*time.Second, "it has what waited", func() string {
			if runs("late", victim) == 1 {
				return ""
			}
			return "late.0 does not run"
		})
	})
}

// Labels that a node is given stand above those it is started with until they are
// taken back, also after a restart, and its zone is what tasks are spread by.
func TestClusterLabels(t *testing.T) {
	inCluster(t, 2, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 1))
		c.settle(20*time.Second, c.nodes...)
		victim := c.ownerOf("web.0")
		asked := c.rest(victim)[0]
		restart := func() {
			victim.stop()
			victim.start(false)
			c.settle(time.Minute, c.nodes...)
		}
		sees := func(want map[string]string) {
			t.Helper()
			c.within(10*time.Second, fmt.Sprintf("all see %v", want), c.seen(victim, func(n api.Node) bool { return maps.Equal(n.Labels, want) }))
		}
		given := func(change api.LabelChange, want map[string]string) {
			t.Helper()
			if n, err := asked.agent.LabelNode(t.Context(), victim.name, change); err != nil || !maps.Equal(n.Labels, want) {
				t.Fatalf("given %v: %v, %v; want %v", change, n.Labels, err, want)
			}
			sees(want)
		}
		victim.labels = map[string]string{"zone": "a", "rack": "r1"}
		restart()
		sees(victim.labels)
		if _, err := asked.agent.LabelNode(t.Context(), "self", api.LabelChange{"zone": new("c")}); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"zone": "b", "rack": "r1", "disk": "ssd"}
		given(api.LabelChange{"zone": new("b"), "disk": new("ssd"), "gone": nil}, want)
		restart()
		sees(want)
		c.did(asked.agent.Scale(t.Context(), "web", 2, api.WriteOptions{}))
		c.want["web"] = 2
		c.settle(20*time.Second, c.nodes...)
		for _, bid := range last(t, asked, "web.1").Bids {
			if i := slices.IndexFunc(bid.Terms, func(one api.Term) bool { return one.Name == "zone" }); i < 0 || bid.Terms[i].Value < 1 != (bid.Node == victim.id) {
				t.Errorf("%s bid %+v; want it less only for the zone that has a copy", bid.NodeName, bid.Terms)
			}
		}

		victim.labels = map[string]string{"zone": "d"}
		restart()
		sees(map[string]string{"zone": "b", "disk": "ssd"})
		given(api.LabelChange{"zone": nil, "disk": nil}, victim.labels)
		victim.labels = nil
		restart()
		sees(nil)

		many := api.LabelChange{}
		for i := range api.MaxGivenLabels {
			many[fmt.Sprint("k", i)] = new("")
		}
		if _, err := asked.agent.LabelNode(t.Context(), victim.name, many); err != nil {
			t.Fatal(err)
		}
		for what, change := range map[string]api.LabelChange{
			"one more": {"z": new("")}, "more at once": {"a": nil, "b": nil}, "no key": {" ": nil}, "too long": {"k": new(strings.Repeat("x", 257))},
		} {
			if what == "more at once" {
				maps.Copy(change, many)
			}
			if _, err := asked.agent.LabelNode(t.Context(), victim.name, change); api.CodeOf(err) != api.Invalid {
				t.Errorf("%s: %v, want %s", what, err, api.Invalid)
			}
		}
		c.kill(victim)
		c.within(time.Minute, "seen dead", func() string {
			_, err := asked.agent.LabelNode(t.Context(), victim.name, api.LabelChange{"a": nil})
			if api.CodeOf(err) != api.NodeUnreachable || !strings.Contains(err.Error(), "it has to be back first") {
				return fmt.Sprint(err)
			}
			return ""
		})
	})
}
