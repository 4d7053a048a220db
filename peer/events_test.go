package peer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
)

var dawn = time.Date(2026, 1, 2, 6, 0, 0, 0, time.UTC)

// told is events in short: "task.placed web.0@1 → a".
func told(events []api.Event) []string {
	out := []string{}
	for _, e := range events {
		out = append(out, string(e.Type)+" "+e.Message)
	}
	return out
}

// attemptOf is a record of slot 0 of web.
func attemptOf(epoch uint64, owner string, n uint64, state api.TaskState, change ...func(*peer.Assignment)) *peer.Assignment {
	a := &peer.Assignment{State: state, AcceptedAt: dawn, Key: peer.SlotKey{Job: "web", Life: 1},
		Stamp: gossip.Stamp{Major: epoch, Mid: owner, Minor: n, Writer: owner + ".boot"}}
	if state == api.Running {
		a.StartedAt, a.ContainerID = dawn.Add(1500*time.Millisecond), fmt.Sprint("c", epoch)
	}
	for _, f := range change {
		f(a)
	}
	return a
}

func reason(text string) func(*peer.Assignment) {
	return func(a *peer.Assignment) { a.Reason = text }
}

func restarts(n int) func(*peer.Assignment) { return func(a *peer.Assignment) { a.Restarts = n } }

func TestSlotEvents(t *testing.T) {
	three := 3
	failed := attemptOf(2, "b", 3, api.Failed, reason("exited with code 3"), func(a *peer.Assignment) {
		a.Failures, a.ExitCode, a.FinishedAt = 2, &three, dawn.Add(time.Hour)
	})
	done := attemptOf(1<<53-1, "a", 3, api.Complete, func(a *peer.Assignment) { a.RanEpoch = 1 })
	for _, c := range []struct {
		name       string
		prev, next *peer.Assignment
		lost       bool
		want       []string
	}{
		{"accepted", nil, attemptOf(1, "a", 1, api.Accepted, func(a *peer.Assignment) { a.Won = "0.871 before b 0.693" }), false,
			[]string{"task.placed web.0@1 → a  0.871 before b 0.693"}},
		{"accepted again", nil, attemptOf(2, "a", 1, api.Accepted, func(a *peer.Assignment) { a.Won, a.Because = "0.871 before b 0.693", "node c failed" }), false,
			[]string{"task.placed web.0@2 → a  0.871 before b 0.693; node c failed"}},
		{"pulled", attemptOf(1, "a", 1, api.Accepted), attemptOf(1, "a", 2, api.Pulling, reason("41% of 68MiB")), false, []string{"task.pulling web.0@1 on a: 41% of 68MiB"}},
		{"pulled on", attemptOf(1, "a", 2, api.Pulling), attemptOf(1, "a", 3, api.Pulling), false, []string{}},
		{"slow to start", attemptOf(1, "a", 1, api.Accepted), attemptOf(1, "a", 2, api.Starting), false, []string{}},
		{"runs", attemptOf(1, "a", 1, api.Accepted), attemptOf(1, "a", 2, api.Running), false, []string{"task.running web.0@1 on a  after 1.5s"}},
		{"seen late", nil, attemptOf(1, "a", 7, api.Running), false, []string{"task.placed web.0@1 → a", "task.running web.0@1 on a  after 1.5s"}},
		{"restarted in place", attemptOf(1, "a", 2, api.Running), attemptOf(1, "a", 3, api.Starting, restarts(1), reason("restarted in place: exited with code 3")), false,
			[]string{"task.exited web.0@1 on a: exited with code 3; started again in place (1)"}},
		{"restarted, seen late", attemptOf(1, "a", 2, api.Running), attemptOf(1, "a", 4, api.Running, restarts(1), reason("oom")), false,
			[]string{"task.exited web.0@1 on a: oom; started again in place (1)", "task.running web.0@1 on a"}},
		{"failed", attemptOf(2, "b", 2, api.Running), failed, false, []string{"task.failed web.0@2 on b: exited with code 3 (2 attempts in a row)"}},
		{"failed twice", failed, failed, false, []string{}},
		{"complete", attemptOf(1, "a", 2, api.Running), done, false, []string{"task.complete web.0@1 on a"}},
		{"to be stopped", attemptOf(1, "a", 2, api.Running), attemptOf(1, "a", 3, api.Stopping), false, []string{}},
		{"stopped", attemptOf(1, "a", 2, api.Stopping), attemptOf(1, "a", 3, api.Stopped, reason("not wanted")), false, []string{"task.stopped web.0@1 on a: not wanted"}},
		{"moved", attemptOf(1, "a", 2, api.Running), attemptOf(2, "b", 1, api.Accepted), false,
			[]string{"task.superseded web.0@1 on a: by web.0@2 on b", "task.placed web.0@2 → b"}},
		{"moved from a dead node", attemptOf(1, "a", 2, api.Running), attemptOf(2, "b", 1, api.Accepted), true, []string{"task.placed web.0@2 → b"}},
		{"placed after a failure", failed, attemptOf(3, "a", 1, api.Accepted), false, []string{"task.placed web.0@3 → a"}},
		{"the other side of a partition", attemptOf(2, "a", 2, api.Running), attemptOf(2, "b", 1, api.Running), false,
			[]string{"task.superseded web.0@2 on a: by web.0@2 on b", "task.placed web.0@2 → b", "task.running web.0@2 on b  after 1.5s"}},
	} {
		got := peer.SlotEvents(c.prev, c.next, c.lost, dawn.Add(time.Minute))
		if g := told(got); !slices.Equal(g, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, g, c.want)
		}
	}
	e := peer.SlotEvents(attemptOf(2, "b", 2, api.Running), failed, false, dawn)[0]
	if e.Task != "web.0" || e.Attempt() != "web.0@2" || e.Node != "b" || e.Life != 1 || *e.ExitCode != 3 || !e.Time.Equal(dawn.Add(time.Hour)) {
		t.Errorf("the event of a failure: %+v", e)
	}
	long := peer.SlotEvents(nil, attemptOf(1, "a", 1, api.Failed, reason(strings.Repeat("ü", 100_000))), false, dawn)[1]
	if len(long.Message) > 600 {
		t.Errorf("a message of %d bytes", len(long.Message))
	}
}

