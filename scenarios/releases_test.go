package scenarios_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
)

// wireFiles have the versions of the protocol that orch speaks, and nothing else.
var wireFiles = []string{"../bidding/version.go", "../gossip/version.go"}

// release builds orch as another release of it, which speaks other versions of the
// protocol: turned makes them of those of this tree.
func release(t *testing.T, name string, turned func(oldest, newest int) (int, int)) (binary string, wire [2]int) {
	t.Helper()
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for i, file := range wireFiles {
		b, err := os.ReadFile(file)
		must(t, err)
		number := func(name string) int {
			m := regexp.MustCompile(name + ` = (\d+)\n`).FindSubmatch(b)
			if m == nil {
				t.Fatalf("%s has no %s", file, name)
			}
			n, err := strconv.Atoi(string(m[1]))
			must(t, err)
			return n
		}
		oldest, newest := turned(number("WireMin"), number("WireMax"))
		if i > 0 && wire != [2]int{oldest, newest} {
			t.Fatalf("%v do not have the same versions", wireFiles)
		}
		wire = [2]int{oldest, newest}
		pkg := filepath.Base(filepath.Dir(file))
		code := fmt.Sprintf("package %s\n\nconst (\n\tWireMin = %d\n\tWireMax = %d\n)\n", pkg, oldest, newest)
		other := filepath.Join(dir, pkg+".go")
		must(t, os.WriteFile(other, []byte(code), 0o600))
		path, err := filepath.Abs(file)
		must(t, err)
		overlay.Replace[path] = other
	}
	b, err := json.Marshal(overlay)
	must(t, err)
	list := filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(list, b, 0o600))
	binary, err = build(name, "../cmd/orch", "-overlay", list)
	must(t, err)
	return binary, wire
}

// TestReleasesThatFollowEachOther has two nodes of this release and one of the next,
// which speaks a newer version of the protocol as well. They place together and heal
// each other. A release without a version in common is kept out, and told why.
func TestReleasesThatFollowEachOther(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds and starts real nodes")
	}
	next, _ := release(t, "orch-next", func(oldest, newest int) (int, int) { return oldest, newest + 1 })
	far, farWire := release(t, "orch-far", func(_, newest int) (int, int) { return newest + 2, newest + 2 })
	binaryOf := func(node string) string {
		if node == "n3" {
			return next
		}
		return ""
	}
	ctx, lab := startLab(t, 3, scenarios.LabConfig{BinaryOf: binaryOf})
	old, newer := lab.Nodes()[0], lab.Nodes()[2]
	was, err := old.Service().Version(ctx)
	must(t, err)
	if is, err := newer.Service().Version(ctx); err != nil || is.Wire != [2]int{was.Wire[0], was.Wire[1] + 1} {
		t.Fatalf("the newer node speaks %v, %v; the older ones %v", is.Wire, err, was.Wire)
	}
	var jobs []string
	by := map[bool]bool{} // whether a job is auctioned by a newer node: there is one
	for i := 0; len(by) < 2 && i < 40; i++ {
		j := submit(ctx, t, old, sleeper(fmt.Sprintf("web%d", i), 3))
		settle(ctx, t, lab, j.Name, 3, 30*time.Second)
		jobs = append(jobs, j.Name)
		j, err := old.Service().Job(ctx, j.Name)
		must(t, err)
		by[j.Coordinator == newer.ID()] = true
		here := 0
		for _, task := range tasksOf(ctx, t, old, j.Name) {
			if task.Node == newer.ID() {
				here++
			}
		}
		if here == 0 || here == 3 {
			t.Errorf("%s, which %s auctions, has %d of its 3 tasks on the newer node, want some on each release", j.Name, j.Coordinator.Short(), here)
		}
	}
	if len(by) < 2 {
		t.Fatalf("of %d jobs none is auctioned by a newer and by an older node", len(jobs))
	}
	for _, victim := range []*scenarios.Node{newer, old} {
		must(t, lab.KillHost(ctx, victim))
		for _, job := range jobs {
			settle(ctx, t, lab, job, 3, 40*time.Second)
		}
		must(t, lab.Restart(ctx, victim))
		must(t, lab.AwaitReady(ctx))
	}
	for _, job := range jobs {
		settle(ctx, t, lab, job, 3, 40*time.Second)
	}
	tooFar(ctx, t, lab, far, was.Wire, farWire)
}

// tooFar has a node of a release that has no version in common with this one try to join.
func tooFar(ctx context.Context, t *testing.T, lab *scenarios.Lab, far string, wire, farWire [2]int) {
	t.Helper()
	token, err := lab.TokenFile(ctx)
	must(t, err)
	old := lab.Nodes()[0]
	for range 2 {
		began := time.Now()
		cmd := exec.CommandContext(ctx, far, "join", old.GossipAddr(), "--token-file", token, "--data-dir", filepath.Join(t.TempDir(), "data"),
			"--name", "far", "--ports", freeBlock(t), "--bind", "127.0.0.1", "--advertise", "127.0.0.1", "--drivers", "process", "--profile", "fast")
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		took := time.Since(began)
		if cmd.ProcessState.ExitCode() < 1 || took > 10*time.Second {
			t.Errorf("a join of a release too far off ended with %v after %s, want a refusal within 10 s", err, took)
		}
		for _, want := range []string{
			"the versions of orch are too far apart", fmt.Sprintf("in the versions %d to %d", wire[0], wire[1]), fmt.Sprintf(" in %d to %d: ", farWire[0], farWire[1]),
			"upgrade orch on node " + old.GossipAddr(),
		} {
			if !strings.Contains(string(out), want) {
				t.Errorf("the refusal does not say %q:\n%s", want, out)
			}
		}
	}
	eventually(ctx, t, "the old node raises an alarm", 5*time.Second, func(ctx context.Context) error {
		c, err := old.Service().Cluster(ctx)
		if err != nil {
			return err
		}
		for _, a := range c.Alarms {
			if a.Code == "versions" && strings.Contains(a.Detail, fmt.Sprintf("%d to %d", farWire[0], farWire[1])) {
				return nil
			}
		}
		return fmt.Errorf("there are %v", c.Alarms)
	})
	if nodes, err := old.Service().Nodes(ctx); err != nil || len(nodes) != 3 {
		t.Errorf("it knows %d nodes, %v, want 3: one was kept out", len(nodes), err)
	}
	log, err := os.ReadFile(old.LogFile())
	must(t, err)
	if got := strings.Count(string(log), "the versions of orch are too far apart"); got != 2 {
		t.Errorf("the log says so %d times, want once for each node that came", got)
	}
	if got := lab.Fallen(); len(got) > 0 {
		t.Error(strings.Join(got, "\n"))
	}
}
