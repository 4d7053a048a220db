package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

func newRemoveCommand(env *Env) *cobra.Command {
	ch := &changer{env: env, verb: "remove"}
	force := false
	cmd := &cobra.Command{
		Use:        "rm JOB...",
		SuggestFor: []string{"delete", "remove"},
		Short:      "Remove jobs and their tasks",
		Long:       "Remove jobs for good, and wait until their tasks have ended.",
		Example: `  orch rm web
  orch jobs -q -f label=stage=test | xargs orch rm`,
		Args: jobNames,
		RunE: func(cmd *cobra.Command, names []string) error {
			var changes []change
			for _, name := range names {
				changes = append(changes, change{
					name: name,
					write: func(ctx context.Context, c client) (api.Written, error) {
						return c.Remove(ctx, name, api.WriteOptions{Force: force})
					},
					settle: func(ctx context.Context, w *wait, before look) error { return w.untilGone(ctx, before) },
				})
			}
			return ch.run(cmd, changes)
		},
	}
	ch.register(cmd)
	cmd.Flags().BoolVarP(&force, "force", "f", false, "kill the tasks instead of asking them to end")
	return cmd
}
