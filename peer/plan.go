package peer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

// Timing of the plan.
const (
	patienceMin = 5 * time.Second // how long a silent coordinator is waited for, at least
	patienceVar = 5 * time.Second // and at most so much more, at random
	askMax      = 5 * time.Minute // the longest pause between asking higher ranks again
	engineGrace = time.Minute     // how long the tasks of a driver that stopped working stay
	newcomer    = 2 * time.Second // how long a node that begins to act leaves its jobs to those that did before
)

// Action is one step that the plan asks for. It can be printed, compared and
// carried out.
type Action interface {
	fmt.Stringer
}

// Auction asks for an auction of slots of one job.
type Auction struct {
	Job    string
	Life   int64
	Slots  []int // ascending
	Reason string
	Move   bool // the slots are served, and are to be served elsewhere or anew
}

func (a Auction) String() string {
	verb := "place"
	if a.Move {
		verb = "move"
	}
	return fmt.Sprintf("%s %s%v: %s", verb, a.Job, a.Slots, a.Reason)
}

// Ask asks the nodes that rank higher whether they are on it.
type Ask struct {
	Job    string
	Life   int64
	Slots  []int
	Higher []api.NodeID
}

func (a Ask) String() string {
	return fmt.Sprintf("ask %d higher ranks about %s%v", len(a.Higher), a.Job, a.Slots)
}

// Observe brings w.Memory up to date: it begins to remember slots that are
// wanted and unserved, and forgets all others.
func Observe(w *World) {
	live := map[SlotKey]bool{}
	for _, j := range w.Jobs {
		for i := range j.Spec.Replicas {
			k := j.Slot(i)
			if !j.Wants(i) || w.Condition(j, k) != Unserved {
				continue
			}
			live[k] = true
			if w.Memory[k] == nil {
				w.Memory[k] = &Memory{Since: w.Now, Patience: patienceMin + time.Duration(w.Random()*float64(patienceVar))}
			}
		}
	}
	for k := range w.Memory {
		if !live[k] {
			delete(w.Memory, k)
		}
	}
}

// Plan says what this node should do about the slots of all jobs: as coordinator
// of a job, auction those that are unserved or to be moved; as any other node,
// ask about slots that nobody has served for too long. It is level-triggered:
// called again in the same world it says the same, and what caused the world to
// be so does not matter. First placement, healing, draining and updating are one
// rule: whatever is not as wanted is auctioned.
func Plan(w *World) []Action {
	var out []Action
	for _, j := range w.Jobs {
		if j.Stopped || j.Spec.Replicas == 0 || w.Busy[j.Spec.Name] {
			continue
		}
		ranks := Ranks(j.Spec.Name, w.Nodes)
		mine := slices.Index(ranks, w.Self)
		switch {
		case mine < 0:
			continue // starting or leaving: not for us to act
		case mine == 0 && len(ranks) > 1 && w.Now.Sub(w.Since) < newcomer:
			continue // who coordinated so far has not heard of us, or holds an auction yet: no epoch tells two of them apart
		}
		out = append(out, planJob(w, j, ranks[:mine])...)
	}
	return out
}

// planJob plans for one job; higher are the nodes that rank above this one.
func planJob(w *World, j *JobRecord, higher []api.NodeID) []Action {
	var open, ask, move, update []int
	inMotion, broken := 0, 0
	moving := ""
	for i := range j.Spec.Replicas {
		k := j.Slot(i)
		a := w.Slots(k)
		switch w.Condition(j, k) {
		case Unserved:
			if a != nil && a.State == api.Failed && a.Hash == j.Hash {
				broken++
			}
			m := w.Memory[k]
			if m == nil || w.Now.Before(w.due(a, m)) {
				continue
			}
			if len(higher) == 0 || m.TakeOver {
				open = append(open, i)
			} else if w.Now.Sub(m.Since) >= m.Patience && !w.Now.Before(m.AskAt) {
				ask = append(ask, i)
			}
		case Served:
			waits := a.waits()
			if waits && a.Hash == j.Hash {
				broken++
			}
			if a.State != api.Running && !waits && w.lostDriver(j, a) == "" {
				inMotion++
			} else if len(higher) > 0 {
				continue // moves are for the coordinator
			} else if a.Hash != j.Hash && !a.Unread {
				update = append(update, i)
			} else if why := w.toMove(j, a); why != "" {
				move, moving = append(move, i), why
			}
		}
	}
	var out []Action
	if len(open) > 0 {
		out = append(out, Auction{Job: j.Spec.Name, Life: j.Life(), Slots: open, Reason: w.whyOpen(j, open)})
	} else if room := j.Spec.MaxParallel - inMotion; len(move) > 0 {
		out = append(out, Auction{Job: j.Spec.Name, Life: j.Life(), Slots: w.dueMoves(j, move, room), Reason: moving, Move: true})
	} else if room -= broken; len(update) > 0 { // what fails in its new form takes no more of the old ones with it
		out = append(out, Auction{Job: j.Spec.Name, Life: j.Life(), Slots: w.dueMoves(j, update, room), Reason: "the job has changed", Move: true})
	}
	if len(ask) > 0 {
		out = append(out, Ask{Job: j.Spec.Name, Life: j.Life(), Slots: ask, Higher: higher})
	}
	return slices.DeleteFunc(out, func(a Action) bool {
		au, ok := a.(Auction)
		return ok && len(au.Slots) == 0
	})
}

