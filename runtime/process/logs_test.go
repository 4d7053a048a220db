package process_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime/process"
)

func logs(t interface{ Fatalf(string, ...any) }, d *process.Driver, id string, o api.LogOptions) []api.LogLine {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	var lines []api.LogLine
	if err := d.Logs(ctx, id, o, func(l api.LogLine) error { lines = append(lines, l); return nil }); err != nil {
		t.Fatalf("Logs(%+v): %v", o, err)
	}
	return lines
}

func texts(lines []api.LogLine) []string {
	all := []string{}
	for _, l := range lines {
		all = append(all, l.Line)
	}
	return all
}

// exited makes an attempt that is over, for tests that write its logs themselves.
func exited(t *testing.T) (d *process.Driver, id, dir string) {
	dir = t.TempDir()
	d = open(t, dir)
	id = awaitExit(t, d, start(t, d, spec("web", "true")).ID).ID
	return d, id, filepath.Join(dir, id)
}

func TestLogLines(t *testing.T) {
	d, id, dir := exited(t)
	long := strings.Repeat("x", 16<<10)
	euros := strings.Repeat("€", 6000) // 18000 bytes; a piece may end after 5461 of them only
	for _, c := range []struct {
		name, file string
		want       []api.LogLine
	}{
		{"empty", "", nil},
		{"empty lines", "\n\n", []api.LogLine{{}, {}}},
		{"no newline at the end", "a\nb", []api.LogLine{{Line: "a"}, {Line: "b"}}},
		{"just fits", long + "\n", []api.LogLine{{Line: long}}},
		{"just fits, no newline", long, []api.LogLine{{Line: long}}},
		{"one too long", long + "y\nz\n", []api.LogLine{{Line: long, Partial: true}, {Line: "y"}, {Line: "z"}}},
		{"three pieces", long + long + "y\n", []api.LogLine{{Line: long, Partial: true}, {Line: long, Partial: true}, {Line: "y"}}},
		{"characters stay whole", euros, []api.LogLine{{Line: strings.Repeat("€", 5461), Partial: true}, {Line: strings.Repeat("€", 539)}}},
		{"not UTF-8", "a\xffb\n", []api.LogLine{{Line: "a\xffb"}}},
	} {
		if err := os.WriteFile(filepath.Join(dir, "stdout.log"), []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, follow := range []bool{false, true} {
			got := logs(t, d, id, api.LogOptions{Tail: -1, Follow: follow})
			for i := range got {
				got[i].Time = time.Time{}
			}
			want := slices.Clone(c.want)
			for i := range want {
				want[i].Stream = "stdout"
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s (follow %v): %d lines %.200q, want %d lines", c.name, follow, len(got), texts(got), len(want))
			}
		}
	}
}

// Whatever was written comes back, in order, and a tail is the end of it.
func TestLogsProperty(t *testing.T) {
	d, id, dir := exited(t)
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.Custom(func(t *rapid.T) string {
			word := rapid.StringMatching(`[a-zä ]{0,8}`).Draw(t, "word")
			return strings.Repeat(word, rapid.SampledFrom([]int{1, 1, 1, 2000, 9000}).Draw(t, "times"))
		})
		files := map[string]string{}
		for _, stream := range []string{"stdout", "stderr"} {
			files[stream] = strings.Join(rapid.SliceOfN(line, 0, 12).Draw(t, stream), "\n")
			if err := os.WriteFile(filepath.Join(dir, stream+".log"), []byte(files[stream]), 0o600); err != nil {
				t.Fatalf("%v", err)
			}
		}
		all := logs(t, d, id, api.LogOptions{Tail: -1})
		got := map[string]string{}
		for i, l := range all {
			got[l.Stream] += l.Line
			if !l.Partial {
				got[l.Stream] += "\n"
			}
			if i > 0 && l.Time.Before(all[i-1].Time) {
				t.Fatalf("line %d is dated before the one before it", i)
			}
		}
		for stream, want := range files {
			if strings.TrimSuffix(got[stream], "\n") != strings.TrimSuffix(want, "\n") {
				t.Fatalf("%s came back as %.300q, want %.300q", stream, got[stream], want)
			}
		}
		n := rapid.IntRange(0, 30).Draw(t, "tail")
		for _, stream := range []string{"stdout", "stderr"} {
			o := api.LogOptions{Tail: -1, Streams: []string{stream}}
			want := texts(logs(t, d, id, o))
			o.Tail = n
			if got := texts(logs(t, d, id, o)); !slices.Equal(got, want[max(0, len(want)-n):]) {
				t.Fatalf("tail %d of %s: %.300q, want the end of %.300q", n, stream, got, want)
			}
		}
		if got := logs(t, d, id, api.LogOptions{Tail: n}); len(got) != min(n, len(all)) {
			t.Fatalf("tail %d of %d lines in two streams: %d lines", n, len(all), len(got))
		}
	})
}