// jobOf is a version of web.
func jobOf(life, version uint64, change ...func(*peer.JobRecord)) *peer.JobRecord {
	spec := service("web", 3)
	j := &peer.JobRecord{Spec: spec.Spec(), UpdatedAt: dawn, Stamp: gossip.Stamp{Major: life, Minor: version, Writer: "12D3KooWAAAAaaaa0001.x"}}
	for _, f := range change {
		f(j)
	}
	return j
}

func TestJobEvents(t *testing.T) {
	stopped := func(j *peer.JobRecord) { j.Stopped = true }
	removed := func(j *peer.JobRecord) { j.Removed, j.Stamp.Mid = true, peer.RemovedMid }
	five := func(j *peer.JobRecord) { j.Spec.Replicas = 5 }
	changed := func(j *peer.JobRecord) { j.Spec.Command = []string{"other"}; j.RestartSeq = 1 }
	other := func(j *peer.JobRecord) { j.Stamp.Writer = "12D3KooWBBBBbbbb0002.y" }
	for _, c := range []struct {
		name       string
		prev, next *peer.JobRecord
		want       []string
	}{
		{"created", nil, jobOf(7, 1), []string{"job.created web created with 3 replicas"}},
		{"created and stopped", nil, jobOf(7, 2, stopped), []string{"job.created web created with 3 replicas", "job.stopped web stopped"}},
		{"a new life", jobOf(7, 1, removed), jobOf(8, 1), []string{"job.created web created with 3 replicas"}},
		{"scaled", jobOf(7, 1), jobOf(7, 2, five), []string{"job.updated web scaled from 3 to 5"}},
		{"changed", jobOf(7, 1), jobOf(7, 2, changed), []string{"job.updated web to be restarted, its tasks changed"}},
		{"touched", jobOf(7, 1), jobOf(7, 2), []string{"job.updated web changed"}},
		{"stopped", jobOf(7, 1), jobOf(7, 2, stopped), []string{"job.stopped web stopped"}},
		{"wanted again", jobOf(7, 2, stopped), jobOf(7, 3), []string{"job.updated web wanted again"}},
		{"changed while stopped", jobOf(7, 2, stopped), jobOf(7, 3, stopped, five), []string{"job.updated web scaled from 3 to 5"}},
		{"removed", jobOf(7, 1), jobOf(7, 2, removed), []string{"job.removed web removed"}},
		{"removed, and never seen", nil, jobOf(7, 2, removed), []string{"job.removed web removed"}},
		{"removed twice", jobOf(7, 2, removed), jobOf(7, 3, removed), []string{}},
		{"set aside", jobOf(7, 1), nil, []string{"job.removed web taken out of the table, see alarm.set_aside"}},
		{"its tombstone is dropped", jobOf(7, 2, removed), nil, []string{}},
		{"written on both sides", jobOf(7, 2), jobOf(7, 2, other, five),
			[]string{"job.conflict web two writes were made beside each other: that of node BBBBbbbb counts, that of node AAAAaaaa is void", "job.updated web scaled from 3 to 5"}},
		{"created on both sides", jobOf(7, 2), jobOf(9, 1, other),
			[]string{"job.conflict web two writes were made beside each other: that of node BBBBbbbb counts, that of node AAAAaaaa is void", "job.created web created with 3 replicas"}},
	} {
		got := peer.JobEvents(c.prev, c.next, dawn)
		if g := told(got); !slices.Equal(g, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, g, c.want)
		}
		for _, e := range got {
			if e.Job != "web" || e.Life == 0 || e.Generation == 0 || e.UID == "" {
				t.Errorf("%s: %+v", c.name, e)
			}
		}
	}
}

