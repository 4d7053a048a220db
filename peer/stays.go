package peer

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

// A stay is why a slot that should run elsewhere, or in another form, does not: what
// the last auction of it said, which found no taker. Like a Memory it is the job's
// coordinator's alone.
type stay struct {
	epoch uint64 // of the copy that stays
	hash  string // of the template that was offered
	why   string
}

// noteStay remembers that nobody takes a slot that should move. One that is let go
// first is on its way. Lock held.
func (c *core) noteStay(k SlotKey, left bidding.LeftSlot) {
	maps.DeleteFunc(c.stays, func(old SlotKey, s stay) bool {
		a := c.index.slot(old)
		return a == nil || a.Epoch() != s.epoch
	})
	a, j := c.index.slot(k), c.index.jobs[k.Job]
	if a != nil && j != nil && a.State.Live() && !left.Refused(bidding.CodeAfterStop) {
		c.stays[k] = stay{epoch: a.Epoch(), hash: j.Hash, why: left.Why}
	}
}

// shouldGo says whether the copy of a slot runs and is to be moved or replaced.
func (w *World) shouldGo(j *JobRecord, a *Assignment) bool {
	return a != nil && a.State == api.Running && (a.Hash != j.Hash || w.toMove(j, a) != "")
}

// whyStays says why a copy that should be moved or replaced still is where it is, as
// far as this node has tried, or "". Lock held.
func (c *core) whyStays(w *World, j *JobRecord, k SlotKey) string {
	a, s := c.index.slot(k), c.stays[k]
	if s.why == "" || !j.Wants(k.Slot) || !w.shouldGo(j, a) || a.Epoch() != s.epoch || j.Hash != s.hash {
		return ""
	}
	if a.Hash != j.Hash {
		return "cannot be replaced: " + s.why
	}
	return "cannot move: " + s.why
}

// addStays adds to what this node, as coordinator, knows of a job's open slots why
// others stay. Lock held.
func (c *core) addStays(out map[int]pending, job string, life int64) {
	j := c.index.jobs[job]
	if j == nil || j.Life() != life || len(c.stays) == 0 {
		return
	}
	now := time.Now()
	w := c.world(c.nodes(now), now)
	for k := range c.stays {
		if k.Job != job || k.Life != life || len(out) >= maxPending {
			continue
		}
		if why := c.whyStays(w, j, k); why != "" {
			out[k.Slot] = pending{Why: why, Epoch: c.index.slot(k).Epoch()}
		}
	}
}

// explainJobs fills in, for jobs that are not as wanted and of which this node does
// not know why, what their coordinators say.
func (p *Peer) explainJobs(ctx context.Context, jobs []api.Job, lives []int64) {
	ctx, cancel := context.WithTimeout(ctx, dataWait)
	defer cancel()
	asked := 0
	for i, j := range jobs {
		s := j.Status
		if s == nil || s.Reason != "" || s.Pending == 0 && s.State != api.JobUpdating || j.Coordinator == "" || j.Coordinator == p.id {
			continue
		}
		if asked++; asked > maxCoordinators {
			return
		}
		_ = p.askNode(ctx, j.Coordinator, question{Op: "pending", Job: j.Name, Life: lives[i]}, func(a answer) error {
			first := -1
			for slot := range a.Pending {
				if first < 0 || slot < first {
					first = slot
				}
			}
			if first >= 0 {
				s.Reason = a.Pending[first].of(fmt.Sprintf("%s.%d", j.Name, first))
			}
			return nil
		}) // no answer: the list is still true without the reasons
	}
}

// of is what is said of a task, as the reason of its job.
func (w pending) of(task string) string {
	switch {
	case w.Why == "":
		return ""
	case w.Epoch != 0:
		return task + " " + w.Why
	}
	return task + ": " + w.Why
}
