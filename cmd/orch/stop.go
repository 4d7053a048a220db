package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

func newStopCommand(env *Env) *cobra.Command {
	ch := &changer{env: env, verb: "stop"}
	cmd := &cobra.Command{
		Use:     "stop JOB...",
		Short:   "Stop the tasks of jobs; the jobs are kept",
		Long:    "Stop the tasks of jobs, and wait until they have ended. The jobs are kept: orch restart starts them again.",
		Example: "  orch stop web",
		Args:    jobNames,
		RunE: func(cmd *cobra.Command, names []string) error {
			var changes []change
			for _, name := range names {
				changes = append(changes, change{
					name:   name,
					write:  func(ctx context.Context, c client) (api.Written, error) { return c.Stop(ctx, name, api.WriteOptions{}) },
					settle: func(ctx context.Context, w *wait, before look) error { return w.untilGone(ctx, before) },
				})
			}
			return ch.run(cmd, changes)
		},
	}
	ch.register(cmd)
	return cmd
}
