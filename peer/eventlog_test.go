package peer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/peer"
)

// fill adds so many events of a job.
func fill(l peer.EventLog, count int, job string) {
	for i := range count {
		l.Add(api.Event{Type: api.EventTaskRunning, Job: job, Task: job + ".0", Epoch: 2, Node: "12D3KooWAAAAaaaa0001", NodeName: "n1", Time: dawn.Add(time.Duration(i) * time.Second)})
	}
}

// read collects what a stream that is not followed has: ids, and types of what is
// about the stream.
func read(t *testing.T, l peer.EventLog, f api.EventFilter) []string {
	t.Helper()
	got := []string{}
	err := l.Follow(t.Context(), f, func(e api.Event) error {
		if e.Type == api.EventReset || e.Type == api.EventMark {
			e.ID = string(e.Type) + " " + e.ID
		}
		got = append(got, e.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEventLogReads(t *testing.T) {
	l := peer.NewEventLog("boot")
	fill(l, 2, "web")
	fill(l, 2, "api")
	for _, c := range []struct {
		name   string
		filter api.EventFilter
		want   string
	}{
		{"all", api.EventFilter{}, "boot.1 boot.2 boot.3 boot.4"},
		{"after", api.EventFilter{After: "boot.2"}, "boot.3 boot.4"},
		{"after the last", api.EventFilter{After: "boot.4"}, ""},
		{"after what is yet to be", api.EventFilter{After: "boot.9"}, "reset boot.0 boot.1 boot.2 boot.3 boot.4"},
		{"another node's", api.EventFilter{After: "other.2"}, "reset boot.0 boot.1 boot.2 boot.3 boot.4"},
		{"nonsense", api.EventFilter{After: "boot.x"}, "reset boot.0 boot.1 boot.2 boot.3 boot.4"},
		{"since", api.EventFilter{Since: dawn.Add(time.Second)}, "boot.2 boot.3 boot.4"}, // what was learnt later is there too
		{"since later", api.EventFilter{Since: dawn.Add(time.Hour)}, ""},
		{"job", api.EventFilter{Job: "api"}, "boot.3 boot.4"},
		{"task", api.EventFilter{Task: "web.0"}, "boot.1 boot.2"},
		{"attempt", api.EventFilter{Task: "web.0@2"}, "boot.1 boot.2"},
		{"another attempt", api.EventFilter{Task: "web.0@1"}, ""},
		{"family", api.EventFilter{Types: []api.EventType{"node", "task"}, Job: "web"}, "boot.1 boot.2"},
		{"type", api.EventFilter{Types: []api.EventType{api.EventTaskFailed}}, ""},
		{"node by name", api.EventFilter{Node: "n1", Job: "web"}, "boot.1 boot.2"},
		{"node by short id", api.EventFilter{Node: "AAAAaaaa", Job: "web"}, "boot.1 boot.2"},
		{"another node", api.EventFilter{Node: "n2"}, ""},
	} {
		if got := strings.Join(read(t, l, c.filter), " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestEventLogIsBounded(t *testing.T) {
	l := peer.NewEventLog("boot")
	fill(l, peer.MaxEvents+5, "web")
	if n, _ := l.Size(); n != peer.MaxEvents {
		t.Errorf("%d events are kept, want %d", n, peer.MaxEvents)
	}
	if got := read(t, l, api.EventFilter{After: "boot.5"}); len(got) != peer.MaxEvents || got[0] != "boot.6" {
		t.Errorf("after the oldest that is gone: %d events from %s", len(got), got[0])
	}
	if got := read(t, l, api.EventFilter{After: "boot.4"}); len(got) != peer.MaxEvents+1 || got[0] != "reset boot.5" {
		t.Errorf("after one that is gone: %d events from %s", len(got), got[0])
	}
	for range 100 {
		l.Add(api.Event{Type: api.EventTaskFailed, Message: strings.Repeat("x", 1<<20)})
	}
	if n, bytes := l.Size(); bytes > peer.MaxEventBytes || n < 1 {
		t.Errorf("%d events of %d bytes are kept, want at most %d bytes", n, bytes, peer.MaxEventBytes)
	}
}

// TestFollowing is in virtual time.
func TestFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peer.NewEventLog("boot")
		fill(l, 3, "web")
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		done := make(chan error)
		begun := time.Now()
		go func() {
			done <- l.Follow(ctx, api.EventFilter{Follow: true, Job: "web"}, func(e api.Event) error {
				got = append(got, fmt.Sprintf("%s %s +%v", e.Type, e.ID, time.Since(begun)))
				return nil
			})
		}()
		time.Sleep(peer.MarkEvery / 2)
		fill(l, 1, "web")
		synctest.Wait()
		fill(l, 1, "api") // not asked for, but the reader comes further by it
		time.Sleep(3 * peer.MarkEvery / 2)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		want := "[mark boot.3 +0s task.running boot.4 +7.5s mark boot.5 +22.5s]"
		if fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}

// TestSlowReaderIsCut has a reader look away until what it wants is gone.
func TestSlowReaderIsCut(t *testing.T) {
	l := peer.NewEventLog("boot")
	fill(l, 1, "web")
	var got []string
	err := l.Follow(t.Context(), api.EventFilter{Follow: true, After: "boot.0"}, func(e api.Event) error {
		if got = append(got, string(e.Type)+" "+e.ID); e.ID == "boot.1" {
			fill(l, peer.MaxEvents+10, "web")
		}
		return nil
	})
	want := fmt.Sprintf("[mark boot.0 task.running boot.1 reset boot.%d]", peer.MaxEvents+11)
	if fmt.Sprint(got) != want || err != nil {
		t.Errorf("got %v and the error %v, want %s", got, err, want)
	}
}

// TestPulse counts the beats of many changes.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p peer.Pulse
		begun, beats, last := time.Now(), 0, time.Duration(0)
		stop := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-stop:
					return
				case <-p.Wait():
					beats, last = beats+1, time.Since(begun)
				}
			}
		}()
		synctest.Wait()
		for range 10_000 {
			p.Beat()
			time.Sleep(100 * time.Microsecond)
		}
		synctest.Wait()
		if beats < 19 || beats > 21 {
			t.Errorf("%d beats in a second, want 20", beats)
		}
		changed := time.Since(begun)
		p.Beat()
		time.Sleep(time.Second)
		if last < changed {
			t.Errorf("the last change, at %v, was not followed by a beat: the last was at %v", changed, last)
		}
		before := beats
		p.Beat()
		synctest.Wait()
		if beats != before+1 {
			t.Error("the first change after a pause has to be told at once")
		}
		close(stop)
		<-ended
	})
}