func TestNodeEvents(t *testing.T) {
	ready := peer.Sight("n2", "b1", api.NodeReady, "")
	failed := peer.Sight("n2", "b1", api.NodeFailed, "connection refused")
	for _, c := range []struct {
		name string
		prev *peer.NodeSight
		next peer.NodeSight
		want []string
	}{
		{"new", nil, ready, []string{"node.joined n2", "node.ready n2"}},
		{"new, and not ready", nil, peer.Sight("n2", "b1", api.NodeStarting, ""), []string{"node.joined n2"}},
		{"left before it was known", nil, peer.Sight("n2", "b1", api.NodeLeft, ""), []string{}},
		{"the same", &ready, ready, []string{}},
		{"drains", &ready, peer.Sight("n2", "b1", api.NodeDraining, ""), []string{"node.draining n2"}},
		{"drained", &ready, peer.Sight("n2", "b1", api.NodeDrained, ""), []string{"node.drained n2"}},
		{"fails", &ready, failed, []string{"node.failed n2: connection refused"}},
		{"restarts", &ready, peer.Sight("n2", "b1", api.NodeRestarting, "restarting"), []string{"node.restarting n2: restarting"}},
		{"restarted between two looks", &ready, peer.Sight("n2", "b2", api.NodeReady, ""), []string{"node.ready n2"}},
		{"is back", &failed, ready, []string{"node.ready n2"}},
		{"leaves", &ready, peer.Sight("n2", "b1", api.NodeLeft, "removed by node X"), []string{"node.left n2: removed by node X"}},
		{"cut off", &ready, peer.Isolated(ready), []string{"node.isolated n2: sees none of the other nodes"}},
	} {
		got, _ := peer.NodeEvents(c.prev, c.next, dawn)
		if g := told(got); !slices.Equal(g, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, g, c.want)
		}
	}
	cut := peer.Isolated(ready)
	got, _ := peer.NodeEvents(&cut, ready, dawn)
	if g, want := told(got), []string{"node.ready n2: sees other nodes again"}; !slices.Equal(g, want) {
		t.Errorf("no longer cut off: got %q, want %q", g, want)
	}
}

