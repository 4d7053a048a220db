package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// An explainCommand is orch explain.
type explainCommand struct {
	env    *Env
	output string
	all    bool
}

func newExplainCommand(env *Env) *cobra.Command {
	e := &explainCommand{env: env}
	cmd := &cobra.Command{
		Use:        "explain JOB|TASK",
		SuggestFor: []string{"why", "describe"},
		Short:      "Tell why tasks are where they are, or nowhere",
		Long: `Tell why tasks are where they are, or nowhere.

Of a job: where each task is and why, and what the nodes said that refused those
that wait. Of a task: the protocol of the auction that placed it, or of the last
that tried: each node that was asked, its bid and what it is made of.

With -o ndjson, the protocols as lines of JSON; with --all and no name, those of
all jobs.`,
		Example: `  orch explain web
  orch explain web.2
  orch explain --all -o ndjson >auctions.ndjson`,
		RunE: func(cmd *cobra.Command, words []string) error { return e.run(cmd, words) },
	}
	cmd.Flags().BoolVar(&e.all, "all", false, "of a job, the auction of every task; of a task, the earlier ones too")
	cmd.Flags().StringVarP(&e.output, "output", "o", "table", "`FORM`: "+strings.Join(explainForms, ", "))
	complete(cmd, "output", explainForms...)
	return cmd
}

// explainForms are the values of -o.
var explainForms = []string{"table", "json", "ndjson"}

func (e *explainCommand) run(cmd *cobra.Command, words []string) error {
	if err := checkOutput(cmd, e.output, explainForms...); err != nil {
		return err
	}
	if everything := e.all && e.output == "ndjson"; len(words) != 1 && (!everything || len(words) > 0) {
		return usageError(cmd, "one job or task is needed: %s JOB|TASK", cmd.CommandPath())
	}
	what := "the auctions"
	if len(words) > 0 {
		what = words[0]
		if !isTask(what) && !api.ValidJobName(what) {
			return usageError(cmd, "%.80q is neither a job nor a task (web is a job, web.0 a task of it)", what)
		}
	}
	in := ask
	if e.all {
		in = with // as many questions as there are auctions take their time
	}
	return in(e.env, cmd, func(ctx context.Context, c client) error {
		if err := e.explain(ctx, c, words); err != nil {
			return cannot("explain "+what, err, e.env.Now())
		}
		return nil
	})
}

func isTask(word string) bool {
	_, err := api.ParseTaskID(word)
	return err == nil
}

func (e *explainCommand) explain(ctx context.Context, c client, words []string) error {
	switch {
	case e.output == "ndjson":
		return e.lines(ctx, c, words)
	case e.output == "json":
		path := rest.ExplainPath(words[0])
		if isTask(words[0]) {
			path = rest.AuctionPath(words[0], 0)
		}
		body, err := c.Raw(ctx, path)
		if err == nil {
			_, err = e.env.Stdout.Write(body)
		}
		return err
	case isTask(words[0]):
		return e.task(ctx, c, words[0])
	}
	return e.job(ctx, c, words[0])
}

// lines prints auctions as lines of JSON, each once.
func (e *explainCommand) lines(ctx context.Context, c client, words []string) error {
	var filter api.TaskFilter
	if len(words) > 0 {
		filter.Job = words[0]
	}
	ids := words
	if len(words) == 0 || !isTask(words[0]) {
		tasks, err := c.Tasks(ctx, filter)
		if err == nil {
			err = mustExist(ctx, c, filter, len(tasks))
		}
		if err != nil {
			return err
		}
		ids = nil
		for _, t := range tasks {
			ids = append(ids, t.ID)
		}
	}
	enc := json.NewEncoder(e.env.Stdout)
	enc.SetEscapeHTML(false)
	return e.eachSheet(ctx, c, ids, func(s api.Sheet) error { return enc.Encode(s) })
}

// eachSheet calls each with the sheets of the last auctions of tasks and, for all,
// the earlier ones, each once. Those that are not kept any more are left out.
func (e *explainCommand) eachSheet(ctx context.Context, c client, ids []string, each func(api.Sheet) error) error {
	seen := map[string]bool{}
	for _, id := range ids {
		for back := 0; ; back++ {
			sheet, err := c.Auction(ctx, id, back)
			switch code := api.CodeOf(err); {
			case code == api.AuctionExpired || code == api.TaskNotFound:
			case err != nil:
				return err
			case !seen[sheet.ID]:
				seen[sheet.ID] = true
				if err := each(sheet); err != nil {
					return err
				}
			}
			if !e.all || err != nil && back > 0 {
				break
			}
		}
	}
	return nil
}

// task prints what is known of one task, and its sheet. That the sheet is gone is no
// error: the rest was told.
func (e *explainCommand) task(ctx context.Context, c client, id string) error {
	story, err := c.Explain(ctx, id)
	if err != nil {
		return err
	}
	if len(story.Tasks) != 1 {
		return fmt.Errorf("the answer has %s", count(len(story.Tasks), "task"))
	}
	t := story.Tasks[0]
	lines := []string{taskLine(t.Task, t.Because, e.env.Now())}
	sheet, err := c.Auction(ctx, id, 0)
	switch code := api.CodeOf(err); {
	case err == nil:
		lines = append(lines, sheetLines(sheet, t.Task.Index)...)
	case code == api.AuctionExpired:
		lines = append(lines, err.Error())
	default:
		return err
	}
	if h := historyText(t.History, e.env.Now()); h != "" {
		lines = besides(lines, h)
	}
	if err := printLines(e.env.Stdout, lines); err != nil || !e.all {
		return err
	}
	return e.eachSheet(ctx, c, []string{id}, func(s api.Sheet) error {
		if s.ID == sheet.ID {
			return nil
		}
		return printLines(e.env.Stdout, append([]string{""}, sheetLines(s, t.Task.Index)...))
	})
}

