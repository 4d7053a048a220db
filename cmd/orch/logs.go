package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// A logsCommand is orch logs.
type logsCommand struct {
	env    *Env
	follow bool
	tail   string
	since  string
	until  string
	times  bool
	raw    bool
	plain  bool // no prefixes

	prefix int             // width of the prefixes; 0 is none
	half   string          // task and stream of the line that is not at its end
	heard  map[string]bool // tasks that there were lines of
}

func newLogsCommand(env *Env) *cobra.Command {
	l := &logsCommand{env: env, heard: map[string]bool{}}
	cmd := &cobra.Command{
		Use:   "logs JOB|TASK...",
		Short: "Print what tasks wrote",
		Long: `Print what tasks wrote: of a job, or of several, the lines of all tasks by their
time. A task is web.0; web.0@2 is an earlier attempt at it, as long as its node has it.

A node that cannot be reached does not hold up the others: stderr says whose
lines are missing. Control characters are shown as escapes unless --raw.`,
		Example: `  orch logs -f web
  orch logs -n all --since 10m web.0`,
		RunE: func(cmd *cobra.Command, words []string) error { return l.run(cmd, words) },
	}
	f := cmd.Flags()
	f.BoolVarP(&l.follow, "follow", "f", false, "go on with new lines, and new attempts of the tasks, until Ctrl-C")
	f.StringVarP(&l.tail, "tail", "n", "100", "the last `N` lines of each task, or all")
	f.StringVar(&l.since, "since", "", "lines since `TIME`: 10m (ago), RFC 3339, or seconds since 1970")
	f.StringVar(&l.until, "until", "", "lines until `TIME`, as --since")
	f.BoolVarP(&l.times, "timestamps", "t", false, "print the time of each line")
	f.BoolVar(&l.raw, "raw", false, "print lines as they were written, control characters and all")
	f.BoolVar(&l.plain, "no-prefix", false, "do not say which task a line is of")
	return cmd
}

func (l *logsCommand) run(cmd *cobra.Command, words []string) error {
	o, err := l.options(cmd)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return usageError(cmd, "a job or task is missing: %s JOB|TASK...", cmd.CommandPath())
	}
	for _, word := range words {
		if _, notTask := api.ParseTaskID(word); notTask != nil && !api.ValidJobName(word) {
			return usageError(cmd, "%.80q is neither a job nor a task (web is a job, web.0 a task of it)", word)
		}
	}
	if !l.plain && (len(words) > 1 || api.ValidJobName(words[0])) {
		l.prefix = 1
	}
	return with(l.env, cmd, func(ctx context.Context, c client) error {
		err := c.Logs(ctx, words, o, func(line api.LogLine) error {
			if line.Fault == nil {
				l.heard[line.Task] = true
				return l.print(l.env.Stdout, line)
			}
			l.missing(line)
			return nil
		})
		if err != nil && ctx.Err() == nil {
			return cannot("read logs of "+strings.Join(words, ", "), err, l.env.Now())
		}
		return err
	})
}

// options reads -n, --since and --until.
func (l *logsCommand) options(cmd *cobra.Command) (api.LogOptions, error) {
	o := api.LogOptions{Follow: l.follow, Tail: -1}
	var err error
	if l.tail != "all" {
		if o.Tail, err = strconv.Atoi(l.tail); err != nil || o.Tail < 0 {
			return o, usageError(cmd, "-n %q is neither a number of lines nor all", l.tail)
		}
	}
	for _, f := range []struct {
		flag, value string
		to          *time.Time
	}{{"since", l.since, &o.Since}, {"until", l.until, &o.Until}} {
		if f.value == "" {
			continue
		}
		if *f.to, err = parseTime(f.value, l.env.Now()); err != nil {
			return o, usageError(cmd, "--%s %q: %s", f.flag, f.value, err)
		}
	}
	return o, nil
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

// print writes one line. The pieces of a long line are put together where no other
// line comes in between.
func (l *logsCommand) print(out io.Writer, line api.LogLine) error {
	from := line.Task + " " + line.Stream
	var b strings.Builder
	if l.half != "" && l.half != from {
		b.WriteByte('\n')
	}
	if l.half != from {
		if l.prefix > 0 {
			l.prefix = max(l.prefix, len(line.Task))
			fmt.Fprintf(&b, "%-*s | ", l.prefix, clean(line.Task))
		}
		if l.times {
			b.WriteString(line.Time.UTC().Format(time.RFC3339Nano) + " ")
		}
	}
	if l.raw {
		b.WriteString(line.Line)
	} else {
		b.WriteString(cleanLine(line.Line))
	}
	if l.half = from; !line.Partial {
		l.half = ""
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
func (l *logsCommand) missing(line api.LogLine) {
	who, what, of := line.Node, "no logs", ": "+line.Task
	if who == "" {
		who, of = line.Task, ""
	}
	if l.heard[line.Task] {
		what = "no more logs"
	}
	fmt.Fprintln(l.env.Stderr, clean(fmt.Sprintf("%s: %s (%s)%s", who, what, line.Fault.Detail, of)))
}
