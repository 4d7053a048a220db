package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

func newScaleCommand(env *Env) *cobra.Command {
	ch := &changer{env: env, verb: "scale"}
	cmd := &cobra.Command{
		Use:   "scale JOB=N... | JOB N",
		Short: "Set how many tasks jobs have",
		Long:  "Set how many tasks jobs have, and wait until they run. Tasks that stay are not restarted.",
		Example: `  orch scale web=5 api=2
  orch scale web 5`,
		RunE: func(cmd *cobra.Command, words []string) error {
			changes, err := scalings(cmd, words)
			if err != nil {
				return err
			}
			return ch.run(cmd, changes)
		},
	}
	ch.register(cmd)
	return cmd
}

// scalings reads "web=5 api=2" or "web 5".
func scalings(cmd *cobra.Command, words []string) ([]change, error) {
	if len(words) == 2 && !strings.Contains(words[0], "=") && !strings.Contains(words[1], "=") {
		words = []string{words[0] + "=" + words[1]}
	}
	var names []string
	var changes []change
	for _, word := range words {
		name, number, ok := strings.Cut(word, "=")
		if !ok {
			return nil, usageError(cmd, "%q is not JOB=N", word)
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > api.MaxReplicas {
			return nil, usageError(cmd, "%q: the number of tasks must be from 0 to %d", word, api.MaxReplicas)
		}
		names = append(names, name)
		changes = append(changes, change{
			name: name,
			write: func(ctx context.Context, c client) (api.Written, error) {
				return c.Scale(ctx, name, n, api.WriteOptions{})
			},
			settle: func(ctx context.Context, w *wait, before look) error {
				if isStopped(before) {
					fmt.Fprintf(w.env.Stderr, "%s is stopped, and stays so. orch restart %s starts it\n", name, name)
					return nil
				}
				return w.untilAsAsked(ctx, name, nil)
			},
		})
	}
	return changes, jobNames(cmd, names)
}
