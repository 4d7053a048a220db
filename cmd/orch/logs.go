package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

const (
	// followLag and readLag are how long a line waits for an earlier one of a
	// source that is silent.
	followLag = 250 * time.Millisecond
	readLag   = 5 * time.Second
	// newSources is how often a job that is followed is looked at for new attempts.
	newSources = 2 * time.Second
)

// A logsCommand is orch logs.
type logsCommand struct {
	env    *Env
	follow bool
	tail   string
	since  string
	times  bool
	raw    bool

	options api.LogOptions
	prefix  int // width of the prefix; 0 is none
	half    bool
}

func newLogsCommand(env *Env) *cobra.Command {
	l := &logsCommand{env: env}
	cmd := &cobra.Command{
		Use:   "logs JOB|TASK...",
		Short: "Print what tasks wrote",
		Long: `Print what tasks wrote: of a job, the lines of all its tasks by their time.

A node that cannot be reached does not hold up the others: stderr says whose
lines are missing. Control characters are shown as escapes unless --raw.`,
		RunE: func(cmd *cobra.Command, words []string) error { return l.run(cmd, words) },
	}
	f := cmd.Flags()
	f.BoolVarP(&l.follow, "follow", "f", false, "go on with new lines, and new attempts of the tasks, until Ctrl-C")
	f.StringVarP(&l.tail, "tail", "n", "100", "the last `N` lines of each task, or all")
	f.StringVar(&l.since, "since", "", "lines since `TIME`: 10m (ago), RFC 3339, or seconds since 1970")
	f.BoolVarP(&l.times, "timestamps", "t", false, "print the time of each line")
	f.BoolVar(&l.raw, "raw", false, "print lines as they were written, control characters and all")
	return cmd
}

func (l *logsCommand) run(cmd *cobra.Command, words []string) error {
	if err := l.readOptions(cmd); err != nil {
		return err
	}
	wanted, err := parseSources(cmd, words)
	if err != nil {
		return err
	}
	return with(l.env, cmd, func(ctx context.Context, c client) error {
		first, err := wanted.attempts(ctx, c)
		if err != nil {
			return cannot("read logs of "+strings.Join(words, ", "), err, l.env.Now())
		}
		if !wanted.single() {
			for _, t := range first {
				l.prefix = max(l.prefix, len(t.ID))
			}
			l.prefix = max(l.prefix, 1)
		}
		return l.merge(ctx, c, wanted, first)
	})
}

// readOptions reads -n and --since.
func (l *logsCommand) readOptions(cmd *cobra.Command) error {
	l.options = api.LogOptions{Follow: l.follow, Tail: -1}
	var err error
	if l.tail != "all" {
		if l.options.Tail, err = strconv.Atoi(l.tail); err != nil || l.options.Tail < 0 {
			return usageError(cmd, "-n %q is neither a number of lines nor all", l.tail)
		}
	}
	if l.since == "" {
		return nil
	}
	if l.options.Since, err = parseTime(l.since, l.env.Now()); err != nil {
		return usageError(cmd, "--since %q: %s", l.since, err)
	}
	return nil
}

// parseTime reads how long before now, RFC 3339, or seconds since 1970.
func parseTime(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 && n < 1e11 {
		return time.Unix(n, 0), nil
	}
	return time.Time{}, errors.New("write 10m (ago), 2026-01-02T15:04:05Z or 1767366245")
}

// sources are the words of the command line: jobs, tasks and attempts.
type sources struct {
	jobs  []string
	tasks []api.TaskID
}

func parseSources(cmd *cobra.Command, words []string) (sources, error) {
	var s sources
	if len(words) == 0 {
		return s, usageError(cmd, "a job or task is missing: %s JOB|TASK...", cmd.CommandPath())
	}
	for _, word := range words {
		if id, err := api.ParseTaskID(word); err == nil {
			s.tasks = append(s.tasks, id)
		} else if api.ValidJobName(word) {
			s.jobs = append(s.jobs, word)
		} else {
			return s, usageError(cmd, "%.80q is neither a job nor a task (web is a job, web.0 a task of it)", word)
		}
	}
	return s, nil
}

// single says whether all lines are of one task.
func (s sources) single() bool { return len(s.jobs) == 0 && len(s.tasks) == 1 }

// attempts lists the attempts that have logs, or say why not.
func (s sources) attempts(ctx context.Context, c client) ([]api.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var all []api.Task
	for _, job := range s.jobs {
		tasks, err := c.Tasks(ctx, api.TaskFilter{Job: job})
		if err == nil {
			err = mustExist(ctx, c, api.TaskFilter{Job: job}, len(tasks))
		}
		if err != nil {
			return nil, err
		}
		all = append(all, tasks...)
	}
	for _, id := range s.tasks {
		t, err := c.Task(ctx, id.String())
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(t api.Task) bool {
		twice := seen[t.Attempt]
		seen[t.Attempt] = true
		return twice
	}), nil
}

// print writes one line. The parts of a long line are joined where no other
// source can come in between.
func (l *logsCommand) print(out io.Writer, line api.LogLine) error {
	var b strings.Builder
	if l.prefix > 0 {
		fmt.Fprintf(&b, "%-*s | ", l.prefix, clean(line.Task))
	}
	if l.times && !l.half {
		b.WriteString(line.Time.UTC().Format(time.RFC3339Nano) + " ")
	}
	text := line.Line
	if !l.raw {
		text = cleanLine(text)
	}
	b.WriteString(text)
	if l.half = line.Partial && l.prefix == 0; !l.half {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// cleanLine is clean, but leaves tabs alone: they are common and harmless.
func cleanLine(s string) string {
	parts := strings.Split(strings.TrimSuffix(s, "\r"), "\t")
	for i, part := range parts {
		parts[i] = clean(part)
	}
	return strings.Join(parts, "\t")
}

// missing says on stderr whose lines are not there, and why.
func (l *logsCommand) missing(t api.Task, err error) {
	who := t.ID
	if t.NodeName != "" {
		who = t.NodeName + ": " + who
	}
	fmt.Fprintf(l.env.Stderr, "%s: no logs (%s)\n", clean(who), clean(err.Error()))
}
