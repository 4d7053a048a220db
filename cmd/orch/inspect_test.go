package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
)

func TestInspect(t *testing.T) {
	f := exampleCluster()
	for line, want := range map[string]string{
		"inspect -o name web web.1 home":                      "web\nweb.1\nZx7TbRn1\n",
		"inspect --format {{.Replicas}} web":                  "3\n",
		"node inspect self --format {{.Name}}={{.Free.CPUs}}": "vps1=2.5\n",
		"inspect --type node -o name home":                    "Zx7TbRn1\n",
		"node inspect -o name old vps2":                       "Hc81LmPq\nJk29dQwE\n",
	} {
		got := orch(f, strings.Fields(line)...)
		if got.out != want || got.code != 0 {
			t.Errorf("orch %s: got %s\nwant %q", line, got.text(), want)
		}
	}
	got := orch(f, "inspect", "web", "web.1", "vps1")
	var all []map[string]any
	if err := json.Unmarshal([]byte(got.out), &all); err != nil || len(all) != 3 || all[0]["generation"] != 4.0 || all[1]["attempt"] != "web.1@2" || all[2]["short_id"] != "8Qm3vT4k" {
		t.Errorf("got %s (%v), want an array of a job, a task and a node", got.text(), err)
	}
	if !strings.HasPrefix(got.out, "[\n    {\n        \"name\": \"web\"") {
		t.Errorf("got %.40q, want it indented", got.out)
	}
	raw, err := f.Raw(t.Context(), "/v1/jobs/web")
	if got := orch(f, "inspect", "-o", "json", "web"); err != nil || got.out != "["+strings.TrimSpace(string(raw))+"]\n" {
		t.Errorf("-o json: got %s, want what the API says: %s", got.text(), raw)
	}
}

func TestInspectOfWhatIsNotThere(t *testing.T) {
	got := orch(exampleCluster(), "inspect", "nosuch", "web", "a/b\x1b")
	if got.code != exitNotFound || !strings.HasPrefix(got.out, "[\n    {\n        \"name\": \"web\"") {
		t.Errorf("got %s, want what is there, and exit %d", got.text(), exitNotFound)
	}
	for _, want := range []string{
		"error: cannot inspect \"nosuch\": there is no job, task or node of that name\nhint: orch jobs",
		`error: cannot inspect "a/b\x1b": there is no`,
	} {
		if !strings.Contains(got.err, want) {
			t.Errorf("got %q on stderr, want %q", got.err, want)
		}
	}
	if got := orch(exampleCluster(), "node", "inspect", "web"); got.code != exitNotFound || got.out != "[]\n" || !strings.Contains(got.err, "there is no node web") {
		t.Errorf("of no node: got %s", got.text())
	}
	got = orch(exampleCluster(), strings.Fields("inspect web --format {{.Nmae}}")...)
	if got.code != exitError || !strings.Contains(got.err, "there is no field .Nmae; there are .Name .Type") {
		t.Errorf("of no field: got %s", got.text())
	}
}

// TestNamesOfLists: the commands have the names that people try.
func TestNamesOfLists(t *testing.T) {
	for _, lines := range [][]string{{"jobs", "ls", "job ls"}, {"nodes", "node ls", "node list"}} {
		want := orch(exampleCluster(), lines[0])
		for _, line := range lines[1:] {
			if got := orch(exampleCluster(), strings.Fields(line)...); got.out != want.out || got.code != 0 {
				t.Errorf("orch %s: got %s, want what orch %s prints", line, got.text(), lines[0])
			}
		}
	}
}

func TestTasksOfANode(t *testing.T) {
	f := exampleCluster()
	for _, name := range []string{"vps1", "self", string(f.nodes[0].ID)} {
		if got := orch(f, "ps", "-q", "-f", "node="+name); got.code != 0 || got.out != "web.0\n" {
			t.Errorf("node=%s: got %s", name, got.text())
		}
	}
	if got := orch(f, "ps", "-f", "node=vps9"); got.code != exitNotFound || !strings.Contains(got.err, "there is no node vps9") {
		t.Errorf("node=vps9: got %s", got.text())
	}
	f.tasks = func(int) ([]api.Task, error) { return nil, nil }
	if got := orch(f, "ps", "-q"); got.code != 0 || got.out != "" {
		t.Errorf("without tasks: got %s", got.text())
	}
}
