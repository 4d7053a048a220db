package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

const (
	maxShown   = 30 // tasks that are shown one by one
	perLine    = 3  // of them on a line of a terminal
	maxReasons = 10 // that are told apart at the end
)

// A progress tells on stderr how a job comes along. On a terminal it is a picture
// that is drawn again in place; elsewhere, where it ends up in a file, a line for
// each change, with its time.
type progress struct {
	env    *Env
	c      client
	name   string
	head   string // what is known of the write
	place  bool   // say where the slots go
	placed string // who has them, once all are placed
	redraw bool
	drawn  int               // lines of the picture on the screen
	shown  string            // the picture
	states map[string]string // of each task, as last told
	total  string            // the summary, as last told
}

func newProgress(env *Env, c client, name string) *progress {
	return &progress{env: env, c: c, name: name, states: map[string]string{},
		redraw: canRedraw(env, env.Stderr)}
}

// stored notes that a write was acknowledged, and warns if it is not yet safe.
func (p *progress) stored(w api.Written, took time.Duration) {
	p.head = "stored on " + count(w.Disks, "node")
	if ms := took.Milliseconds(); ms > 0 {
		p.line("%s %s (%d ms)", p.name, p.head, ms)
	} else {
		p.line("%s %s", p.name, p.head)
	}
	if !w.Durable() {
		fmt.Fprintf(p.env.Stderr, "warning: %s is stored on %d of %s so far: if these are lost before it has spread, so is the change\n",
			p.name, w.Disks, count(w.Wanted, "node"))
	}
}

// line tells one thing, unless there is a picture.
func (p *progress) line(format string, args ...any) {
	if !p.redraw {
		fmt.Fprintf(p.env.Stderr, "%s %s\n", p.env.Now().UTC().Format(time.RFC3339), clean(fmt.Sprintf(format, args...)))
	}
}

// update tells what has changed.
func (p *progress) update(ctx context.Context, l look) {
	p.notePlaced(ctx, l)
	if p.redraw {
		p.draw(p.picture(l))
		return
	}
	tasks := slices.Concat(l.slots, l.extra)
	if len(tasks) <= maxShown {
		for _, t := range tasks {
			if s := taskText(t); p.states[t.ID] != s {
				p.states[t.ID] = s
				p.line("%s %s", t.ID, s)
			}
		}
	}
	if s := summary(l); s != p.total {
		p.total = s
		p.line("%s %s", p.name, s)
	}
}

// notePlaced says where the slots went when none is left to place, and how long
// the auction took if one placed them all.
func (p *progress) notePlaced(ctx context.Context, l look) {
	if !p.place || p.placed != "" || len(l.slots) == 0 || len(l.slots) < l.job.Replicas {
		return
	}
	by := map[string]int{}
	for _, t := range l.slots {
		if t.NodeName == "" {
			return
		}
		by[t.NodeName]++
	}
	var parts []string
	for _, node := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%s %d", node, by[node]))
	}
	p.placed = "placed: " + strings.Join(parts, ", ")
	if sheet, err := p.c.Auction(ctx, l.slots[0].ID, 0); err == nil && len(sheet.Slots) == len(l.slots) {
		p.placed = fmt.Sprintf("placed in %s ms: %s", number(sheet.TotalMS), strings.Join(parts, ", "))
	}
	if len(parts) <= maxShown {
		p.line("%s %s", p.name, p.placed)
	}
}

// picture is the state of things as lines for a terminal: what is not as wanted
// comes first.
func (p *progress) picture(l look) []string {
	first := []string{p.name, count(len(l.slots)+len(l.extra), "slot"), p.head}
	if p.placed != "" && len(p.placed) < 80 {
		first = append(first, p.placed)
	}
	lines := []string{clean(strings.Join(append(first, summary(l)), "  "))}
	tasks := slices.Concat(l.slots, l.extra)
	slices.SortStableFunc(tasks, func(a, b api.Task) int {
		if x, y := isDone(l.job, a), isDone(l.job, b); x != y && len(tasks) > maxShown {
			return cmp.Compare(strconv.FormatBool(x), strconv.FormatBool(y))
		}
		return 0
	})
	t := &table{cut: 36}
	var row []string
	for i, task := range tasks {
		if i == maxShown {
			break
		}
		row = append(row, "  "+task.ID+"  "+taskText(task))
		if len(row) == perLine {
			t.rows, row = append(t.rows, row), nil
		}
	}
	if row != nil {
		t.rows = append(t.rows, row)
	}
	lines = append(lines, t.lines()...)
	if more := len(tasks) - maxShown; more > 0 {
		lines = append(lines, fmt.Sprintf("  … and %d more", more))
	}
	return lines
}