func TestAlarmEvents(t *testing.T) {
	on := map[string]peer.Alarm{"driver/n2/docker": peer.DriverLost("n2", dawn)}
	if got, want := told(peer.AlarmEvents(nil, on, dawn)), []string{"alarm.driver n2: driver docker does not work"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := peer.AlarmEvents(on, on, dawn); len(got) > 0 {
		t.Errorf("an alarm that lasts: %q", told(got))
	}
	if got, want := told(peer.AlarmEvents(on, nil, dawn)), []string{"alarm.cleared n2: driver docker works"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestOpenEvents follows a slot that nobody serves.
func TestOpenEvents(t *testing.T) {
	running, stopped := attemptOf(2, "a", 2, api.Running), attemptOf(2, "a", 3, api.Stopped)
	var state peer.WasOpen
	step := func(next peer.OpenSlot, after time.Duration, want ...string) {
		t.Helper()
		var got []api.Event
		got, state = peer.OpenEvents(state, next, dawn.Add(after))
		if g := told(got); !slices.Equal(g, append([]string{}, want...)) {
			t.Errorf("after %v: got %q, want %q", after, g, want)
		}
	}
	step(peer.Open(nil, false, dawn, 0), 0)
	step(peer.Open(nil, false, dawn, 0), peer.PendingAfter, "task.pending web.0: so it is")
	step(peer.Open(nil, false, dawn, 0), time.Hour)
	step(peer.Open(running, true, dawn, 0), time.Hour, "task.lost web.0@2 on a: so it is")
	step(peer.Open(running, true, dawn, 0), 2*time.Hour)
	if got, want := told(peer.BackEvents(state, running, dawn)), []string{"task.running web.0@2 on a: its node is back"}; !slices.Equal(got, want) {
		t.Errorf("the node is back: got %q, want %q", got, want)
	}
	for _, gone := range []*peer.Assignment{nil, stopped, attemptOf(3, "b", 1, api.Accepted)} {
		if got := peer.BackEvents(state, gone, dawn); len(got) > 0 {
			t.Errorf("another attempt has the slot: %q", told(got))
		}
	}
	step(peer.Open(running, true, dawn, 1), 3*time.Hour, "task.lost web.0@2 on a: so it is")
	step(peer.Open(stopped, false, dawn, 1), 3*time.Hour, "task.pending web.0: so it is")
	step(peer.Open(attemptOf(2, "a", 3, api.Failed), false, dawn, 1), 3*time.Hour)
}

// drawWalk draws what owners write of one slot, one record after the other.
func drawWalk(t *rapid.T) []*peer.Assignment {
	var out []*peer.Assignment
	epoch := uint64(0)
	for len(out) < 12 {
		epoch += rapid.Uint64Range(1, 2).Draw(t, "epochs")
		owner := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "owner")
		n, restart := uint64(0), 0
		write := func(s api.TaskState) {
			n++
			out = append(out, attemptOf(epoch, owner, n, s, restarts(restart), reason(fmt.Sprint(s, n))))
		}
		write(api.Accepted)
		for rapid.IntRange(0, 5).Draw(t, "goes on") > 0 {
			last := out[len(out)-1].State
			next := map[api.TaskState][]api.TaskState{
				api.Accepted: {api.Pulling, api.Starting, api.Running, api.Failed, api.Stopping},
				api.Pulling:  {api.Pulling, api.Starting, api.Running, api.Failed, api.Stopping},
				api.Starting: {api.Running, api.Failed, api.Stopping},
				api.Running:  {api.Starting, api.Failed, api.Complete, api.Stopping},
				api.Stopping: {api.Stopped},
			}[last]
			if next == nil {
				break
			}
			s := rapid.SampledFrom(next).Draw(t, "state")
			if last == api.Running && s == api.Starting {
				restart++
			}
			write(s)
		}
	}
	return out
}

// mayBe are the types of the last event of a slot whose record says so.
var mayBe = map[api.TaskState][]api.EventType{
	api.Accepted: {api.EventTaskPlaced},
	api.Pulling:  {api.EventTaskPulling},
	api.Starting: {api.EventTaskPlaced, api.EventTaskPulling, api.EventTaskExited},
	api.Running:  {api.EventTaskRunning},
	api.Stopping: {api.EventTaskPlaced, api.EventTaskPulling, api.EventTaskExited, api.EventTaskRunning},
	api.Failed:   {api.EventTaskFailed}, api.Stopped: {api.EventTaskStopped}, api.Complete: {api.EventTaskComplete},
}

// Whatever of a slot's records a node gets to see, its events in the end say what
// the last record says, none is told twice, and what two nodes tell of the same
// they tell under the same uid.
func TestEventsReplayToTheLastView(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		walk := drawWalk(t)
		ends := map[string]string{} // uid of the final event of each attempt
		for viewer := range 3 {
			var prev *peer.Assignment
			seen := map[string]bool{}
			var last api.Event
			for i, next := range walk {
				if viewer > 0 && i < len(walk)-1 && rapid.Bool().Draw(t, "missed") {
					continue
				}
				for _, e := range peer.SlotEvents(prev, next, false, dawn) {
					if seen[e.UID] {
						t.Fatalf("told twice: %s", e.Message)
					}
					seen[e.UID], last = true, e
				}
				prev = next
				if !slices.Contains(mayBe[next.State], last.Type) || last.Epoch != next.Epoch() || string(last.Node) != next.Stamp.Mid {
					t.Fatalf("the record says %s@%d on %s, the events %s %s", next.State, next.Epoch(), next.Stamp.Mid, last.Type, last.Message)
				}
				if next.State.Final() {
					key := fmt.Sprint(next.Epoch(), next.Owner(), next.State)
					if ends[key] != "" && ends[key] != last.UID {
						t.Fatalf("%s has the uids %s and %s", last.Message, ends[key], last.UID)
					}
					ends[key] = last.UID
				}
			}
		}
	})
}

