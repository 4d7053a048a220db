package peer_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// written has the record of a job written as a node of another release would.
func (c *cluster) written(job string, edit func(record, spec map[string]any)) gossip.Record {
	c.t.Helper()
	n := c.nodes[0]
	r, _ := n.agent.Record("j/" + job)
	var record map[string]any
	if err := json.Unmarshal(r.Value, &record); err != nil {
		c.t.Fatal(err)
	}
	edit(record, record["spec"].(map[string]any))
	var err error
	if r.Value, err = json.Marshal(record); err != nil {
		c.t.Fatal(err)
	}
	r.Stamp.Minor, r.Stamp.Writer = r.Stamp.Minor+1, string(c.nodes[1].id)+".future"
	if err := n.agent.PutRecord(c.t.Context(), r); err != nil {
		c.t.Fatal(err)
	}
	c.within(10*time.Second, "everyone has the record as it was written", func() string {
		for _, n := range c.nodes {
			if got, _ := n.agent.Record(r.Key); !bytes.Equal(got.Value, r.Value) {
				return n.name + " has " + string(got.Value)
			}
		}
		return ""
	})
	return r
}

// TestClusterOfOneReleaseMeetsTheNext has the nodes find records of a later release. What
// they do not know of a job they keep, whatever is asked of them; a job that they cannot
// read at all they leave alone, and its tasks with it.
func TestClusterOfOneReleaseMeetsTheNext(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 4))
		c.settle(30*time.Second, c.nodes...)
		asked := c.nodes[2].agent
		fails := func(about string) {
			t.Helper()
			_, err := asked.Scale(t.Context(), "web", 9, api.WriteOptions{})
			e := c.refused(api.NewerRelease)(api.Written{}, err)
			if !strings.Contains(e.Detail, about) || !strings.Contains(e.Detail, "node n1 ") || e.Hint == "" {
				t.Errorf("got the refusal %v (%s), want one about %s, and who wrote it", e, e.Hint, about)
			}
			c.refused(api.NewerRelease)(asked.Stop(t.Context(), "web", api.WriteOptions{}))
			c.refused(api.NewerRelease)(asked.Restart(t.Context(), "web", api.WriteOptions{}))
			c.refused(api.NewerRelease)(asked.Put(t.Context(), service("web", 2), api.WriteOptions{}))
		}

		c.written("web", func(_, spec map[string]any) { spec["gpu"] = 1 })
		fails(`"gpu"`)
		c.noStarts(20*time.Second, "a field that nobody here knows")

		c.written("web", func(record, _ map[string]any) { record["template_hash"] = "of the future" })
		c.within(time.Minute, "tasks are made of what the writer says they are", func() string {
			for _, n := range c.nodes {
				for _, h := range n.containers() {
					if h.Labels.TemplateHash != "of the future" {
						return n.name + " has " + h.Labels.Task().String() + " of " + h.Labels.TemplateHash
					}
				}
			}
			return c.unsettled(c.nodes...)
		})
		c.noStarts(20*time.Second, "a hash that nobody here would compute")

		c.written("web", func(record, _ map[string]any) { record["format"] = 99 })
		fails("format 99")
		if _, err := asked.Job(t.Context(), "web"); err == nil {
			t.Error("a job that cannot be read is shown")
		}
		before := len(c.nodes[1].containers())
		c.nodes[1].stop()
		c.nodes[1].start(false) // it has no version before this one to go by
		c.noStarts(2*time.Minute, "a job that nobody here can read")
		if got := len(c.nodes[1].containers()); got != before || got == 0 {
			t.Errorf("a node that cannot read the job has %d of its containers, want the %d that it had", got, before)
		}
		for _, n := range c.nodes {
			if got := n.alarms(); got != "unreadable " {
				t.Errorf("%s raises the alarms %q, want unreadable", n.name, got)
			}
		}

		c.written("web", func(record, spec map[string]any) { delete(record, "format"); delete(spec, "gpu") })
		c.want["web"] = 6
		c.did(c.nodes[1].agent.Scale(t.Context(), "web", 6, api.WriteOptions{}))
		c.settle(30*time.Second, c.nodes...)
		c.written("web", func(_, spec map[string]any) { spec["gpu"] = 1 })
		delete(c.want, "web")
		c.did(asked.Remove(t.Context(), "web", api.WriteOptions{}))
		c.settle(30*time.Second, c.nodes...)
	})
}
