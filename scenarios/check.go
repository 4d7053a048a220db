package scenarios

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/exitae337/orchestergo/api"
)

// Procs are the processes of all tasks of the lab, from the process table.
func (l *Lab) Procs() ([]Proc, error) { return procsIn(l.dir) }

// CheckJob says what keeps a job from being as it should be: every node that is
// alive says that so many tasks run, all say the same of where, each is on a node
// that is alive, and the process table, or an engine, has exactly one copy of each.
func (l *Lab) CheckJob(ctx context.Context, job string, want int) error {
	var first map[string]api.Task
	alive := l.Alive()
	for _, n := range alive {
		tasks, err := n.client.Tasks(ctx, api.TaskFilter{Job: job})
		if err != nil {
			return fmt.Errorf("ask %s: %w", n.Name, err)
		}
		running := map[string]api.Task{}
		for _, t := range tasks {
			if t.State == api.Running {
				running[t.ID] = t
			}
		}
		if len(running) != want {
			return fmt.Errorf("%s says that %d of %s run, want %d: %s", n.Name, len(running), job, want, Brief(tasks))
		}
		if first == nil {
			first = running
		}
		for id, t := range running {
			if o := first[id]; o.Node != t.Node || o.Epoch != t.Epoch {
				return fmt.Errorf("%s says that %s is on %s, %s says on %s", n.Name, t.Attempt, t.NodeName, alive[0].Name, o.NodeName)
			}
			if owner := l.NodeByID(t.Node); owner == nil || !owner.Running() {
				return fmt.Errorf("%s says that %s runs on %s, which is dead", n.Name, t.Attempt, t.NodeName)
			}
		}
	}
	return l.checkMachine(ctx, job, first)
}

// A sighting is a copy of a task that the machine itself shows to run.
type sighting struct {
	what  string // "process 12" or "container 0123456789ab"
	copy  string // the same for all that is of one copy
	id    string // of that copy, as the API has it
	task  string
	epoch uint64
	node  api.NodeID
}

// sightings are all processes and running containers of the lab.
func (l *Lab) sightings(ctx context.Context) ([]sighting, error) {
	var seen []sighting
	if runtime.GOOS == "linux" { // elsewhere the table hides whose a process is
		procs, err := l.Procs()
		if err != nil {
			return nil, err
		}
		for _, p := range procs {
			seen = append(seen, sighting{fmt.Sprintf("process %d", p.PID), p.Dir, filepath.Base(p.Dir), p.Task, p.Epoch, p.Node})
		}
	}
	containers, err := l.Containers(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range containers {
		if c.Runs() {
			seen = append(seen, sighting{fmt.Sprintf("container %.12s", c.ID), c.ID, c.ID, c.Task, c.Epoch, c.Node})
		}
	}
	return seen, nil
}

// checkMachine compares what the API says with the process table and the engine.
func (l *Lab) checkMachine(ctx context.Context, job string, running map[string]api.Task) error {
	if runtime.GOOS != "linux" && len(l.engines) == 0 {
		return nil
	}
	seen, err := l.sightings(ctx)
	if err != nil {
		return err
	}
	copies := map[string]string{}
	for _, s := range seen {
		id, err := api.ParseTaskID(s.task)
		if err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		if id.Job != job {
			continue
		}
		t, ok := running[s.task]
		other := copies[s.task]
		switch {
		case !ok:
			return fmt.Errorf("%s is of %s@%d, which nobody says runs", s.what, s.task, s.epoch)
		case other != "" && other != s.copy:
			return fmt.Errorf("%s runs more than once: %s and %s", s.task, other, s.copy)
		case s.node != t.Node || s.id != t.ContainerID: // its epoch may be an earlier one: a node that is awarded what it runs keeps it
			return fmt.Errorf("%s is of %s@%d, and %s is said to run %s as %s", s.what, s.task, s.epoch, t.NodeName, t.Attempt, t.ContainerID)
		}
		copies[s.task] = s.copy
	}
	for id, t := range running {
		if copies[id] == "" {
			return fmt.Errorf("%s is said to run on %s, and nothing on the machine is of it", t.Attempt, t.NodeName)
		}
	}
	return nil
}

// CheckGone says what is left of a job that was removed: a node that lists it, or
// something that runs.
func (l *Lab) CheckGone(ctx context.Context, job string) error {
	for _, n := range l.Alive() {
		switch _, err := n.client.Job(ctx, job); {
		case err == nil:
			return fmt.Errorf("%s has the removed job %s", n.Name, job)
		case api.CodeOf(err) != api.JobNotFound:
			return fmt.Errorf("ask %s for the removed job %s: %w", n.Name, job, err)
		}
	}
	return l.checkMachine(ctx, job, nil)
}

// Brief is a line about tasks: where each is, and why it does not run.
func Brief(tasks []api.Task) string {
	s := ""
	for i, t := range tasks {
		if i > 0 {
			s += ", "
		}
		switch {
		case t.State == api.Running:
			s += t.Attempt + " on " + t.NodeName
		case t.Reason != "":
			s += fmt.Sprintf("%s %s (%s)", t.Attempt, t.State, t.Reason)
		default:
			s += t.Attempt + " " + string(t.State)
		}
	}
	return s
}
