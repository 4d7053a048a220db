package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

func newRemoveCommand(env *Env) *cobra.Command {
	ch := &changer{env: env, verb: "remove"}
	cmd := &cobra.Command{
		Use:   "rm JOB...",
		Short: "Remove jobs and their tasks",
		Long:  "Remove jobs for good, and wait until their tasks have ended.",
		Args:  jobNames,
		RunE: func(cmd *cobra.Command, names []string) error {
			var changes []change
			for _, name := range names {
				changes = append(changes, change{
					name:   name,
					write:  func(ctx context.Context, c client) (api.Written, error) { return c.Remove(ctx, name) },
					settle: func(ctx context.Context, w *wait, before look) error { return w.untilGone(ctx, before) },
				})
			}
			return ch.run(cmd, changes)
		},
	}
	ch.register(cmd)
	return cmd
}
