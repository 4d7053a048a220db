package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

func errUnreachable() error {
	return fmt.Errorf("%w: 127.0.0.1:7070: connection refused", rest.ErrUnreachable)
}

// newCluster is an empty cluster; tasks says what it shows at each look.
func newCluster(tasks func(look int) ([]api.Task, error)) *fake {
	return &fake{disks: 3, tasks: tasks, view: api.View{Name: "n1", Alive: 3, Known: 3, Synced: true}, seen: true}
}

// steps is a list of looks, the last of which stays.
func steps(looks ...[]api.Task) func(int) ([]api.Task, error) {
	return func(n int) ([]api.Task, error) { return looks[min(n, len(looks))-1], nil }
}

// inTime runs a command line in a bubble where time passes by itself.
func inTime(t *testing.T, f *fake, s setup) (got result, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s.now = func() time.Time { return time.Now().UTC() }
		got = call(f, s)
		took = time.Since(start)
	})
	return got, took
}

func TestRun(t *testing.T) {
	pending, refused := task(0, api.Pending, ""), because(task(0, api.Pending, ""), "needs 64GiB; the best is home with 28GiB free of 31.2GiB (never fits on any node here)")
	starting, running := task(0, api.Starting, "home"), task(0, api.Running, "home")
	crashed := because(task(0, api.Failed, "home"), "exit code 1")
	again := because(task(0, api.Pending, ""), "attempt @1 failed: exit code 1")
	again.Failures = 1
	done := task(0, api.Complete, "home")
	bounced := running
	bounced.Restarts = 1
	one := func(ts ...api.Task) []api.Task { return ts }
	three := one(running, task(1, api.Running, "vps1"), task(2, api.Running, "vps2"))
	mixed := one(running, because(task(1, api.Pending, ""), "no room"), because(task(2, api.Pending, ""), "no room"))

	for name, c := range map[string]struct {
		line  string
		looks [][]api.Task
		disks int
		took  [2]time.Duration
	}{
		"run-success":    {"run --name web nginx:1.27", [][]api.Task{nil, one(pending), one(starting), one(starting), one(running)}, 3, [2]time.Duration{time.Second, 3 * time.Second}},
		"run-three":      {"run --name web -n 3 -m 256m --stable 0 nginx:1.27", [][]api.Task{three}, 3, [2]time.Duration{0, time.Second}},
		"run-pending":    {"run --name web -m 64g nginx", [][]api.Task{nil, one(pending), one(refused)}, 3, [2]time.Duration{0, time.Second}},
		"run-partly":     {"run --name web -n 3 nginx", [][]api.Task{mixed}, 3, [2]time.Duration{0, time.Second}},
		"run-failed":     {"run --name web nginx", [][]api.Task{one(starting), one(crashed)}, 3, [2]time.Duration{0, time.Second}},
		"run-again":      {"run --name web nginx", [][]api.Task{one(again)}, 3, [2]time.Duration{0, time.Second}},
		"run-wait":       {"run --name web --wait --stable 0 nginx", [][]api.Task{one(refused), one(refused), one(refused), one(refused), one(running)}, 3, [2]time.Duration{0, 2 * time.Second}},
		"run-timeout":    {"run --name web --timeout 5s nginx", [][]api.Task{one(starting)}, 3, [2]time.Duration{5 * time.Second, 6 * time.Second}},
		"run-unstable":   {"run --name web --stable 3s nginx", [][]api.Task{one(running), one(running), one(running), one(bounced)}, 3, [2]time.Duration{3400 * time.Millisecond, 4 * time.Second}},
		"run-batch":      {"run --name web --type batch nginx", [][]api.Task{one(starting), one(running), one(running), one(done)}, 3, [2]time.Duration{0, time.Second}},
		"run-batch-fail": {"run --name web --type batch -n 2 nginx", [][]api.Task{one(crashed, task(1, api.Running, "vps1")), one(crashed, task(1, api.Complete, "vps1"))}, 3, [2]time.Duration{0, time.Second}},
		"run-not-safe":   {"run --name web --stable 0 nginx", [][]api.Task{one(running)}, 1, [2]time.Duration{0, time.Second}},
		"run-detach":     {"run -d --name web nginx", nil, 3, [2]time.Duration{0, 0}},
		"run-json":       {"run -o json --stable 0 --name web nginx", [][]api.Task{one(running)}, 3, [2]time.Duration{0, time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newCluster(steps(c.looks...))
			f.disks = c.disks
			got, took := inTime(t, f, setup{args: strings.Fields(c.line)})
			if took < c.took[0] || took > c.took[1] {
				t.Errorf("took %s, want %s to %s", took, c.took[0], c.took[1])
			}
			checkGolden(t, name, "$ orch "+c.line+"\n"+got.text())
		})
	}
}

