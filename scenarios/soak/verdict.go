package soak

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/exitae337/orchestergo/api"
)

// An Account is what one node says.
type Account struct {
	Node  string
	ID    api.NodeID
	Jobs  []api.Job
	Tasks []api.Task // wanted ones
}

// verdict says what is wrong with a cluster that should have settled: accounts are of all
// nodes, copies what the process table has, and judge knows what each job may be.
func verdict(accounts []Account, copies []Copy, names []string, judge func(string, *api.Job) error) []string {
	if len(accounts) == 0 {
		return []string{"nobody says anything"}
	}
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	first := accounts[0]
	jobs := map[string]*api.Job{}
	for i := range first.Jobs {
		jobs[first.Jobs[i].Name] = &first.Jobs[i]
	}
	for _, name := range union(names, slices.Collect(maps.Keys(jobs))) {
		if err := judge(name, jobs[name]); err != nil {
			say("%v", err)
		}
	}
	for _, other := range accounts[1:] {
		wrong = append(wrong, differ(first, other)...)
	}
	runs := map[string]api.Task{}
	for _, t := range first.Tasks {
		if j := jobs[t.Job]; j != nil {
			if why := unlike(j, t); why != "" {
				say("%s: %s", t.Attempt, why)
			}
		}
		if t.State == api.Running {
			runs[t.ID] = t
		}
	}
	for _, j := range first.Jobs {
		if got := count(first.Tasks, j.Name); got != slots(&j) {
			say("job %s wants %d tasks and has %d", j.Name, slots(&j), got)
		}
	}
	return append(wrong, onMachine(runs, jobs, copies, accounts)...)
}

// slots is how many tasks a job wants.
func slots(j *api.Job) int {
	if j.Status != nil && j.Status.State == api.JobStopped {
		return 0
	}
	return j.Replicas
}

func count(tasks []api.Task, job string) int {
	n := 0
	for _, t := range tasks {
		if t.Job == job && t.Desired != "stopped" {
			n++
		}
	}
	return n
}

// unlike says how a task is not as its job wants it.
func unlike(j *api.Job, t api.Task) string {
	switch {
	case t.Desired == "stopped":
		return ""
	case j.Type == api.BatchJob && t.State == api.Complete:
		return ""
	case t.State != api.Running || j.Type == api.BatchJob:
		return fmt.Sprintf("it is %s (%s)", t.State, t.Reason)
	case t.TemplateHash != j.Template:
		return "it is of an earlier specification"
	}
	return ""
}

// differ says in what two nodes do not agree.
func differ(a, b Account) []string {
	var wrong []string
	jobs := func(of Account) map[string]string {
		all := map[string]string{}
		for _, j := range of.Jobs {
			all[j.Name] = j.ETag
		}
		return all
	}
	tasks := func(of Account) map[string]string {
		all := map[string]string{}
		for _, t := range of.Tasks {
			all[t.ID] = fmt.Sprintf("%s %s on %s", t.Attempt, t.State, t.NodeName)
		}
		return all
	}
	for what, of := range map[string]func(Account) map[string]string{"job": jobs, "task": tasks} {
		left, right := of(a), of(b)
		for _, name := range union(slices.Collect(maps.Keys(left)), slices.Collect(maps.Keys(right))) {
			if left[name] != right[name] {
				wrong = append(wrong, fmt.Sprintf("%s says of %s %s %q, %s says %q", a.Node, what, name, left[name], b.Node, right[name]))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// onMachine holds what is said to run against what does.
func onMachine(runs map[string]api.Task, jobs map[string]*api.Job, copies []Copy, accounts []Account) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	alive := map[api.NodeID]bool{}
	for _, a := range accounts {
		alive[a.ID] = true
	}
	seen := map[string]Copy{}
	for _, c := range copies {
		t, ok := runs[c.Task]
		other, twice := seen[c.Task]
		switch {
		case !ok:
			say("a process of %s@%d runs at %s, and nobody says so", c.Task, c.Epoch, c.Node.Short())
		case twice:
			say("%s runs twice: %s and %s", c.Task, other.Dir, c.Dir)
		case c.Node != t.Node || filepath.Base(c.Dir) != t.ContainerID:
			say("the process of %s is of %s at %s, and %s is said to run at %s", c.Task, filepath.Base(c.Dir), c.Node.Short(), t.ContainerID, t.NodeName)
		case jobs[t.Job] != nil && c.Spec != jobs[t.Job].Env[specVar]:
			say("%s runs specification %s, and its job has %s", c.Task, c.Spec, jobs[t.Job].Env[specVar])
		}
		seen[c.Task] = c
	}
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		if _, ok := seen[id]; !ok {
			say("%s is said to run at %s, and no process is of it", runs[id].Attempt, runs[id].NodeName)
		}
		if !alive[runs[id].Node] {
			say("%s is said to run at %s, which is dead", runs[id].Attempt, runs[id].NodeName)
		}
	}
	return wrong
}

// union are all of both, sorted.
func union[T cmp.Ordered](a, b []T) []T {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}
