package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// recoverable is a cluster of which three nodes have set something aside: two of
// them the same job, in two versions; one has a file that cannot be read.
func recoverable() *fake {
	f := checkedFake()
	aside := func(node, file, job string, generation uint64) api.Aside {
		j := api.NewJob()
		j.Name, j.Image, j.Replicas, j.Generation, j.Driver = job, "nginx:1.27", 3, generation, "docker"
		return api.Aside{Job: job, Life: 7, Node: checkedID(node), NodeName: node, Time: base.Add(-time.Hour), Reason: "node n1 did not know it", Spec: &j,
			File: file, Path: "/var/lib/orch/aside/" + file}
	}
	nightly := aside("n3", "aside-2.json", "nightly", 1)
	nightly.Spec.Type, nightly.Complete = api.BatchJob, 2
	f.jobs, f.disks = nil, 3
	f.tasks = func(int) ([]api.Task, error) {
		list := []api.Task{task(0, api.Running, "n1"), task(1, api.Running, "n2"), task(2, api.Running, "n2")}
		return list, nil
	}
	f.asides = map[string][]api.Aside{
		"n2": {aside("n2", "aside-1.json", "web", 3)},
		"n3": {aside("n3", "aside-2.json", "web", 4), nightly, {Node: checkedID("n3"), NodeName: "n3", Time: base.Add(-25 * time.Hour), File: "aside-9.json",
			Path: "/var/lib/orch/aside/aside-9.json", Reason: "read what was set aside in aside-9.json: unexpected end of JSON input"}},
	}
	return f
}

func TestRecover(t *testing.T) {
	for name, c := range map[string]struct {
		line  string
		spoil func(*fake)
		code  int
		calls string
	}{
		"recover":         {"recover", nil, exitDone, ""},
		"recover-none":    {"recover", func(f *fake) { f.asides = nil }, exitDone, ""},
		"recover-node":    {"recover --node n2 -o json", nil, exitDone, ""},
		"recover-taken":   {"recover -o name", func(f *fake) { f.asides["n2"][0].Taken = true }, exitDone, ""},
		"recover-silent":  {"recover -o csv", func(f *fake) { f.nodes[1].Status, f.mute = api.NodeFailed, "n1" }, exitError, ""},
		"recover-job":     {"recover web", nil, exitDone, "restore web of aside-2.json from n3; submit web"},
		"recover-of-node": {"recover -d --node n2 web", nil, exitDone, "restore web of aside-1.json from n2; submit web"},
		"recover-file": {"recover -d /var/lib/orch/aside/aside-2.json", nil, exitDone,
			"restore nightly of aside-2.json from n3; submit nightly; restore web of aside-2.json from n3; submit web"},
		"recover-not":    {"recover nosuch", nil, exitNotFound, ""},
		"recover-broken": {"recover aside-9.json", nil, exitNotFound, ""},
		"recover-exists": {"recover -d web nightly", func(f *fake) {
			f.jobs = []api.Job{{Name: "web", Generation: 9, CreatedAt: base.Add(-time.Minute)}}
		}, exitRefused, "restore nightly of aside-2.json from n3; submit nightly; restore web of aside-2.json from n3"},
		"recover-stopped": {"recover web", func(f *fake) {
			f.asides["n3"][0].Stopped = true
			f.after = func(f *fake) {
				if len(f.jobs) > 0 {
					f.jobs[0].Status = &api.Status{State: api.JobStopped}
				}
			}
		}, exitDone, "restore web of aside-2.json from n3; submit web"},
	} {
		t.Run(name, func(t *testing.T) {
			f := recoverable()
			if c.spoil != nil {
				c.spoil(f)
			}
			got := orch(f, strings.Fields(c.line)...)
			if calls := strings.Join(f.calls, "; "); got.code != c.code || calls != c.calls {
				t.Errorf("exit %d after %q, want %d after %q", got.code, calls, c.code, c.calls)
			}
			checkGolden(t, name, "$ orch "+c.line+"\n"+got.text())
		})
	}
	f := recoverable()
	f.err = errUnreachable()
	if got := orch(f, "recover", "web"); got.code != exitUnreachable || len(f.calls) > 0 {
		t.Errorf("where nobody answers: got %s", got.text())
	}
}

// A job that several nodes have set aside is restored in its latest version.
func TestChoose(t *testing.T) {
	of := func(job string, life int64, generation uint64, file string) entry[api.Aside] {
		return entry[api.Aside]{value: api.Aside{Job: job, Life: life, Spec: &api.Job{Generation: generation}, File: file}}
	}
	all := answer[api.Aside]{entries: []entry[api.Aside]{
		of("web", 7, 2, "aside-1.json"), of("web", 7, 3, "aside-2.json"), of("web", 5, 9, "aside-3.json"), of("db", 7, 1, "aside-1.json"),
		{value: api.Aside{File: "aside-4.json"}},
	}}
	for words, want := range map[string]string{
		"web":                       "web aside-2.json 0",
		"aside-1.json":              "db aside-1.json web aside-1.json 0",
		"aside-1.json web":          "db aside-1.json web aside-2.json 0",
		"aside-4.json":              "1",
		"nosuch db":                 "db aside-1.json 1",
		"aside-3.json aside-2.json": "web aside-2.json 0",
	} {
		chosen, missing := choose(all, strings.Fields(words))
		var got []string
		for _, a := range chosen {
			got = append(got, a.Job, a.File)
		}
		got = append(got, string(rune('0'+len(missing))))
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: chosen are %v, want %s", words, got, want)
		}
	}
}
