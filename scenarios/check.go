package scenarios

import (
	"context"
	"fmt"
	"runtime"

	"github.com/exitae337/orchestergo/api"
)

// Procs are the processes of all tasks of the lab, from the process table.
func (l *Lab) Procs() ([]Proc, error) { return procsIn(l.dir) }

// CheckJob says what keeps a job from being as it should be: every node that is
// alive says that so many tasks run, all say the same of where, each is on a node
// that is alive, and the process table has exactly one copy of each there.
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
	return l.checkProcs(job, first)
}

// checkProcs compares what the API says with the process table.
func (l *Lab) checkProcs(job string, running map[string]api.Task) error {
	if runtime.GOOS != "linux" { // elsewhere the table hides whose a process is
		return nil
	}
	procs, err := l.Procs()
	if err != nil {
		return err
	}
	copies := Copies(procs)
	for _, p := range procs {
		id, err := api.ParseTaskID(p.Task)
		if err != nil {
			return fmt.Errorf("process %d: %w", p.PID, err)
		}
		if id.Job != job {
			continue
		}
		t, ok := running[p.Task]
		switch {
		case !ok:
			return fmt.Errorf("process %d is of %s@%d, which nobody says runs", p.PID, p.Task, p.Epoch)
		case len(copies[p.Task]) > 1:
			return fmt.Errorf("%s runs %d times: %v", p.Task, len(copies[p.Task]), copies[p.Task])
		case p.Node != t.Node || p.Epoch != t.Epoch:
			return fmt.Errorf("process %d is of %s@%d of another node than %s, which is said to run it", p.PID, p.Task, p.Epoch, t.NodeName)
		}
	}
	for id, t := range running {
		if len(copies[id]) == 0 {
			return fmt.Errorf("%s is said to run on %s, and no process is of it", t.Attempt, t.NodeName)
		}
	}
	return nil
}

// CheckGone says what is left of a job that was removed: a node that lists it, or
// a process.
func (l *Lab) CheckGone(ctx context.Context, job string) error {
	for _, n := range l.Alive() {
		switch _, err := n.client.Job(ctx, job); {
		case err == nil:
			return fmt.Errorf("%s has the removed job %s", n.Name, job)
		case api.CodeOf(err) != api.JobNotFound:
			return fmt.Errorf("ask %s for the removed job %s: %w", n.Name, job, err)
		}
	}
	return l.checkProcs(job, nil)
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
