package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/gossip"
)

func TestMembersJoinSpreadTagsAndFail(t *testing.T) {
	t.Parallel()
	var nodes []*memberNode
	for i := range 4 {
		cfg := memberConfig(fmt.Sprintf("node%d", i))
		cfg.Tags = map[string]string{"name": cfg.ID}
		nodes = append(nodes, startMember(t, cfg))
		if i > 0 {
			nodes[i].join(t, nodes[0])
		}
	}
	for _, n := range nodes {
		memberEventually(t, 10*time.Second, n.cfg.ID+" sees 4", func() bool { return n.alive() == 4 })
	}
	if got := gossip.Newest(nodes[3].Members())["node1"].Tags["name"]; got != "node1" {
		t.Errorf("tag of node1 at node3: got %q, want node1", got)
	}
	for i := range 50 {
		if err := nodes[0].SetTags(map[string]string{"free": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		memberEventually(t, 10*time.Second, "last tags at "+n.cfg.ID, func() bool {
			return gossip.Newest(n.Members())["node0"].Tags["free"] == "49"
		})
	}
	if _, ok := gossip.Newest(nodes[1].Members())["node0"].Tags["name"]; ok {
		t.Error("a tag that was not set again is still there")
	}
	nodes[2].stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := nodes[3].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	nodes[3].stop(t)
	for _, n := range nodes[:2] {
		memberEventually(t, 15*time.Second, "a crash is failed, a goodbye is left", func() bool {
			return n.statusOf("node2") == "failed" && n.statusOf("node3") == "left"
		})
	}
	if nodes[0].Isolated() {
		t.Error("node0 calls itself isolated, though node1 is alive")
	}
}

func TestTagsThatDoNotFit(t *testing.T) {
	t.Parallel()
	n := startMember(t, memberConfig("big"))
	if err := n.SetTags(map[string]string{"a": "1"}); err != nil {
		t.Fatal(err)
	}
	for _, tags := range []map[string]string{{"x": strings.Repeat("y", 500)}, {".p": "1"}, {"": "1"}} {
		if err := n.SetTags(tags); err == nil {
			t.Errorf("tags of %d entries were accepted, want an error", len(tags))
		}
	}
	if err := n.SetTags(map[string]string{"x": strings.Repeat("y", 460)}); err != nil {
		t.Errorf("tags that fit: %v", err)
	}
	memberEventually(t, 5*time.Second, "the latest tags", func() bool { return len(n.Self().Tags["x"]) == 460 })
}

func TestRestartedBootIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	first := memberConfig("bbb")
	first.Port = memberPort(t)
	a, b := startMember(t, memberConfig("aaa")), startMember(t, first)
	b.join(t, a)
	memberEventually(t, 5*time.Second, "a sees b", func() bool { return a.alive() == 2 })
	b.stop(t)
	cfg := memberConfig("bbb")
	cfg.Port = first.Port // the same address: worst for a name without a boot
	again := startMember(t, cfg)
	again.join(t, a)
	memberEventually(t, 5*time.Second, "a sees the new boot", func() bool {
		return gossip.Newest(a.Members())["bbb"].Boot == cfg.Boot
	})
	memberEventually(t, 10*time.Second, "the old boot fails, the new one lives", func() bool {
		return a.statusOf("bbb") == "failed,alive"
	})
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = udp.Close() }()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	for network, port := range map[string]int{"udp": udp.LocalAddr().(*net.UDPAddr).Port, "tcp": tcp.Addr().(*net.TCPAddr).Port} {
		cfg := memberConfig("ppp")
		cfg.Port = port
		m, err := gossip.NewMembership(cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("port %d/%s is in use by another program: choose --gossip-port", port, network)
		if err := m.Open(t.Context()); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestJoinSaysWhy(t *testing.T) {
	t.Parallel()
	cluster := startMember(t, memberConfig("ccc"))
	stranger := memberConfig("sss")
	stranger.Key = memberKey(2)
	s := startMember(t, stranger)
	nobody := fmt.Sprintf("127.0.0.1:%d", memberPort(t))
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = web.Close() }()
	go func() {
		for {
			c, err := web.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(nobody)
	tests := []struct {
		name, addr string
		is         error
		want       string
	}{
		{"wrong token", cluster.gossipAddr(), gossip.ErrWrongToken, "wrong token: it does not belong to the cluster at " + cluster.gossipAddr()},
		{"nothing listens", nobody, gossip.ErrUnreachable, "cannot reach " + nobody + ": connection refused: is orch running there, and is " + port + " its gossip port?"},
		{"itself", s.gossipAddr(), gossip.ErrUnreachable, "own address"},
		{"not orch", web.Addr().String(), gossip.ErrUnreachable, "is not orch's gossip"},
		{"no address", "a b", gossip.ErrUnreachable, "want HOST or HOST:PORT"},
	}
	for _, tt := range tests {
		start := time.Now()
		err := s.Join(t.Context(), []string{tt.addr})
		if !errors.Is(err, tt.is) || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: took %v, want less than 10s", tt.name, took)
		}
	}
	if got := s.alive() + cluster.alive(); got != 2 {
		t.Errorf("the two clusters see %d nodes, want each only itself", got)
	}
	other := startMember(t, memberConfig("ddd"))
	if err := other.Join(t.Context(), []string{nobody, cluster.gossipAddr()}); err != nil {
		t.Errorf("one of two addresses works: %v", err)
	}
}

func TestBookBringsTheClusterBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var cfgs []gossip.MembershipConfig
	var nodes []*memberNode
	for i := range 3 {
		cfg := memberConfig(fmt.Sprintf("book%d", i))
		cfg.BookPath, cfg.Port = filepath.Join(dir, cfg.ID), memberPort(t)
		nodes = append(nodes, startMember(t, cfg))
		if i > 0 {
			nodes[i].join(t, nodes[0])
		}
	}
	for _, n := range nodes {
		memberEventually(t, 10*time.Second, n.cfg.ID+" sees 3", func() bool { return n.alive() == 3 })
		cfg := n.cfg
		cfg.Boot, cfg.Started = memberBoot(), time.Now()
		cfgs = append(cfgs, cfg)
	}
	for _, n := range nodes {
		n.stop(t)
	}
	info, err := os.Stat(cfgs[0].BookPath)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("peer book: %v %v, want a file of mode 0600", info, err)
	}
	for i, cfg := range cfgs {
		nodes[i] = startMember(t, cfg)
	}
	for _, n := range nodes {
		memberEventually(t, 15*time.Second, n.cfg.ID+" is back among 3", func() bool { return n.alive() == 3 })
	}
}

func TestMembershipConfigIsChecked(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*gossip.MembershipConfig){
		"id":      func(c *gossip.MembershipConfig) { c.ID = "a.b" },
		"boot":    func(c *gossip.MembershipConfig) { c.Boot = "UP" },
		"key":     func(c *gossip.MembershipConfig) { c.Key = c.Key[1:] },
		"profile": func(c *gossip.MembershipConfig) { c.Profile = "local" },
		"bind":    func(c *gossip.MembershipConfig) { c.Bind = "eth0" },
		"port":    func(c *gossip.MembershipConfig) { c.Port = 70000 },
		"tags":    func(c *gossip.MembershipConfig) { c.Tags = map[string]string{"x": strings.Repeat("x", 512)} },
		"log":     func(c *gossip.MembershipConfig) { c.Log = nil },
		"started": func(c *gossip.MembershipConfig) { c.Started = time.Time{} },
	}
	for name, spoil := range tests {
		cfg := memberConfig("good")
		if _, err := gossip.NewMembership(cfg); err != nil {
			t.Fatalf("the good config: %v", err)
		}
		spoil(&cfg)
		if _, err := gossip.NewMembership(cfg); err == nil {
			t.Errorf("bad %s was accepted", name)
		}
	}
}

