package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// withJobs is a cluster that has jobs, of which tasks tells by the look.
func withJobs(tasks func(look int) ([]api.Task, error), names ...string) *fake {
	f := newCluster(tasks)
	for _, name := range names {
		j := api.NewJob()
		j.Name, j.Image = name, "nginx"
		f.jobs = append(f.jobs, j)
	}
	return f
}

func unwanted(t api.Task) api.Task {
	t.Desired = "stopped"
	return t
}

func TestChanges(t *testing.T) {
	running, other := task(0, api.Running, "n1"), task(1, api.Running, "n2")
	renewed := running
	renewed.TemplateHash, renewed.Attempt = "bbbb", "web.0@2"
	stopping, stopped := unwanted(task(0, api.Stopping, "n1")), unwanted(task(0, api.Stopped, "n1"))
	later := running
	later.Life = 8
	list := func(ts ...api.Task) []api.Task { return ts }
	for name, c := range map[string]struct {
		line  string
		looks [][]api.Task
		code  int
		out   string
		err   string
		calls []string
		took  [2]time.Duration
	}{
		"scale up": {"scale web=2", [][]api.Task{list(running), list(running), list(running), list(running, other)}, 0, "web\n", "web 2/2 running",
			[]string{"scale to 2 web"}, [2]time.Duration{300 * time.Millisecond, time.Second}},
		"scale down": {"scale web 1", [][]api.Task{list(running, other), list(running, unwanted(other)), list(running, unwanted(other)), list(running)}, 0, "web\n", "web 1/1 running: 1 to stop",
			[]string{"scale to 1 web"}, [2]time.Duration{300 * time.Millisecond, time.Second}},
		"scale, no room": {"scale web=2", [][]api.Task{list(running, because(task(1, api.Pending, ""), "no room"))}, exitWaiting, "", "web.1 no room\nThe job is kept",
			[]string{"scale to 2 web"}, [2]time.Duration{0, time.Second}},
		"stop": {"stop web", [][]api.Task{list(running), list(unwanted(running)), list(stopping), list(stopped)}, 0, "web\n", "web.0 stopping on n1",
			[]string{"stop web"}, [2]time.Duration{300 * time.Millisecond, time.Second}},
		"stop takes too long": {"stop --timeout 3s web", [][]api.Task{list(stopping)}, exitWaiting, "", "Not all stopped after 3s",
			[]string{"stop web"}, [2]time.Duration{3 * time.Second, 4 * time.Second}},
		"stop detached": {"stop -d web", [][]api.Task{list(stopping)}, 0, "web\n", "stored on 3 nodes",
			[]string{"stop web"}, [2]time.Duration{0, 0}},
		"stop with a dead node": {"stop web", [][]api.Task{list(task(0, api.Lost, "n1"))}, 0, "web\n", "warning: web.0 was on n1, which is not alive",
			[]string{"stop web"}, [2]time.Duration{0, time.Second}},
		"rm": {"rm web", [][]api.Task{list(running), list(stopping), list(stopped)}, 0, "web\n", "web none left\n",
			[]string{"remove web"}, [2]time.Duration{100 * time.Millisecond, time.Second}},
		"rm, made anew meanwhile": {"rm web", [][]api.Task{list(running), list(stopping), list(later)}, 0, "web\n", "",
			[]string{"remove web"}, [2]time.Duration{100 * time.Millisecond, time.Second}},
		"rm as JSON": {"rm -o json web", [][]api.Task{nil}, 0, `{"name":"web"`, "", []string{"remove web"}, [2]time.Duration{0, time.Second}},
		"rm of several, one is not there": {"rm web nosuch api", [][]api.Task{nil}, exitNotFound, "web\napi\n", "error: cannot remove nosuch: there is no job nosuch",
			[]string{"remove web", "remove api"}, [2]time.Duration{0, time.Second}},
		"restart": {"restart web", [][]api.Task{list(running), list(running), list(running), list(running), list(renewed)}, 0, "web\n", "",
			[]string{"restart web"}, [2]time.Duration{300 * time.Millisecond, time.Second}},
		"restart that never ends": {"restart --timeout 2s web", [][]api.Task{list(running)}, exitWaiting, "", "Not as asked after 2s",
			[]string{"restart web"}, [2]time.Duration{2 * time.Second, 3 * time.Second}},
	} {
		f := withJobs(steps(c.looks...), "web", "api")
		got, took := inTime(t, f, setup{args: strings.Fields(c.line)})
		if got.code != c.code || !strings.HasPrefix(got.out, c.out) || (c.out == "") != (got.out == "") || !strings.Contains(got.err, c.err) {
			t.Errorf("%s: got %s\nwant exit %d, %q, and %q on stderr", name, got.text(), c.code, c.out, c.err)
		}
		if !slices.Equal(f.calls, c.calls) {
			t.Errorf("%s: got the calls %q, want %q", name, f.calls, c.calls)
		}
		if took < c.took[0] || took > c.took[1] {
			t.Errorf("%s: took %s, want %s to %s", name, took, c.took[0], c.took[1])
		}
	}
}

