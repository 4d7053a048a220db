package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// running is a cluster with job web of two tasks, which the first looks show as
// they were, and the later ones replaced one after the other.
func rollingWeb() (*fake, api.Job) {
	old := api.NewJob()
	old.Name, old.Image, old.Replicas, old.Generation, old.ETag = "web", "nginx:1", 2, 1, "1-x"
	old.Env["A"] = "1"
	made := func(j api.Job, index int) api.Task {
		t := task(index, api.Running, "n1")
		t.TemplateHash = j.TemplateHash(0)
		return t
	}
	f := newCluster(nil)
	f.jobs = []api.Job{old}
	f.tasks = func(look int) ([]api.Task, error) {
		now := f.jobs[0]
		return []api.Task{made(map[bool]api.Job{true: now, false: old}[look > 3], 0), made(map[bool]api.Job{true: now, false: old}[look > 6], 1)}, nil
	}
	return f, old
}

func TestUpdate(t *testing.T) {
	for line, tt := range map[string]struct {
		change func(*api.Job)
		rolls  bool
	}{
		"update web --image nginx:2":                      {func(j *api.Job) { j.Image = "nginx:2" }, true},
		"update --image nginx:2 web":                      {func(j *api.Job) { j.Image = "nginx:2" }, true},
		"update web -e B=2 --env-rm A":                    {func(j *api.Job) { j.Env = map[string]string{"B": "2"} }, true},
		"update web -m 128m --cpus 0.5":                   {func(j *api.Job) { j.Resources = api.Resources{CPUs: 500, Memory: 128 << 20}; j.Limits = j.Resources }, true},
		"update web -p 8080:80":                           {func(j *api.Job) { j.Ports = []api.Port{{Target: 80, Published: 8080}} }, true},
		"update web -- sh -c exit":                        {func(j *api.Job) { j.Command = []string{"sh", "-c", "exit"} }, true},
		"update web --restart on-failure:5":               {func(j *api.Job) { j.Restart = api.Restart{Policy: "on-failure", Attempts: 5} }, false},
		"update web -l team=blue --max-parallel 3 -n 2":   {func(j *api.Job) { j.Labels = map[string]string{"team": "blue"}; j.MaxParallel = 3 }, false},
		"update web --on-partition freeze":                {func(j *api.Job) { j.OnPartition = "freeze" }, false},
		"update web --failover-after 1m --label-rm other": {func(j *api.Job) { j.FailoverAfter = api.Duration(time.Minute) }, false},
	} {
		f, want := rollingWeb()
		want.Env, want.Labels = maps.Clone(want.Env), maps.Clone(want.Labels)
		tt.change(&want)
		got, took := inTime(t, f, setup{args: strings.Fields(line)})
		if got.code != 0 || got.out != "web\n" || !slices.Equal(f.calls, []string{"put web if 1-x"}) {
			t.Errorf("%s: got %s and the calls %q", line, got.text(), f.calls)
		}
		if diff := want.Differs(f.jobs[0]); len(diff) > 0 {
			t.Errorf("%s: %v is not as asked: %+v", line, diff, f.jobs[0])
		}
		if rolled := took > time.Second+4*pollEvery; rolled != tt.rolls {
			t.Errorf("%s: waited for %v, rolls: %v", line, took, tt.rolls)
		}
	}
}

func TestUpdateBesideAnother(t *testing.T) {
	for what, tt := range map[string]struct {
		theirs func(*api.Job)
		code   int
		calls  []string
		say    string
	}{
		"another field":  {func(j *api.Job) { j.Replicas = 1 }, 0, []string{"put web if 1-x", "put web if 9-y"}, ""},
		"the same field": {func(j *api.Job) { j.Image = "other" }, exitRefused, []string{"put web if 1-x"}, "error: cannot update web: somebody else changed its image meanwhile (generation 9)"},
	} {
		f, _ := rollingWeb()
		f.beforePut = func(j *api.Job) {
			tt.theirs(j)
			j.Generation, j.ETag = 9, "9-y"
		}
		got, _ := inTime(t, f, setup{args: []string{"update", "-d", "web", "--image", "nginx:2"}})
		if got.code != tt.code || !slices.Equal(f.calls, tt.calls) || !strings.Contains(got.err, tt.say) {
			t.Errorf("%s: got %s and the calls %q, want exit %d, %q and %q", what, got.text(), f.calls, tt.code, tt.calls, tt.say)
		}
	}
	f, _ := rollingWeb()
	f.beforePut = func(j *api.Job) { j.ETag += "z" } // somebody else is always faster
	if got := orch(f, "update", "-d", "web", "--image", "nginx:2"); got.code != exitRefused || len(f.calls) != 2 {
		t.Errorf("always too late: got %s after %q, want exit %d after two tries", got.text(), f.calls, exitRefused)
	}
}

