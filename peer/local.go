package peer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/runtime"
)

// An exited container that nobody wants is kept for its logs as long as its job
// lives, but not for longer than logsKept, and of each slot no more than exitedKept,
// the last ones: a task that fails again and again does not fill the disk.
const (
	logsKept   = 24 * time.Hour
	exitedKept = 3
)

// steady is how long a task has to run for what went wrong before not to count.
const steady = 10 * time.Minute

// Local is all that a node looks at to decide about its own tasks.
type Local struct {
	Self       api.NodeID
	Boot       string
	Now        time.Time
	Jobs       map[string]*JobRecord
	Unread     func(job string) (life int64, ok bool) // the job is there, and its record cannot be read
	Slots      map[SlotKey]*Assignment                // every record in the table
	Containers []Held
	Unlisted   map[string]bool  // drivers that do not say what they have: theirs of Containers are as they were
	Busy       map[SlotKey]bool // something is being done to the slot's containers
	Alive      func(api.NodeID) bool
	LivesKnown bool // a life that the table does not have was removed, or never was
	Changed    func(SlotKey) time.Time
}

// Held is a container of this node and the driver that has it.
type Held struct {
	Driver string
	runtime.Container
}

// Key is the slot that the container is of.
func (h Held) Key() SlotKey {
	return SlotKey{Job: h.Labels.Job, Life: h.Labels.Life, Slot: h.Labels.Slot}
}

// Start starts the attempt that the record of the slot is about.
type Start struct {
	Key      SlotKey
	Epoch    uint64
	Restarts int    // how often it was started again in this epoch, this time included
	Why      string // what ended it before, for a restart
}

func (a Start) String() string { return fmt.Sprintf("start %s@%d", a.Key, a.Epoch) }

// Stop ends a container.
type Stop struct {
	Held  Held
	Grace time.Duration
	Why   string
}

func (a Stop) String() string { return fmt.Sprintf("stop %s: %s", a.Held.Labels.Task(), a.Why) }

// Remove forgets an exited container.
type Remove struct{ Held Held }

func (a Remove) String() string { return "remove " + a.Held.Labels.Task().String() }

// Report writes what this node observes into the record of a slot of its own.
// Zero fields leave the record's as they are.
type Report struct {
	Key       SlotKey
	Epoch     uint64
	State     api.TaskState
	Reason    string
	Container *runtime.Container
	Ended     time.Time // when what ran has ended, if it is to be started again later
	Failed    bool      // counts as one more failed attempt
}

func (a Report) String() string {
	return strings.TrimSuffix(fmt.Sprintf("report %s@%d %s: %s", a.Key, a.Epoch, a.State, a.Reason), ": ")
}

// Adopt takes the label of a container for a record of this node: the table has
// nothing as great, so the node's disk or its last words were lost.
type Adopt struct{ Held Held }

func (a Adopt) String() string { return "adopt " + a.Held.Labels.Task().String() }