func TestLogTimesAndSince(t *testing.T) {
	d, id, dir := exited(t)
	if err := os.WriteFile(filepath.Join(dir, "stdout.log"), []byte("a\nb\nc\nd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := find(t, d, id)
	last := c.StartedAt.Add(40 * time.Second)
	if err := os.Chtimes(filepath.Join(dir, "stdout.log"), last, last); err != nil {
		t.Fatal(err)
	}
	for i, l := range logs(t, d, id, api.LogOptions{Tail: -1}) {
		if want := c.StartedAt.Add(time.Duration(i+1) * 10 * time.Second); l.Time.Sub(want).Abs() > time.Millisecond {
			t.Errorf("line %d is dated %s, want %s", i, l.Time, want)
		}
	}
	got := texts(logs(t, d, id, api.LogOptions{Tail: -1, Since: c.StartedAt.Add(25 * time.Second)}))
	if want := []string{"c", "d"}; !slices.Equal(got, want) {
		t.Errorf("since: %q, want %q", got, want)
	}
	until := c.StartedAt.Add(35 * time.Second)
	got = texts(logs(t, d, id, api.LogOptions{Tail: 2, Until: until}))
	if want := []string{"b", "c"}; !slices.Equal(got, want) {
		t.Errorf("the last two until then: %q, want %q", got, want)
	}
}

func TestLogStreamsOfARunningTask(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	c := start(t, d, spec("web", "sh", "-c", "echo out; echo err >&2; printf unfinished; echo $$ >pid; exec sleep 1000"))
	pidFile(t, filepath.Join(dir, c.ID, "work", "pid"))
	if got, want := texts(logs(t, d, c.ID, api.LogOptions{Tail: -1, Streams: []string{"stderr"}})), []string{"err"}; !slices.Equal(got, want) {
		t.Errorf("stderr: %q, want %q", got, want)
	}
	got := logs(t, d, c.ID, api.LogOptions{Tail: -1, Streams: []string{"stdout"}})
	if len(got) != 2 || got[0].Line != "out" || got[0].Partial || got[1].Line != "unfinished" || !got[1].Partial {
		t.Errorf("stdout: %+v, want out, and unfinished as a part", got)
	}
	if err := d.Logs(t.Context(), c.ID, api.LogOptions{Streams: []string{"stdin"}}, nil); err == nil {
		t.Error("stream stdin: nil, want an error")
	}
}

func TestKilledCommandLeavesNoRemarkOfTheShell(t *testing.T) {
	d := open(t, t.TempDir())
	c := awaitExit(t, d, start(t, d, spec("web", "sh", "-c", "kill -9 $$")).ID)
	if c.ExitCode != 137 || c.Reason != "killed by signal 9" {
		t.Errorf("it ended as %+v, want killed by signal 9", c)
	}
	if got := texts(logs(t, d, c.ID, api.LogOptions{Tail: -1})); len(got) != 0 {
		t.Errorf("the log has %q, want nothing", got)
	}
}
