package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"github.com/exitae337/orchestergo/api"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestForms(t *testing.T) {
	for line, want := range map[string]string{
		"ps -o name": "web.0\nweb.1\nweb.2\n",
		"ps --format {{.ID}}\\t{{.NodeName}}:{{.State}}":                 "web.0\tvps1:running\nweb.1\thome:running\nweb.2\t:pending\n",
		"ps --format {{.Resources.Memory}} web -f state=pending":         "64MiB\n",
		"ps -q -f state=pending -f state=running -f node=home":           "web.1\n",
		"ps -q -f state=pending -f state=lost":                           "web.2\n",
		"jobs --format {{.Name}}={{.Status.Running}}/{{.Status.Wanted}}": "nightly=0/5\nweb=2/3\n",
		"jobs --format {{.Labels.tier}}":                                 "\nfront\n",
		"jobs -q -f type=batch -f type=service -f label=tier":            "web\n",
		"nodes -q -f driver=process -f driver=docker -f status=draining": "Hc81LmPq\n",
		"nodes -q --no-trunc -f status=failed":                           "12D3KooWJk29dQwErest\n",
		"scale -d web=1 --format {{.Name}}={{.Replicas}}":                "web=1\n",
		"scale -d web=1 nightly=2 -o name":                               "web\nnightly\n",
		"jobs --format table_{{.Name}}\\t{{upper_.Status.State}}":        "NAME     STATE\nnightly  COMPLETE\nweb      DEGRADED\n",
		"version --format {{.Server.Version}}":                           "9.9.9\n",
	} {
		words := strings.Split(line, " ")
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "_", " ")
		}
		got := orch(exampleCluster(), words...)
		if got.code != 0 || got.out != want {
			t.Errorf("orch %s: got %s\nwant %q", line, got.text(), want)
		}
	}
}

func TestOneHeaderForSeveralJobs(t *testing.T) {
	got := orch(exampleCluster(), strings.Fields("scale -d web=1 nightly=2 -o table")...)
	if strings.Count(got.out, "NAME") != 1 || strings.Count(got.out, "\n") != 3 || got.code != 0 {
		t.Errorf("got %s, want one table of two jobs", got.text())
	}
}

// TestJobsOfAProject: a project is a label.
func TestJobsOfAProject(t *testing.T) {
	f := exampleCluster()
	f.jobs[1].Labels = map[string]string{api.LabelProject: "shop"}
	if got := orch(f, "jobs", "-q", "-f", "project=shop"); got.code != 0 || got.out != f.jobs[1].Name+"\n" {
		t.Errorf("got %s, want %s alone", got.text(), f.jobs[1].Name)
	}
}

// TestNodesAreChangedTogether: one that is refused keeps none of the others from it.
func TestNodesAreChangedTogether(t *testing.T) {
	for line, want := range map[string]string{
		"node drain old nosuch vps1":                     "old\nvps1\n",
		"node drain -d nosuch home --format {{.Status}}": "drained\n",
		"node resume -o csv vps1 nosuch home":            "",
		"node cordon old nosuch --format {{.Cordoned}}":  "true\n",
		"node rm vps2 nosuch -o name":                    "vps2\n",
	} {
		got := orch(exampleCluster(), strings.Fields(line)...)
		if got.code != exitNotFound || !strings.HasPrefix(got.out, want) || !strings.Contains(got.err, "nosuch: there is no node nosuch") {
			t.Errorf("orch %s: got %s\nwant %q and that one is not there", line, got.text(), want)
		}
		if rows := strings.Count(got.out, "\n"); want == "" && rows != 3 {
			t.Errorf("orch %s: got %d lines, want a header and two nodes", line, rows)
		}
	}
	raw, err := exampleCluster().Raw(t.Context(), "/v1/nodes/vps1")
	if got := orch(exampleCluster(), "node", "resume", "-o", "json", "vps1"); err != nil || got.out != string(raw) {
		t.Errorf("got %s, want what the API says: %s", got.text(), raw)
	}
}

// TestCSV: what a program reads is what was meant, whatever is in it.
func TestCSV(t *testing.T) {
	f := exampleCluster()
	reason := "said \"no\", twice;\nand \x1b[2J"
	f.tasks = func(int) ([]api.Task, error) {
		return []api.Task{because(task(0, api.Pending, ""), reason), task(1, api.Running, "n1")}, nil
	}
	for _, line := range []string{"ps -o csv", "jobs -o csv", "nodes -o csv", "version -o csv"} {
		got := orch(f, strings.Fields(line)...)
		rows, err := csv.NewReader(strings.NewReader(got.out)).ReadAll()
		if err != nil || len(rows) < 2 || got.code != 0 {
			t.Fatalf("%s: %v in %s", line, err, got.text())
		}
		if line != "ps -o csv" {
			continue
		}
		first := map[string]string{}
		for i, key := range rows[0] {
			first[key] = rows[1][i]
		}
		for key, want := range map[string]string{"id": "web.0", "memory": "67108864", "cpus": "0.25", "node_name": "", "since": "2026-01-02T16:40:06Z",
			"reason": `said "no", twice;\nand \x1b[2J`} {
			if first[key] != want {
				t.Errorf("%s: got %q, want %q", key, first[key], want)
			}
		}
	}
}

