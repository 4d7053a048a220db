package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// An eventsCommand is orch events.
type eventsCommand struct {
	env     *Env
	follow  bool
	since   string
	filters []string
	output  string
	list    []api.Event // for -o json
}

func newEventsCommand(env *Env) *cobra.Command {
	e := &eventsCommand{env: env}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print what has happened, or happens",
		Long: `Print what has happened to jobs, tasks and nodes, as the node asked has seen it, and
end; with -f go on with what happens. (docker events goes on without being told to.)
A node keeps its last 10,000 events, since it was started.

If the node that is asked dies, another one of --api or ORCH_API is followed.`,
		Example: `  orch events --since 10m
  orch events -f --filter type=node --filter type=task.failed
  orch events -f --filter job=web -o ndjson`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.run(cmd) },
	}
	f := cmd.Flags()
	f.BoolVarP(&e.follow, "follow", "f", false, "go on with what happens, until Ctrl-C")
	f.StringVar(&e.since, "since", "", "begin with what happened at `TIME`: 10m (ago), RFC 3339, or seconds since 1970")
	f.StringArrayVar(&e.filters, "filter", nil, "print only what has `KEY=VALUE`; keys: type (also a family: task, node), job, task, node")
	f.StringVarP(&e.output, "output", "o", "table", "print in a `FORM`: table, json, ndjson")
	complete(cmd, "filter", "type=", "job=", "task=", "node=")
	complete(cmd, "output", "table", "json", "ndjson")
	return cmd
}

func (e *eventsCommand) run(cmd *cobra.Command) error {
	if err := checkOutput(cmd, e.output, "table", "json", "ndjson"); err != nil {
		return err
	}
	if e.follow && e.output == "json" {
		return usageError(cmd, "-f and -o json do not go together: one document is one answer (-o ndjson has one a line)")
	}
	filter, err := e.filter(cmd)
	if err != nil {
		return err
	}
	e.list = []api.Event{}
	err = with(e.env, cmd, func(ctx context.Context, c client) error {
		err := c.Events(ctx, filter, e.print)
		if err != nil && ctx.Err() == nil {
			return cannot("read events", err, e.env.Now())
		}
		return err
	})
	if err != nil || e.output != "json" {
		return err
	}
	return json.NewEncoder(e.env.Stdout).Encode(e.list)
}

// filter reads --since and --filter.
func (e *eventsCommand) filter(cmd *cobra.Command) (api.EventFilter, error) {
	f := api.EventFilter{Follow: e.follow}
	keys, err := parseFilters(cmd, e.filters, "type", "job", "task", "node")
	if err != nil {
		return f, err
	}
	for _, t := range keys["type"] {
		if !api.KnownEventType(api.EventType(t)) {
			return f, usageError(cmd, "--filter type=%.80s: the types are %s", t, strings.Join(words(api.EventTypes()...), ", "))
		}
		f.Types = append(f.Types, api.EventType(t))
	}
	for key, to := range map[string]*string{"job": &f.Job, "task": &f.Task, "node": &f.Node} {
		if len(keys[key]) > 1 {
			return f, usageError(cmd, "--filter %s= can be given once", key)
		}
		*to = strings.Join(keys[key], "")
	}
	if _, bad := api.ParseTaskID(f.Task); f.Task != "" && bad != nil {
		return f, usageError(cmd, "--filter task=%.80s: %s", f.Task, bad)
	}
	if e.since != "" {
		if f.Since, err = parseTime(e.since, e.env.Now()); err != nil {
			return f, usageError(cmd, "--since %q: %s", e.since, err)
		}
	}
	return f, nil
}

// print prints one event. What is about the stream itself goes to stderr.
func (e *eventsCommand) print(event api.Event) error {
	switch {
	case event.Type == api.EventMark:
		return nil
	case event.Type == api.EventReset:
		fmt.Fprintf(e.env.Stderr, "# %s\n", clean(event.Message))
		return nil
	case e.output == "json":
		e.list = append(e.list, event)
		return nil
	case e.output == "ndjson":
		enc := json.NewEncoder(e.env.Stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(event)
	}
	_, err := fmt.Fprintf(e.env.Stdout, "%s  %-15s  %s\n", e.when(event.Time), clean(string(event.Type)), clean(event.Message))
	return err
}

// when is short for a person today, and whole for a file.
func (e *eventsCommand) when(t time.Time) string {
	now := e.env.Now()
	if !e.env.IsTerminal(e.env.Stdout) {
		return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	t = t.In(now.Location())
	if t.YearDay() == now.YearDay() && now.Sub(t) < 24*time.Hour {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}

// newWaitCommand waits for what others have begun.
func newWaitCommand(env *Env) *cobra.Command {
	var goal string
	var timeout time.Duration
	goals := words(api.Goals()...)
	cmd := &cobra.Command{
		Use:   "wait JOB...",
		Short: "Wait until jobs run, are complete or are gone",
		Long: `Wait until jobs run, are complete or are gone, and print the name of each that is so.
It ends with exit code 5 if one is not so in time.`,
		Example: `  orch run -d --type batch --name import -- import.sh && orch wait --for complete import
  orch wait --for gone --timeout 30s web`,
		Args: jobNames,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := checkWord(cmd, "--for", goal, goals...); err != nil {
				return err
			}
			return with(env, cmd, func(ctx context.Context, c client) error {
				if timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, timeout)
					defer cancel()
				}
				return awaitJobs(ctx, env, c, names, api.Goal(goal))
			})
		},
	}
	cmd.Flags().StringVar(&goal, "for", string(api.GoalRunning), "`WHAT` to wait for: "+strings.Join(goals, ", "))
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "stop waiting after that; 0 waits for ever")
	complete(cmd, "for", goals...)
	return cmd
}

// awaitJobs waits for one job after the other, which takes no longer than for all
// at once.
func awaitJobs(ctx context.Context, env *Env, c client, names []string, goal api.Goal) error {
	late := false
	for _, name := range names {
		job, reached, err := c.WaitJob(ctx, name, goal)
		switch {
		case err != nil:
			return cannot("wait for "+name, err, env.Now())
		case reached:
			if _, err := fmt.Fprintln(env.Stdout, clean(name)); err != nil {
				return err
			}
		default:
			state := "still there"
			if job.Status != nil {
				state = statusText(job)
			}
			late = true
			fmt.Fprintf(env.Stderr, "%s is not %s: %s\n", clean(name), goal, clean(state))
		}
	}
	switch {
	case !late:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	}
	return said(exitWaiting)
}
