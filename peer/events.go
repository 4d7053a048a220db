package peer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// Events are not sent: every node works them out from the table and from who is
// here. The functions of this file are pure: a record before and after, and what
// is to be told of it. They tell all that the new record says and the old one did
// not, so nothing is lost when versions in between were never seen here.

// maxMessage bounds the message of an event: reasons come from other nodes.
const maxMessage = 500

// teller words events.
type teller struct {
	name func(api.NodeID) string // of a node, for people
}

// eventUID is equal wherever the same happening is told of.
func eventUID(parts ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(parts...)))
	return hex.EncodeToString(sum[:8])
}

// cut bounds s to n bytes of whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// jobEvents is what a job's record tells that the one before it did not. Either
// may be nil: not known yet, and dropped from the table. At is when it was written.
func jobEvents(prev, next *JobRecord, at time.Time) []api.Event {
	if next == nil {
		if prev == nil || prev.Removed {
			return nil
		}
		gone := *prev
		gone.Removed = true
		return []api.Event{jobEvent(api.EventJobRemoved, &gone, at, "taken out of the table, see alarm.set_aside")}
	}
	var out []api.Event
	if conflicting(prev, next) {
		e := jobEvent(api.EventJobConflict, next, at, fmt.Sprintf("two writes were made beside each other: that of %s counts, that of %s is void",
			shortWriter(next.Stamp), shortWriter(prev.Stamp)))
		e.UID = eventUID(e.Type, next.Spec.Name, next.Stamp, prev.Stamp)
		out = append(out, e)
	}
	known := prev != nil && prev.Life() == next.Life()
	switch {
	case next.Removed:
		if !known || !prev.Removed {
			out = append(out, jobEvent(api.EventJobRemoved, next, at, "removed"))
		}
		return out
	case !known:
		out = append(out, jobEvent(api.EventJobCreated, next, time.UnixMilli(next.Life()), fmt.Sprintf("created with %s", replicas(next.Spec.Replicas))))
	case prev.Stopped == next.Stopped || !next.Stopped:
		out = append(out, jobEvent(api.EventJobUpdated, next, next.UpdatedAt, whatChanged(prev, next)))
	}
	if next.Stopped && (!known || !prev.Stopped) {
		out = append(out, jobEvent(api.EventJobStopped, next, next.UpdatedAt, "stopped"))
	}
	return out
}

func jobEvent(t api.EventType, j *JobRecord, at time.Time, what string) api.Event {
	return api.Event{
		Type: t, Time: at, UID: eventUID(t, j.Spec.Name, j.Stamp), Message: j.Spec.Name + " " + what,
		Job: j.Spec.Name, Life: j.Life(), Generation: j.Version(),
	}
}

// shortWriter names the node that wrote a stamp.
func shortWriter(s gossip.Stamp) string {
	id, _, _ := strings.Cut(s.Writer, ".")
	return "node " + api.NodeID(id).Short()
}

func replicas(n int) string {
	if n == 1 {
		return "1 replica"
	}
	return strconv.Itoa(n) + " replicas"
}

// whatChanged says in words how a version differs from the one before.
func whatChanged(prev, next *JobRecord) string {
	var words []string
	if prev.Stopped && !next.Stopped {
		words = append(words, "wanted again")
	}
	if prev.Spec.Replicas != next.Spec.Replicas {
		words = append(words, fmt.Sprintf("scaled from %d to %d", prev.Spec.Replicas, next.Spec.Replicas))
	}
	if prev.RestartSeq != next.RestartSeq {
		words = append(words, "to be restarted")
	}
	if prev.Spec.TemplateHash(0) != next.Spec.TemplateHash(0) {
		words = append(words, "its tasks changed")
	}
	if len(words) == 0 {
		return "changed"
	}
	return strings.Join(words, ", ")
}

// slotEvents is what a slot's record tells that the one before it, maybe nil, did
// not. Lost says that the attempt before was told to be lost. At is when it was
// written.
func (w teller) slotEvents(prev, next *Assignment, lost bool, at time.Time) []api.Event {
	var out []api.Event
	fresh := prev == nil || prev.Ran() != next.Ran() || prev.Owner() != next.Owner()
	restarts := 0
	if fresh {
		if prev != nil && !prev.State.Final() && !lost {
			e := w.slotEvent(api.EventTaskSuperseded, prev, at, fmt.Sprintf("by %s on %s", attempt(next), w.name(next.Owner())))
			out = append(out, e)
		}
		out = append(out, w.placed(next, at))
	} else {
		restarts = prev.Restarts
	}
	if next.Restarts > restarts && !next.State.Final() {
		why := strings.TrimPrefix(next.Reason, "restarted in place: ")
		out = append(out, w.slotEvent(api.EventTaskExited, next, at, fmt.Sprintf("%s; started again in place (%d)", cmp.Or(why, "ended"), next.Restarts)))
	}
	changed := fresh || prev.State != next.State
	switch next.State {
	case api.Pulling:
		if changed {
			out = append(out, w.slotEvent(api.EventTaskPulling, next, at, next.Reason))
		}
	case api.Running:
		if changed || next.Restarts > restarts || prev.ContainerID != next.ContainerID {
			out = append(out, w.running(next, at))
		}
	case api.Failed, api.Stopped, api.Complete:
		if changed {
			out = append(out, w.final(next, at))
		}
	}
	return out
}

// attempt is "web.1@2".
func attempt(a *Assignment) string {
	return api.TaskID{Job: a.Key.Job, Index: a.Key.Slot, Epoch: a.Ran()}.String()
}

