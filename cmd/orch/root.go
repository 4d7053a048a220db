package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// defaultAPI is where a node listens unless told otherwise.
const defaultAPI = "127.0.0.1:7070"

// Env is all that a command may use of the world outside.
type Env struct {
	Stdin      io.Reader
	Stdout     io.Writer // the answer
	Stderr     io.Writer // everything else
	Getenv     func(string) string
	IsTerminal func(stream any) bool // of one of the three streams above
	Now        func() time.Time

	// connect makes a client of addresses and a token; nil is [overHTTP].
	connect func(endpoints []string, token string) (client, error)
}

// newRoot makes the tree of commands.
func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "orch",
		Short: "Run containers on your machines, with no master",
		Long: `Run containers on your machines, with no master.

Every node runs the same program. Give a job to any of them; they bid for it;
if any of them dies, the others put the work back.`,
		Args:              noSuchCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(cmd, "%s", strings.TrimPrefix(err.Error(), "pflag: "))
	})
	root.PersistentFlags().String("api", "", "node to ask, or several to try in turn: `HOST:PORT,...` (default $ORCH_API, then "+defaultAPI+")")

	group := func(id, title string, cmds ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, cmd := range cmds {
			cmd.GroupID = id
			root.AddCommand(cmd)
		}
	}
	group("agent", "This machine:", newStartCommand(env), newJoinCommand(env), newLeaveCommand(env), newTokenCommand(env))
	group("jobs", "Jobs:", newRunCommand(env), newJobsCommand(env), newScaleCommand(env), newStopCommand(env),
		newRestartCommand(env), newRemoveCommand(env))
	group("look", "Looking:", newPsCommand(env), newExplainCommand(env), newLogsCommand(env))
	group("nodes", "Nodes:", newNodesCommand(env), newNodeCommand(env))
	root.AddCommand(newVersionCommand(env), newExitCodesTopic())
	root.SetHelpCommand(newHelpCommand())
	return root
}

// noSuchCommand refuses words that name no command of cmd.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := usageError(cmd, "there is no command %q", cmd.CommandPath()+" "+args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err.hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return err
}

// newHelpCommand is cobra's, but an unknown topic is an error.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || topic == nil || len(rest) > 0 {
				return noSuchCommand(cmd.Root(), args)
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, env *Env, args []string) int {
	root := newRoot(env)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return report(ctx, env, cmd, err)
}