func TestUpdateIsRefused(t *testing.T) {
	for line, code := range map[string]int{
		"update":                           exitUsage,
		"update web":                       exitUsage,
		"update web -d":                    exitUsage,
		"update web nginx:2":               exitUsage,
		"update web --restart sometimes:x": exitUsage,
		"update web -e =":                  exitUsage,
		"update web api --image x":         exitUsage,
		"update nosuch --image x":          exitNotFound,
	} {
		f, _ := rollingWeb()
		if got := orch(f, strings.Fields(line)...); got.code != code || len(f.calls) > 0 {
			t.Errorf("%s: got %s and the calls %q, want exit %d and nothing written", line, got.text(), f.calls, code)
		}
	}
}

func TestUpdateThatFails(t *testing.T) {
	f, old := rollingWeb()
	f.tasks = func(int) ([]api.Task, error) {
		bad, waits := because(task(0, api.Failed, "n1"), "exited with code 1"), task(1, api.Running, "n1")
		bad.TemplateHash, waits.TemplateHash = f.jobs[0].TemplateHash(0), old.TemplateHash(0)
		return []api.Task{bad, waits}, nil
	}
	got, _ := inTime(t, f, setup{args: []string{"update", "web", "--image", "broken"}})
	if got.code != exitFailed || !strings.Contains(got.err, "web.0 failed on n1: exited with code 1") {
		t.Errorf("got %s, want exit %d and why", got.text(), exitFailed)
	}
}

func TestUpdateThatFitsNowhere(t *testing.T) {
	f, old := rollingWeb()
	f.tasks = func(look int) ([]api.Task, error) {
		stays := task(0, api.Running, "n1")
		stays.TemplateHash = old.TemplateHash(0)
		other := stays
		other.ID, other.Index = "web.1", 1
		if look > 1 {
			stays.Stays, other.Stays = "cannot be replaced: no room", "cannot be replaced: no room"
		}
		return []api.Task{stays, other}, nil
	}
	got, took := inTime(t, f, setup{args: []string{"update", "web", "-m", "64g"}})
	if got.code != exitWaiting || took > time.Minute || !strings.Contains(got.err, "\n  web.0-1 cannot be replaced: no room\nWhat runs stays until a node fits.") {
		t.Errorf("after %s got %s, want exit %d at once and why", took, got.text(), exitWaiting)
	}
}

func TestRunIfMatch(t *testing.T) {
	f, _ := rollingWeb()
	got, _ := inTime(t, f, setup{args: []string{"run", "--name", "web", "--if-match", "1-x", "-n", "2", "nginx:2"}})
	if got.code != 0 || f.jobs[0].Image != "nginx:2" || !slices.Equal(f.calls, []string{"put web if 1-x"}) {
		t.Errorf("got %s and the calls %q", got.text(), f.calls)
	}
	if got = orch(f, "run", "-d", "--name", "web", "--if-match", "1-x", "nginx:3"); got.code != exitRefused {
		t.Errorf("the ETag is old: got %s", got.text())
	}
}

func TestHistoryAndDryRun(t *testing.T) {
	for name, tt := range map[string]struct {
		line string
		code int
	}{
		"history":         {"history web", 0},
		"history-csv":     {"history web -o csv", 0},
		"dry-run":         {"run --dry-run --name web -n 2 nginx", exitWaiting},
		"dry-run-fits":    {"run --dry-run --name web nginx", 0},
		"dry-run-refused": {"run --dry-run --name web --if-match * nginx", exitRefused},
	} {
		f := newCluster(nil)
		got := orch(f, strings.Fields(tt.line)...)
		if got.code != tt.code || len(f.calls) > 0 {
			t.Errorf("%s: got %s and the calls %q, want exit %d and nothing written", tt.line, got.text(), f.calls, tt.code)
		}
		checkGolden(t, name, "$ orch "+tt.line+"\n"+got.text())
	}
}
