package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

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
		Args:    noWords,
		RunE:    func(cmd *cobra.Command, _ []string) error { return j.run(cmd) },
	}
	j.register(cmd, "type", "status", "label")
	return cmd
}

// noWords refuses words after the flags.
func noWords(cmd *cobra.Command, words []string) error {
	if len(words) > 0 {
		return usageError(cmd, "%s takes no %q", cmd.CommandPath(), words[0])
	}
	return nil
}

func (j *jobsCommand) run(cmd *cobra.Command) error {
	if err := j.check(cmd); err != nil {
		return err
	}
	filters, err := parseFilters(cmd, j.filters, "type", "status", "label")
	if err != nil {
		return err
	}
	keep := func(job api.Job) bool { return keepJob(job, filters) }
	answer := ask
	if j.watch {
		answer = with
	}
	return answer(j.env, cmd, func(ctx context.Context, c client) error {
		if j.output == "json" {
			return printList(ctx, j.env, c, "/v1/jobs", keep)
		}
		return j.show(j.env, cmd, func(out io.Writer) error {
			all, err := c.Jobs(ctx)
			if err != nil {
				return cannot("list jobs", err, j.env.Now())
			}
			return j.print(out, all, keep)
		})
	})
}

// printList prints those elements of the API's answer that are to be kept.
func printList[T any](ctx context.Context, env *Env, c client, path string, keep func(T) bool) error {
	body, err := c.Raw(ctx, path)
	if err == nil {
		body, err = filterJSON(body, keep)
	}
	if err != nil {
		return cannot("ask for "+path, err, env.Now())
	}
	_, err = env.Stdout.Write(body)
	return err
}

func keepJob(job api.Job, filters map[string]string) bool {
	if want, ok := filters["type"]; ok && string(job.Type) != want {
		return false
	}
	if want, ok := filters["status"]; ok && (job.Status == nil || string(job.Status.State) != want) {
		return false
	}
	want, ok := filters["label"]
	return !ok || hasLabel(job.Labels, want)
}

// hasLabel says whether labels have "key" or "key=value".
func hasLabel(labels map[string]string, want string) bool {
	key, value, both := strings.Cut(want, "=")
	got, ok := labels[key]
	return ok && (!both || got == value)
}

func (j *jobsCommand) print(out io.Writer, all []api.Job, keep func(api.Job) bool) error {
	t := j.table(j.env, "NAME", "TYPE", "IMAGE", "RUNNING", "GEN", "UPDATED", "STATUS")
	if j.wide() {
		t.header = append(t.header, "DRIVER", "CPUS", "MEMORY", "PORTS", "COORDINATOR", "LABELS")
	}
	for _, job := range all {
		switch {
		case !keep(job):
		case j.output == "name":
			if _, err := fmt.Fprintln(out, clean(job.Name)); err != nil {
				return err
			}
		default:
			t.add(j.row(job)...)
		}
	}
	if j.output == "name" {
		return nil
	}
	return t.print(out)
}

func (j *jobsCommand) row(job api.Job) []string {
	row := []string{job.Name, string(job.Type), programText(job), runningText(job),
		strconv.FormatUint(job.Generation, 10), ago(j.env.Now(), job.UpdatedAt), statusText(job)}
	if j.wide() {
		row = append(row, job.Driver, job.Resources.CPUs.String(), job.Resources.Memory.String(),
			cmp.Or(portsText(job.Ports), "-"), cmp.Or(job.Coordinator.Short(), "-"), cmp.Or(labelsText(job.Labels), "-"))
	}
	return row
}

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
