package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
		Use:   "ps [JOB...]",
		Short: "List tasks: where they are, and why one is not running",
		Long: `List tasks: where they are, and why one is not running.

A task is one replica of a job: web.0 is the first of job web.`,
		RunE: func(cmd *cobra.Command, jobs []string) error { return p.run(cmd, jobs) },
	}
	p.register(cmd, "job", "node", "state")
	cmd.Flags().BoolVarP(&p.all, "all", "a", false, "ended tasks that are not wanted any more, too")
	return cmd
}

func (p *psCommand) run(cmd *cobra.Command, jobs []string) error {
	if err := p.check(cmd); err != nil {
		return err
	}
	filters, err := p.taskFilters(cmd, jobs)
	if err != nil {
		return err
	}
	answer := ask
	if p.watch {
		answer = with
	}
	return answer(p.env, cmd, func(ctx context.Context, c client) error {
		if p.output == "json" {
			return p.json(ctx, c, filters)
		}
		return p.show(p.env, cmd, func(out io.Writer) error {
			tasks, err := tasksOf(ctx, c, filters)
			if err != nil {
				return cannot("list tasks", err, p.env.Now())
			}
			return p.print(out, tasks)
		})
	})
}

// taskFilters makes one question for each job, or one for all.
func (p *psCommand) taskFilters(cmd *cobra.Command, jobs []string) ([]api.TaskFilter, error) {
	keys, err := parseFilters(cmd, p.filters, "job", "node", "state")
	if err != nil {
		return nil, err
	}
	if keys["job"] != "" {
		jobs = append(jobs, keys["job"])
	}
	if len(jobs) > 0 {
		if err := jobNames(cmd, jobs); err != nil {
			return nil, err
		}
	}
	state := api.TaskState(keys["state"])
	states := []api.TaskState{api.Pending, api.Accepted, api.Pulling, api.Starting, api.Running,
		api.Stopping, api.Stopped, api.Failed, api.Complete, api.Lost}
	if state != "" && !slices.Contains(states, state) {
		return nil, usageError(cmd, "%q is none of the states %s", state, strings.Trim(fmt.Sprint(states), "[]"))
	}
	if len(jobs) == 0 {
		jobs = []string{""}
	}
	var filters []api.TaskFilter
	for _, job := range jobs {
		filters = append(filters, api.TaskFilter{Job: job, Node: keys["node"], State: state, All: p.all})
	}
	return filters, nil
}

// tasksOf asks for all filters. No tasks of a job that is not there is an error.
func tasksOf(ctx context.Context, c client, filters []api.TaskFilter) ([]api.Task, error) {
	var all []api.Task
	for _, f := range filters {
		tasks, err := c.Tasks(ctx, f)
		if err != nil {
			return nil, err
		}
		if err := mustExist(ctx, c, f, len(tasks)); err != nil {
			return nil, err
		}
		all = append(all, tasks...)
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

// json prints the API's own answer; of several jobs, their lists as one.
func (p *psCommand) json(ctx context.Context, c client, filters []api.TaskFilter) error {
	var bodies [][]byte
	var all []json.RawMessage
	for _, f := range filters {
		body, err := c.Raw(ctx, tasksPath(f))
		if err != nil {
			return cannot("list tasks", err, p.env.Now())
		}
		var items []json.RawMessage
		if err := json.Unmarshal(body, &items); err != nil {
			return cannot("list tasks", fmt.Errorf("the answer is no list: %w", err), p.env.Now())
		}
		if err := mustExist(ctx, c, f, len(items)); err != nil {
			return cannot("list tasks", err, p.env.Now())
		}
		bodies, all = append(bodies, body), append(all, items...)
	}
	if len(bodies) > 1 {
		bodies = [][]byte{joinJSON(all)}
	}
	_, err := p.env.Stdout.Write(bodies[0])
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

func (p *psCommand) print(out io.Writer, tasks []api.Task) error {
	slices.SortStableFunc(tasks, byIndex)
	if p.output == "name" {
		for _, t := range tasks {
			if _, err := fmt.Fprintln(out, clean(t.ID)); err != nil {
				return err
			}
		}
		return nil
	}
	t := p.table(p.env, "TASK", "NODE", "STATE", "SINCE", "RESTARTS", "CPUS", "MEMORY", "PORTS")
	if p.wide() {
		t.header = append(t.header, "ATTEMPT", "DRIVER", "IMAGE", "CONTAINER", "PID", "EXIT", "AUCTION")
	}
	t.header = append(t.header, "REASON")
	for _, task := range tasks {
		t.add(p.row(task)...)
	}
	return t.print(out)
}

// byIndex sorts web.2 before web.10.
func byIndex(a, b api.Task) int {
	return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Epoch, b.Epoch))
}

// row is one task.
func (p *psCommand) row(t api.Task) []string {
	node, restarts := "-", "-"
	if t.Node != "" {
		node, restarts = cmp.Or(t.NodeName, t.Node.Short()), strconv.Itoa(t.Restarts)
	}
	row := []string{t.ID, node, string(t.State), since(p.env.Now(), changedAt(t)), restarts,
		t.Resources.CPUs.String(), t.Resources.Memory.String(), portsText(t.Ports)}
	if p.wide() {
		container, pid, code := t.ContainerID, "-", "-"
		if !p.noTrunc {
			container = container[:min(len(container), 12)]
		}
		if t.PID != 0 {
			pid = strconv.Itoa(t.PID)
		}
		if t.ExitCode != nil {
			code = strconv.Itoa(*t.ExitCode)
		}
		row = append(row, t.Attempt, t.Driver, cmp.Or(t.Image, "-"), cmp.Or(container, "-"), pid, code, cmp.Or(t.Auction, "-"))
	}
	return append(row, t.Reason)
}

// changedAt is when t came into its state, as near as is known.
func changedAt(t api.Task) time.Time {
	switch {
	case t.State.Final() && t.FinishedAt != nil:
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
