package main

import (
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
)

func TestRestartOfATask(t *testing.T) {
	cluster := func(state api.TaskState) *fake {
		return withJobs(steps([]api.Task{task(0, state, "n1")}), "web")
	}
	got, _ := inTime(t, cluster(api.Running), setup{args: strings.Fields("restart web.0")})
	if got.code != 0 || got.out != "web.0\n" || got.err != "" {
		t.Errorf("got %s", got.text())
	}
	f := cluster(api.Running)
	if got = orch(f, "restart", "-d", "web.0"); got.code != 0 || got.out != "web.0\n" || len(f.calls) != 1 {
		t.Errorf("detached: got %s, called %v", got.text(), f.calls)
	}
	for line, want := range map[string]struct {
		code int
		says string
	}{
		"restart web.0":         {exitRefused, "cannot restart web.0: task web.0 is failed"},
		"restart web.7":         {exitNotFound, "cannot restart web.7"},
		"restart":               {exitUsage, "is missing"},
		"restart web.0 Web":     {exitUsage, "not the name of a job"},
		"restart web.0 -o json": {exitUsage, "orch inspect web.0 shows one"},
	} {
		if got := orch(cluster(api.Failed), strings.Fields(line)...); got.code != want.code || !strings.Contains(got.err, want.says) {
			t.Errorf("%s: got %s\nwant exit %d and %q", line, got.text(), want.code, want.says)
		}
	}
}
