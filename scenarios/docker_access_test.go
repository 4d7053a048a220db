package scenarios_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestDockerWhatNodesAllow has a node whose owner allows mounts of its files, and one
// whose owner allows nothing. Tasks that want files run on the first alone; what
// nobody allows runs nowhere, and everybody says why.
func TestDockerWhatNodesAllow(t *testing.T) {
	t.Parallel()
	ctx, lab := startDocker(t, 2, scenarios.LabConfig{Flags: func(node string) []string {
		if node == "n1" {
			return []string{"--allow", "host-mounts"}
		}
		return nil
	}})
	n1, n2 := lab.Nodes()[0], lab.Nodes()[1]
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	job := boxes(t, "files", 3)
	job.Volumes = []api.Volume{{Source: dir, Target: "/data", ReadOnly: true}}
	submit(ctx, t, n2, job)
	settle(ctx, t, lab, "files", 3, 20*time.Second)
	for _, task := range tasksOf(ctx, t, n2, "files") {
		in := inspect(ctx, t, lab.Engine(), task.ContainerID)
		if len(in.Mounts) != 1 || in.Mounts[0].Source != dir || in.Mounts[0].RW || task.Node != n1.ID() {
			t.Errorf("%s is on %s with %+v, want %s on n1", task.ID, task.NodeName, in.Mounts, dir)
		}
	}
	const mounts = "does not allow host-mounts (start it with --allow host-mounts)"
	explained, err := lab.Orch(ctx, "explain", "files.0", "--api", n2.APIAddr())
	must(t, err)
	if !strings.Contains(explained.Stdout, "n2 "+mounts) {
		t.Errorf("orch explain says\n%s\nwant n2: %s", explained.Stdout, mounts)
	}

	tag, err := tinyImage()
	must(t, err)
	for what, c := range map[string]struct {
		flags string
		code  int
		words []string
	}{
		"privileged": {"--privileged", 5, []string{"n1", "n2", ": does not allow privileged (start it with --allow privileged)"}},
		"the socket": {"-v /var/run/docker.sock:/s", 5, []string{"n1: does not allow engine-socket (", "n2: does not allow engine-socket,host-mounts ("}},
		"a volume":   {"-v data:/data", 2, []string{"named volumes are not in this version"}},
	} {
		words := append(append([]string{"run", "--api", n1.APIAddr(), "--pull", "never"}, strings.Fields(c.flags)...), tag, "sleep")
		out, err := lab.Orch(ctx, words...)
		must(t, err)
		if out.Code != c.code {
			t.Errorf("%s: exit code %d, want %d: %s", what, out.Code, c.code, out.Stderr)
		}
		for _, want := range c.words {
			if !strings.Contains(out.Stderr, want) {
				t.Errorf("%s: it says %q, want %q in it", what, out.Stderr, want)
			}
		}
	}
}