// due is when an unserved slot may be auctioned: after a pause that grows with
// the attempts that failed in a row, and not before a fruitless auction's own.
func (w *World) due(a *Assignment, m *Memory) time.Time {
	at := m.RetryAt
	if a != nil && a.State == api.Failed && a.Failures > 0 {
		if t := w.Changed(a.Key).Add(bidding.Backoff(a.Failures, 0.5)); t.After(at) {
			at = t
		}
	}
	return at
}

// toMove says why a slot that runs as wanted should run elsewhere, or "".
func (w *World) toMove(j *JobRecord, a *Assignment) string {
	if n := w.node(a.Owner()); n.Moving() {
		return n.label("node") + " is " + n.State
	}
	return w.lostDriver(j, a)
}

// lostDriver says so if the owner of a slot has long been unable to use its driver,
// or "". Then what runs has to go elsewhere, and what is starting will not come to run.
func (w *World) lostDriver(j *JobRecord, a *Assignment) string {
	since, lost := w.node(a.Owner()).Lost[j.Spec.Driver]
	if !lost || w.Now.Sub(since) < engineGrace {
		return ""
	}
	return "driver " + j.Spec.Driver + " of its node does not work any more"
}

// dueMoves picks at most room of the slots to move, passing over those whose last
// try found no taker a short while ago.
func (w *World) dueMoves(j *JobRecord, slots []int, room int) []int {
	var out []int
	for _, i := range slots {
		if len(out) >= room {
			break
		}
		if w.Now.Before(w.MoveAt[j.Slot(i)]) {
			continue
		}
		out = append(out, i)
	}
	return out
}

// firstPlacement is why a slot is unserved that nobody has ever had.
const firstPlacement = "first placement"

// whyOpen sums up in words why slots are unserved.
func (w *World) whyOpen(j *JobRecord, slots []int) string {
	reasons := map[string]bool{}
	for _, i := range slots {
		reasons[w.whyUnserved(j, w.Slots(j.Slot(i)))] = true
	}
	words := make([]string, 0, len(reasons))
	for r := range reasons {
		words = append(words, r)
	}
	slices.Sort(words)
	return strings.Join(words, "; ")
}

func (w *World) whyUnserved(j *JobRecord, a *Assignment) string {
	switch {
	case a == nil:
		return firstPlacement
	case a.State == api.Failed:
		return fmt.Sprintf("attempt @%d failed: %s", a.Ran(), a.Reason)
	case !a.State.Live():
		return "it was " + string(a.State)
	}
	n := w.node(a.Owner())
	who := n.label("node " + n.ID.Short())
	switch {
	case n.Left:
		return who + " left"
	case n.At(w.Now, time.Duration(j.Spec.FailoverAfter)) != Gone:
		return who + " did not get it running in time"
	case n.Why == "":
		return who + " failed"
	}
	return fmt.Sprintf("%s failed (%s at %s)", who, n.Why, n.AbsentSince.UTC().Format("15:04:05.000Z"))
}

// label is the node's name or, if that is not known, what it is called instead.
func (n NodeState) label(instead string) string {
	if n.Name == "" {
		return instead
	}
	return n.Name
}