// historyText is "history: @1 vps2 16:12–18:39 lost · @2 home 18:40–", or "" when
// there is one attempt only.
func historyText(attempts []api.Attempt, now time.Time) string {
	if len(attempts) < 2 {
		return ""
	}
	clock := func(t time.Time) string {
		if clockOf(now, t) == time.TimeOnly {
			return t.In(now.Location()).Format("15:04")
		}
		return t.In(now.Location()).Format("2006-01-02 15:04")
	}
	var parts []string
	for _, a := range attempts {
		part := fmt.Sprintf("@%d %s %s–", a.Epoch, cmp.Or(a.NodeName, a.Node.Short()), clock(a.From))
		if a.Until != nil {
			part += clock(*a.Until)
		}
		parts = append(parts, strings.TrimSpace(part+" "+a.Ended))
	}
	return "history: " + strings.Join(parts, " · ")
}

// besides puts text beside the last line, where there is room.
func besides(lines []string, text string) []string {
	const column = 53
	last := len(lines) - 1
	if !strings.HasPrefix(lines[last], "not asked: ") || len(lines[last]) >= column {
		return append(lines, text)
	}
	lines[last] = fmt.Sprintf("%-*s%s", column, lines[last], text)
	return lines
}

// job prints the story of a job.
func (e *explainCommand) job(ctx context.Context, c client, name string) error {
	story, err := c.Explain(ctx, name)
	if err != nil {
		return err
	}
	if err := e.slots(story); err != nil {
		return err
	}
	if !e.all {
		return printRefusals(e.env.Stdout, story)
	}
	var ids []string
	for _, t := range story.Tasks {
		ids = append(ids, t.Task.ID)
	}
	last := explainCommand{} // of each task its last auction
	return last.eachSheet(ctx, c, ids, func(s api.Sheet) error {
		return printLines(e.env.Stdout, append([]string{""}, sheetLines(s, -1)...))
	})
}

// slots prints a line for the job and one for each task.
func (e *explainCommand) slots(s api.Explanation) error {
	head := fmt.Sprintf("%s  %s  %s", s.Job.Name, s.Job.Type, programText(s.Job))
	if st := s.Job.Status; st != nil {
		head += fmt.Sprintf("  %s  %s", runningText(s.Job), st.State)
		if st.Reason != "" {
			head += ": " + st.Reason
		}
	}
	fmt.Fprintln(e.env.Stdout, clean(head))
	t := &table{header: []string{"TASK", "NODE", "STATE", "SINCE", "WHY"}}
	for _, one := range s.Tasks {
		task := one.Task
		t.add(task.Attempt, cmp.Or(task.NodeName, task.Node.Short(), "-"), string(task.State), since(e.env.Now(), changedAt(task)), whyText(one))
	}
	if err := t.print(e.env.Stdout); err != nil {
		return err
	}
	if s.Omitted > 0 {
		fmt.Fprintf(e.env.Stdout, "… and %s\n", count(s.Omitted, "further task"))
	}
	return nil
}

// whyText is the reason of a task and, of one that was placed, how it was won.
func whyText(s api.TaskStory) string {
	var parts []string
	if s.Task.Stays != "" {
		parts = append(parts, s.Task.Stays)
	}
	if s.Task.Reason != "" {
		parts = append(parts, s.Task.Reason)
	}
	if row := s.Award; row != nil {
		won := fmt.Sprintf("won %.3f", row.Score)
		if row.RunnerUp != "" {
			won += fmt.Sprintf(" before %s %.3f", cmp.Or(row.RunnerUpName, row.RunnerUp.Short()), row.RunnerUpScore)
		}
		parts = append(parts, won+" (auction "+s.Task.Auction+")")
	}
	if s.Because != "" && s.Task.Node != "" && s.Because != s.Task.Reason {
		parts = append(parts, s.Because)
	}
	return strings.Join(parts, "; ")
}

// printRefusals prints what nodes said that do not take tasks which wait.
func printRefusals(out io.Writer, s api.Explanation) error {
	if len(s.Refusals) == 0 {
		return nil
	}
	t := &table{header: []string{"TASKS", "ANSWER", "NODES", "WHY"}}
	for _, g := range s.Refusals {
		answer, why := "not asked", g.Reason
		if g.Asked {
			answer, why = "refused", why+retryText(&api.Refusal{Retry: g.Retry, After: g.After})
		}
		t.add(s.Job.Name+"."+ranges(g.Slots), answer, strings.Join(g.Nodes, ", "), why)
	}
	fmt.Fprintln(out)
	return t.print(out)
}

// retryText says when a refusal is to be reconsidered.
func retryText(r *api.Refusal) string {
	switch {
	case r.Retry == "capacity":
		return " (until room is made)"
	case r.Retry == "after" && r.After > 0:
		return " (for " + r.After.String() + ")"
	}
	return ""
}
