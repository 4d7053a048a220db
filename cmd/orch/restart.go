package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

func newRestartCommand(env *Env) *cobra.Command {
	ch := &changer{env: env, verb: "restart"}
	cmd := &cobra.Command{
		Use:   "restart JOB...",
		Short: "Start stopped jobs, or replace the tasks of running ones",
		Long:  "Start stopped jobs, or replace the tasks of running ones one after the other, and wait until all run.",
		Args:  jobNames,
		RunE: func(cmd *cobra.Command, names []string) error {
			var changes []change
			for _, name := range names {
				changes = append(changes, change{
					name:  name,
					write: func(ctx context.Context, c client) (api.Written, error) { return c.Restart(ctx, name) },
					settle: func(ctx context.Context, w *wait, before look) error {
						return w.untilAsAsked(ctx, name, templates(before))
					},
				})
			}
			return ch.run(cmd, changes)
		},
	}
	ch.register(cmd)
	return cmd
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
