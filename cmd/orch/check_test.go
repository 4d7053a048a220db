package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// checkedFake answers as checkedCluster has it.
func checkedFake() *fake {
	s := checkedCluster()
	for i := range s.nodes {
		s.nodes[i].ShortID, s.nodes[i].SeenAt = s.nodes[i].ID.Short(), base
	}
	return &fake{
		view: api.View{Node: "n1xxxxxx", Name: "n1", Alive: 3, Known: 3, Synced: true}, seen: true, nodes: s.nodes, jobs: s.jobs,
		tasks: func(int) ([]api.Task, error) { return s.tasks, nil },
	}
}

// A check looks until it is sure, prints what stands, and ends with the code for it.
func TestCheck(t *testing.T) {
	stray := api.Container{ID: "0123456789ab", Driver: "docker", Node: checkedID("n2"), Attempt: "web.0@1", Job: "web", Life: 7, Epoch: 1, State: "running",
		StopTimeout: api.Duration(10 * time.Second), Resources: api.Resources{CPUs: 100}}
	for name, c := range map[string]struct {
		line  string
		spoil func(*fake)
		code  int
		took  time.Duration
	}{
		"check":        {"check", func(*fake) {}, exitDone, 0},
		"check-no-job": {"check -o json", func(f *fake) { f.jobs, f.tasks = nil, func(int) ([]api.Task, error) { return nil, nil } }, exitDone, 0},
		"check-violated": {"check", func(f *fake) {
			f.digests, f.strays = map[string]string{"n3": "00000000000000bb"}, map[string][]api.Container{"n2": {stray}}
		}, exitFailed, 15 * time.Second},
		"check-json":  {"check -o ndjson", func(f *fake) { f.strays = map[string][]api.Container{"n2": {stray}} }, exitFailed, 15 * time.Second},
		"check-short": {"check --wait 5 -o csv", func(f *fake) { f.strays = map[string][]api.Container{"n2": {stray}} }, exitWaiting, 5 * time.Second},
		"check-moved": {"check", func(f *fake) {
			all, _ := f.tasks(0)
			f.tasks = func(look int) ([]api.Task, error) {
				list := append([]api.Task{}, all...)
				if look < 4 {
					list[2].State, list[2].Reason = api.Starting, "pulled"
					f.strays = map[string][]api.Container{"n2": {stray}}
				} else {
					f.strays = nil
				}
				return list, nil
			}
		}, exitDone, 3 * time.Second},
		"check-moving": {"check -o ndjson", func(f *fake) {
			of := f.tasks
			f.digests = map[string]string{}
			f.tasks = func(look int) ([]api.Task, error) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.digests["n2"] = fmt.Sprintf("00000000000000%02x", look)
				return of(look)
			}
		}, exitWaiting, 15 * time.Second},
		"check-dead": {"check", func(f *fake) {
			f.nodes[1].Status, f.nodes[1].Reason, f.mute = api.NodeFailed, "connection refused", "n3"
		}, exitWaiting, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := checkedFake()
				c.spoil(f)
				begun := time.Now()
				got := call(f, setup{args: strings.Fields(c.line), now: time.Now})
				if took := time.Since(begun); got.code != c.code || took != c.took {
					t.Errorf("exit %d after %v, want %d after %v", got.code, took, c.code, c.took)
				}
				checkGolden(t, name, "$ orch "+c.line+"\n"+got.text())
			})
		})
	}
}

// A node that cannot be asked at all is another matter than one that says nothing.
func TestCheckUnreachable(t *testing.T) {
	f := checkedFake()
	f.err = errUnreachable()
	if got := orch(f, "check"); got.code != exitUnreachable || got.out != "" || !strings.HasPrefix(got.err, "error: cannot check: ") {
		t.Errorf("got %s", got.text())
	}
}