func TestNDJSON(t *testing.T) {
	for _, line := range []string{"nodes -o ndjson", "nodes --format json"} {
		got := orch(exampleCluster(), strings.Fields(line)...)
		lines := strings.Split(strings.TrimSpace(got.out), "\n")
		if len(lines) != 4 {
			t.Fatalf("%s: got %s, want a line for each of four nodes", line, got.text())
		}
		for _, one := range lines {
			var n api.Node
			if err := json.Unmarshal([]byte(one), &n); err != nil || n.Name == "" {
				t.Errorf("%s: got %q (%v)", line, one, err)
			}
		}
	}
}

func TestColour(t *testing.T) {
	const green = "\x1b[32mrunning\x1b[0m"
	for _, c := range []struct {
		args     string
		terminal bool
		env      map[string]string
		want     bool
	}{
		{"ps", false, nil, false},
		{"ps", true, nil, true},
		{"ps", true, map[string]string{"NO_COLOR": "1"}, false},
		{"ps", true, map[string]string{"TERM": "dumb"}, false},
		{"ps --color never", true, nil, false},
		{"ps --color always", false, map[string]string{"NO_COLOR": "1"}, true},
		{"ps -o csv --color always", true, nil, false},
	} {
		got := call(exampleCluster(), setup{args: strings.Fields(c.args), terminal: c.terminal, env: c.env})
		if strings.Contains(got.out, green) != c.want || got.code != 0 {
			t.Errorf("%s (terminal %v, %v): got %q, want colours: %v", c.args, c.terminal, c.env, got.out, c.want)
		}
	}
	plain, painted := orch(exampleCluster(), "ps"), orch(exampleCluster(), "ps", "--color", "always")
	stripped := strings.NewReplacer("\x1b[32m", "", "\x1b[33m", "", "\x1b[31m", "", "\x1b[0m", "").Replace(painted.out)
	if stripped != plain.out {
		t.Errorf("colours move the columns: got\n%s\nwant\n%s", stripped, plain.out)
	}
}

// watched is what is printed while a list is watched for a while.
func watched(t *testing.T, f *fake, onTerminal bool, line string) (got result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		got = call(f, setup{ctx: ctx, terminal: onTerminal, now: func() time.Time { return time.Now().UTC() }, args: strings.Fields(line)})
	})
	return got
}

func TestWatchPrintsChanges(t *testing.T) {
	starting, running := task(0, api.Starting, "home"), task(0, api.Running, "home")
	other := task(1, api.Running, "vps1")
	one := func(ts ...api.Task) []api.Task { return ts }
	looks := steps(one(starting, other), one(starting, other), one(running, other), one(other))
	got := watched(t, newCluster(looks), false, "ps -w --format {{.ID}}:{{.State}}")
	if got.out != "web.0:starting\nweb.1:running\nweb.0:running\n" {
		t.Errorf("got %s, want each change once", got.text())
	}
	got = watched(t, newCluster(looks), false, "ps -w")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[0], "TIME ") || !strings.HasPrefix(lines[3], "2000-01-01T00:00:02Z  web.0  home  running") ||
		lines[4] != "2000-01-01T00:00:03Z  web.0@1  gone" {
		t.Errorf("got\n%s\nwant a header, two tasks, a change, and that one is gone", got.out)
	}
	got = watched(t, newCluster(looks), false, "ps -w -o csv")
	if rows := strings.Count(got.out, "\n"); rows != 4 {
		t.Errorf("got %d lines of CSV, want a header and 3:\n%s", rows, got.out)
	}
	got = watched(t, newCluster(looks), true, "ps -w")
	if strings.Count(got.out, "\x1b[H\x1b[2JTASK") != 4 {
		t.Errorf("on a terminal: got %q, want four pictures", got.out)
	}
}

func TestWatchWarnsOnce(t *testing.T) {
	f := newCluster(steps([]api.Task{task(0, api.Running, "home")}))
	f.view.Isolated = true
	got := watched(t, f, false, "ps -w -q")
	if n := strings.Count(got.err, "sees none of the other nodes"); n != 2 || got.out != "web.0\n" {
		t.Errorf("got %s, want to be warned at the beginning and the end", got.text())
	}
}

func TestUnsyncedNodesAreTold(t *testing.T) {
	f := exampleCluster()
	f.view.Synced = false
	if got := orch(f, "jobs"); got.code != 0 || !strings.Contains(got.err, "warning: vps1 has started and not yet heard from another node") {
		t.Errorf("got %s", got.text())
	}
}

// TestErrorsAreProblemsInJSON: who asks for JSON gets the reason in JSON, too.
func TestErrorsAreProblemsInJSON(t *testing.T) {
	for line, want := range map[string]string{
		"ps -o json nosuch":         `"status":404,"detail":"there is no job nosuch","instance":"","code":"job_not_found"`,
		"rm -o ndjson nosuch":       `"status":404,"detail":"there is no job nosuch","instance":"","code":"job_not_found"`,
		"ps --format json nosuch":   `"status":404,"detail":"there is no job nosuch","instance":"","code":"job_not_found"`,
		"ps -w -o json":             `"status":400,"detail":"-w and -o json do not go together: one document is one answer (-o ndjson has one a line)","instance":"","code":"bad_request"`,
		"jobs -o json -f colour=no": `"status":400,"detail":"the filter \"colour\" is none of type, status, project, label","instance":"","code":"bad_request"`,
	} {
		got := orch(exampleCluster(), strings.Fields(line)...)
		if got.out != "" || got.code == 0 || !strings.Contains(got.err, want) || !json.Valid([]byte(got.err)) {
			t.Errorf("orch %s: got %s\nwant %s", line, got.text(), want)
		}
	}
}
