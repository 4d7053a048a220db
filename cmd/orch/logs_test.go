package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
)

// wrote is a log that has lines, one each at base plus so many seconds.
func wrote(task string, end error, at ...int) func(context.Context, api.LogOptions, func(api.LogLine) error) error {
	return func(ctx context.Context, o api.LogOptions, each func(api.LogLine) error) error {
		for _, s := range at {
			if err := each(api.LogLine{Time: base.Add(time.Duration(s) * time.Second), Task: task, Stream: "stdout", Line: fmt.Sprintf("%s at %d", task, s)}); err != nil {
				return err
			}
		}
		if o.Follow && end == nil {
			<-ctx.Done()
			return ctx.Err()
		}
		return end
	}
}

func logCluster() *fake {
	f := withJobs(steps([]api.Task{task(0, api.Running, "n1"), task(1, api.Running, "n2"), task(2, api.Pending, "")}), "web")
	f.logs = map[string]func(context.Context, api.LogOptions, func(api.LogLine) error) error{
		"web.0@1": wrote("web.0", nil, 1, 4, 5), "web.1@1": wrote("web.1", nil, 2, 3, 6),
	}
	return f
}

func TestLogsOfAJobAreMergedByTime(t *testing.T) {
	got, _ := inTime(t, logCluster(), setup{args: []string{"logs", "web"}})
	want := "web.0 | web.0 at 1\nweb.1 | web.1 at 2\nweb.1 | web.1 at 3\nweb.0 | web.0 at 4\nweb.0 | web.0 at 5\nweb.1 | web.1 at 6\n"
	if got.code != 0 || got.out != want {
		t.Errorf("got %s\nwant\n%s", got.text(), want)
	}
	if got.err != "web.2: no logs (it is pending)\n" {
		t.Errorf("got %q on stderr", got.err)
	}
}

func TestLogsOfOneTask(t *testing.T) {
	f := logCluster()
	var asked api.LogOptions
	f.logs["web.0@1"] = func(_ context.Context, o api.LogOptions, each func(api.LogLine) error) error {
		asked = o
		for _, l := range []api.LogLine{{Line: "half ", Partial: true}, {Line: "whole\t\x1b[31mred"}} {
			l.Time = base
			if err := each(l); err != nil {
				return err
			}
		}
		return nil
	}
	got, _ := inTime(t, f, setup{args: strings.Fields("logs -t -n 7 --since 2026-01-02T00:00:00Z web.0")})
	if want := "2026-01-02T18:40:06Z half whole\t\\x1b[31mred\n"; got.out != want || got.code != 0 {
		t.Errorf("got %s, want %q", got.text(), want)
	}
	if asked.Tail != 7 || asked.Follow || !asked.Since.Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("asked with %+v", asked)
	}
	got, _ = inTime(t, f, setup{args: strings.Fields("logs --raw -n all web.0@1")})
	if want := "half whole\t\x1b[31mred\n"; got.out != want || asked.Tail != -1 {
		t.Errorf("--raw: got %q, asked with %+v", got.out, asked)
	}
}

func TestASourceThatFailsHoldsUpNobody(t *testing.T) {
	f := logCluster()
	f.logs["web.1@1"] = func(ctx context.Context, _ api.LogOptions, _ func(api.LogLine) error) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
			return api.Errorf(api.NodeUnreachable, "node unreachable")
		}
	}
	got, took := inTime(t, f, setup{args: []string{"logs", "web"}})
	if got.code != 0 || strings.Count(got.out, "\n") != 3 || !strings.Contains(got.err, "n2: web.1: no logs (node unreachable)\n") || took > 3*time.Second {
		t.Errorf("after %s got %s", took, got.text())
	}
	f.logs = nil
	if got, _ = inTime(t, f, setup{args: []string{"logs", "web"}}); got.code != exitError || got.out != "" {
		t.Errorf("with no source at all: got %s", got.text())
	}
	if got, _ = inTime(t, f, setup{args: []string{"logs", "nosuch"}}); got.code != exitNotFound {
		t.Errorf("of no job: got %s", got.text())
	}
}

// TestFollowedLogsGoOnElsewhere: a task moves, and its next attempt is followed
// from its first line.
func TestFollowedLogsGoOnElsewhere(t *testing.T) {
	moved := task(0, api.Running, "n2")
	moved.Attempt, moved.Epoch = "web.0@2", 2
	f := withJobs(steps([]api.Task{task(0, api.Running, "n1")}, []api.Task{moved}), "web")
	f.logs = map[string]func(context.Context, api.LogOptions, func(api.LogLine) error) error{
		"web.0@1": wrote("web.0", api.Errorf(api.NodeUnreachable, "the node is gone"), 1, 2),
		"web.0@2": wrote("web.0", nil, 3),
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ctx, interrupt := context.WithCancel(ctx)
		time.AfterFunc(10*time.Second, interrupt)
		got := call(f, setup{ctx: ctx, now: time.Now, args: []string{"logs", "-f", "web"}})
		want := "web.0 | web.0 at 1\nweb.0 | web.0 at 2\nweb.0 | web.0 at 3\n"
		if got.out != want || got.err != "n1: web.0: no logs (the node is gone)\n" || got.code != exitInterrupted {
			t.Errorf("got %s\nwant %s", got.text(), want)
		}
	})
}

func TestMergerKeepsAllLinesInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMerger()
		total := 0
		var waiting [][2]int // source and time, in an order that keeps each source's own
		for source := range rapid.IntRange(1, 4).Draw(t, "sources") {
			m.start(fmt.Sprint(source))
			times := rapid.SliceOfN(rapid.IntRange(0, 20), 0, 8).Draw(t, "times")
			slices.Sort(times)
			for _, at := range times {
				waiting = append(waiting, [2]int{source, at})
			}
			total += len(times)
		}
		queues := map[int][]int{}
		for _, w := range waiting {
			queues[w[0]] = append(queues[w[0]], w[1])
		}
		var got []time.Time
		drain := func() {
			for line, ok := m.next(false); ok; line, ok = m.next(false) {
				got = append(got, line.Time)
			}
		}
		for _, w := range rapid.Permutation(waiting).Draw(t, "arrivals") {
			source := w[0]
			at := queues[source][0]
			queues[source] = queues[source][1:]
			m.push(fmt.Sprint(source), api.LogLine{Time: base.Add(time.Duration(at) * time.Second)})
			drain()
		}
		for source := range 4 {
			m.end(fmt.Sprint(source))
			drain()
		}
		if len(got) != total || !slices.IsSortedFunc(got, time.Time.Compare) {
			t.Fatalf("got %d lines of %d: %v", len(got), total, got)
		}
	})
}

func TestCleanLeavesNothingThatMovesTheCursor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		got := clean(s)
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\u2028' }) {
			t.Fatalf("clean(%q) is %q", s, got)
		}
		if again := clean(got); again != got {
			t.Fatalf("clean of %q is %q", got, again)
		}
	})
}
