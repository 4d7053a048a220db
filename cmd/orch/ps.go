package main

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// A psCommand is orch ps.
type psCommand struct {
	env *Env
	listing
	all bool
}

func newPsCommand(env *Env) *cobra.Command {
	p := &psCommand{env: env}
	cmd := &cobra.Command{
		Use:        "ps [JOB...]",
		SuggestFor: []string{"tasks", "status"},
		Short:      "List tasks: where they are, and why one is not running",
		Long: `List tasks: where they are, and why one is not running.

A task is one replica of a job: web.0 is the first of job web.`,
		Example: `  orch ps -w web
  orch ps -f node=vps1 -f state=running
  orch ps -q -f state=pending`,
		RunE: func(cmd *cobra.Command, jobs []string) error { return p.run(cmd, jobs) },
	}
	p.register(cmd, taskFilters...)
	cmd.Flags().BoolVarP(&p.all, "all", "a", false, "ended tasks that are not wanted any more, too")
	return cmd
}

func (p *psCommand) run(cmd *cobra.Command, jobs []string) error {
	if err := checkListing[api.Task](&p.listing, p.env, cmd); err != nil {
		return err
	}
	questions, err := p.questions(cmd, jobs)
	if err != nil {
		return err
	}
	return taskKind(p.env, p.noTrunc).show(p.env, cmd, &p.listing, func(ctx context.Context, c client) (answer[api.Task], error) {
		a, err := readTasks(ctx, c, questions)
		if err != nil {
			return a, cannot("list tasks", err, p.env.Now())
		}
		slices.SortStableFunc(a.entries, func(a, b entry[api.Task]) int { return byIndex(a.value, b.value) })
		return a, nil
	})
}

// questions is one for each combination of what the filters allow.
func (p *psCommand) questions(cmd *cobra.Command, jobs []string) ([]api.TaskFilter, error) {
	keys, err := parseFilters(cmd, p.filters, taskFilters...)
	if err != nil {
		return nil, err
	}
	jobs = append(slices.Clone(jobs), keys["job"]...)
	if len(jobs) > 0 {
		if err := jobNames(cmd, jobs); err != nil {
			return nil, err
		}
	}
	if err := checkFilter(cmd, "state", keys["state"], taskStates); err != nil {
		return nil, err
	}
	orNone := func(values []string) []string {
		if len(values) == 0 {
			return []string{""}
		}
		return values
	}
	var all []api.TaskFilter
	for _, job := range orNone(jobs) {
		for _, node := range orNone(keys["node"]) {
			for _, state := range orNone(keys["state"]) {
				all = append(all, api.TaskFilter{Job: job, Node: node, State: api.TaskState(state), All: p.all})
			}
		}
	}
	return all, nil
}

// taskFilters are the keys of --filter, taskStates what state may be.
var (
	taskFilters = []string{"job", "node", "state"}
	taskStates  = words(api.Pending, api.Accepted, api.Pulling, api.Starting, api.Running,
		api.Stopping, api.Stopped, api.Failed, api.Complete, api.Lost)
)

// readTasks asks all questions; of several, the lists become one. No tasks of a
// job that is not there is an error.
func readTasks(ctx context.Context, c client, questions []api.TaskFilter) (answer[api.Task], error) {
	var all answer[api.Task]
	for i, q := range questions {
		if q.Node != "" { // so that one that is not there is no empty list
			node, err := c.Node(ctx, q.Node)
			if err != nil {
				return all, err
			}
			q.Node = string(node.ID)
		}
		a, err := readAll[api.Task](ctx, c, tasksPath(q), nil)
		if err == nil {
			err = mustExist(ctx, c, q, len(a.entries))
		}
		if err != nil {
			return all, err
		}
		if i == 0 {
			all = a
			continue
		}
		all.entries = append(all.entries, a.entries...)
		all.body = all.joined()
	}
	return all, nil
}

// mustExist tells a job without tasks from one that is not there.
func mustExist(ctx context.Context, c client, f api.TaskFilter, found int) error {
	if found > 0 || f.Job == "" {
		return nil
	}
	_, err := c.Job(ctx, f.Job)
	return err
}

