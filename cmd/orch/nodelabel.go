package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// newLabelCommand gives a node labels.
func newLabelCommand(env *Env) *cobra.Command {
	n := &nodeChange{env: env, verb: "label", told: true}
	cmd := n.register(&cobra.Command{
		Use:   "label NODE K=V...|K-...",
		Short: "Give a node labels, or take them back",
		Long: `Give a node labels, also for after its restarts: K=V sets one, K- takes back what was
set so. They stand above those of orch start --label, which count again once they
are taken back. The label zone is used to spread tasks.`,
		Example: `  orch node label vps2 zone=eu disk=ssd
  orch node label vps2 disk-`,
	})
	cmd.Args = func(cmd *cobra.Command, words []string) error {
		_, err := labelChange(cmd, words)
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		change, err := labelChange(cmd, words)
		if err != nil {
			return err
		}
		n.write = func(ctx context.Context, c client, name string) (api.Node, error) {
			node, err := c.LabelNode(ctx, name, change)
			if err == nil {
				tellKept(env, node, change)
			}
			return node, err
		}
		return n.run(cmd, words[:1])
	}
	return cmd
}

// labelChange reads the words after the name of the node.
func labelChange(cmd *cobra.Command, words []string) (api.LabelChange, error) {
	if err := someNodes(cmd, words[:min(1, len(words))]); err != nil {
		return nil, err
	}
	if len(words) == 1 {
		return nil, usageError(cmd, "the labels are missing: %s NODE K=V... K-...", cmd.CommandPath())
	}
	change := api.LabelChange{}
	for _, word := range words[1:] {
		key, taken := strings.CutSuffix(word, "-")
		taken = taken && !strings.Contains(word, "=")
		if !taken {
			key = word
		}
		key, value, err := api.ParseLabel(key)
		if err == nil && !taken && !strings.Contains(word, "=") {
			err = fmt.Errorf("write %s=VALUE to set it, %s- to take it back", key, key)
		}
		if _, twice := change[key]; err == nil && twice {
			err = fmt.Errorf("%s is there twice", key)
		}
		if err != nil {
			return nil, usageError(cmd, "%.80q: %s", word, err)
		}
		if change[key] = &value; taken {
			change[key] = nil
		}
	}
	return change, nil
}

// tellKept says which labels are there although they were taken back.
func tellKept(env *Env, node api.Node, change api.LabelChange) {
	var kept []string
	for key, value := range change {
		if now, there := node.Labels[key]; value == nil && there {
			kept = append(kept, clean(key+"="+now))
		}
	}
	slices.Sort(kept)
	if len(kept) > 0 {
		fmt.Fprintf(env.Stderr, "%s keeps %s, with which it was started\n", clean(node.Name), strings.Join(kept, ", "))
	}
}
