package peer_test

import (
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
)

// A node is found by its name, its id, its short id and any beginning of its id
// that no other has.
func TestClusterNamesOfNodes(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		ask := c.nodes[0].agent
		for _, n := range c.nodes {
			tail := string(n.id)[8:]
			unique := 1
			for _, other := range c.nodes {
				for other != n && strings.HasPrefix(string(other.id)[8:], tail[:unique]) {
					unique++
				}
			}
			for _, name := range []string{n.name, string(n.id), n.id.Short(), tail[:unique], tail[:6], string(n.id)[:8] + tail[:unique]} {
				if got, err := ask.Node(t.Context(), name); err != nil || got.ID != n.id {
					t.Errorf("%q: got %s, %v; want %s", name, got.ID, err, n.id)
				}
			}
			if tasks, err := ask.Tasks(t.Context(), api.TaskFilter{Node: tail[:unique]}); err != nil || len(tasks) != 0 {
				t.Errorf("tasks of %q: got %v, %v", tail[:unique], tasks, err)
			}
		}
		for name, want := range map[string]api.Code{"": api.NodeNotFound, "12D3KooW": api.NodeNotFound, "n9": api.NodeNotFound, "-": api.NodeNotFound} {
			if _, err := ask.Node(t.Context(), name); api.CodeOf(err) != want {
				t.Errorf("%q: got %v, want %s", name, err, want)
			}
		}
	})
}
