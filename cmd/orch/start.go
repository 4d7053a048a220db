package main

import (
	"time"

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

// newJoinCommand makes this machine a node of an existing cluster.
func newJoinCommand(env *Env) *cobra.Command {
	var flags agentFlags
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "join PEER...",
		Short: "Make this machine a node of a cluster (runs in the foreground)",
		Long: `Make this machine a node of the cluster of PEER (HOST or HOST:PORT of its gossip;
the port is 7071 unless given). It becomes the agent and runs in the foreground,
as start does. If it cannot join in time, or cannot be reached by the others, it
says why and exits.

The token comes from --token-file, ORCH_TOKEN_FILE, ORCH_TOKEN, or the terminal.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, "join needs the address of a member")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if within <= 0 {
				return usageError(cmd, "--join-timeout must be above 0")
			}
			a := &agent{env: env, cmd: cmd, flags: &flags, seeds: args, within: within}
			return a.run(cmd.Context())
		},
	}
	flags.register(cmd.Flags(), env)
	cmd.Flags().DurationVar(&within, "join-timeout", 9*time.Second, "give up after that")
	return cmd
}
