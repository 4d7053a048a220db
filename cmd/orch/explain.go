package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// maxSheets is how many sheets are asked for to explain a job without --all.
const maxSheets = 16

// An explainCommand is orch explain.
type explainCommand struct {
	env    *Env
	output string
	all    bool
}

func newExplainCommand(env *Env) *cobra.Command {
	e := &explainCommand{env: env}
	cmd := &cobra.Command{
		Use:   "explain JOB|TASK",
		Short: "Tell why tasks are where they are, or nowhere",
		Long: `Tell why tasks are where they are, or nowhere.

Of a job: where each task is and why, and what the nodes said that refused those
that wait. Of a task: the protocol of the auction that placed it, or of the last
that tried: each node that was asked, its bid and what it is made of.`,
		Args: func(cmd *cobra.Command, words []string) error {
			if len(words) != 1 {
				return usageError(cmd, "one job or task is needed: %s JOB|TASK", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, words []string) error { return e.run(cmd, words[0]) },
	}
	cmd.Flags().BoolVar(&e.all, "all", false, "of a job: the auction of every task")
	cmd.Flags().StringVarP(&e.output, "output", "o", "table", "`FORMAT`: table or json")
	return cmd
}

func (e *explainCommand) run(cmd *cobra.Command, name string) error {
	if err := checkOutput(cmd, e.output, "table", "json"); err != nil {
		return err
	}
	_, notTask := api.ParseTaskID(name)
	if notTask != nil && !api.ValidJobName(name) {
		return usageError(cmd, "%.80q is neither a job nor a task (web is a job, web.0 a task of it)", name)
	}
	return ask(e.env, cmd, func(ctx context.Context, c client) error {
		var err error
		switch {
		case notTask == nil && e.output == "json":
			var body []byte
			if body, err = c.Raw(ctx, "/v1/tasks/"+name+"/auction"); err == nil {
				_, err = e.env.Stdout.Write(body)
			}
		case notTask == nil:
			err = e.task(ctx, c, name)
		default:
			err = e.job(ctx, c, name)
		}
		if err != nil {
			return cannot("explain "+name, err, e.env.Now())
		}
		return nil
	})
}

// task prints what is known of one task and its sheet. That the sheet is gone is
// an error only after the rest was told.
func (e *explainCommand) task(ctx context.Context, c client, id string) error {
	t, err := c.Task(ctx, id)
	if err != nil {
		return err
	}
	sheet, err := c.Auction(ctx, id)
	because := ""
	if err == nil {
		because = sheet.Reason
	}
	fmt.Fprintln(e.env.Stdout, clean(taskLine(t, because, e.env.Now())))
	if err != nil {
		return err
	}
	return printSheet(e.env.Stdout, sheet, t.Index)
}

// A jobStory is all that explains a job.
type jobStory struct {
	Job    api.Job     `json:"job"`
	Tasks  []api.Task  `json:"tasks"`
	Sheets []api.Sheet `json:"auctions"`
	missed int         // tasks whose sheet was not asked for
}

// job prints the story of a job.
func (e *explainCommand) job(ctx context.Context, c client, name string) error {
	l, err := lookAt(ctx, c, name)
	if err != nil {
		return err
	}
	story := jobStory{Job: l.job, Tasks: append(append([]api.Task{}, l.slots...), l.extra...), Sheets: []api.Sheet{}}
	slices.SortStableFunc(story.Tasks, byIndex)
	if err := story.readSheets(ctx, c, e.all); err != nil {
		return err
	}
	if e.output == "json" {
		enc := json.NewEncoder(e.env.Stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(story)
	}
	if err := e.slots(story); err != nil {
		return err
	}
	if e.all {
		for _, sheet := range story.Sheets {
			fmt.Fprintln(e.env.Stdout)
			if err := printSheet(e.env.Stdout, sheet, -1); err != nil {
				return err
			}
		}
		return nil
	}
	return printRefusals(e.env.Stdout, story)
}

// readSheets asks for the sheets of open tasks first, then of the others, each
// sheet once. Those that are not kept any more are left out.
func (s *jobStory) readSheets(ctx context.Context, c client, all bool) error {
	order := slices.Clone(s.Tasks)
	slices.SortStableFunc(order, func(a, b api.Task) int {
		open := func(t api.Task) int {
			if isDone(s.Job, t) {
				return 1
			}
			return 0
		}
		return cmp.Compare(open(a), open(b))
	})
	asked := map[string]bool{}
	for _, t := range order {
		if t.Auction == "" || asked[t.Auction] {
			continue
		}
		if len(asked) == maxSheets && !all {
			s.missed++
			continue
		}
		asked[t.Auction] = true
		sheet, err := c.Auction(ctx, t.ID)
		switch code := api.CodeOf(err); {
		case err == nil:
			s.Sheets = append(s.Sheets, sheet)
		case code != api.AuctionExpired && code != api.TaskNotFound && code != api.NodeUnreachable:
			return err
		}
	}
	return nil
}

// slots prints a line for the job and one for each task.
func (e *explainCommand) slots(s jobStory) error {
	head := fmt.Sprintf("%s  %s  %s", s.Job.Name, s.Job.Type, programText(s.Job))
	if st := s.Job.Status; st != nil {
		head += fmt.Sprintf("  %s  %s", runningText(s.Job), st.State)
		if st.Reason != "" {
			head += ": " + st.Reason
		}
	}
	fmt.Fprintln(e.env.Stdout, clean(head))
	t := &table{header: []string{"TASK", "NODE", "STATE", "SINCE", "WHY"}}
	for _, task := range s.Tasks {
		t.add(task.Attempt, cmp.Or(task.NodeName, task.Node.Short(), "-"), string(task.State), since(e.env.Now(), changedAt(task)), s.why(task))
	}
	if err := t.print(e.env.Stdout); err != nil {
		return err
	}
	if s.missed > 0 {
		fmt.Fprintf(e.env.Stdout, "the auctions of %s were not looked at (--all does)\n", count(s.missed, "further task"))
	}
	return nil
}

// why is the reason of a task or, for one that was placed, how it was won.
func (s *jobStory) why(t api.Task) string {
	for _, sheet := range s.Sheets {
		if sheet.ID != t.Auction {
			continue
		}
		for _, row := range sheet.Awards {
			if row.Slot != t.Index || row.Outcome != "accepted" || t.State == api.Pending {
				continue
			}
			won := fmt.Sprintf("won %.3f", row.Score)
			if row.RunnerUp != "" {
				won += fmt.Sprintf(" before %s %.3f", cmp.Or(row.RunnerUpName, row.RunnerUp.Short()), row.RunnerUpScore)
			}
			return strings.Join(slices.DeleteFunc([]string{t.Reason, won + " (auction " + sheet.ID + ")", sheet.Reason}, func(s string) bool { return s == "" }), "; ")
		}
	}
	return t.Reason
}

// printRefusals prints what nodes said that refused tasks which wait, nodes and
// tasks with the same reason together.
func printRefusals(out io.Writer, s jobStory) error {
	type group struct {
		what, why string
		nodes     []string
		slots     []int
	}
	var groups []*group
	note := func(what, why, node string, slots []int) {
		for _, g := range groups {
			if g.what == what && g.why == why && slices.Equal(g.slots, slots) {
				g.nodes = append(g.nodes, node)
				return
			}
		}
		groups = append(groups, &group{what, why, []string{node}, slots})
	}
	for _, sheet := range s.Sheets {
		var open []int
		for _, t := range s.Tasks {
			if t.Auction == sheet.ID && !isDone(s.Job, t) && !t.State.Live() {
				open = append(open, t.Index)
			}
		}
		if len(open) == 0 {
			continue
		}
		for _, b := range sheet.Bids {
			if b.Refusal != nil {
				note("refused", b.Refusal.Reason+retryText(b.Refusal), cmp.Or(b.NodeName, b.Node.Short()), open)
			}
		}
		for _, n := range sheet.NotAsked {
			note("not asked", n.Reason, cmp.Or(n.NodeName, n.Node.Short()), open)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	t := &table{header: []string{"TASKS", "ANSWER", "NODES", "WHY"}}
	for _, g := range groups {
		t.add(s.Job.Name+"."+ranges(g.slots), g.what, strings.Join(g.nodes, ", "), g.why)
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
