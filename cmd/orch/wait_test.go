package main

import (
	"testing"

	"github.com/exitae337/orchestergo/api"
)

func TestJudge(t *testing.T) {
	ended := api.Job{Replicas: 1, Status: &api.Status{State: api.JobStopped}}
	again := task(0, api.Pending, "")
	again.Failures = 1
	leftover := task(3, api.Running, "n1")
	other := task(1, api.Running, "n1")
	other.TemplateHash = "bbbb"
	stays := task(0, api.Running, "n1")
	stays.Stays = "cannot be replaced: no room"
	old := map[string]bool{"aaaa": true}
	for name, c := range map[string]struct {
		job   api.Job
		slots []api.Task
		extra []api.Task
		old   map[string]bool
		want  verdict
	}{
		"nothing yet":             {job: api.Job{Replicas: 1}, want: going},
		"nothing wanted":          {job: api.Job{Replicas: 0}, want: reached},
		"scaled down, one left":   {job: api.Job{Replicas: 0}, extra: []api.Task{leftover}, want: going},
		"all run":                 {job: api.Job{Replicas: 2}, slots: []api.Task{task(0, api.Running, "n1"), task(1, api.Running, "n1")}, want: reached},
		"one of two":              {job: api.Job{Replicas: 2}, slots: []api.Task{task(0, api.Running, "n1")}, want: going},
		"pulling":                 {job: api.Job{Replicas: 1}, slots: []api.Task{task(0, api.Pulling, "n1")}, want: going},
		"pending, not yet asked":  {job: api.Job{Replicas: 1}, slots: []api.Task{task(0, api.Pending, "")}, want: going},
		"pending, refused":        {job: api.Job{Replicas: 1}, slots: []api.Task{because(task(0, api.Pending, ""), "no room")}, want: stuck},
		"one runs, one refused":   {job: api.Job{Replicas: 2}, slots: []api.Task{task(0, api.Running, "n1"), because(task(1, api.Pending, ""), "no room")}, want: stuck},
		"one pulls, one refused":  {job: api.Job{Replicas: 2}, slots: []api.Task{task(0, api.Pulling, "n1"), because(task(1, api.Pending, ""), "no room")}, want: going},
		"failed":                  {job: api.Job{Replicas: 1}, slots: []api.Task{task(0, api.Failed, "n1")}, want: failed},
		"failed, to be tried":     {job: api.Job{Replicas: 1}, slots: []api.Task{again}, want: failed},
		"failed and refused":      {job: api.Job{Replicas: 2}, slots: []api.Task{task(0, api.Failed, "n1"), because(task(1, api.Pending, ""), "no room")}, want: failed},
		"failed, other starts":    {job: api.Job{Replicas: 2}, slots: []api.Task{task(0, api.Failed, "n1"), task(1, api.Starting, "n1")}, want: going},
		"lost":                    {job: api.Job{Replicas: 1}, slots: []api.Task{task(0, api.Lost, "n1")}, want: going},
		"stopped by somebody":     {job: ended, slots: []api.Task{task(0, api.Running, "n1")}, want: 4},
		"batch runs":              {job: api.Job{Type: api.BatchJob, Replicas: 1}, slots: []api.Task{task(0, api.Running, "n1")}, want: going},
		"batch complete":          {job: api.Job{Type: api.BatchJob, Replicas: 1}, slots: []api.Task{task(0, api.Complete, "n1")}, want: reached},
		"batch half complete":     {job: api.Job{Type: api.BatchJob, Replicas: 2}, slots: []api.Task{task(0, api.Complete, "n1"), task(1, api.Running, "n1")}, want: going},
		"batch failed, other not": {job: api.Job{Type: api.BatchJob, Replicas: 2}, slots: []api.Task{task(0, api.Complete, "n1"), task(1, api.Failed, "n1")}, want: failed},
		"restart: old copy":       {job: api.Job{Replicas: 1}, slots: []api.Task{task(0, api.Running, "n1")}, old: old, want: going},
		"restart: old failure":    {job: api.Job{Replicas: 1}, slots: []api.Task{task(0, api.Failed, "n1")}, old: old, want: going},
		"restart: new copy":       {job: api.Job{Replicas: 1}, slots: []api.Task{other}, old: old, want: reached},
		"restart: half":           {job: api.Job{Replicas: 2}, slots: []api.Task{task(0, api.Running, "n1"), other}, old: old, want: going},
		"restart: of a restart":   {job: api.Job{Replicas: 2}, slots: []api.Task{task(0, api.Running, "n1"), other}, old: map[string]bool{"cccc": true}, want: going},
		"restart: nobody takes":   {job: api.Job{Replicas: 2}, slots: []api.Task{stays, other}, old: old, want: stuck},
		"restart: one has a turn": {job: api.Job{Replicas: 2}, slots: []api.Task{stays, task(1, api.Running, "n1")}, old: old, want: going},
		"drained, not asked for":  {job: api.Job{Replicas: 1}, slots: []api.Task{stays}, want: reached},
		"restart: batch complete": {job: api.Job{Type: api.BatchJob, Replicas: 1}, slots: []api.Task{task(0, api.Complete, "n1")}, old: old, want: reached},
	} {
		if got := judge(look{job: c.job, slots: c.slots, extra: c.extra}, c.old); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		in   []int
		want string
	}{{nil, ""}, {[]int{3}, "3"}, {[]int{2, 0, 1, 2}, "0-2"}, {[]int{9, 4, 5, 0}, "0,4-5,9"}} {
		if got := ranges(c.in); got != c.want {
			t.Errorf("ranges(%v): got %q, want %q", c.in, got, c.want)
		}
	}
}
