package sim

import (
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
)

// Bug is a rule of the design taken away. The zero value takes none.
type Bug struct {
	Name string
	Rule string // that it takes away, in words
	In   string // the script of plans in which it is missed; "": in a mix
	// Meddle returns what is meddled with in a core; nil: nothing.
	Meddle func(*peer.Core) peer.Meddling

	PushUnsynced        bool // records are taken from who has not synced
	AwardWithoutRecords bool // an award does not bring the job's and the slots' records
	AckEarly            bool // a write is acknowledged before it is on enough disks
	AnswerEarly         bool // an accepted award is answered before it is on disk
	NoExpiry            bool // tombstones are dropped by age alone
	NoRelease           bool // owners are not asked to let go
	NoAside             bool // what a sync sets aside stays in the table
	ForgetUnanswered    bool // awards without an answer are not remembered
}

// meddled is a bug that meddles the same way with every core.
func meddled(name, rule string, m peer.Meddling) Bug {
	return Bug{Name: name, Rule: rule, Meddle: func(*peer.Core) peer.Meddling { return m }}
}

// in names the script in which a bug is missed.
func (b Bug) in(script string) Bug {
	b.In = script
	return b
}

// Bugs are rules of the design, each taken away, and each is missed in a few of any
// two thousand runs.
func Bugs() []Bug {
	return []Bug{
		meddled("no-ledger", "a node takes what it has room for", peer.Meddling{Bidder: func(b *bidding.Bidder) {
			b.Ledger = bidding.NewLedger(api.Resources{CPUs: 1 << 40, Memory: 1 << 60}, nil)
		}}),
		meddled("break-before-make", "an old copy stops when the new one runs", peer.Meddling{Actions: stopSuperseded}),
		meddled("never-break", "an old copy stops when the new one runs", peer.Meddling{Actions: neverStopSuperseded}),
		meddled("dead-serve", "what a dead node has is not served", peer.Meddling{World: nobodyDies}),
		meddled("freeze-replaced", "a frozen slot waits for its owner", peer.Meddling{World: noFreeze}),
		meddled("old-spec-served", "a slot that runs another template is moved", peer.Meddling{World: anyTemplate}),
		meddled("no-start-timeout", "what does not come to run has failed", peer.Meddling{World: patient, Local: patientLocal}),
		meddled("unwanted-stay", "what is not wanted is stopped", peer.Meddling{Actions: keepUnwanted}),
		meddled("epoch-blind", "a bidder refuses an epoch that it knows", peer.Meddling{Standing: func(st *bidding.Standing) { st.Known, st.Epoch, st.LabelEpoch = false, 0, 0 }}),
		meddled("complete-again", "what is complete never runs again", peer.Meddling{World: completeIsNothing, Standing: func(st *bidding.Standing) { st.Complete = false }}),
		meddled("after-stop-blind", "what must not run twice is not taken while its owner has it", peer.Meddling{Standing: func(st *bidding.Standing) { st.Served, st.OwnerAlive = false, false }}),

		meddled("no-take-over", "a silent coordinator is taken over from", peer.Meddling{Actions: dropAsks, World: neverTakeOver}).in("mute"),
		meddled("no-boot-grace", "an owner that was not seen since the start is unknown, not dead", peer.Meddling{World: noGrace}).in("blackout"),
		meddled("no-adoption", "a container's label is a record", peer.Meddling{Actions: neverAdopt}).in("orphan"),
		meddled("no-backoff", "a slot that fails again and again waits longer and longer", peer.Meddling{World: noBackoff, Bidder: func(b *bidding.Bidder) { b.Excluded = nil }}).in("doomed"),
		meddled("no-pause", "a slot that nobody has room for is tried again later and later", peer.Meddling{World: noPause}).in("crowd"),
		meddled("no-exclusion", "a node where a task failed sits out, and counts less", peer.Meddling{Bidder: func(b *bidding.Bidder) { b.Excluded, b.RecentFailures = nil, 0 }}).in("hole"),
		meddled("seq-blind", "a later sending of an award is the one that counts", peer.Meddling{Standing: func(st *bidding.Standing) { st.LastSeq = 0 }}).in("flap"),
		meddled("stale-job", "a bidder refuses a slot that by its own record of the job nobody wants", peer.Meddling{Standing: func(st *bidding.Standing) { st.JobIsMine, st.Wanted = true, true }}).in("hasty"),
		Bug{Name: "push-unsynced", Rule: "records are merged only between those who have synced", PushUnsynced: true}.in("reborn"),
		Bug{Name: "award-alone", Rule: "an award brings the records of its job and slots", AwardWithoutRecords: true}.in("blind"),
		Bug{Name: "ack-early", Rule: "a write is acknowledged when it is on enough disks", AckEarly: true}.in("sudden"),
		Bug{Name: "answer-early", Rule: "an award is answered when it is on disk", AnswerEarly: true}.in("ambush"),
		Bug{Name: "expire-by-age", Rule: "a tombstone goes when all members have it", NoExpiry: true}.in("absence"),
		Bug{Name: "no-release", Rule: "an owner is asked to let go what must not run twice", NoRelease: true}.in("emptying"),
		Bug{Name: "no-aside", Rule: "what was removed while its node was away is set aside", NoAside: true}.in("absence"),
		Bug{Name: "forget-unanswered", Rule: "the next award is above those without an answer", ForgetUnanswered: true}.in("single"),
	}
}

