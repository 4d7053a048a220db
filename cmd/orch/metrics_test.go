package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// startAgent runs a node in this process until the test ends, and returns where its
// API is.
func startAgent(t *testing.T, more ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, done := &banner{api: make(chan string, 1)}, make(chan int, 1)
	env := &Env{
		Stdin: strings.NewReader(""), Stdout: out, Stderr: t.Output(),
		Getenv: func(string) string { return "" }, Environ: func() []string { return nil },
		IsTerminal: func(any) bool { return false }, Now: time.Now,
	}
	args := append([]string{"start", "--name", "n1", "--data-dir", t.TempDir(), "--drivers", "process", "--profile", "fast", "--bind", "127.0.0.1",
		"--advertise", "127.0.0.1", "--gossip-port", "0", "--peer-port", "0", "--api", "127.0.0.1:0"}, more...)
	go func() { done <- execute(ctx, env, args) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	select {
	case at := <-out.api:
		return at
	case code := <-done:
		done <- code
		t.Fatalf("the agent ended with %d", code)
	case <-time.After(20 * time.Second):
		t.Fatal("the agent does not start")
	}
	return ""
}

// A banner finds the API in what an agent prints.
type banner struct {
	text strings.Builder
	api  chan string
}

var apiAt = regexp.MustCompile(`api (http://\S+)`)

func (b *banner) Write(p []byte) (int, error) {
	b.text.Write(p)
	if m := apiAt.FindStringSubmatch(string(p)); m != nil {
		b.api <- m[1]
	}
	return len(p), nil
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

const metricsTable = "../../api/rest/METRICS.md"

// TestMetricsAreDocumented compares what a node exports with the table of it.
func TestMetricsAreDocumented(t *testing.T) {
	at := startAgent(t)
	fetch(t, at+"/v1/nowhere")
	fetch(t, at+"/healthz")
	status, text := fetch(t, at+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("GET /metrics: %d %s", status, text)
	}
	for _, line := range []string{
		`orch_api_requests_total{code="404",method="GET",route="none"} 1`, `orch_api_requests_total{code="200",method="GET",route="/healthz"} 1`,
		`orch_nodes_alive 1`, `orch_tasks{state="running"} 0`, `orch_task_starts_total{driver="process"} 0`, `orch_awards_total{result="no_room"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	for _, family := range []string{"go_goroutines ", "process_resident_memory_bytes ", "orch_build_info{"} {
		if !strings.Contains(text, "\n"+family) {
			t.Errorf("there is no %s", family)
		}
	}
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(metricsTable, []byte(tableOfMetrics(text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(metricsTable)
	if err != nil {
		t.Fatal(err)
	}
	if got := tableOfMetrics(text); got != string(want) {
		t.Errorf("%s is not what a node exports: UPDATE_DOCS=1 go test -run TestMetricsAreDocumented ./cmd/orch\n%s", metricsTable, got)
	}
}

var label = regexp.MustCompile(`([a-z]+)="`)

// tableOfMetrics makes the document of an export: one line for each family of ours.
func tableOfMetrics(text string) string {
	type family struct{ help, kind, labels string }
	all := map[string]*family{}
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 4)
		switch {
		case len(f) == 4 && f[1] == "HELP" && strings.HasPrefix(f[2], "orch_"):
			all[f[2]] = &family{help: f[3]}
		case len(f) == 4 && f[1] == "TYPE" && all[f[2]] != nil:
			all[f[2]].kind = f[3]
		case f[0] != "#":
			name, labels, _ := strings.Cut(line, "{")
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if all[name] == nil {
					name = strings.TrimSuffix(name, suffix)
				}
			}
			if m := all[name]; m != nil && m.labels == "" {
				var names []string
				for _, l := range label.FindAllStringSubmatch(labels, -1) {
					if l[1] != "le" {
						names = append(names, l[1])
					}
				}
				m.labels = strings.Join(names, ", ")
			}
		}
	}
	var rows []string
	for name, m := range all {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, m.kind, m.labels, m.help))
	}
	slices.Sort(rows)
	return "# What a node measures\n\n`GET /metrics` has it in the text form of Prometheus: open on loopback, with the API token beyond. Beside these there are Go's own\n" +
		"(`go_*`) and those of the process (`process_*`). Units are seconds, bytes and cores. What is counted starts at 0 with each start.\n\n" +
		"| name | type | labels | meaning |\n|---|---|---|---|\n" + strings.Join(rows, "")
}

func TestProfiles(t *testing.T) {
	at := startAgent(t, "--pprof")
	if status, text := fetch(t, at+"/debug/pprof/goroutine?debug=1"); status != 200 || !strings.Contains(text, "goroutine profile") {
		t.Errorf("with --pprof: %d %.200s", status, text)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/debug/pprof/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("from a foreign host: %d", res.StatusCode)
	}
	if status, _ := fetch(t, startAgent(t)+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("without --pprof: %d", status)
	}
	got := call(nil, setup{args: []string{"start", "--pprof", "--api", "0.0.0.0:7070", "--data-dir", t.TempDir()}})
	if got.code != exitUsage || !strings.Contains(got.err, "--pprof") {
		t.Errorf("beyond loopback: got %s", got.text())
	}
}