// slotEvent is about an attempt where it is. Detail follows after a colon.
func (w teller) slotEvent(t api.EventType, a *Assignment, at time.Time, detail string) api.Event {
	e := api.Event{
		Type: t, Time: at, Job: a.Key.Job, Life: a.Key.Life, Task: a.Key.String(), Epoch: a.Ran(), Node: a.Owner(), NodeName: w.name(a.Owner()),
		UID: eventUID(t, a.Key, a.Ran(), a.Owner(), a.Restarts),
	}
	e.Message = attempt(a) + " on " + e.NodeName
	if detail != "" {
		e.Message = cut(e.Message+": "+detail, maxMessage)
	}
	return e
}

func (w teller) placed(a *Assignment, at time.Time) api.Event {
	if !a.AcceptedAt.IsZero() {
		at = a.AcceptedAt
	}
	e := w.slotEvent(api.EventTaskPlaced, a, at, "")
	e.UID = eventUID(e.Type, a.Key, a.Ran(), a.Owner())
	e.Message = attempt(a) + " → " + e.NodeName
	why := a.Won
	if a.Because != "" && a.Because != firstPlacement {
		why = strings.TrimPrefix(why+"; "+a.Because, "; ")
	}
	if why != "" {
		e.Message = cut(e.Message+"  "+why, maxMessage)
	}
	return e
}

func (w teller) running(a *Assignment, at time.Time) api.Event {
	if !a.StartedAt.IsZero() {
		at = a.StartedAt
	}
	e := w.slotEvent(api.EventTaskRunning, a, at, "")
	e.UID = eventUID(e.UID, a.ContainerID, a.PID)
	if took := at.Sub(a.AcceptedAt); a.Restarts == 0 && !a.AcceptedAt.IsZero() && took >= 0 {
		e.Message += "  after " + took.Round(time.Millisecond).String()
	}
	return e
}

func (w teller) final(a *Assignment, at time.Time) api.Event {
	if !a.FinishedAt.IsZero() {
		at = a.FinishedAt
	}
	t, detail := map[api.TaskState]api.EventType{
		api.Failed: api.EventTaskFailed, api.Stopped: api.EventTaskStopped, api.Complete: api.EventTaskComplete}[a.State], a.Reason
	if a.State == api.Complete {
		detail = ""
	}
	if a.State == api.Failed && a.Failures > 1 {
		detail += fmt.Sprintf(" (%d attempts in a row)", a.Failures)
	}
	e := w.slotEvent(t, a, at, detail)
	e.ExitCode = a.ExitCode
	return e
}

// recordEvents is what a change of one key of the table tells.
func (w teller) recordEvents(prev, next entry, lost bool, at time.Time) []api.Event {
	switch {
	case next.slot != nil:
		return w.slotEvents(prev.slot, next.slot, lost, at)
	case next.job != nil, prev.job != nil:
		return jobEvents(prev.job, next.job, at)
	}
	return nil // what becomes of members is seen among the nodes
}

// unserved is what was last told of a slot that is wanted and not served.
type unserved struct {
	told  api.EventType // "" nothing yet
	epoch uint64
	owner api.NodeID
	flaps int // of the owner
}

// openSlot is such a slot as it is now.
type openSlot struct {
	key   SlotKey
	wish  uint64      // version of the job
	rec   *Assignment // nil: never placed
	gone  bool        // its record is live, but its owner is dead
	since time.Time   // unserved since
	flaps int         // how often its owner came back from the dead
	why   string      // nobody has it, or its owner is dead
}

// pendingAfter is how long a slot is unserved before that is told: most are placed
// in no time.
const pendingAfter = time.Second

// openEvents is what there is to tell of a slot that is not served, and what has
// been told then.
func (w teller) openEvents(prev unserved, next openSlot, now time.Time) ([]api.Event, unserved) {
	is := unserved{flaps: next.flaps}
	if next.rec != nil {
		is.epoch, is.owner = next.rec.Ran(), next.rec.Owner()
	}
	same := is.epoch == prev.epoch && is.owner == prev.owner && is.flaps == prev.flaps
	switch {
	case next.gone:
		is.told = api.EventTaskLost
		if same && prev.told == is.told {
			return nil, prev
		}
		e := w.slotEvent(is.told, next.rec, now, next.why)
		e.UID = eventUID(e.UID, is.flaps)
		return []api.Event{e}, is
	case next.rec != nil && next.rec.State != api.Stopped, now.Sub(next.since) < pendingAfter:
		return nil, prev // failed was told when it did
	}
	is.told = api.EventTaskPending
	if same && prev.told == is.told {
		return nil, prev
	}
	k := next.key
	e := api.Event{Type: is.told, Time: next.since, UID: eventUID(is.told, k, is.epoch, next.wish), Job: k.Job, Life: k.Life, Task: k.String(), Message: k.String()}
	if next.why != "" {
		e.Message = cut(e.Message+": "+next.why, maxMessage)
	}
	return []api.Event{e}, is
}

// backEvents is what there is to tell when a slot that was told to be lost is
// served again by the same attempt: its node is back.
func (w teller) backEvents(was unserved, rec *Assignment, now time.Time) []api.Event {
	if was.told != api.EventTaskLost || rec == nil || rec.Ran() != was.epoch || rec.Owner() != was.owner || rec.State.Final() {
		return nil
	}
	all := w.slotEvents(nil, rec, false, now)
	e := all[len(all)-1]
	e.Time, e.UID = now, eventUID(e.UID, "back", was.flaps)
	e.Message = attempt(rec) + " on " + e.NodeName + ": its node is back"
	return []api.Event{e}
}
