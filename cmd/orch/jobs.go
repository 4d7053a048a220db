package main

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// A jobsCommand is orch jobs.
type jobsCommand struct {
	env *Env
	listing
}

func newJobsCommand(env *Env) *cobra.Command {
	j := &jobsCommand{env: env}
	cmd := &cobra.Command{
		Use:     "jobs",
		Aliases: []string{"ls"},
		Short:   "List jobs and how they are",
		Example: `  orch jobs
  orch jobs -q -f status=degraded
  orch jobs --format '{{.Name}} {{.Status.Running}}/{{.Status.Wanted}}'`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error { return j.run(cmd) },
	}
	j.register(cmd, jobFilters...)
	return cmd
}

// noWords refuses words after the flags.
func noWords(cmd *cobra.Command, words []string) error {
	if len(words) > 0 {
		return usageError(cmd, "%s takes no %q", cmd.CommandPath(), words[0])
	}
	return nil
}

// newJobCommand is for who looks for the commands of jobs below "job".
func newJobCommand(env *Env) *cobra.Command {
	list := newJobsCommand(env)
	list.Use, list.Aliases = "ls", []string{"list"}
	cmd := &cobra.Command{
		Use:    "job",
		Short:  "List jobs (orch jobs)",
		Hidden: true,
		Args:   noSuchCommand,
		RunE:   func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(list)
	return cmd
}

func (j *jobsCommand) run(cmd *cobra.Command) error {
	if err := checkListing[api.Job](&j.listing, j.env, cmd); err != nil {
		return err
	}
	filters, err := parseFilters(cmd, j.filters, jobFilters...)
	if err != nil {
		return err
	}
	err = cmp.Or(checkFilter(cmd, "type", filters["type"], words(api.ServiceJob, api.BatchJob, api.GlobalJob)),
		checkFilter(cmd, "status", filters["status"], words(api.JobPending, api.JobRunning, api.JobDegraded, api.JobUpdating,
			api.JobComplete, api.JobFailed, api.JobStopped, api.JobRemoving)))
	if err != nil {
		return err
	}
	return jobKind(j.env).show(j.env, cmd, &j.listing, func(ctx context.Context, c client) (answer[api.Job], error) {
		a, err := readAll(ctx, c, "/v1/jobs", func(job api.Job) bool { return keepJob(job, filters) })
		if err != nil {
			return a, cannot("list jobs", err, j.env.Now())
		}
		return a, nil
	})
}

// jobFilters are the keys of --filter.
var jobFilters = []string{"type", "status", "project", "label"}

func keepJob(job api.Job, filters map[string][]string) bool {
	state := ""
	if job.Status != nil {
		state = string(job.Status.State)
	}
	return oneOf(filters["type"], string(job.Type)) && oneOf(filters["status"], state) &&
		oneOf(filters["project"], job.Labels[api.LabelProject]) && hasLabels(job.Labels, filters["label"])
}

// jobKind is how jobs are printed.
func jobKind(env *Env) kind[api.Job] {
	status := func(get func(*api.Status) string) func(api.Job) string {
		return func(j api.Job) string {
			if j.Status == nil {
				return "-"
			}
			return get(j.Status)
		}
	}
	return kind[api.Job]{
		name: func(j api.Job) string { return j.Name },
		columns: []column[api.Job]{
			{head: "NAME", key: "name", cell: func(j api.Job) string { return j.Name }},
			{head: "TYPE", key: "type", cell: func(j api.Job) string { return string(j.Type) }},
			{head: "IMAGE", key: "image", cell: programText},
			{head: "RUNNING", cell: runningText},
			{key: "running", cell: status(func(s *api.Status) string { return strconv.Itoa(s.Running) })},
			{key: "wanted", cell: status(func(s *api.Status) string { return strconv.Itoa(s.Wanted) })},
			{head: "GEN", key: "generation", cell: func(j api.Job) string { return strconv.FormatUint(j.Generation, 10) }},
			{head: "UPDATED", key: "updated_at", age: true, cell: func(j api.Job) string { return ago(env.Now(), j.UpdatedAt) },
				value: func(j api.Job) string { return moment(j.UpdatedAt) }},
			{head: "STATUS", state: true, cell: statusText},
			{key: "state", cell: status(func(s *api.Status) string { return string(s.State) })},
			{key: "reason", cell: status(func(s *api.Status) string { return s.Reason })},
			{head: "DRIVER", key: "driver", wide: true, cell: func(j api.Job) string { return j.Driver }},
			{head: "CPUS", key: "cpus", wide: true, cell: func(j api.Job) string { return j.Resources.CPUs.String() }},
			{head: "MEMORY", key: "memory", wide: true, cell: func(j api.Job) string { return j.Resources.Memory.String() },
				value: func(j api.Job) string { return bytesValue(j.Resources.Memory) }},
			{head: "PORTS", key: "ports", wide: true, cell: func(j api.Job) string { return cmp.Or(portsText(j.Ports), "-") }},
			{head: "COORDINATOR", key: "coordinator", wide: true, cell: func(j api.Job) string { return cmp.Or(j.Coordinator.Short(), "-") },
				value: func(j api.Job) string { return string(j.Coordinator) }},
			{head: "LABELS", key: "labels", wide: true, cell: func(j api.Job) string { return cmp.Or(labelsText(j.Labels), "-") }},
		},
	}
}

// bytesValue is an amount of memory for a program.
func bytesValue(b api.Bytes) string { return strconv.FormatInt(int64(b), 10) }

// programText is the image or, for a process, the name of its program.
func programText(job api.Job) string {
	if job.Image == "" && len(job.Command) > 0 {
		return path.Base(job.Command[0])
	}
	return job.Image
}

// runningText is "2/3". Of a batch job that is complete, all have run.
func runningText(job api.Job) string {
	s := job.Status
	switch {
	case s == nil:
		return "-"
	case s.State == api.JobComplete:
		return fmt.Sprintf("%d/%d", s.Wanted, s.Wanted)
	}
	return fmt.Sprintf("%d/%d", s.Running, s.Wanted)
}

// statusText is the state and, unless all is well, why and where to read on.
func statusText(job api.Job) string {
	s := job.Status
	if s == nil {
		return "-"
	}
	text := string(s.State)
	switch s.State {
	case api.JobRunning, api.JobComplete, api.JobStopped, api.JobRemoving:
		return text
	}
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text + " (orch explain " + job.Name + ")"
}