func TestRunIsRefused(t *testing.T) {
	taken := api.NewJob()
	taken.Name, taken.Generation, taken.CreatedAt = "web", 3, base.Add(-2*time.Hour)
	for name, f := range map[string]*fake{
		"run-exists":      {jobs: []api.Job{taken}},
		"run-unreachable": {err: errUnreachable()},
		"run-not-ready":   {err: &api.Error{Code: api.NotReady, Detail: "the node is starting", RetryAfter: 3 * time.Second}},
		"run-token":       {err: api.Errorf(api.Unauthorized, "this API needs a token")},
		"run-unknown":     {err: fmt.Errorf("127.0.0.1:7070: %w (broken pipe)", rest.ErrOutcomeUnknown)},
		"run-invalid":     {err: &api.Error{Code: api.UnknownField, Detail: "the body has fields that this version does not know", Fields: []api.FieldError{{Pointer: "#/pack", Detail: "is not a known field"}}, Hint: "this node runs orch 0.0.9"}},
	} {
		t.Run(name, func(t *testing.T) {
			checkGolden(t, name, "$ orch run --name web nginx\n"+orch(f, "run", "--name", "web", "nginx").text())
		})
	}
	got := orch(&fake{jobs: []api.Job{taken}}, "run", "-o", "json", "--name", "web", "nginx")
	if !strings.Contains(got.err, `#job_exists","title":"the job exists","status":409,"detail":"the name is taken`) || got.code != exitRefused {
		t.Errorf("with -o json: got %s, want the problem as JSON", got.text())
	}
}

func TestRunIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		f := newCluster(steps([]api.Task{task(0, api.Pulling, "home")}))
		got := call(f, setup{ctx: ctx, now: time.Now, args: []string{"run", "--name", "web", "nginx"}})
		if got.code != exitInterrupted || got.out != "" || !strings.Contains(got.err, "web goes on without being watched") {
			t.Errorf("got %s", got.text())
		}
	})
}

func TestRunIsDrawnInPlaceOnATerminal(t *testing.T) {
	f := newCluster(steps([]api.Task{task(0, api.Starting, "home")}, []api.Task{task(0, api.Starting, "home")}, []api.Task{task(0, api.Running, "home")}))
	got, _ := inTime(t, f, setup{terminal: true, args: []string{"run", "--name", "web", "--stable", "0", "nginx"}})
	want := "\x1b[?7lweb  1 slot  stored on 3 nodes  placed: home 1  0/1 running: 1 starting\n  web.0  starting on home\x1b[?7h\n" +
		"\x1b[2F\x1b[J\x1b[?7lweb  1 slot  stored on 3 nodes  placed: home 1  1/1 running\n  web.0  running on home\x1b[?7h\n"
	if got.err != want || got.out != "web\n" || got.code != 0 {
		t.Errorf("got\n%q\nwant\n%q\n(stdout %q, exit %d)", got.err, want, got.out, got.code)
	}
	got, _ = inTime(t, newCluster(f.tasks), setup{terminal: true, env: map[string]string{"TERM": "dumb"}, args: []string{"run", "--name", "web", "--stable", "0", "nginx"}})
	if strings.Contains(got.err, "\x1b") {
		t.Errorf("on a dumb terminal: got %q", got.err)
	}
}

func TestWaitingOutlastsAnAgentThatRestarts(t *testing.T) {
	running := []api.Task{task(0, api.Running, "home")}
	start := func(until int) *fake {
		return newCluster(func(look int) ([]api.Task, error) {
			if look < until {
				return nil, errUnreachable()
			}
			return running, nil
		})
	}
	got, _ := inTime(t, start(30), setup{args: []string{"run", "--name", "web", "nginx"}})
	if got.code != 0 || got.out != "web\n" {
		t.Errorf("after 4 s: got %s", got.text())
	}
	got, took := inTime(t, start(1000), setup{args: []string{"run", "--name", "web", "nginx"}})
	if got.code != exitUnreachable || took < patience || took > 2*patience || !strings.Contains(got.err, "cannot watch web, which was accepted") {
		t.Errorf("without end: after %s got %s", took, got.text())
	}
}

func TestRunMakesAName(t *testing.T) {
	f := newCluster(nil)
	got := orch(f, "run", "-d", "ghcr.io/acme/my_app.web:v2@sha256:"+strings.Repeat("a", 64))
	name := strings.TrimSpace(got.out)
	if !strings.HasPrefix(name, "my_app-web-") || len(name) != len("my_app-web-")+4 || !api.ValidJobName(name) {
		t.Errorf("got the name %q", name)
	}
	if got := orch(f, "run", "-d", "--driver", "process", "/bin/sleep", "1d"); !strings.HasPrefix(got.out, "sleep-") {
		t.Errorf("got %s", got.text())
	}
	if got := orch(f, "run", "-d", strings.Repeat("x", 200)); got.code != 0 {
		t.Errorf("of a long image: got %s", got.text())
	}
}
