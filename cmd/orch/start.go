package main

import (
	"github.com/spf13/cobra"
)

// newStartCommand makes this machine a node.
func newStartCommand(env *Env) *cobra.Command {
	var flags agentFlags
	var join []string
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Make this machine a node (runs in the foreground)",
		Long: `Make this machine a node. The agent runs in the foreground until SIGTERM or
Ctrl-C, and leaves its tasks running for the next one.

On a used data directory it resumes the node it was. On a blank one it starts a
new cluster or, with --join, becomes a member of that of the given peers; it then
tries for ever and never starts a cluster of its own.

Every flag can also be given as an environment variable, as ORCH_DATA_DIR for
--data-dir.`,
		Example: `  sudo orch start
  sudo orch start --advertise tailscale0 --label zone=eu
  orch start --data-dir ~/n2 --ports 7170 --drivers process --join 127.0.0.1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				err := usageError(cmd, "start takes no argument: it makes this machine a node")
				err.hint = "to start a stopped job: orch restart " + args[0]
				return err
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			a := &agent{env: env, cmd: cmd, flags: &flags, seeds: join}
			return a.run(cmd.Context())
		},
	}
	flags.register(cmd.Flags(), env)
	cmd.Flags().StringSliceVar(&join, "join", nil, "`HOST[:PORT]` of the gossip of a member, or several")
	return cmd
}
