package docker_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

func TestLogs(t *testing.T) {
	r := newRig(t)
	before := time.Now()
	c := awaitEnd(t, r, r.start(t, r.spec("web", "out", "one", "err", "two", "long", "40000", "out", "three", "exit", "0")).ID)
	all := lines(t, r, c.ID, api.LogOptions{Tail: -1})
	var got []string
	for _, l := range all {
		if strings.HasPrefix(l.Line, "xxx") {
			l.Line = strings.Repeat("x", len(l.Line)/8192)
		}
		if l.Partial {
			l.Line += "+"
		}
		if l.Time.Before(before) || l.Time.After(time.Now()) {
			t.Errorf("%q was written at %s, want since the start", l.Line, l.Time)
		}
		if got = append(got, l.Stream+" "+l.Line); len(l.Line) > 16<<10 {
			t.Errorf("a line has %d bytes", len(l.Line))
		}
	}
	if !slices.Contains(got, "stderr two") {
		t.Errorf("%q lacks the line of stderr", got)
	}
	got = slices.DeleteFunc(got, func(s string) bool { return s == "stderr two" })                                       // two pipes: its place is not certain
	if want := []string{"stdout one", "stdout xx+", "stdout xx+", "stdout ", "stdout three"}; !slices.Equal(got, want) { // "xx" is 16 KiB, less than 8 is ""
		t.Errorf("Logs = %q, want %q", got, want)
	}
	last := slices.MaxFunc(all, func(a, b api.LogLine) int { return a.Time.Compare(b.Time) }) // the engine may put one stream's line after the other's later one
	for what, q := range map[string]struct {
		o    api.LogOptions
		want []string
	}{
		"stderr":    {api.LogOptions{Tail: -1, Streams: []string{"stderr"}}, []string{"two"}},
		"two":       {api.LogOptions{Tail: 9, Streams: []string{"stderr"}}, []string{"two"}},
		"tail":      {api.LogOptions{Tail: 1, Streams: []string{"stdout"}}, []string{"three"}},
		"since":     {api.LogOptions{Tail: -1, Since: last.Time}, []string{last.Line}},
		"since it":  {api.LogOptions{Tail: -1, Since: last.Time.Add(1)}, []string{}},
		"until":     {api.LogOptions{Tail: 1, Until: last.Time}, []string{last.Line}},
		"until now": {api.LogOptions{Follow: true, Tail: 1, Streams: []string{"stderr"}, Until: time.Now()}, []string{"two"}},
		"none":      {api.LogOptions{Tail: 0}, []string{}},
		"followed":  {api.LogOptions{Follow: true, Tail: 1, Streams: []string{"stdout"}}, []string{"three"}},
		"follow on": {api.LogOptions{Follow: true, Tail: 0}, []string{}},
	} {
		if got := text(lines(t, r, c.ID, q.o)); !slices.Equal(got, q.want) {
			t.Errorf("%s: %.80q, want %q", what, got, q.want)
		}
	}
	if err := r.Logs(t.Context(), c.ID, api.LogOptions{Tail: -1, Streams: []string{"both"}}, func(api.LogLine) error { return nil }); err == nil {
		t.Error("an odd stream gave no error")
	}
}