// Reconcile says what a node should do about its own tasks: start what it has
// accepted, report what it sees, stop what is not wanted or has been superseded.
// A superseded copy is kept until the one that supersedes it runs, except where
// two at once would be a fault. Level-triggered, like Plan.
func Reconcile(l *Local) []Action {
	var out []Action
	byslot := map[SlotKey][]Held{}
	for _, h := range l.Containers {
		byslot[h.Key()] = append(byslot[h.Key()], h)
	}
	for k, held := range byslot {
		if !l.Busy[k] {
			out = append(out, l.containers(k, held)...)
		}
	}
	for k, a := range l.Slots {
		if a.Owner() == l.Self && !l.Busy[k] && l.current(k) {
			out = append(out, l.mine(k, a, byslot[k])...)
		}
	}
	slices.SortStableFunc(out, func(a, b Action) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// labelStamp is the stamp of a container's label read as a record: the lowest of
// its epoch, since anything that the owner wrote later knows more.
func (l *Local) labelStamp(h *Held) gossip.Stamp {
	return gossip.Stamp{Major: h.Labels.Epoch, Mid: string(l.Self), Writer: string(l.Self) + "." + h.Labels.Boot}
}

// current says whether k belongs to the life that the table has of the job.
func (l *Local) current(k SlotKey) bool {
	j := l.Jobs[k.Job]
	return j != nil && j.Life() == k.Life
}

// unread says whether nothing is known of the slot's job but that it is there, so that
// what is here of it stays.
func (l *Local) unread(k SlotKey) bool {
	if l.Unread == nil || l.current(k) {
		return false
	}
	life, ok := l.Unread(k.Job)
	return ok && k.Life >= life
}

func (l *Local) wanted(k SlotKey) bool { return l.current(k) && l.Jobs[k.Job].Wants(k.Slot) }

// serving picks the container that is the record's own: the one of its epoch or,
// awarded the slot while still running a current copy, that copy. How that one
// ends is then how the attempt ends, so it stays the record's own.
func serving(a *Assignment, held []Held) *Held {
	var kept *Held
	for i := range held {
		h := &held[i]
		if h.Labels.Epoch == a.Ran() {
			return h
		}
		if a.StopFirst || h.Labels.Epoch > a.Epoch() || h.Labels.TemplateHash != a.Hash {
			continue
		}
		if h.ID == a.ContainerID || h.State == runtime.Running && (kept == nil || kept.ID != a.ContainerID) {
			kept = h
		}
	}
	return kept
}

// ends says whether this node is ending its attempt at slot k, which is a's: then
// all containers of the slot go.
func (l *Local) ends(k SlotKey, a *Assignment) bool {
	return a != nil && a.Owner() == l.Self && l.current(k) && !a.State.Final() && (a.State == api.Stopping || !l.wanted(k))
}

// containers decides about the containers of one slot that no record of this
// node is about.
func (l *Local) containers(k SlotKey, held []Held) []Action {
	a := l.Slots[k]
	var own *Held
	if a != nil && a.Owner() == l.Self && l.current(k) {
		own = serving(a, held)
	}
	var out []Action
	surplus := surplus(held)
	for i := range held {
		h := &held[i]
		if h == own {
			continue
		}
		switch why := l.superfluous(k, a, h); {
		case h.State == runtime.Exited && (surplus[h.ID] || l.forgettable(k, h)):
			out = append(out, Remove{Held: *h})
		case l.ends(k, a):
			// All that is left of the slot is stopped there.
		case l.wanted(k) && l.outranks(h, a):
			out = append(out, Adopt{Held: *h}) // ended ones too: how they ended is what there is to know
		case why != "" && h.State != runtime.Exited:
			out = append(out, Stop{Held: *h, Grace: l.grace(h), Why: why})
		}
	}
	return out
}

// grace is how long a container is given to end by itself.
func (l *Local) grace(h *Held) time.Duration {
	if j := l.Jobs[h.Labels.Job]; j != nil && j.Removed && j.Forced && j.Life() == h.Labels.Life {
		return 0
	}
	return time.Duration(h.Labels.StopTimeout)
}

// outranks says whether the container's label, read as a record, is greater than
// the table's.
func (l *Local) outranks(h *Held, a *Assignment) bool {
	return a == nil || l.labelStamp(h).Compare(a.Stamp) > 0
}

// superfluous says why a container that serves no record of this node should
// stop, or "".
func (l *Local) superfluous(k SlotKey, a *Assignment, h *Held) string {
	j := l.Jobs[k.Job]
	switch {
	case l.unread(k):
		return ""
	case j == nil && l.LivesKnown:
		return "nobody knows its job"
	case j == nil:
		return ""
	case j.Life() > k.Life || j.Removed && j.Life() == k.Life:
		return "its job was removed"
	case j.Life() < k.Life && l.LivesKnown:
		return "nobody knows its job"
	case j.Life() < k.Life:
		return ""
	case !j.Wants(k.Slot):
		return "not wanted"
	case a == nil || l.outranks(h, a):
		return "" // to be adopted
	case a.State == api.Complete:
		return "the task is complete"
	case j.Spec.StopFirst():
		return "superseded"
	case a.Owner() == l.Self && a.StopFirst:
		return "it makes room for the attempt that follows it"
	case a.State == api.Running && l.Alive(a.Owner()):
		return "the attempt that follows it runs"
	}
	return ""
}

// surplus are the exited containers of a slot that are too many to be kept.
func surplus(held []Held) map[string]bool {
	exited := slices.DeleteFunc(slices.Clone(held), func(h Held) bool { return h.State != runtime.Exited })
	if len(exited) <= exitedKept {
		return nil
	}
	slices.SortFunc(exited, func(a, b Held) int {
		return cmp.Or(cmp.Compare(b.Labels.Epoch, a.Labels.Epoch), b.FinishedAt.Compare(a.FinishedAt), strings.Compare(a.ID, b.ID))
	})
	out := map[string]bool{}
	for _, h := range exited[exitedKept:] {
		out[h.ID] = true
	}
	return out
}

// forgettable says whether an exited container without a record is of no more use.
func (l *Local) forgettable(k SlotKey, h *Held) bool {
	j := l.Jobs[k.Job]
	switch {
	case l.unread(k):
		return false
	case j == nil:
		return l.LivesKnown
	case j.Life() != k.Life:
		return j.Life() > k.Life || l.LivesKnown
	case j.Removed:
		return true
	}
	return l.Now.Sub(h.FinishedAt) > logsKept
}

// mine decides about a record of this node.
func (l *Local) mine(k SlotKey, a *Assignment, held []Held) []Action {
	h := serving(a, held)
	switch {
	case a.State.Final():
		return l.final(k, a, h)
	case l.ends(k, a):
		return l.end(k, a, held)
	case h != nil && h.State != runtime.Exited:
		return l.running(k, a, h)
	}
	out := l.absent(k, a)
	if h != nil {
		out = l.exited(k, a, h)
	}
	return slices.DeleteFunc(out, func(action Action) bool {
		_, start := action.(Start)
		return start && l.waits(k, a, held)
	})
}

// waits says whether nothing is to be started yet: an old copy has to be gone
// first, and Reconcile stops it; or one is about to be adopted.
func (l *Local) waits(k SlotKey, a *Assignment, held []Held) bool {
	first := a.StopFirst || l.Jobs[k.Job].Spec.StopFirst()
	return slices.ContainsFunc(held, func(h Held) bool {
		return first && h.State != runtime.Exited || l.outranks(&h, a)
	})
}

// final: an epoch that has ended is never started again. What still runs of it
// is stopped, and forgotten when the slot is not wanted any more.
func (l *Local) final(k SlotKey, a *Assignment, h *Held) []Action {
	switch {
	case h == nil:
		return nil
	case h.State != runtime.Exited:
		return []Action{Stop{Held: *h, Grace: l.grace(h), Why: "its attempt has ended (" + string(a.State) + ")"}}
	case l.Jobs[k.Job].Removed, l.Now.Sub(h.FinishedAt) > logsKept:
		return []Action{Remove{Held: *h}}
	}
	return nil
}

// end: the slot is not wanted, or not here. Stopped is only said when nothing of
// it is left.
func (l *Local) end(k SlotKey, a *Assignment, held []Held) []Action {
	var out []Action
	reason := "not wanted"
	if l.wanted(k) {
		reason = a.Reason // why it was told to end, whatever is wanted since
	}
	for _, h := range held {
		if h.State != runtime.Exited {
			out = append(out, Stop{Held: h, Grace: l.grace(&h), Why: reason})
		}
	}
	switch {
	case len(out) > 0:
	case l.Unlisted[l.Jobs[k.Job].Spec.Driver]:
		return nil // it may have come to start what it was asked to
	default:
		return []Action{Report{Key: k, Epoch: a.Epoch(), State: api.Stopped, Reason: reason}}
	}
	if a.State != api.Stopping {
		out = append(out, Report{Key: k, Epoch: a.Epoch(), State: api.Stopping, Reason: reason})
	}
	return out
}

// absent: there is no container for the record.
func (l *Local) absent(k SlotKey, a *Assignment) []Action {
	if a.waits() {
		return l.after(k, a, -1, a.FinishedAt, "its container is gone")
	}
	if l.overdue(k, a) {
		return []Action{Report{Key: k, Epoch: a.Epoch(), State: api.Failed, Failed: true, Reason: "not running within its start timeout"}}
	}
	if a.State == api.Running {
		return l.after(k, a, -1, l.Now, "its container is gone")
	}
	return []Action{Start{Key: k, Epoch: a.Epoch(), Restarts: a.Restarts}}
}

// overdue says whether the task took too long to run. It counts from the last
// change of the record, so the progress of a pull puts it off.
func (l *Local) overdue(k SlotKey, a *Assignment) bool {
	return a.State != api.Running && l.Now.Sub(l.Changed(k)) > time.Duration(l.Jobs[k.Job].Spec.StartTimeout)
}

// exited: the container of the record has ended by itself.
func (l *Local) exited(k SlotKey, a *Assignment, h *Held) []Action {
	reason := h.Reason
	if reason == "" {
		reason = fmt.Sprintf("exited with code %d", h.ExitCode)
	}
	if h.OOM && !strings.Contains(reason, "out of memory") {
		reason = "out of memory (" + reason + ")"
	}
	code := h.ExitCode
	if h.StartedAt.IsZero() {
		code, reason = -1, "it never started" // whatever an engine says of such a one
	}
	out := l.after(k, a, code, h.FinishedAt, reason)
	for i := range out {
		if r, ok := out[i].(Report); ok {
			r.Container = &h.Container
			out[i] = r
		}
	}
	return out
}

// after applies the restart policy to a task that ended at the given time. What is
// to be started again later says so meanwhile.
func (l *Local) after(k SlotKey, a *Assignment, exitCode int, ended time.Time, reason string) []Action {
	restarts := a.Restarts
	if !a.StartedAt.IsZero() && ended.Sub(a.StartedAt) >= steady {
		restarts = 0
	}
	v := runtime.Next(l.Jobs[k.Job].Spec, exitCode, restarts)
	r := Report{Key: k, Epoch: a.Epoch(), State: v.State, Reason: reason}
	switch {
	case v.State == api.Running && l.Now.Before(ended.Add(v.Delay)):
		r.State, r.Ended = api.Starting, ended
		r.Reason = fmt.Sprintf("%s, restarts in %s (%d of %d)", reason, v.Delay, restarts+1, l.Jobs[k.Job].Spec.Restart.Attempts)
		if a.waits() && a.Reason == r.Reason {
			return nil // said already
		}
	case v.State == api.Running:
		return []Action{Start{Key: k, Epoch: a.Epoch(), Restarts: restarts + 1, Why: reason}}
	case v.State == api.Failed:
		r.Failed = true
	}
	return []Action{r}
}

// running: the container of the record is there and has not ended. A paused one
// serves its slot: whoever has paused it wants it as it is.
func (l *Local) running(k SlotKey, a *Assignment, h *Held) []Action {
	if h.State == runtime.Created {
		return []Action{Stop{Held: *h, Why: "it was left half started"}}
	}
	r := Report{Key: k, Epoch: a.Epoch(), State: api.Running, Container: &h.Container}
	if h.Reason == runtime.Paused {
		r.Reason = h.Reason
	}
	if a.State != api.Running || a.ContainerID != h.ID || a.PID != h.PID || (a.Reason == runtime.Paused) != (r.Reason != "") {
		return []Action{r}
	}
	return nil
}
