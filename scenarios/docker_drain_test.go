package scenarios_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/exitae337/orchestergo/scenarios"
)

// TestDockerDrainAndLeave drains each of five nodes in turn under forty containers,
// and then has each in turn leave and join again. By the engine's own account no slot
// is ever without a running copy; nothing runs on a node that has drained, and nothing
// at all is left of one that has left.
func TestDockerDrainAndLeave(t *testing.T) {
	t.Parallel()
	const jobs, each = 4, 10
	_, lab := startDocker(t, 5, scenarios.LabConfig{})
	ctx := deadline(t, 2*patience) // a hundred moves: a busy machine takes a minute and a half
	w := watchSlots(ctx, t, lab)
	asked := lab.Nodes()[0]
	var names []string
	for i := range jobs {
		job := boxes(t, fmt.Sprintf("web-%d", i), each)
		job.MaxParallel = 3
		names = append(names, submit(ctx, t, lab.Nodes()[i], job).Name)
	}
	settleAll := func() {
		t.Helper()
		for _, name := range names {
			settle(ctx, t, lab, name, each, 60*time.Second)
		}
	}
	settleAll()

	for _, n := range lab.Nodes() {
		began, held := time.Now(), heldBy(ctx, t, lab, n)
		orch(ctx, t, lab, asked, "node", "drain", n.Name)
		if got := heldBy(ctx, t, lab, n); got != 0 {
			t.Errorf("orch node drain %s ended, and %d containers run there", n.Name, got)
		}
		settleAll()
		if got := heldBy(ctx, t, lab, n); got != 0 {
			t.Errorf("%s has drained, and got %d containers again", n.Name, got)
		}
		t.Logf("%s gave %d containers up in %s", n.Name, held, time.Since(began).Round(time.Millisecond))
		orch(ctx, t, lab, asked, "node", "resume", n.Name)
		must(t, lab.AwaitReady(ctx))
	}

	for _, n := range lab.Nodes() {
		began, held := time.Now(), heldBy(ctx, t, lab, n)
		leave(ctx, t, lab, n)
		settleAll()
		t.Logf("%s left with %d containers in %s", n.Name, held, time.Since(began).Round(time.Millisecond))
		must(t, lab.Rejoin(ctx, n))
		must(t, lab.AwaitReady(ctx))
	}

	starts := w.end()
	if len(w.copies) != jobs*each || starts < jobs*each {
		t.Errorf("the engine told of %d starts of %d slots, want at least one of each of %d", starts, len(w.copies), jobs*each)
	}
	for _, gap := range w.gaps {
		t.Error(gap)
	}
	t.Logf("%d starts of %d slots", starts, len(w.copies))
}

// leave has a node leave: its agent ends, and none of its containers is left.
func leave(ctx context.Context, t testing.TB, lab *scenarios.Lab, n *scenarios.Node) {
	t.Helper()
	orch(ctx, t, lab, n, "leave")
	eventually(ctx, t, "the agent of "+n.Name+" ends", 10*time.Second, func(context.Context) error {
		if n.Running() {
			return fmt.Errorf("%s runs", n.Name)
		}
		return nil
	})
	list, err := lab.Containers(ctx)
	must(t, err)
	for _, c := range list {
		if c.Node == n.ID() {
			t.Errorf("%s has left, and its container of %s@%d is still there (%s)", n.Name, c.Task, c.Epoch, c.State)
		}
	}
}

// orch runs a command against a node and wants it to succeed.
func orch(ctx context.Context, t testing.TB, lab *scenarios.Lab, n *scenarios.Node, args ...string) {
	t.Helper()
	out, err := lab.Orch(ctx, append(args, "--api", n.APIAddr())...)
	if err != nil || out.Code != 0 {
		t.Fatalf("orch %s: %v, exit code %d: %s%s", strings.Join(args, " "), err, out.Code, out.Stdout, out.Stderr)
	}
}

// slotWatch follows the engine's events and remembers when a slot had no copy.
type slotWatch struct {
	stop   context.CancelFunc
	done   chan struct{}
	copies map[string]map[string]bool // IDs that run by task; read it after end
	starts int
	gaps   []string
}

// watchSlots reads the engine's events of the lab's containers until end is called.
func watchSlots(ctx context.Context, t testing.TB, lab *scenarios.Lab) *slotWatch {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	w := &slotWatch{stop: stop, done: make(chan struct{}), copies: map[string]map[string]bool{}}
	with := filters.NewArgs(filters.Arg("type", "container"), filters.Arg("label", "orch.lock"), filters.Arg("event", "start"), filters.Arg("event", "die"))
	stream, errs := lab.Engine().Events(ctx, events.ListOptions{Filters: with})
	go func() {
		defer close(w.done)
		for {
			select {
			case e := <-stream:
				if strings.HasPrefix(e.Actor.Attributes["orch.lock"], lab.Dir()+"/") {
					w.note(e)
				}
			case err := <-errs:
				if ctx.Err() == nil {
					w.gaps = append(w.gaps, fmt.Sprintf("the engine's events ended: %v", err))
				}
				return
			}
		}
	}()
	t.Cleanup(func() { w.end() })
	return w
}

func (w *slotWatch) note(e events.Message) {
	task, at := e.Actor.Attributes["orch.task"], time.Unix(0, e.TimeNano).Format("15:04:05.000")
	if w.copies[task] == nil {
		w.copies[task] = map[string]bool{}
	}
	if e.Action == events.ActionStart {
		w.starts++
		w.copies[task][e.Actor.ID] = true
		return
	}
	delete(w.copies[task], e.Actor.ID)
	if len(w.copies[task]) == 0 {
		w.gaps = append(w.gaps, fmt.Sprintf("%s: the last running copy of %s ended, %s@%s", at, task, task, e.Actor.Attributes["orch.epoch"]))
	}
}

// end stops watching and returns how many starts there were.
func (w *slotWatch) end() int {
	w.stop()
	<-w.done
	return w.starts
}
