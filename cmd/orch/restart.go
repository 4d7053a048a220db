package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

func newRestartCommand(env *Env) *cobra.Command {
	ch := &changer{env: env, verb: "restart"}
	cmd := &cobra.Command{
		Use:   "restart JOB|TASK...",
		Short: "Start stopped jobs, or replace the tasks of running ones",
		Long: `Start stopped jobs, or replace the tasks of running ones one after the other, and
wait until all run. A task (web.2) is stopped and started anew where it is.`,
		Example: "  orch restart web\n  orch restart web.2",
		RunE: func(cmd *cobra.Command, words []string) error {
			tasks := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !isTask(w) })
			jobs := slices.DeleteFunc(slices.Clone(words), isTask)
			if len(tasks) == 0 || len(jobs) > 0 {
				if err := jobNames(cmd, jobs); err != nil {
					return err
				}
			}
			if len(tasks) > 0 && ch.output != "name" {
				return usageError(cmd, "-o %s is not for tasks: orch inspect %s shows one", ch.output, tasks[0])
			}
			if err := ch.restartTasks(cmd, tasks); err != nil || len(jobs) == 0 {
				return err
			}
			return ch.run(cmd, restarts(jobs))
		},
	}
	ch.register(cmd)
	return cmd
}

// restarts are the changes that restart jobs.
func restarts(jobs []string) []change {
	var changes []change
	for _, name := range jobs {
		changes = append(changes, change{
			name: name,
			write: func(ctx context.Context, c client) (api.Written, error) {
				return c.Restart(ctx, name, api.WriteOptions{})
			},
			settle: func(ctx context.Context, w *wait, before look) error {
				return w.untilAsAsked(ctx, name, templates(before))
			},
		})
	}
	return changes
}

// restartTasks restarts tasks, and prints each when it runs again.
func (ch *changer) restartTasks(cmd *cobra.Command, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return with(ch.env, cmd, func(ctx context.Context, c client) error {
		var errs []error
		for _, id := range ids {
			if err := ch.restartTask(ctx, c, id); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				errs = append(errs, err)
				continue
			}
			fmt.Fprintln(ch.env.Stdout, id)
		}
		return join(errs)
	})
}

func (ch *changer) restartTask(ctx context.Context, c client, id string) error {
	begun, err := c.RestartTask(ctx, id)
	if err != nil {
		return cannot("restart "+id, err, ch.env.Now())
	}
	if ch.detach {
		return nil
	}
	w := &wait{env: ch.env, c: c, timeout: time.Duration(ch.timeout)}
	err = w.poll(ctx, func(ctx context.Context) (bool, error) {
		t, err := c.Task(ctx, id)
		return t.State == api.Running && (t.Epoch > begun.Epoch || t.Restarts >= begun.Restarts), err
	})
	switch {
	case errors.Is(err, errWaitOver):
		fmt.Fprintf(ch.env.Stderr, "%s does not run yet after %s; this goes on without being watched. orch explain %s\n", id, w.timeout, id)
		return said(exitWaiting)
	case err != nil:
		return cannot("watch "+id+", which is being restarted", err, ch.env.Now())
	}
	return nil
}

// templates are what the tasks of a job were made of, of those that were wanted:
// a restart gives them another. A job that was stopped had none.
func templates(before look) map[string]bool {
	old := map[string]bool{}
	if isStopped(before) {
		return old
	}
	for _, t := range before.slots {
		if t.State != api.Pending {
			old[t.TemplateHash] = true
		}
	}
	return old
}
