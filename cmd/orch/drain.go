package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// newDrainCommand empties a node.
func newDrainCommand(env *Env) *cobra.Command {
	var timeout time.Duration
	var detach bool
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Have a node give up its tasks and take none",
		Long: `Have a node (its name, its short id, or self) give up its tasks to the others, and
wait until the last has gone. Each task runs elsewhere before its old copy stops.
The node takes no tasks until orch node resume, also after a restart.`,
		Args: oneNode,
		RunE: func(cmd *cobra.Command, words []string) error {
			return with(env, cmd, func(ctx context.Context, c client) error {
				node, err := c.DrainNode(ctx, words[0])
				if err != nil {
					return cannot("drain "+words[0], err, env.Now())
				}
				if !detach {
					if err := untilDrained(ctx, env, c, node, timeout); err != nil {
						return err
					}
				}
				_, err = fmt.Fprintln(env.Stdout, clean(cmp.Or(node.Name, node.ID.Short())))
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", time.Hour, "stop waiting after that; 0 waits for ever")
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "do not wait")
	return cmd
}

// newResumeCommand undoes a drain.
func newResumeCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "resume NODE",
		Short: "Have a drained node take tasks again",
		Args:  oneNode,
		RunE: func(cmd *cobra.Command, words []string) error {
			return ask(env, cmd, func(ctx context.Context, c client) error {
				node, err := c.ResumeNode(ctx, words[0])
				if err != nil {
					return cannot("resume "+words[0], err, env.Now())
				}
				_, err = fmt.Fprintln(env.Stdout, clean(cmp.Or(node.Name, node.ID.Short())))
				return err
			})
		},
	}
}

// newLeaveCommand takes this machine out of its cluster.
func newLeaveCommand(env *Env) *cobra.Command {
	var timeout time.Duration
	var force bool
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Take this machine out of its cluster for good",
		Long: `Take the machine whose agent is asked out of its cluster: its tasks go to the others,
then the agent says goodbye, forgets the cluster's secret and table, and exits.
The node's key is kept.`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(env, cmd, func(ctx context.Context, c client) error {
				node, err := c.Node(ctx, "self")
				if err != nil {
					return cannot("leave", err, env.Now())
				}
				if err := c.Leave(ctx, force); err != nil {
					return cannot("leave", err, env.Now())
				}
				return untilLeft(ctx, env, c, node, timeout)
			})
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "stop waiting after that; 0 waits for ever")
	cmd.Flags().BoolVar(&force, "force", false, "stop the tasks here without waiting until they run elsewhere")
	return cmd
}

// oneNode demands the name of one node.
func oneNode(cmd *cobra.Command, words []string) error {
	if len(words) != 1 || words[0] == "" {
		return usageError(cmd, "one node is needed: %s NODE", cmd.CommandPath())
	}
	return nil
}

// untilDrained waits until a node has given up its last task.
func untilDrained(ctx context.Context, env *Env, c client, node api.Node, timeout time.Duration) error {
	w := &wait{env: env, c: c, timeout: timeout}
	var left []string
	err := w.poll(ctx, func(ctx context.Context) (bool, error) {
		n, err := c.Node(ctx, string(node.ID))
		if err != nil || n.Status == api.NodeDrained {
			return err == nil, err
		}
		left, err = tasksOn(ctx, c, node)
		return false, err
	})
	if !errors.Is(err, errWaitOver) {
		return err
	}
	fmt.Fprintf(env.Stderr, "%s still has %s; it goes on draining. orch explain says why a task does not move\n", clean(node.Name), strings.Join(left, ", "))
	return said(exitWaiting)
}

// untilLeft waits until the agent has ended.
func untilLeft(ctx context.Context, env *Env, c client, node api.Node, timeout time.Duration) error {
	w := &wait{env: env, c: c, timeout: timeout}
	var left []string
	err := w.poll(ctx, func(ctx context.Context) (bool, error) {
		var err error
		left, err = tasksOn(ctx, c, node)
		return errors.Is(err, rest.ErrUnreachable), nil
	})
	if !errors.Is(err, errWaitOver) {
		return err
	}
	fmt.Fprintf(env.Stderr, "%s still has %s; it goes on leaving. --force does not wait; orch node resume self stays\n", clean(node.Name), strings.Join(left, ", "))
	return said(exitWaiting)
}

// tasksOn names what runs on a node.
func tasksOn(ctx context.Context, c client, node api.Node) ([]string, error) {
	tasks, err := c.Tasks(ctx, api.TaskFilter{Node: string(node.ID)})
	var names []string
	for _, t := range tasks {
		if mayRun(t) {
			names = append(names, t.ID)
		}
	}
	return names, err
}