// draw puts lines in the place of the last picture. Long lines are cut by the
// terminal (?7l), else they would wrap and the picture would wander.
func (p *progress) draw(lines []string) {
	text := strings.Join(lines, "\n")
	if text == p.shown {
		return
	}
	p.clear()
	fmt.Fprintf(p.env.Stderr, "\x1b[?7l%s\x1b[?7h\n", text)
	p.shown, p.drawn = text, len(lines)
}

// clear takes the picture off the screen.
func (p *progress) clear() {
	if p.drawn > 0 {
		fmt.Fprintf(p.env.Stderr, "\x1b[%dF\x1b[J", p.drawn)
	}
	p.shown, p.drawn = "", 0
}

// verdict tells how it ended when not all is as asked: the sum, the reasons, and
// what happens next.
func (p *progress) verdict(l look, next string) {
	p.clear()
	parts := []string{p.name, count(len(l.slots)+len(l.extra), "slot"), p.head, summary(l)}
	if p.head == "" {
		parts = slices.Delete(parts, 2, 3)
	}
	fmt.Fprintln(p.env.Stderr, clean(strings.Join(parts, "  ")))
	for _, why := range reasons(l) {
		fmt.Fprintln(p.env.Stderr, "  "+clean(why))
	}
	fmt.Fprintln(p.env.Stderr, next)
}

// taskText is what a task does, and where: "pulling on home: 41% of 68MiB".
func taskText(t api.Task) string {
	s := string(t.State)
	if t.NodeName != "" {
		s += " on " + t.NodeName
	}
	switch {
	case t.Stays != "":
		s += ": " + t.Stays
	case t.Reason != "" && t.State != api.Running:
		s += ": " + t.Reason
	}
	return s
}

// summary counts: "2/3 running: 1 pending".
func summary(l look) string {
	var open []string
	done, by := 0, map[api.TaskState]int{}
	for _, t := range l.slots {
		if isDone(l.job, t) {
			done++
		} else {
			by[t.State]++
		}
	}
	for _, state := range []api.TaskState{api.Pending, api.Accepted, api.Pulling, api.Starting, api.Running,
		api.Complete, api.Stopping, api.Stopped, api.Failed, api.Lost} {
		if by[state] > 0 {
			open = append(open, fmt.Sprintf("%d %s", by[state], state))
		}
	}
	if len(l.extra) > 0 {
		open = append(open, fmt.Sprintf("%d to stop", len(l.extra)))
	}
	switch {
	case len(l.slots) > 0 || l.job.Replicas > 0:
	case len(open) > 0:
		return open[0]
	default:
		return "none left"
	}
	word := api.Running
	if l.job.Type == api.BatchJob {
		word = api.Complete
	}
	s := fmt.Sprintf("%d/%d %s", done, max(l.job.Replicas, len(l.slots)), word)
	if len(open) > 0 {
		s += ": " + strings.Join(open, ", ")
	}
	return s
}

// reasons says of each slot that is not as asked why, those with the same reason
// together.
func reasons(l look) []string {
	slots, order := map[string][]int{}, []string{}
	for _, t := range slices.Concat(slices.DeleteFunc(slices.Clone(l.slots), func(t api.Task) bool { return isDone(l.job, t) && t.Stays == "" }), l.extra) {
		why := t.Reason
		switch {
		case t.Stays != "":
			why = t.Stays
		case t.State != api.Pending:
			why = taskText(t)
		case t.Failures > 0:
			why = strings.TrimSuffix("failed, and waits to be tried again: "+why, ": ")
		case why == "":
			why = "pending"
		}
		if slots[why] == nil {
			order = append(order, why)
		}
		slots[why] = append(slots[why], t.Index)
	}
	var lines []string
	for i, why := range order {
		if i == maxReasons {
			return append(lines, fmt.Sprintf("… and %d more reasons", len(order)-i))
		}
		lines = append(lines, fmt.Sprintf("%s.%s %s", l.name, ranges(slots[why]), why))
	}
	return lines
}

// ranges writes numbers as "0-2,5".
func ranges(n []int) string {
	slices.Sort(n)
	n = slices.Compact(n)
	var parts []string
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		switch {
		case j == i:
			parts = append(parts, strconv.Itoa(n[i]))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", n[i], n[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// number is a measure with no more digits than it is worth.
func number(f float64) string {
	if f >= 10 || f == 0 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'f', 1, 64)
}