// Unproven are rules that no run has been seen to miss. Of the one there is it is thought,
// and not shown, that it only saves another look: a bidder decides by its own record of
// the job, into which that of the award was merged, so the version that the auctioneer
// meant should change nothing but the reason that it is given. That the slot is wanted is
// asked besides ("stale-job").
func Unproven() []Bug {
	return []Bug{
		meddled("stale-version", "a bidder refuses a version of the job that is not its own", peer.Meddling{Standing: func(st *bidding.Standing) { st.JobIsMine = true }}),
	}
}

func stopSuperseded(actions []peer.Action, l *peer.Local) []peer.Action {
	for _, h := range l.Containers {
		k := h.Key()
		if a := l.Slots[k]; a != nil && h.State == runtime.Running && a.Epoch() > h.Labels.Epoch && a.Owner() != l.Self && !l.Busy[k] {
			actions = append(actions, peer.Stop{Held: h, Why: "planted"})
		}
	}
	return actions
}

func neverStopSuperseded(actions []peer.Action, _ *peer.Local) []peer.Action {
	return slices.DeleteFunc(actions, func(a peer.Action) bool {
		s, ok := a.(peer.Stop)
		return ok && s.Why == "the attempt that follows it runs"
	})
}

func dropAsks(actions []peer.Action, _ *peer.Local) []peer.Action {
	return slices.DeleteFunc(actions, func(a peer.Action) bool { _, ok := a.(peer.Ask); return ok })
}

func neverTakeOver(w *peer.World) {
	for _, m := range w.Memory {
		m.TakeOver = false
	}
}

func nobodyDies(w *peer.World) {
	for id, n := range w.Nodes {
		if !n.Alive && !n.Left {
			n.UnknownUntil = w.Now.Add(time.Hour)
			w.Nodes[id] = n
		}
	}
	w.Absent.UnknownUntil = w.Now.Add(time.Hour)
}

func noGrace(w *peer.World) {
	for id, n := range w.Nodes {
		n.UnknownUntil = time.Time{}
		w.Nodes[id] = n
	}
	w.Absent.UnknownUntil = time.Time{}
}

func noFreeze(w *peer.World) {
	for i, j := range w.Jobs {
		c := *j
		c.Spec.OnPartition = "replace"
		w.Jobs[i] = &c
	}
}

func anyTemplate(w *peer.World) {
	slots := w.Slots
	hashes := map[string]string{}
	for _, j := range w.Jobs {
		hashes[j.Spec.Name] = j.Hash
	}
	w.Slots = func(k peer.SlotKey) *peer.Assignment {
		a := slots(k)
		if a == nil {
			return nil
		}
		c := *a
		c.Hash = hashes[k.Job]
		return &c
	}
}

func neverAdopt(actions []peer.Action, _ *peer.Local) []peer.Action {
	return slices.DeleteFunc(actions, func(a peer.Action) bool { _, ok := a.(peer.Adopt); return ok })
}

func patient(w *peer.World) { w.Changed = func(peer.SlotKey) time.Time { return w.Now } }

func patientLocal(l *peer.Local) { l.Changed = func(peer.SlotKey) time.Time { return l.Now } }

func noBackoff(w *peer.World) {
	changed := w.Changed
	w.Changed = func(k peer.SlotKey) time.Time {
		if a := w.Slots(k); a != nil && a.State == api.Failed {
			return time.Time{}
		}
		return changed(k)
	}
}

func noPause(w *peer.World) {
	for _, m := range w.Memory {
		m.RetryAt = time.Time{}
	}
}

func keepUnwanted(actions []peer.Action, _ *peer.Local) []peer.Action {
	return slices.DeleteFunc(actions, func(a peer.Action) bool {
		s, ok := a.(peer.Stop)
		return ok && (s.Why == "not wanted" || s.Why == "its job was removed")
	})
}

func completeIsNothing(w *peer.World) {
	slots := w.Slots
	w.Slots = func(k peer.SlotKey) *peer.Assignment {
		if a := slots(k); a != nil && a.State != api.Complete {
			return a
		}
		return nil
	}
}