// TestReleasesTooFarApart has nodes of three releases, the first of which has nothing in
// common with the last. The last does not get in, also not through the one in between.
func TestReleasesTooFarApart(t *testing.T) {
	t.Parallel()
	start := func(id string, oldest, newest int) *memberNode {
		return startMemberOf(t, memberConfig(id), oldest, newest)
	}
	old, between, last := start("old", 1, 1), start("between", 1, 2), start("last", 2, 3)
	between.join(t, old)
	memberEventually(t, 10*time.Second, "two releases see each other", func() bool { return old.alive() == 2 && between.alive() == 2 })
	if w, ok := old.WireOf("between"); !ok || w != (gossip.Wire{Min: 1, Max: 2}) {
		t.Errorf("the older one knows that the newer one speaks %v, %v, want 1 to 2", w, ok)
	}
	want := fmt.Sprintf("the versions of orch are too far apart: node %s speaks the protocol between nodes in the versions 1 to 1, node %s in 2 to 3: upgrade orch on node %s first",
		old.gossipAddr(), last.gossipAddr(), old.gossipAddr())
	for _, door := range []*memberNode{old, between} {
		began := time.Now()
		err := last.Join(t.Context(), []string{door.gossipAddr()})
		if !errors.Is(err, gossip.ErrVersions) || err.Error() != want {
			t.Errorf("join through %s: got %v, want %s", door.cfg.ID, err, want)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the refusal took %v", took)
		}
	}
	for _, n := range []*memberNode{old, between, last} {
		memberEventually(t, 5*time.Second, n.cfg.ID+" tells who is apart", func() bool {
			return len(n.Apart()) == 1 && n.Apart()[0].Concerns("old") && n.Apart()[0].Concerns("last")
		})
	}
	if got := []int{old.alive(), between.alive(), last.alive()}; got[0] != 2 || got[1] != 2 || got[2] != 1 {
		t.Errorf("they see %v alive, want 2, 2 and 1", got)
	}
	old.stop(t)
	cfg := old.cfg
	cfg.Boot, cfg.Started, cfg.Port = memberBoot(), time.Now(), 0
	upgraded := startMemberOf(t, cfg, 1, 2)
	upgraded.join(t, between)
	memberEventually(t, 10*time.Second, "the upgraded one is alive", func() bool { return between.statusOf("old") == "failed,alive" })
	last.join(t, between)
	memberEventually(t, 10*time.Second, "all are together, and nobody is apart", func() bool {
		return upgraded.alive() == 3 && last.alive() == 3 && len(last.Apart())+len(between.Apart()) == 0
	})
}
