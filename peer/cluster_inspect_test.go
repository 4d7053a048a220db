package peer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/scenarios/memnet"
)

// Any node describes the cluster, and answers for what any other one has.
func TestClusterInspect(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 6))
		c.settle(30*time.Second, c.nodes...)
		asked, other := c.nodes[1], c.nodes[2]
		got, err := asked.agent.Cluster(t.Context())
		if err != nil || got.ID != c.secret.ClusterID() || got.Nodes != (api.NodeCount{Known: 3, Alive: 3}) || got.Jobs != 1 || !got.Ready || !got.Synced ||
			got.Isolated || got.Profile != "lan" || got.Versions["test"] != 3 || len(got.Alarms) != 0 {
			t.Errorf("the cluster is %+v, %v", got, err)
		}
		want := other.containers()
		list, err := asked.agent.NodeContainers(t.Context(), other.name)
		if err != nil || len(list) != len(want) || len(list) == 0 {
			t.Fatalf("%s has %d containers, %v, want %d", other.name, len(list), err, len(want))
		}
		if h := list[0]; h.Node != other.id || h.Job != "web" || h.State != "running" || h.Driver != "process" || h.ExitCode != nil || h.StartedAt == nil || h.Ports == nil {
			t.Errorf("a container is %+v", h)
		}
		c.within(time.Minute, "one digest", func() string {
			mine, err1 := asked.agent.NodeDigest(t.Context(), "self")
			theirs, err2 := asked.agent.NodeDigest(t.Context(), other.name)
			switch {
			case err1 != nil || err2 != nil || theirs.Node != other.id || theirs.Records == 0:
				return fmt.Sprintf("%+v, %v, %v", theirs, err1, err2)
			case mine.Digest != theirs.Digest:
				return "they differ"
			}
			return ""
		})
		seen, err := asked.agent.NodeView(t.Context(), other.name)
		if err != nil || len(seen) != 3 || seen[1].Self || !seen[2].Self || seen[2].ID != other.id || seen[0].Status != api.NodeReady {
			t.Errorf("%s sees %+v, %v", other.name, seen, err)
		}
		c.kill(other)
		c.within(time.Minute, "noticed", func() string {
			_, err := asked.agent.NodeDigest(t.Context(), other.name)
			if api.CodeOf(err) != api.NodeUnreachable {
				return fmt.Sprint(err)
			}
			return ""
		})
		if _, err := asked.agent.NodeContainers(t.Context(), "nobody"); api.CodeOf(err) != api.NodeNotFound {
			t.Errorf("containers of nobody: %v", err)
		}
		other.start(false)
		c.settle(2*time.Minute, c.nodes...)
	})
}

// The truth table of a request to join, as far as a node decides it alone.
func TestClusterJoinAgain(t *testing.T) {
	inCluster(t, 2, eightCPUs, func(t *testing.T, c *cluster) {
		ctx, n := t.Context(), c.nodes[1]
		peers := []string{fmt.Sprintf("%s:%d", c.net.Node(c.nodes[0].name).Addr(), memnet.GossipPort)}
		got, err := n.agent.JoinCluster(ctx, api.Joining{Token: c.secret.Token(), Peers: peers})
		if err != nil || !got.Already || got.Cluster.Nodes.Known != 2 {
			t.Errorf("a member already: %+v, %v", got, err)
		}
		strange := api.Joining{Token: peer.NewSecret().Token(), Peers: peers}
		_, err = n.agent.JoinCluster(ctx, strange)
		if want := "this node belongs to cluster " + c.secret.ClusterID() + " (2 nodes, 0 jobs)"; api.CodeOf(err) != api.OtherCluster || err.Error() != want {
			t.Errorf("another cluster: %v, want %s", err, want)
		}
		for _, bad := range []api.Joining{{Token: c.secret.Token()[:30], Peers: peers}, {Token: c.secret.Token(), Peers: []string{"a b"}}, {}} {
			if _, err := n.agent.JoinCluster(ctx, bad); api.CodeOf(err) != api.Invalid {
				t.Errorf("%+v: %v, want it refused", bad, err)
			}
		}
	})
}

// What is asked of a node that is alone is up to its program, unless it ever had a job.
func TestClusterMove(t *testing.T) {
	inCluster(t, 1, eightCPUs, func(t *testing.T, c *cluster) {
		ctx, n := t.Context(), c.nodes[0]
		next := peer.NewSecret()
		strange := api.Joining{Token: next.Token(), Peers: []string{"10.0.0.9"}, Timeout: api.Duration(time.Second)}
		if _, err := n.agent.JoinCluster(ctx, strange); api.CodeOf(err) != api.NotSupported {
			t.Errorf("with a program that cannot: %v", err)
		}
		n.stop()
		n.move = func(_ context.Context, s peer.Secret, j api.Joining) (api.Joined, error) {
			if s != next || j.Within() != time.Second || len(j.Peers) != 1 {
				t.Errorf("asked to move to %s with %+v", s.ClusterID(), j)
			}
			return api.Joined{Cluster: api.Cluster{ID: s.ClusterID()}}, nil
		}
		n.start(true)
		c.settle(30*time.Second, n)
		if got, err := n.agent.JoinCluster(ctx, strange); err != nil || got.Already || got.Cluster.ID != next.ClusterID() {
			t.Errorf("alone, and without a job: %+v, %v", got, err)
		}
		c.submit(n, service("web", 1))
		if _, err := n.agent.JoinCluster(ctx, strange); api.CodeOf(err) != api.OtherCluster {
			t.Errorf("with a job: %v", err)
		}
		c.did(n.agent.Remove(ctx, "web", api.WriteOptions{}))
		if _, err := n.agent.JoinCluster(ctx, strange); api.CodeOf(err) != api.OtherCluster {
			t.Errorf("after a job: %v", err)
		}
	})
}
