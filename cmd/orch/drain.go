package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
		Use:   "drain NODE...|self",
		Short: "Have nodes give up their tasks and take none",
		Long: `Have nodes give up their tasks to the others, and wait until the last has gone.
Each task runs elsewhere before its old copy stops. A node takes no tasks until
orch node resume, also after a restart. Nodes are named by their names, their
short ids or any unique beginning of their ids; self is the node that is asked.`,
		Example: `  orch node drain vps2
  orch node drain self --timeout 10m`,
	}
	n := &nodeChange{env: env, verb: "drain", write: func(ctx context.Context, c client, name string) (api.Node, error) { return c.DrainNode(ctx, name) }}
	n.settle = func(ctx context.Context, c client, node api.Node) error {
		if detach {
			return nil
		}
		return untilDrained(ctx, env, c, node, timeout)
	}
	cmd.Flags().DurationVar(&timeout, "timeout", time.Hour, "stop waiting for a node after that; 0 waits for ever")
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "do not wait")
	return n.register(cmd)
}

// newCordonCommand keeps new tasks from a node.
func newCordonCommand(env *Env) *cobra.Command {
	n := &nodeChange{env: env, verb: "cordon", told: true, write: func(ctx context.Context, c client, name string) (api.Node, error) { return c.CordonNode(ctx, name) }}
	return n.register(&cobra.Command{
		Use:   "cordon NODE...|self",
		Short: "Have nodes take no new tasks and keep those they have",
		Long: `Have nodes take no new tasks until orch node resume, also after a restart. The tasks
they have stay; orch node drain has them move.`,
		Example: `  orch node cordon vps2
  orch node cordon self`,
	})
}

// newResumeCommand undoes a drain, and a cordon.
func newResumeCommand(env *Env) *cobra.Command {
	n := &nodeChange{env: env, verb: "resume", write: func(ctx context.Context, c client, name string) (api.Node, error) { return c.ResumeNode(ctx, name) }}
	return n.register(&cobra.Command{
		Use:     "resume NODE...",
		Short:   "Have drained or cordoned nodes take tasks again",
		Example: "  orch node resume vps2",
	})
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
		Example: `  orch leave
  orch leave --force`,
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

// untilDrained waits until a node has given up its last task, and says what cannot
// move, and why.
func untilDrained(ctx context.Context, env *Env, c client, node api.Node, timeout time.Duration) error {
	w := &wait{env: env, c: c, timeout: timeout}
	var left []api.Task
	told := map[string]bool{} // tasks of which is said that they stay
	err := w.poll(ctx, func(ctx context.Context) (bool, error) {
		n, err := c.Node(ctx, string(node.ID))
		if err != nil || n.Status == api.NodeDrained {
			return err == nil, err
		}
		now, err := tasksOn(ctx, c, node)
		if err != nil {
			return false, err // the time may be up: what is left is what was seen last
		}
		before := len(left)
		left = now
		at := env.Now().UTC().Format(time.RFC3339)
		if len(left) != before {
			fmt.Fprintf(env.Stderr, "%s %s draining: %s left\n", at, clean(node.Name), count(len(left), "task"))
		}
		for _, line := range staysText(left, told) {
			fmt.Fprintln(env.Stderr, at, line)
		}
		return false, nil
	})
	if !errors.Is(err, errWaitOver) {
		return err
	}
	fmt.Fprintf(env.Stderr, "%s still has %s; it goes on draining. orch explain says why a task does not move\n", clean(node.Name), idsOf(left))
	for _, line := range staysText(left, map[string]bool{}) {
		fmt.Fprintln(env.Stderr, " ", line)
	}
	return said(exitWaiting)
}

// staysText is a line for each reason for which tasks stay, but for those that told
// has; it adds them.
func staysText(tasks []api.Task, told map[string]bool) []string {
	var lines []string
	for i, t := range tasks {
		if t.Stays == "" || told[t.ID] {
			continue
		}
		same := slices.DeleteFunc(slices.Clone(tasks[i:]), func(o api.Task) bool { return o.Stays != t.Stays || told[o.ID] })
		for _, o := range same {
			told[o.ID] = true
		}
		lines = append(lines, clean(idsOf(same)+" "+t.Stays))
	}
	return lines
}

// idsOf names tasks.
func idsOf(tasks []api.Task) string {
	var ids []string
	for _, t := range tasks {
		ids = append(ids, t.ID)
	}
	if more := len(ids) - maxShown; more > 0 {
		ids = append(ids[:maxShown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(ids, ", ")
}

// untilLeft waits until the agent has ended.
func untilLeft(ctx context.Context, env *Env, c client, node api.Node, timeout time.Duration) error {
	w := &wait{env: env, c: c, timeout: timeout}
	var left []api.Task
	err := w.poll(ctx, func(ctx context.Context) (bool, error) {
		now, err := tasksOn(ctx, c, node)
		if err == nil {
			left = now
		}
		return errors.Is(err, rest.ErrUnreachable), nil
	})
	if !errors.Is(err, errWaitOver) {
		return err
	}
	fmt.Fprintf(env.Stderr, "%s still has %s; it goes on leaving. --force does not wait; orch node resume self stays\n", clean(node.Name), idsOf(left))
	for _, line := range staysText(left, map[string]bool{}) {
		fmt.Fprintln(env.Stderr, " ", line)
	}
	return said(exitWaiting)
}

// tasksOn is what runs on a node.
func tasksOn(ctx context.Context, c client, node api.Node) ([]api.Task, error) {
	tasks, err := c.Tasks(ctx, api.TaskFilter{Node: string(node.ID)})
	return slices.DeleteFunc(tasks, func(t api.Task) bool { return !mayRun(t) }), err
}
