package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
)

// writes is a cluster whose logs are lines, and what it was asked for.
func writes(end error, lines ...api.LogLine) (f *fake, names *[]string, asked *api.LogOptions) {
	f, names, asked = &fake{}, new([]string), new(api.LogOptions)
	f.logs = func(ctx context.Context, of []string, o api.LogOptions, each func(api.LogLine) error) error {
		*names, *asked = of, o
		for _, l := range lines {
			if err := each(l); err != nil {
				return err
			}
		}
		if o.Follow && end == nil {
			<-ctx.Done()
			return ctx.Err()
		}
		return end
	}
	return f, names, asked
}

func line(task, text string) api.LogLine {
	return api.LogLine{Time: base, Task: task, Epoch: 1, Node: "n1", Stream: "stdout", Line: text}
}

func missing(task, node string, code api.Code, why string) api.LogLine {
	return api.LogLine{Task: task, Node: node, Fault: api.Errorf(code, "%s", why)}
}

func TestLogsOfAJob(t *testing.T) {
	f, names, asked := writes(nil,
		line("web.0", "one"), line("web.10", "two"), missing("web.1", "n2", api.NodeUnreachable, "node unreachable"),
		missing("web.10", "n1", api.NodeUnreachable, "node unreachable"), missing("web.2", "", api.TaskNotFound, "it is pending"), line("web.0", "three"))
	got := orch(f, "logs", "web")
	if want := "web.0 | one\nweb.10 | two\nweb.0  | three\n"; got.code != 0 || got.out != want {
		t.Errorf("got %s\nwant\n%s", got.text(), want)
	}
	if want := "n2: no logs (node unreachable): web.1\nn1: no more logs (node unreachable): web.10\nweb.2: no logs (it is pending)\n"; got.err != want {
		t.Errorf("got on stderr\n%swant\n%s", got.err, want)
	}
	if asked.Tail != 100 || !slices.Equal(*names, []string{"web"}) {
		t.Errorf("asked for %v with %+v", *names, *asked)
	}
	got = orch(f, "logs", "--no-prefix", "web.0", "db")
	if want := "one\ntwo\nthree\n"; got.out != want || !slices.Equal(*names, []string{"web.0", "db"}) {
		t.Errorf("of several without prefixes: got %s, asked for %v", got.text(), *names)
	}
}

func TestLogsOfOneTask(t *testing.T) {
	half := line("web.0", "half ")
	half.Partial = true
	f, _, asked := writes(nil, half, line("web.0", "whole\t\x1b[31mred\r"), half, line("web.1", "\xffx"))
	got := orch(f, strings.Fields("logs -t -n 7 --since 2026-01-02T00:00:00Z --until 6s web.0")...)
	if want := "2026-01-02T18:40:06Z half whole\t\\x1b[31mred\n2026-01-02T18:40:06Z half \n2026-01-02T18:40:06Z \ufffdx\n"; got.out != want || got.code != 0 {
		t.Errorf("got %s, want %q", got.text(), want)
	}
	if asked.Tail != 7 || asked.Follow || !asked.Since.Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)) || !asked.Until.Equal(base.Add(-6*time.Second)) {
		t.Errorf("asked with %+v", *asked)
	}
	got = orch(f, strings.Fields("logs --raw -n all web.0@1")...)
	if want := "half whole\t\x1b[31mred\r\nhalf \n\xffx\n"; got.out != want || asked.Tail != -1 {
		t.Errorf("--raw: got %q, asked with %+v", got.out, *asked)
	}
}

func TestLogsThatCannotBeRead(t *testing.T) {
	for _, c := range []struct {
		end  error
		line string
		code int
		says string
	}{
		{api.Errorf(api.NodeUnreachable, "node unreachable"), "logs web.0", exitError, "cannot read logs of web.0: node unreachable"},
		{api.Errorf(api.JobNotFound, "no job is named nosuch"), "logs nosuch db", exitNotFound, "cannot read logs of nosuch, db: no job"},
		{nil, "logs", exitUsage, "a job or task is missing"},
		{nil, "logs web. db", exitUsage, "neither a job nor a task"},
		{nil, "logs web --until soon", exitUsage, "--until"},
		{nil, "logs web -n -1", exitUsage, "neither a number of lines nor all"},
	} {
		f, _, _ := writes(c.end)
		if got := orch(f, strings.Fields(c.line)...); got.code != c.code || got.out != "" || !strings.Contains(got.err, c.says) {
			t.Errorf("%s: got %s\nwant exit %d and %q", c.line, got.text(), c.code, c.says)
		}
	}
}

func TestFollowedLogsEndWithCtrlC(t *testing.T) {
	f, _, asked := writes(nil, line("web.0", "one"))
	ctx, interrupt := context.WithCancel(t.Context())
	defer time.AfterFunc(10*time.Millisecond, interrupt).Stop()
	got := call(f, setup{ctx: ctx, args: []string{"logs", "-f", "web"}})
	if got.out != "web.0 | one\n" || got.err != "" || got.code != exitInterrupted || !asked.Follow {
		t.Errorf("got %s, asked with %+v", got.text(), *asked)
	}
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
