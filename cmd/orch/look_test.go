package main

import (
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// exampleCluster is the cluster of the golden files: four nodes, of which one is
// dead and one goes; a job that lacks a task, and one that is done.
func exampleCluster() *fake {
	id := func(short string) api.NodeID { return api.NodeID("12D3KooW" + short + "rest") }
	node := func(short, name string, status api.NodeStatus, cpus, free api.CPUs) api.Node {
		return api.Node{
			ID: id(short), ShortID: short, Name: name, Status: status, Address: "203.0.113.7", Version: "0.1.0",
			Labels: map[string]string{}, Drivers: []string{"docker"}, Capacity: api.Resources{CPUs: cpus, Memory: 8 << 30},
			Free: api.Resources{CPUs: free, Memory: 5 << 30}, Arch: "amd64", OS: "linux", SeenAt: base,
		}
	}
	nodes := []api.Node{
		node("8Qm3vT4k", "vps1", api.NodeReady, 4000, 2500),
		node("Jk29dQwE", "vps2", api.NodeFailed, 2000, 1000),
		node("Zx7TbRn1", "home", api.NodeRestarting, 8000, 6000),
		node("Hc81LmPq", "old", api.NodeDraining, 2000, 500),
	}
	nodes[0].Self, nodes[0].Tasks, nodes[0].Labels = true, 6, map[string]string{"zone": "eu", "disk": "ssd"}
	nodes[1].SeenAt, nodes[1].Reason = base.Add(-70*time.Second), "connection refused"
	nodes[2].Restarting, nodes[2].SeenAt = api.Duration(41*time.Second), base.Add(-19*time.Second)
	nodes[3].Tasks, nodes[3].Drivers = 2, []string{"docker", "process"}

	web := api.NewJob()
	web.Name, web.Image, web.Replicas, web.Generation = "web", "nginx:1.27", 3, 4
	web.UpdatedAt, web.Labels = base.Add(-2*time.Minute), map[string]string{"tier": "front"}
	web.Status = &api.Status{State: api.JobDegraded, Wanted: 3, Running: 2, Pending: 1, Reason: "no room for 1"}
	nightly := api.NewJob()
	nightly.Name, nightly.Type, nightly.Driver, nightly.Command = "nightly", api.BatchJob, "process", []string{"/usr/bin/backup", "-v"}
	nightly.Replicas, nightly.Generation, nightly.UpdatedAt = 5, 1, base.Add(-6*time.Hour)
	nightly.Status = &api.Status{State: api.JobComplete, Wanted: 5}

	first, second, third := task(0, api.Running, "vps1"), task(1, api.Running, "home"), task(2, api.Pending, "")
	first.Node, first.Ports, first.Auction = nodes[0].ID, []api.Port{{Target: 80, Published: 80, Protocol: "tcp", Mode: "host"}}, "6e01"
	first.ContainerID = "0123456789abcdef0123456789abcdef"
	second.Node, second.Ports, second.Auction = nodes[2].ID, first.Ports, "7f3a"
	second.Attempt, second.Epoch, second.StartedAt, second.Restarts = "web.1@2", 2, pointer(base.Add(-4*time.Second)), 1
	second.Reason, second.PID, second.ExitCode = "moved from vps2: node failed", 4711, pointer(0)
	third.CreatedAt, third.Reason, third.Auction = base.Add(-time.Minute), "port 80 taken on vps1, home; old draining; vps2 failed", "9b10"

	return &fake{
		view: api.View{Node: "8Qm3vT4k", Name: "vps1", Alive: 3, Known: 4, Synced: true}, seen: true,
		nodes: nodes, jobs: []api.Job{nightly, web}, disks: 3,
		tasks:  func(int) ([]api.Task, error) { return []api.Task{third, second, first}, nil },
		sheets: map[string]api.Sheet{"web.1": wonSheet(nodes), "web.2": refusedSheet(nodes)},
		past: map[string][]api.Attempt{"web.1": {
			{Attempt: "web.1@1", Epoch: 1, NodeName: "vps2", From: base.Add(-148 * time.Minute), Until: pointer(base.Add(-8 * time.Second)), Ended: "lost"},
			{Attempt: "web.1@2", Epoch: 2, NodeName: "home", From: base.Add(-5 * time.Second)},
		}},
		refusals: []api.RefusalGroup{
			{Slots: []int{2}, Asked: true, Code: "port_taken", Reason: "port 80 is taken", Retry: "capacity", Nodes: []string{"vps1", "home"}},
			{Slots: []int{2}, Reason: "failed", Nodes: []string{"vps2"}}, {Slots: []int{2}, Reason: "draining", Nodes: []string{"old"}},
		},
	}
}

// terms is a bid's, with values in the usual order.
func terms(v ...float64) []api.Term {
	names := []string{"fit", "balance", "siblings", "zone", "image", "start", "failures"}
	weights := []float64{2, 1, 2, 1, 1, 1, 1}
	var all []api.Term
	for i, value := range v {
		all = append(all, api.Term{Name: names[i], Value: value, Weight: weights[i]})
	}
	return all
}

func wonSheet(nodes []api.Node) api.Sheet {
	home, vps1 := terms(.91, .98, 1, 1, 0, 1, 1), terms(.62, .91, .5, 0, 1, 1, 1)
	home[4].Note, vps1[2].Note = "pulls 68MiB", "runs web.0"
	return api.Sheet{
		ID: "7f3a", Job: "web", Slots: []int{1}, Reason: "vps2 failed (connection refused at 18:39:58.101)",
		AuctioneerName: "vps1", StartedAt: base, Known: 4,
		Bids: []api.SheetBid{
			{Node: nodes[2].ID, NodeName: "home", Scores: []float64{.871, .6}, Terms: home},
			{Node: nodes[0].ID, NodeName: "vps1", Scores: []float64{.693}, Terms: vps1, HasImage: true},
		},
		NotAsked: []api.NotAsked{{NodeName: "vps2", Reason: "failed"}, {NodeName: "old", Reason: "draining"}},
		Awards: []api.SheetRow{{Slot: 1, Epoch: 2, Node: nodes[2].ID, NodeName: "home", Score: .871,
			RunnerUp: nodes[0].ID, RunnerUpName: "vps1", RunnerUpScore: .693, Outcome: "accepted", TookMS: 1.2}},
		CallMS: 1.9, AwardMS: 1.2, TotalMS: 3.1,
	}
}

func refusedSheet(nodes []api.Node) api.Sheet {
	taken := &api.Refusal{Code: "port_taken", Reason: "port 80 is taken", Retry: "capacity"}
	return api.Sheet{
		ID: "9b10", Job: "web", Slots: []int{2}, Reason: "it has none", AuctioneerName: "vps1", Known: 4,
		Bids: []api.SheetBid{
			{Node: nodes[0].ID, NodeName: "vps1", Refusal: taken},
			{Node: nodes[2].ID, NodeName: "home", Refusal: taken},
		},
		NotAsked: []api.NotAsked{{NodeName: "vps2", Reason: "failed"}, {NodeName: "old", Reason: "draining"}},
		CallMS:   12.4, TotalMS: 12.4,
	}
}

func TestGolden(t *testing.T) {
	for name, line := range map[string]string{
		"ps":               "ps",
		"ps-wide":          "ps -o wide web",
		"ps-quiet":         "ps -q",
		"ps-filter":        "ps -f state=running -f node=home",
		"jobs":             "jobs",
		"jobs-wide":        "ls -o wide",
		"jobs-filter":      "jobs -q -f label=tier=front",
		"nodes":            "nodes",
		"nodes-wide":       "node ls -o wide",
		"node-cordon":      "node cordon self -o table",
		"node-label":       "node label vps1 disk=nvme zone- -o wide",
		"nodes-quiet":      "nodes -q -f driver=process",
		"explain-job":      "explain web",
		"explain-all":      "explain web --all",
		"explain-task":     "explain web.1",
		"explain-pending":  "explain web.2",
		"explain-expired":  "explain web.0",
		"explain-not":      "explain nosuch",
		"explain-lines":    "explain --all -o ndjson",
		"explain-json":     "explain web.1 -o json",
		"explain-job-json": "explain nightly -o json",
		"help-exit-codes":  "help exit-codes",
		"node-rm":          "node rm vps2",
		"node-rm-alive":    "node rm vps1",
		"node-rm-not":      "node rm vps9",
	} {
		t.Run(name, func(t *testing.T) {
			checkGolden(t, name, "$ orch "+line+"\n"+orch(exampleCluster(), strings.Fields(line)...).text())
		})
	}
}

func TestLongTextsAreCutOnlyOnATerminal(t *testing.T) {
	long := strings.Repeat("because ", 20) + "that"
	f := exampleCluster()
	f.tasks = func(int) ([]api.Task, error) { return []api.Task{because(task(0, api.Pending, ""), long)}, nil }
	for _, c := range []struct {
		setup setup
		whole bool
	}{
		{setup{args: []string{"ps"}}, true},
		{setup{args: []string{"ps"}, terminal: true}, false},
		{setup{args: []string{"ps", "--no-trunc"}, terminal: true}, true},
	} {
		if got := strings.Contains(call(f, c.setup).out, long); got != c.whole {
			t.Errorf("%v on a terminal=%v: shows the whole reason: %v, want %v", c.setup.args, c.setup.terminal, got, c.whole)
		}
	}
}

func TestRemoteNamesCannotDriveTheTerminal(t *testing.T) {
	f := exampleCluster()
	f.nodes[0].Name = "vps1\x1b[2J\u202e\n"
	f.view.Name, f.view.Isolated = "a\x1b]0;x\x07", true
	got := orch(f, "nodes")
	if all := got.out + got.err; strings.ContainsAny(all, "\x1b\x07\u202e") {
		t.Errorf("got control characters in %q", all)
	}
	if !strings.Contains(got.out, `vps1\x1b[2J\u202e\n *`) {
		t.Errorf("got %q, want the name with escapes", got.out)
	}
	if !strings.Contains(got.err, "sees none of the other nodes (it knows 3)") {
		t.Errorf("got %q on stderr, want a warning that the node is isolated", got.err)
	}
}

func TestVersion(t *testing.T) {
	f := exampleCluster()
	got := orch(f, "version")
	if got.code != 0 || !strings.Contains(got.out, "server vps1  9.9.9") || !strings.Contains(got.out, "client") {
		t.Errorf("got %s", got.text())
	}
	f.err = errUnreachable()
	got = orch(f, "version", "-o", "json")
	if got.code != 0 || !strings.Contains(got.out, `"server":null`) || !strings.Contains(got.err, "no server: ") {
		t.Errorf("without a node: got %s", got.text())
	}
	f.err = api.Errorf(api.Unauthorized, "no token")
	if got = orch(f, "version"); got.code != exitForbidden {
		t.Errorf("without a token: got %s", got.text())
	}
}

func TestNodesSaysWhoseViewItIs(t *testing.T) {
	got := call(exampleCluster(), setup{args: []string{"nodes", "--color", "never"}, terminal: true})
	if got.code != 0 || got.err != "# seen from vps1, 3 of 4 alive\n" {
		t.Errorf("on a terminal: got %s", got.text())
	}
}
