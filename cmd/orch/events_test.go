package main

import (
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

func happened() *fake {
	at := base.Add(-time.Minute)
	return &fake{events: []api.Event{
		{ID: "b.0", Type: api.EventMark, Time: base},
		{ID: "b.1", Type: api.EventNodeFailed, Time: at, UID: "1", Message: "vps2: connection refused; 1 task to move", Node: "x", NodeName: "vps2"},
		{ID: "b.2", Type: api.EventTaskPlaced, Time: at.Add(103 * time.Millisecond), UID: "2", Message: "web.1@2 → home  0.871 before vps1 0.693", Task: "web.1", Epoch: 2},
		{ID: "b.3", Type: api.EventReset, Message: "events were missed"},
		{ID: "b.4", Type: api.EventTaskFailed, Time: at.Add(-48 * time.Hour), UID: "3", Message: "web.0@1 on vps1: \x1b[31mred\nline"},
	}}
}

func TestEvents(t *testing.T) {
	f := happened()
	got := call(f, setup{terminal: true, args: strings.Fields("events -f --since 10m --filter type=node --filter type=task.failed --filter job=web --filter task=web.0@1 --filter node=vps2")})
	want := "18:39:06.000  node.failed      vps2: connection refused; 1 task to move\n" +
		"18:39:06.103  task.placed      web.1@2 → home  0.871 before vps1 0.693\n" +
		"2025-12-31 18:39:06.000  task.failed      web.0@1 on vps1: \\x1b[31mred\\nline\n"
	if got.code != 0 || got.out != want || got.err != "# events were missed\n" {
		t.Errorf("got %s\nwant %s", got.text(), want)
	}
	if asked := f.calls[0]; !strings.Contains(asked, "Since:2026-01-02 18:30:06") || !strings.Contains(asked, "Types:[node task.failed] Job:web Task:web.0@1 Node:vps2 Follow:true") {
		t.Errorf("asked for %s", asked)
	}
	if got := orch(happened(), "events"); !strings.HasPrefix(got.out, "2026-01-02T18:39:06.000Z  node.failed      vps2") {
		t.Errorf("not on a terminal: %s", got.text())
	}
	if got := orch(happened(), "events", "-o", "ndjson"); strings.Count(got.out, "\n") != 3 || !strings.HasPrefix(got.out, `{"id":"b.1","type":"node.failed"`) {
		t.Errorf("as lines: %s", got.text())
	}
	if got := orch(happened(), "events", "-o", "json"); strings.Count(got.out, "\n") != 1 || !strings.HasPrefix(got.out, `[{"id":"b.1"`) {
		t.Errorf("as a list: %s", got.text())
	}
	for line, want := range map[string]string{
		"events -f -o json":                    "do not go together",
		"events -o csv":                        "is none of table, json, ndjson",
		"events --filter type=task.runing":     "the types are job.created",
		"events --filter task=web":             "task=web",
		"events --filter job=a --filter job=b": "can be given once",
		"events --filter colour=red":           "is none of type, job, task, node",
		"events --since yesterday":             "--since",
		"events web":                           "takes no",
	} {
		if got := orch(happened(), strings.Fields(line)...); got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%s: got %s\nwant exit 2 and %q", line, got.text(), want)
		}
	}
}

func TestWaitCommand(t *testing.T) {
	job := func(name string, state api.JobState) api.Job {
		j := api.NewJob()
		j.Name, j.Status = name, &api.Status{State: state, Reason: "no room"}
		return j
	}
	f := &fake{jobs: []api.Job{job("web", api.JobRunning), job("api", api.JobDegraded)}}
	if got := orch(f, "wait", "web"); got.code != 0 || got.out != "web\n" || got.err != "" {
		t.Errorf("got %s", got.text())
	}
	got, took := inTime(t, f, setup{args: strings.Fields("wait --timeout 3s web api")})
	if got.code != exitWaiting || got.out != "web\n" || !strings.Contains(got.err, "api is not running: degraded: no room") || took < 3*time.Second || took > 4*time.Second {
		t.Errorf("after %v: %s", took, got.text())
	}
	for line, want := range map[string]int{"wait none": exitNotFound, "wait": exitUsage, "wait --for ever web": exitUsage} {
		if got := orch(f, strings.Fields(line)...); got.code != want {
			t.Errorf("%s: got %s, want exit %d", line, got.text(), want)
		}
	}
}