// tasksPath is the question f as a path of the API.
func tasksPath(f api.TaskFilter) string {
	q := url.Values{}
	for key, value := range map[string]string{"job": f.Job, "node": f.Node, "state": string(f.State)} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.All {
		q.Set("all", "true")
	}
	if len(q) == 0 {
		return "/v1/tasks"
	}
	return "/v1/tasks?" + q.Encode()
}

// byIndex sorts web.2 before web.10.
func byIndex(a, b api.Task) int {
	return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Epoch, b.Epoch))
}

// taskKind is how tasks are printed; with whole container ids, if asked to.
func taskKind(env *Env, whole bool) kind[api.Task] {
	// placed is s, of a task that has a node.
	placed := func(t api.Task, s string) string {
		if t.Node == "" {
			return "-"
		}
		return s
	}
	return kind[api.Task]{
		name: func(t api.Task) string { return t.ID },
		key:  func(t api.Task) string { return t.Attempt },
		columns: []column[api.Task]{
			{head: "TASK", key: "id", cell: func(t api.Task) string { return t.ID }},
			{head: "NODE", key: "node_name", cell: func(t api.Task) string { return cmp.Or(t.NodeName, t.Node.Short(), "-") }},
			{key: "node", cell: func(t api.Task) string { return string(t.Node) }},
			{head: "STATE", key: "state", state: true, cell: func(t api.Task) string { return string(t.State) }},
			{head: "SINCE", key: "since", age: true, cell: func(t api.Task) string { return since(env.Now(), changedAt(t)) },
				value: func(t api.Task) string { return moment(changedAt(t)) }},
			{head: "RESTARTS", key: "restarts", cell: func(t api.Task) string { return placed(t, strconv.Itoa(t.Restarts)) }},
			{head: "CPUS", key: "cpus", cell: func(t api.Task) string { return t.Resources.CPUs.String() }},
			{head: "MEMORY", key: "memory", cell: func(t api.Task) string { return t.Resources.Memory.String() },
				value: func(t api.Task) string { return bytesValue(t.Resources.Memory) }},
			{head: "PORTS", key: "ports", cell: func(t api.Task) string { return portsText(t.Ports) }},
			{head: "ATTEMPT", key: "attempt", wide: true, cell: func(t api.Task) string { return t.Attempt }},
			{head: "DRIVER", key: "driver", wide: true, cell: func(t api.Task) string { return t.Driver }},
			{head: "IMAGE", key: "image", wide: true, cell: func(t api.Task) string { return cmp.Or(t.Image, "-") }},
			{head: "CONTAINER", key: "container_id", wide: true, value: func(t api.Task) string { return t.ContainerID },
				cell: func(t api.Task) string {
					if id := cmp.Or(t.ContainerID, "-"); whole || len(id) < 12 {
						return id
					}
					return t.ContainerID[:12]
				}},
			{head: "PID", key: "pid", wide: true, cell: func(t api.Task) string {
				if t.PID == 0 {
					return "-"
				}
				return strconv.Itoa(t.PID)
			}},
			{head: "EXIT", key: "exit_code", wide: true, cell: func(t api.Task) string {
				if t.ExitCode == nil {
					return "-"
				}
				return strconv.Itoa(*t.ExitCode)
			}},
			{head: "AUCTION", key: "auction", wide: true, cell: func(t api.Task) string { return cmp.Or(t.Auction, "-") }},
			{head: "REASON", key: "reason", cell: func(t api.Task) string { return cmp.Or(t.Stays, t.Reason) }, value: func(t api.Task) string { return t.Reason }},
			{key: "stays", cell: func(t api.Task) string { return t.Stays }},
		},
	}
}

// changedAt is when t came into its state, as near as is known.
func changedAt(t api.Task) time.Time {
	switch {
	case (t.State.Final() || t.State == api.Starting) && t.FinishedAt != nil: // starting, after a pause, what has ended
		return *t.FinishedAt
	case t.State == api.Running && t.StartedAt != nil:
		return *t.StartedAt
	}
	return t.CreatedAt
}

// portsText is "80->80/tcp", as docker writes it; a process has no inner port.
func portsText(ports []api.Port) string {
	var parts []string
	for _, p := range ports {
		s := strconv.Itoa(p.Published)
		if p.Target != 0 {
			s += "->" + strconv.Itoa(p.Target)
		}
		parts = append(parts, s+"/"+p.Protocol)
	}
	return strings.Join(parts, ", ")
}