// The same of nodes: the last event says what the node is.
func TestNodeEventsReplayToTheLastView(t *testing.T) {
	types := map[api.NodeStatus]api.EventType{api.NodeReady: api.EventNodeReady, api.NodeDraining: api.EventNodeDraining, api.NodeDrained: api.EventNodeDrained,
		api.NodeRestarting: api.EventNodeRestarting, api.NodeFailed: api.EventNodeFailed, api.NodeLeft: api.EventNodeLeft}
	rapid.Check(t, func(t *rapid.T) {
		var prev *peer.NodeSight
		var last api.EventType
		seen := map[string]bool{}
		become := map[api.NodeStatus][]api.NodeStatus{
			api.NodeStarting:   {api.NodeStarting, api.NodeReady, api.NodeFailed},
			api.NodeReady:      {api.NodeReady, api.NodeFailed, api.NodeRestarting},
			api.NodeRestarting: {api.NodeRestarting, api.NodeReady, api.NodeFailed},
			api.NodeFailed:     {api.NodeFailed, api.NodeReady},
		}
		boot, status := 0, api.NodeStarting
		for range rapid.IntRange(1, 20).Draw(t, "looks") {
			if rapid.IntRange(0, 4).Draw(t, "restarted") == 0 {
				boot++
				status = api.NodeStarting
			}
			status = rapid.SampledFrom(become[status]).Draw(t, "status")
			events, is := peer.NodeEvents(prev, peer.Sight("n2", fmt.Sprint(boot), status, ""), dawn)
			for _, e := range events {
				if seen[e.UID] {
					t.Fatalf("told twice: %s %s", e.Type, e.Message)
				}
				seen[e.UID], last = true, e.Type
			}
			if want := types[status]; want != "" && last != want {
				t.Fatalf("the node is %s, the last event %s", status, last)
			}
			prev = &is
		}
	})
}
