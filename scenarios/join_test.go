package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
)

// joinAt has a node's machine join a peer, as a user there would.
func joinAt(ctx context.Context, t *testing.T, lab *scenarios.Lab, n *scenarios.Node, peer, token string) scenarios.Output {
	t.Helper()
	out, err := lab.Orch(ctx, "join", peer, "--token-file", token, "--data-dir", n.DataDir, "--ports", strconv.Itoa(n.Base))
	must(t, err)
	return out
}

// TestJoinARunningAgent is the table of what orch join does where an agent runs.
func TestJoinARunningAgent(t *testing.T) {
	ctx, lab := startLab(t, 1, scenarios.LabConfig{})
	_, alone := startLab(t, 1, scenarios.LabConfig{})
	first, n := lab.Nodes()[0], alone.Nodes()[0]
	token, err := lab.TokenFile(ctx)
	must(t, err)
	foreign, err := alone.TokenFile(ctx)
	must(t, err)
	home, err := n.Service().Cluster(ctx)
	must(t, err)

	out := joinAt(ctx, t, lab, n, "127.0.0.1:1", token) // nobody is there
	if out.Code != 1 || !strings.Contains(out.Stderr, "cannot reach 127.0.0.1:1") || out.Took > 10*time.Second {
		t.Errorf("an unreachable peer: %+v", out)
	}
	must(t, n.AwaitReady(ctx))
	if back, err := n.Service().Cluster(ctx); err != nil || back.ID != home.ID || back.Nodes.Known != 1 {
		t.Errorf("after a failed join it is in %+v, %v, want %s", back, err, home.ID)
	}

	out = joinAt(ctx, t, lab, n, first.GossipAddr(), token)
	if out.Code != 0 || !strings.HasPrefix(out.Stdout, "joined cluster ") || !strings.Contains(out.Stdout, "(2 nodes)") {
		t.Fatalf("alone, without a job: %+v", out)
	}
	t.Logf("joined in %s", out.Took.Round(time.Millisecond))
	for range 2 {
		if out = joinAt(ctx, t, lab, n, first.GossipAddr(), token); out.Code != 0 || out.Stdout != "already a member (2 nodes)\n" || out.Stderr != "" {
			t.Errorf("a member already: %+v", out)
		}
	}
	for _, at := range []*scenarios.Node{first, n} {
		must(t, scenarios.Eventually(ctx, "two nodes at "+at.Name, func() error { return sees(ctx, at, 2) }))
	}
	submit(ctx, t, n, sleeper("web", 2))
	if out = joinAt(ctx, t, lab, n, "127.0.0.1:1", foreign); out.Code != 4 ||
		!strings.Contains(out.Stderr, "(2 nodes, 1 job)") || !strings.Contains(out.Stderr, "hint: orch leave first") {
		t.Errorf("with peers and a job: %+v", out)
	}

	must(t, alone.Kill(ctx, n)) // what it has on disk is the new cluster
	must(t, alone.Restart(ctx, n))
	must(t, scenarios.Eventually(ctx, "it is back", func() error { return sees(ctx, n, 2) }))
	_, err = lab.Orch(ctx, "rm", "web", "--api", first.APIAddr())
	must(t, err)
	if out, err = lab.Orch(ctx, "leave", "--api", n.APIAddr()); err != nil || out.Code != 0 {
		t.Fatalf("leave: %+v, %v", out, err)
	}
	must(t, scenarios.Eventually(ctx, "the agent ends", func() error {
		if n.Running() {
			return errors.New("it runs")
		}
		return nil
	}))
	left, err := os.ReadDir(n.DataDir)
	must(t, err)
	var names []string
	for _, f := range left {
		names = append(names, f.Name())
	}
	if got := strings.Join(names, " "); got != "key lock" {
		t.Errorf("after it left there are %s, want the key and the lock", got)
	}
}

// sees says what keeps a node from seeing so many alive.
func sees(ctx context.Context, n *scenarios.Node, want int) error {
	c, err := n.Service().Cluster(ctx)
	if err == nil && c.Nodes.Alive != want {
		err = fmt.Errorf("%s sees %d nodes alive, want %d", n.Name, c.Nodes.Alive, want)
	}
	return err
}

// TestUnixSocket has the API of agents on sockets, kills one, and starts the next.
func TestUnixSocket(t *testing.T) {
	ctx, lab := startLab(t, 1, scenarios.LabConfig{Sockets: true})
	n := lab.Nodes()[0]
	socket := strings.TrimPrefix(n.APIAddr(), "unix://")
	info, err := os.Stat(socket)
	must(t, err)
	if info.Mode().Perm() != 0o660 {
		t.Errorf("the socket has the mode %o, want 660", info.Mode().Perm())
	}
	wants(ctx, t, lab, []string{socket, "listens there"}, "start", "--data-dir", t.TempDir(), "--ports", freeBlock(t), "--api", n.APIAddr())
	submit(ctx, t, n, sleeper("web", 1))
	settle(ctx, t, lab, "web", 1, 10*time.Second)
	must(t, lab.Kill(ctx, n)) // leaves the socket behind
	must(t, lab.Restart(ctx, n))
	settle(ctx, t, lab, "web", 1, 10*time.Second)
	out, err := lab.Orch(ctx, "ps", "-q", "--api", "127.0.0.1:1,"+n.APIAddr()) // the first refuses
	if err != nil || out.Code != 0 || out.Stdout != "web.0\n" {
		t.Errorf("orch ps over the socket: %+v, %v", out, err)
	}
}
