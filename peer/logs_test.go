package peer_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/peer"
)

// Lines of sources that are each in order come out in order, all of them; and one
// that is silent is waited for as long as it may be, once.
func TestLogsAreMergedByTime(t *testing.T) {
	begin := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		var sources [][]api.LogLine
		total := 0
		for source := range rapid.IntRange(0, 5).Draw(t, "sources") {
			times := rapid.SliceOfN(rapid.IntRange(0, 20), 0, 8).Draw(t, "times")
			slices.Sort(times)
			var lines []api.LogLine
			for i, at := range times {
				lines = append(lines, api.LogLine{Time: begin.Add(time.Duration(at)), Task: fmt.Sprint(source), Line: fmt.Sprint(i)})
			}
			sources = append(sources, lines)
			total += len(lines)
		}
		var silent []time.Time
		longest := time.Duration(0)
		for _, ms := range rapid.SliceOfN(rapid.IntRange(-5, 5), 0, 3).Draw(t, "silent") {
			d := time.Duration(ms) * time.Millisecond
			silent, longest = append(silent, begin.Add(d)), max(longest, d)
		}
		got, waited := peer.MergeLogs(sources, silent, begin)
		inOrder := slices.IsSortedFunc(got, func(a, b api.LogLine) int { return a.Time.Compare(b.Time) })
		if len(got) != total || !inOrder {
			t.Fatalf("got %d lines of %d, in order: %v", len(got), total, inOrder)
		}
		if want := longest; total > 0 && waited != want {
			t.Fatalf("waited for %s, want %s", waited, want)
		}
	})
}
