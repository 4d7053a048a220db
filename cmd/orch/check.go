package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// lookPause is the time between two looks of a check.
const lookPause = time.Second

// A checkCommand is orch check.
type checkCommand struct {
	env *Env
	form
	wait seconds
}

func newCheckCommand(env *Env) *cobra.Command {
	k := &checkCommand{env: env, form: form{known: []string{"table", "json", "ndjson", "csv"}}, wait: seconds(15 * time.Second)}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Compare what all nodes say, and tell what is not as it should be",
		Long: `Ask every node for its table, its view of the others and what its engines have,
compare, and list what is not as it should be: that the tables are equal; that each
task that is wanted runs once, where and as its record says; that nothing else runs;
that no node has more than fits; that all agree on who is alive.

A cluster in motion is not the same from one moment to the next. If not all is as it
should be, check looks again until it is, or for as long as --wait. What it finds is

  violation   must not be so, and was so in each look
  unsettled   should not stay so: it came or changed meanwhile, it may rightly take
              longer than the wait, or it is still on its way
  silent      a node does not say what it has, so nobody knows
  not_served  a task that is wanted does not run; the cluster says why

It ends with exit code 6 if something is violated, with 5 if something is unsettled or
silent, so that something may be, and else with 0.`,
		Example: `  orch check
  orch check --wait 1m -o json`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error { return k.run(cmd) },
	}
	k.form.register(cmd, "table")
	cmd.Flags().Var(&k.wait, "wait", "how long to look again; 0 looks once, and calls nothing a violation")
	return cmd
}

func (k *checkCommand) run(cmd *cobra.Command) error {
	if err := checkForm[finding](&k.form, k.env, cmd); err != nil {
		return err
	}
	return with(k.env, cmd, func(ctx context.Context, c client) error {
		s, found, err := k.looks(ctx, c)
		if err != nil {
			return err
		}
		if len(found) > 0 || k.output != "table" {
			a, err := answerOfAll(found)
			if err != nil {
				return err
			}
			if err := findingKind().print(k.env.Stdout, &k.form, a); err != nil {
				return err
			}
		}
		fmt.Fprintln(k.env.Stderr, sumUp(s, found))
		return outcome(found)
	})
}

// looks looks until all is as it should be, or another look would tell nothing new.
// It returns the last look and what stands.
func (k *checkCommand) looks(ctx context.Context, c client) (snapshot, []finding, error) {
	t := &trial{began: k.env.Now()}
	for {
		limited, cancel := context.WithTimeout(ctx, answerLimit)
		s, err := lookAround(limited, c)
		cancel()
		if err != nil {
			return s, nil, cannot("check", err, k.env.Now())
		}
		now := k.env.Now()
		t.add(now, compare(s))
		if t.over(now, time.Duration(k.wait)) {
			return s, t.stands(now), nil
		}
		if t.looks == 1 {
			fmt.Fprintf(k.env.Stderr, "%s; looking again for up to %s\n", count(len(t.found), "finding"), time.Duration(k.wait))
		}
		select {
		case <-ctx.Done():
			return s, nil, ctx.Err()
		case <-time.After(lookPause):
		}
	}
}

// A trial is the findings of several looks, one after the other.
type trial struct {
	began time.Time
	looks int
	first time.Time            // when the first look was over
	since map[string]time.Time // when each of found was first found, of those found in each look since
	found []finding            // by the last look
	same  bool                 // as by the one before
}

// add takes in what a look found.
func (t *trial) add(now time.Time, found []finding) {
	if t.looks++; t.looks == 1 {
		t.first = now
	}
	since := make(map[string]time.Time, len(found))
	for _, f := range found {
		since[f.key()] = now
		if before, known := t.since[f.key()]; known {
			since[f.key()] = before
		}
	}
	t.same = t.looks > 1 && maps.EqualFunc(since, t.since, func(_, _ time.Time) bool { return true })
	t.since, t.found = since, found
}

// over says whether to stop looking: nothing is found, only what does not change by
// being looked at longer, or the time is up.
func (t *trial) over(now time.Time, wait time.Duration) bool {
	mayPass := slices.ContainsFunc(t.found, func(f finding) bool { return f.Kind == violation || f.Kind == unsettled })
	return len(t.found) == 0 || t.same && !mayPass || now.Sub(t.began) >= wait
}

// stands is what the looks found together: a violation is what was one in each of
// them, and for longer than it may take to pass.
func (t *trial) stands(now time.Time) []finding {
	out := slices.Clone(t.found)
	for i := range out {
		since := t.since[out[i].key()]
		if out[i].Kind == violation && (t.looks == 1 || since != t.first || now.Sub(since) < out[i].patience) {
			out[i].Kind = unsettled
		}
	}
	sortFindings(out)
	return out
}

// outcome is the exit code of a check.
func outcome(found []finding) error {
	has := func(kinds ...string) bool {
		return slices.ContainsFunc(found, func(f finding) bool { return slices.Contains(kinds, f.Kind) })
	}
	switch {
	case has(violation):
		return said(exitFailed)
	case has(unsettled, silent):
		return said(exitWaiting)
	}
	return nil
}

// sumUp is a line about a whole check.
func sumUp(s snapshot, found []finding) string {
	answered, held := 0, 0
	for _, r := range s.accounts {
		if held += len(r.held); r.fault == "" {
			answered++
		}
	}
	number := map[string]int{}
	for _, f := range found {
		number[f.Kind]++
	}
	var parts []string
	switch n := number[violation]; {
	case n > 0:
		parts = append(parts, count(n, violation))
	case len(found) > 0:
		parts = append(parts, "no violation")
	default:
		parts = append(parts, "all is as it should be")
	}
	for _, kind := range kindsOf[1:] {
		if n := number[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ReplaceAll(kind, "_", " ")))
		}
	}
	return fmt.Sprintf("%d of %s answered, %s, %s: %s", answered, count(len(s.nodes), "node"), count(len(s.jobs), "job"), count(held, "container"), strings.Join(parts, ", "))
}

// findingKind is how findings are printed.
func findingKind() kind[finding] {
	return kind[finding]{
		name: finding.key,
		columns: []column[finding]{
			{head: "FINDING", key: "kind", state: true, cell: func(f finding) string { return f.Kind }},
			{head: "RULE", key: "rule", cell: func(f finding) string { return f.Rule }},
			{key: "job", cell: func(f finding) string { return f.Job }},
			{head: "TASK", key: "task", cell: func(f finding) string { return cmp.Or(f.Task, "-") }},
			{head: "NODE", key: "node", cell: func(f finding) string { return cmp.Or(f.NodeName, "-") }, value: func(f finding) string { return string(f.Node) }},
			{key: "node_name", cell: func(f finding) string { return f.NodeName }},
			{head: "FOUND", key: "found", cell: func(f finding) string { return f.Found }},
			{head: "EXPECTED", key: "expected", cell: func(f finding) string { return f.Expected }},
		},
	}
}
