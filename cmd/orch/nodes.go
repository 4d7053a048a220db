package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// A nodesCommand is orch nodes, and orch node ls.
type nodesCommand struct {
	env *Env
	listing
}

func newNodesCommand(env *Env) *cobra.Command {
	n := &nodesCommand{env: env}
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "List the machines, as the node asked sees them",
		Args:  noWords,
		RunE:  func(cmd *cobra.Command, _ []string) error { return n.run(cmd) },
	}
	n.register(cmd, "status", "driver", "label")
	return cmd
}

// newNodeCommand is the parent of what is done to single nodes.
func newNodeCommand(env *Env) *cobra.Command {
	list := newNodesCommand(env)
	list.Use = "ls"
	list.Aliases = []string{"list"}
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Manage machines",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(list, newDrainCommand(env), newResumeCommand(env), newNodeRemoveCommand(env))
	return cmd
}

func newNodeRemoveCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NODE",
		Short: "Forget a dead node",
		Long: `Forget a dead node, named by its name, its short id or any unique beginning of its
id. It no longer counts among the nodes that a change must be stored on.`,
		Args: oneNode,
		RunE: func(cmd *cobra.Command, words []string) error {
			return ask(env, cmd, func(ctx context.Context, c client) error {
				node, err := c.RemoveNode(ctx, words[0])
				if err != nil {
					return cannot("forget "+words[0], err, env.Now())
				}
				_, err = fmt.Fprintln(env.Stdout, clean(cmp.Or(node.Name, node.ID.Short())))
				return err
			})
		},
	}
}

func (n *nodesCommand) run(cmd *cobra.Command) error {
	if err := n.check(cmd); err != nil {
		return err
	}
	filters, err := parseFilters(cmd, n.filters, "status", "driver", "label")
	if err != nil {
		return err
	}
	keep := func(node api.Node) bool { return keepNode(node, filters) }
	answer := ask
	if n.watch {
		answer = with
	}
	return answer(n.env, cmd, func(ctx context.Context, c client) error {
		if n.output == "json" {
			return printList(ctx, n.env, c, "/v1/nodes", keep)
		}
		return n.show(n.env, cmd, func(out io.Writer) error {
			all, err := c.Nodes(ctx)
			if err != nil {
				return cannot("list nodes", err, n.env.Now())
			}
			if v, ok := c.View(); ok && n.output != "name" {
				fmt.Fprintf(n.env.Stderr, "# seen from %s, %d of %d alive\n", clean(v.Name), v.Alive, v.Known)
			}
			return n.print(out, all, keep)
		})
	})
}

func keepNode(node api.Node, filters map[string]string) bool {
	if want, ok := filters["status"]; ok && string(node.Status) != want {
		return false
	}
	if want, ok := filters["driver"]; ok && !slices.Contains(node.Drivers, want) {
		return false
	}
	want, ok := filters["label"]
	return !ok || hasLabel(node.Labels, want)
}

func (n *nodesCommand) print(out io.Writer, all []api.Node, keep func(api.Node) bool) error {
	t := n.table(n.env, "NAME", "ID", "STATUS", "CPUS (FREE)", "MEMORY (FREE)", "TASKS", "DRIVERS", "ADDRESS", "VERSION", "SEEN")
	if n.wide() {
		t.header = append(t.header, "OS/ARCH", "LABELS", "REASON")
	}
	for _, node := range all {
		switch {
		case !keep(node):
		case n.output == "name":
			if _, err := fmt.Fprintln(out, clean(node.ID.Short())); err != nil {
				return err
			}
		default:
			t.add(n.row(node)...)
		}
	}
	if n.output == "name" {
		return nil
	}
	return t.print(out)
}

func (n *nodesCommand) row(node api.Node) []string {
	name, id, seen := node.Name, node.ID.Short(), ago(n.env.Now(), node.SeenAt)
	if node.Self {
		name, seen = name+" *", "now"
	}
	if n.noTrunc {
		id = string(node.ID)
	}
	cpus, memory := node.Free.CPUs.String(), node.Free.Memory.String()
	if node.Status == api.NodeFailed || node.Status == api.NodeLeft {
		cpus, memory = "-", "-"
	}
	row := []string{name, id, nodeStatus(node),
		node.Capacity.CPUs.String() + " (" + cpus + ")", node.Capacity.Memory.String() + " (" + memory + ")",
		strconv.Itoa(node.Tasks), cmp.Or(strings.Join(node.Drivers, ","), "-"), node.Address, node.Version, seen}
	if n.wide() {
		row = append(row, node.OS+"/"+node.Arch, cmp.Or(labelsText(node.Labels), "-"), node.Reason)
	}
	return row
}

// nodeStatus is the status with what is left of it.
func nodeStatus(node api.Node) string {
	switch {
	case node.Status == api.NodeRestarting && node.Restarting > 0:
		return fmt.Sprintf("restarting (%s left)", span(time.Duration(node.Restarting)))
	case node.Status == api.NodeDraining:
		return fmt.Sprintf("draining (%d left)", node.Tasks)
	}
	return string(node.Status)
}

// labelsText is "a=1,b=2".
func labelsText(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ",")
}
