package main

import (
	"cmp"
	"context"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// A nodeChange is a command that does one thing to nodes: drain, cordon, resume, label or rm.
type nodeChange struct {
	env    *Env
	form   form
	verb   string // for messages: "cannot drain vps2"
	write  func(context.Context, client, string) (api.Node, error)
	settle func(context.Context, client, api.Node) error // waits until it is done; nil need not
	told   bool                                          // the answer is printed as it is: others may see it later, or never
}

// register makes cmd the command that n is.
func (n *nodeChange) register(cmd *cobra.Command) *cobra.Command {
	n.form.register(cmd, "name")
	cmd.Args = someNodes
	cmd.RunE = func(cmd *cobra.Command, names []string) error { return n.run(cmd, names) }
	return cmd
}

// someNodes demands the name of a node, or of several.
func someNodes(cmd *cobra.Command, names []string) error {
	for _, name := range names {
		if name == "" {
			return usageError(cmd, "the name of a node is empty")
		}
	}
	if len(names) == 0 {
		return usageError(cmd, "the name of a node is missing: %s NODE...", cmd.CommandPath())
	}
	return nil
}

// run changes all nodes, then waits for each. One that is refused keeps none of the
// others from being changed.
func (n *nodeChange) run(cmd *cobra.Command, names []string) error {
	if err := checkForm[api.Node](&n.form, n.env, cmd); err != nil {
		return err
	}
	return with(n.env, cmd, func(ctx context.Context, c client) error {
		var changed []api.Node
		var errs []error
		for _, name := range names {
			limited, cancel := context.WithTimeout(ctx, answerLimit)
			node, err := n.write(limited, c, name)
			cancel()
			if err != nil {
				errs = append(errs, cannot(n.verb+" "+shorten(name, 80), err, n.env.Now()))
				continue
			}
			changed = append(changed, node)
		}
		out := &teller[api.Node]{out: n.env.Stdout, kind: nodeKind(n.env, false), form: &n.form}
		out.kind.name = func(node api.Node) string { return cmp.Or(node.Name, node.ID.Short()) }
		for _, node := range changed {
			if err := n.finish(ctx, c, node, out); err != nil {
				errs = append(errs, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if err := out.end(); err != nil {
			errs = append(errs, err)
		}
		return join(errs)
	})
}

// finish waits for one node and prints it as it is then.
func (n *nodeChange) finish(ctx context.Context, c client, node api.Node, out *teller[api.Node]) error {
	if n.settle != nil {
		if err := n.settle(ctx, c, node); err != nil {
			return err
		}
	}
	var a answer[api.Node]
	var err error
	if n.told || n.form.output == "name" {
		a, err = answerOf(node)
	} else {
		a, err = readAll[api.Node](ctx, c, "/v1/nodes/"+url.PathEscape(string(node.ID)), nil)
	}
	if err != nil {
		return cannot("show "+node.Name, err, n.env.Now())
	}
	return out.tell(a)
}