func TestAJobThatIsStopped(t *testing.T) {
	f := withJobs(steps(nil, nil, []api.Task{task(0, api.Running, "n1")}), "web")
	f.jobs[0].Status = &api.Status{State: api.JobStopped}
	got, _ := inTime(t, f, setup{args: []string{"scale", "web=1"}})
	if got.code != 0 || !strings.Contains(got.err, "web is stopped, and stays so") {
		t.Errorf("scale: got %s", got.text())
	}
	if got, _ = inTime(t, f, setup{args: []string{"restart", "web"}}); got.code != 0 || !strings.Contains(got.err, "web 1/1 running") {
		t.Errorf("restart: got %s", got.text())
	}
	f = newCluster(steps([]api.Task{task(0, api.Starting, "n1")}))
	f.after = func(f *fake) { f.jobs[0].Status = &api.Status{State: api.JobStopped} }
	got, _ = inTime(t, f, setup{args: []string{"run", "--name", "web", "nginx"}})
	if got.code != exitRefused || !strings.Contains(got.err, "web was stopped by somebody meanwhile") {
		t.Errorf("run: got %s", got.text())
	}
}

func TestDrainTellsHowItComesAlong(t *testing.T) {
	f := exampleCluster()
	f.drains = api.NodeDraining
	on := func(index int) api.Task {
		one := task(index, api.Running, "home")
		one.Node = f.nodes[2].ID
		return one
	}
	f.tasks = func(look int) ([]api.Task, error) {
		stays := on(1)
		stays.Stays = "cannot move: no room"
		switch {
		case look < 3:
			return []api.Task{on(0), on(1)}, nil
		case look < 4:
			return []api.Task{on(1)}, nil
		case look < 6:
			return []api.Task{stays}, nil
		}
		f.nodes[2].Status = api.NodeDrained
		return nil, nil
	}
	got, _ := inTime(t, f, setup{args: []string{"node", "drain", "home"}})
	var told []string
	for line := range strings.Lines(got.err) {
		_, line, _ = strings.Cut(line, " ")
		told = append(told, strings.TrimSpace(line))
	}
	if want := []string{"home draining: 2 tasks left", "home draining: 1 task left", "web.1 cannot move: no room", "home draining: 0 tasks left"}; got.code != 0 || got.out != "home\n" || !slices.Equal(told, want) {
		t.Errorf("got %s, want %q", got.text(), want)
	}
}

// TestDrainThatTakesTooLong names what was left when it was last seen, also if the
// last look failed.
func TestDrainThatTakesTooLong(t *testing.T) {
	f := exampleCluster()
	f.drains = api.NodeDraining
	f.tasks = func(look int) ([]api.Task, error) {
		if look > 3 {
			return nil, context.DeadlineExceeded
		}
		left := task(0, api.Running, "home")
		left.Node, left.Stays = f.nodes[2].ID, "cannot move: no room"
		return []api.Task{left}, nil
	}
	got, _ := inTime(t, f, setup{args: []string{"node", "drain", "home", "--timeout", "2s"}})
	if want := "\nhome still has web.0; it goes on draining. orch explain says why a task does not move\n  web.0 cannot move: no room\n"; got.code != exitWaiting || !strings.HasSuffix(got.err, want) {
		t.Errorf("got %s, want exit %d and %q", got.text(), exitWaiting, want)
	}
}
