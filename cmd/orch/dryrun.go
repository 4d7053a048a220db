package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// dryRun prints what run would do. Slots that nobody takes are exit code 5, as they
// would be of the run itself.
func (r *runCommand) dryRun(cmd *cobra.Command, job api.Job) error {
	if !cmd.Flags().Changed("output") && r.form.format == "" {
		r.form.output = "table"
	}
	return ask(r.env, cmd, func(ctx context.Context, c client) error {
		planned, err := c.Plan(ctx, job, r.ifMatch == "", api.WriteOptions{IfMatch: r.ifMatch})
		if err != nil {
			return cannot("plan "+job.Name, err, r.env.Now())
		}
		var body bytes.Buffer
		enc := json.NewEncoder(&body)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(planned); err != nil {
			return fmt.Errorf("print the plan: %w", err)
		}
		a, open := answer[api.PlanSlot]{body: body.Bytes()}, 0
		for _, s := range planned.Plan.Slots {
			raw, err := json.Marshal(s)
			if err != nil {
				return fmt.Errorf("print the plan: %w", err)
			}
			a.entries = append(a.entries, entry[api.PlanSlot]{raw: raw, value: s})
			if s.Node == "" && s.Action != "stop" {
				open++
			}
		}
		if err := planKind().print(r.env.Stdout, &r.form, a); err != nil {
			return err
		}
		fmt.Fprintf(r.env.Stderr, "dry run: %s %s; nothing is stored\n", planned.Plan.Action, job.Name)
		if open > 0 {
			fmt.Fprintf(r.env.Stderr, "%s would find no node\n", count(open, "slot"))
			return said(exitWaiting)
		}
		return nil
	})
}

// planKind is how the slots of a plan are printed.
func planKind() kind[api.PlanSlot] {
	return kind[api.PlanSlot]{
		name: func(s api.PlanSlot) string { return s.Task },
		key:  func(s api.PlanSlot) string { return s.Action + " " + s.Task },
		columns: []column[api.PlanSlot]{
			{head: "TASK", key: "task", cell: func(s api.PlanSlot) string { return s.Task }},
			{head: "ACTION", key: "action", cell: func(s api.PlanSlot) string { return s.Action }},
			{head: "FROM", key: "from", cell: func(s api.PlanSlot) string { return cmp.Or(s.FromName, "-") },
				value: func(s api.PlanSlot) string { return string(s.From) }},
			{head: "NODE", key: "node", cell: func(s api.PlanSlot) string { return cmp.Or(s.NodeName, "-") },
				value: func(s api.PlanSlot) string { return string(s.Node) }},
			{head: "SCORE", key: "score", cell: func(s api.PlanSlot) string {
				if s.Score == 0 {
					return "-"
				}
				return fmt.Sprintf("%.3f", s.Score)
			}},
			{head: "REASON", key: "reason", cell: func(s api.PlanSlot) string { return s.Reason }},
		},
	}
}
