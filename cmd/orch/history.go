package main

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

func newHistoryCommand(env *Env) *cobra.Command {
	l := &listing{}
	cmd := &cobra.Command{
		Use:   "history JOB",
		Short: "List the generations of a job that the node asked knows of",
		Long: `List the generations of a job that the node asked knows of, newest first: the
current one, the one before it, and what that node saw since it started. A write
that is void was lost to another made beside it, as on two sides of a partition.`,
		Example: `  orch history web
  orch history web -o json`,
		Args: func(cmd *cobra.Command, words []string) error {
			if len(words) > 1 {
				return noWords(cmd, words[1:])
			}
			return jobNames(cmd, words)
		},
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := checkListing[api.Generation](l, env, cmd); err != nil {
				return err
			}
			return generationKind(env).show(env, cmd, l, func(ctx context.Context, c client) (answer[api.Generation], error) {
				a, err := readAll[api.Generation](ctx, c, "/v1/jobs/"+words[0]+"/history", nil)
				if err != nil {
					return a, cannot("show the history of "+words[0], err, env.Now())
				}
				return a, nil
			})
		},
	}
	l.register(cmd)
	return cmd
}

// generationKind is how generations are printed.
func generationKind(env *Env) kind[api.Generation] {
	return kind[api.Generation]{
		name: func(g api.Generation) string { return g.ETag },
		columns: []column[api.Generation]{
			{head: "GEN", key: "generation", cell: func(g api.Generation) string { return strconv.FormatUint(g.Generation, 10) }},
			{head: "ETAG", key: "etag", cell: func(g api.Generation) string { return g.ETag }},
			{head: "WRITTEN", key: "time", age: true, cell: func(g api.Generation) string { return ago(env.Now(), g.Time) },
				value: func(g api.Generation) string { return moment(g.Time) }},
			{head: "BY", key: "writer", cell: func(g api.Generation) string { return cmp.Or(g.WriterName, "-") },
				value: func(g api.Generation) string { return string(g.Writer) }},
			{head: "STATE", key: "state", state: true, cell: func(g api.Generation) string { return g.State }},
			{head: "IMAGE", key: "image", cell: func(g api.Generation) string { return cmp.Or(g.Image, "-") }},
			{head: "REPLICAS", key: "replicas", cell: func(g api.Generation) string { return strconv.Itoa(g.Replicas) }},
			{head: "CHANGED", key: "changed", cell: func(g api.Generation) string { return cmp.Or(strings.Join(g.Changed, " "), "-") }},
		},
	}
}
