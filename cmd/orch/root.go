package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// defaultAPI is where a node listens unless told otherwise.
const defaultAPI = "127.0.0.1:7070"

// Env is all that a command may use of the world outside.
type Env struct {
	Stdin      io.Reader
	Stdout     io.Writer // the answer
	Stderr     io.Writer // everything else
	Getenv     func(string) string
	Environ    func() []string       // all of it, as KEY=VALUE
	IsTerminal func(stream any) bool // of one of the three streams above
	Now        func() time.Time

	// connect makes a client of addresses and a token; nil is [overHTTP].
	connect func(endpoints []string, token string) (client, error)
}

// newRoot makes the tree of commands.
func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:               "orch",
		Short:             "Run containers on your machines, with no master",
		Long:              firstScreen,
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
		return flagError(cmd, err)
	})
	root.PersistentFlags().String("api", "", "node to ask, or several to try in turn: `HOST:PORT,...`, or unix:///PATH (default $ORCH_API, then "+defaultAPI+")")

	registerColour(root)

	group := func(id, title string, cmds ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, cmd := range cmds {
			cmd.GroupID = id
			root.AddCommand(cmd)
		}
	}
	group("agent", "AGENT: this machine", newStartCommand(env), newJoinCommand(env), newLeaveCommand(env), newTokenCommand(env), newSystemdCommand(env))
	group("nodes", "NODES: the machines of the cluster", newNodesCommand(env), newNodeCommand(env))
	group("jobs", "JOBS: what is to run", newRunCommand(env), newJobsCommand(env), newJobCommand(env), newUpdateCommand(env), newScaleCommand(env), newStopCommand(env),
		newRestartCommand(env), newRemoveCommand(env), newWaitCommand(env))
	group("look", "LOOK: what runs where, and why", newPsCommand(env), newInspectCommand(env), newExplainCommand(env), newHistoryCommand(env), newLogsCommand(env), newEventsCommand(env), newCheckCommand(env), newRecoverCommand(env))
	group("orch", "ORCH: this program", newVersionCommand(env))
	root.SetCompletionCommandGroupID("orch")
	root.AddCommand(newExitCodesTopic(), newFormsTopic(), newEnvironmentTopic())
	root.SetHelpCommand(newHelpCommand())
	root.SetUsageFunc(printUsage)
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil { // cobra's takes any word
		c.Args, c.RunE = noSuchCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	registerCompletion(env, root)
	return root
}

// noSuchCommand refuses words that name no command of cmd.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := usageError(cmd, "there is no command %.80q", cmd.CommandPath()+" "+args[0])
	err.meant("", args[0], cmd)
	return err
}

// flagError is a fault in a flag of cmd.
func flagError(cmd *cobra.Command, err error) error {
	wrong := usageError(cmd, "%s", err)
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		near := &cobra.Command{} // knows how to find what is near
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			near.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}, Hidden: f.Hidden})
		})
		wrong.meant("--", unknown.GetSpecifiedName(), near)
	}
	return wrong
}

// meant hints at the commands below of which word may be a misspelling, unless
// too many are.
func (u *usage) meant(prefix, word string, of *cobra.Command) {
	of.SuggestionsMinimumDistance = 2
	if len(word) < 3 {
		of.SuggestionsMinimumDistance = 1
	}
	near := of.SuggestionsFor(word)
	if word == "" || len(near) == 0 || len(near) > 3 {
		return
	}
	for i := range near {
		near[i] = prefix + near[i]
	}
	u.hint = "did you mean " + strings.Join(near, " or ") + "?"
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, env *Env, args []string) int {
	root := newRoot(env)
	root.SetArgs(append([]string{}, args...)) // never nil: cobra would take those of the process
	cmd, err := root.ExecuteContextC(ctx)
	return report(ctx, env, cmd, err)
}
