package scenarios_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// typist types orch's commands at one node of a lab, and wants an exit code of each.
func typist(ctx context.Context, t *testing.T, lab *scenarios.Lab, n *scenarios.Node) func(code int, args ...string) scenarios.Output {
	return func(code int, args ...string) scenarios.Output {
		t.Helper()
		out, err := lab.Orch(ctx, append(args[:1:1], append([]string{"--api", n.APIAddr()}, args[1:]...)...)...)
		must(t, err)
		t.Logf("$ orch %s\n%s%s[%d] %s", strings.Join(args, " "), out.Stdout, out.Stderr, out.Code, out.Took.Round(time.Millisecond))
		if out.Code != code {
			t.Errorf("orch %s: exit code %d, want %d", strings.Join(args, " "), out.Code, code)
		}
		return out
	}
}

// says wants a text to have all the words.
func says(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, text)
		}
	}
}

// TestFirstHourOfAnOperator is the first hour of a person who comes from Nomad or
// Swarm and wants verdicts: of a repeated join, of deployments, of a drain, and of
// what a cluster that has lost most of its nodes still promises.
func TestFirstHourOfAnOperator(t *testing.T) {
	ctx, lab := startLab(t, 5, scenarios.LabConfig{Resources: api.Resources{CPUs: 2000, Memory: 1 << 30}})
	first, second := lab.Nodes()[0], lab.Nodes()[1]
	types := typist(ctx, t, lab, first)
	token, err := lab.TokenFile(ctx)
	must(t, err)

	// The playbook runs twice.
	out := typist(ctx, t, lab, second)(0, "join", first.GossipAddr(), "--token-file", token)
	says(t, "a second join", out.Stdout+out.Stderr, "already a member (5 nodes)")

	// Deployments end with a verdict, and at once where it is clear.
	sleep := []string{"--driver", "process", "--", "sleep", "100000"}
	types(0, append([]string{"run", "--name", "web", "--replicas", "3", "--stable", "100ms"}, sleep...)...)
	out = types(5, append([]string{"run", "--name", "big", "-m", "64g"}, sleep...)...)
	says(t, "a job that fits nowhere", out.Stderr, "64GiB", "1GiB", "The job is kept")
	if out.Took > 10*time.Second {
		t.Errorf("it took %s to see that nothing fits", out.Took)
	}
	out = types(4, append([]string{"run", "--name", "web"}, sleep...)...)
	says(t, "a name that is taken", out.Stderr, "error: cannot run web: the name is taken", "hint: orch update web")
	types(0, "run", "--name", "fine", "--type", "batch", "--driver", "process", "--", "true")
	types(6, "run", "--name", "wrong", "--type", "batch", "--restart", "no", "--driver", "process", "--", "false")
	types(2, append([]string{"run", "--name", "web.1"}, sleep...)...)
	types(3, "rm", "nothing")

	// A machine is emptied, and its owner knows when.
	types(0, "node", "drain", "n3")
	says(t, "drained", types(0, "nodes").Stdout, "drained")
	if tasks := types(0, "ps", "-q", "--filter", "node=n3", "--filter", "state=running").Stdout; tasks != "" {
		t.Errorf("n3 has drained and has %q", tasks)
	}
	types(0, "node", "resume", "n3")

	// What the monitoring reads.
	for path, words := range map[string][]string{"/healthz": {"ok"}, "/readyz": {"ready"}, "/metrics": {"# HELP orch_", "# TYPE orch_"}} {
		says(t, path, fetch(ctx, t, first, path), words...)
	}

	// Four of five are lost: nobody is locked out, and nobody is misled.
	for _, n := range lab.Nodes()[1:] {
		must(t, lab.KillHost(ctx, n))
	}
	out = types(0, append([]string{"run", "--name", "late", "--timeout", "1m", "--stable", "100ms"}, sleep...)...)
	says(t, "a job on one disk of three", out.Stderr, "1 of 3")
	settle(ctx, t, lab, "web", 3, 30*time.Second)
	says(t, "nodes", types(0, "nodes").Stdout, "failed")
	types(0, "node", "rm", "n5")
}

// TestFirstHourOfAStudent is the first hour of a person who wants to know why: it is
// all to be had by a program, as lines of JSON.
func TestFirstHourOfAStudent(t *testing.T) {
	ctx, lab := startLab(t, 3, scenarios.LabConfig{})
	first := lab.Nodes()[0]
	types := typist(ctx, t, lab, first)

	body := `{"name":"web","replicas":6,"driver":"process","command":["sleep","86400"]}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+first.APIAddr()+"/v1/jobs", strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated || res.Header.Get("Orch-Durable") != "3/3" {
		t.Errorf("POST /v1/jobs: %s on %s disks, want 201 on 3/3", res.Status, res.Header.Get("Orch-Durable"))
	}
	settle(ctx, t, lab, "web", 6, 20*time.Second)
	must(t, lab.KillHost(ctx, lab.Nodes()[2]))
	settle(ctx, t, lab, "web", 6, 20*time.Second)

	sheets := objects(t, types(0, "explain", "--all", "web", "-o", "ndjson").Stdout)
	if len(sheets) == 0 {
		t.Error("there are no sheets")
	}
	for _, sheet := range sheets {
		if sheet["id"] == nil || sheet["bids"] == nil {
			t.Errorf("a sheet without its id or its bids: %v", sheet)
		}
	}
	seen := map[any]bool{}
	for _, event := range objects(t, types(0, "events", "-o", "ndjson").Stdout) {
		seen[event["type"]] = true
		if event["time"] == nil || event["seen"] == nil || event["mono_ns"] == nil {
			t.Errorf("an event without its times: %v", event)
		}
	}
	for _, kind := range []string{"job.created", "task.running", "node.failed"} {
		if !seen[kind] {
			t.Errorf("no event tells of %s: %v", kind, seen)
		}
	}
	var document struct{ OpenAPI string }
	must(t, json.Unmarshal([]byte(fetch(ctx, t, first, "/openapi.json")), &document))
	if document.OpenAPI != "3.0.3" {
		t.Errorf("the document is of OpenAPI %q, want 3.0.3", document.OpenAPI)
	}
}

// objects reads lines of JSON.
func objects(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for l := range strings.Lines(text) {
		var o map[string]any
		if err := json.Unmarshal([]byte(l), &o); err != nil {
			t.Fatalf("%v in line %q", err, l)
		}
		all = append(all, o)
	}
	return all
}

// fetch gets a path from a node, which must have it.
func fetch(ctx context.Context, t *testing.T, n *scenarios.Node, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.APIAddr()+path, nil)
	must(t, err)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s\n%s", path, res.Status, b)
	}
	return string(b)
}
