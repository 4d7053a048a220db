package main

import (
	"cmp"
	"context"
	"fmt"
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
		Use:        "nodes",
		SuggestFor: []string{"machines", "members"},
		Short:      "List the machines, as the node asked sees them",
		Example: `  orch nodes
  orch nodes -w -f status=draining
  orch nodes -o csv`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error { return n.run(cmd) },
	}
	n.register(cmd, nodeFilters...)
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
	cmd.AddCommand(list, newNodeInspectCommand(env), newDrainCommand(env), newCordonCommand(env),
		newResumeCommand(env), newLabelCommand(env), newNodeRemoveCommand(env))
	return cmd
}

func newNodeRemoveCommand(env *Env) *cobra.Command {
	n := &nodeChange{env: env, verb: "forget", told: true, write: func(ctx context.Context, c client, name string) (api.Node, error) { return c.RemoveNode(ctx, name) }}
	return n.register(&cobra.Command{
		Use:   "rm NODE...",
		Short: "Forget dead nodes",
		Long: `Forget dead nodes, named by their names, their short ids or any unique beginning of
their ids. They no longer count among the nodes that a change must be stored on.`,
		Example: `  orch node rm vps2
  orch node rm Jk29`,
	})
}

func (n *nodesCommand) run(cmd *cobra.Command) error {
	if err := checkListing[api.Node](&n.listing, n.env, cmd); err != nil {
		return err
	}
	filters, err := parseFilters(cmd, n.filters, nodeFilters...)
	if err != nil {
		return err
	}
	err = checkFilter(cmd, "status", filters["status"], words(api.NodeStarting, api.NodeReady, api.NodeRestarting,
		api.NodeDraining, api.NodeDrained, api.NodeFailed, api.NodeLeft))
	if err != nil {
		return err
	}
	return nodeKind(n.env, n.noTrunc).show(n.env, cmd, &n.listing, func(ctx context.Context, c client) (answer[api.Node], error) {
		a, err := readAll(ctx, c, "/v1/nodes", func(node api.Node) bool { return keepNode(node, filters) })
		if err != nil {
			return a, cannot("list nodes", err, n.env.Now())
		}
		if v, ok := c.View(); ok && (n.output == "table" || n.output == "wide") && n.env.IsTerminal(n.env.Stderr) && !n.watch {
			fmt.Fprintf(n.env.Stderr, "# seen from %s, %d of %d alive\n", clean(v.Name), v.Alive, v.Known)
		}
		return a, nil
	})
}

// nodeFilters are the keys of --filter.
var nodeFilters = []string{"status", "driver", "label"}

func keepNode(node api.Node, filters map[string][]string) bool {
	drivers := filters["driver"]
	return oneOf(filters["status"], string(node.Status)) && hasLabels(node.Labels, filters["label"]) &&
		(len(drivers) == 0 || slices.ContainsFunc(node.Drivers, func(d string) bool { return slices.Contains(drivers, d) }))
}

// nodeKind is how nodes are printed; with whole ids, if asked to.
func nodeKind(env *Env, whole bool) kind[api.Node] {
	id := func(n api.Node) string {
		if whole {
			return string(n.ID)
		}
		return n.ID.Short()
	}
	// free is what is free of c, unknown of a node that is not there.
	free := func(n api.Node, s string) string {
		if n.Status == api.NodeFailed || n.Status == api.NodeLeft || n.Status == api.NodeRestarting {
			return "-"
		}
		return s
	}
	return kind[api.Node]{
		name: id,
		columns: []column[api.Node]{
			{head: "NAME", cell: func(n api.Node) string {
				if n.Self {
					return n.Name + " *"
				}
				return n.Name
			}},
			{key: "name", cell: func(n api.Node) string { return n.Name }},
			{head: "ID", key: "id", cell: id, value: func(n api.Node) string { return string(n.ID) }},
			{head: "STATUS", state: true, cell: nodeStatus},
			{key: "status", cell: func(n api.Node) string { return string(n.Status) }},
			{head: "CPUS (FREE)", cell: func(n api.Node) string {
				return n.Capacity.CPUs.String() + " (" + free(n, n.Free.CPUs.String()) + ")"
			}},
			{key: "cpus", cell: func(n api.Node) string { return n.Capacity.CPUs.String() }},
			{key: "cpus_free", cell: func(n api.Node) string { return free(n, n.Free.CPUs.String()) }},
			{head: "MEMORY (FREE)", cell: func(n api.Node) string {
				return n.Capacity.Memory.String() + " (" + free(n, n.Free.Memory.String()) + ")"
			}},
			{key: "memory", cell: func(n api.Node) string { return bytesValue(n.Capacity.Memory) }},
			{key: "memory_free", cell: func(n api.Node) string { return free(n, bytesValue(n.Free.Memory)) }},
			{head: "TASKS", key: "tasks", cell: func(n api.Node) string { return strconv.Itoa(n.Tasks) }},
			{head: "DRIVERS", key: "drivers", cell: func(n api.Node) string { return cmp.Or(strings.Join(n.Drivers, ","), "-") }},
			{head: "ADDRESS", key: "address", cell: func(n api.Node) string { return n.Address }},
			{head: "VERSION", key: "version", cell: func(n api.Node) string { return n.Version }},
			{head: "SEEN", key: "seen_at", age: true, cell: func(n api.Node) string {
				if n.Self {
					return "now"
				}
				return ago(env.Now(), n.SeenAt)
			}, value: func(n api.Node) string { return moment(n.SeenAt) }},
			{head: "OS/ARCH", key: "platform", wide: true, cell: func(n api.Node) string { return n.OS + "/" + n.Arch }},
			{head: "LABELS", key: "labels", wide: true, cell: func(n api.Node) string { return cmp.Or(labelsText(n.Labels), "-") }},
			{head: "REASON", key: "reason", wide: true, cell: func(n api.Node) string { return n.Reason }},
			{key: "cordoned", cell: func(n api.Node) string { return strconv.FormatBool(n.Cordoned) }},
		},
	}
}

// nodeStatus is the status with what is left of it.
func nodeStatus(node api.Node) string {
	switch {
	case node.Status == api.NodeRestarting && node.Restarting > 0:
		return fmt.Sprintf("restarting (%s left)", span(time.Duration(node.Restarting)))
	case node.Status == api.NodeDraining:
		return fmt.Sprintf("draining (%d left)", node.Tasks)
	case node.Status == api.NodeReady && node.Cordoned:
		return "ready (cordoned)"
	}
	return string(node.Status)
}
