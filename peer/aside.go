package peer

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// NodeAsides lists what a node has set aside, see api.Service.
func (p *Peer) NodeAsides(ctx context.Context, id string) ([]api.Aside, error) {
	n, err := p.Node(ctx, id)
	if err != nil {
		return nil, err
	}
	out := []api.Aside{}
	err = p.askNode(ctx, n.ID, question{Op: "asides"}, func(a answer) error {
		out = append(out, a.Asides...)
		return nil
	})
	return out, err
}

// Restore has a node make a job anew of one that it has set aside, see api.Service.
func (p *Peer) Restore(ctx context.Context, id string, r api.Restoring, o api.WriteOptions) (api.Written, error) {
	if err := r.Validate(); err != nil {
		return api.Written{}, err
	}
	n, err := p.Node(ctx, id)
	if err != nil {
		return api.Written{}, err
	}
	var w api.Written
	err = p.askNode(ctx, n.ID, question{Op: "restore", Restoring: &r, Options: o}, func(a answer) error {
		if a.Written != nil {
			w = *a.Written
		}
		return nil
	})
	return w, err
}

// heldBack is one job of a file of what this node has set aside.
type heldBack struct {
	file     gossip.Aside
	job      *JobRecord // nil if it cannot be read
	fault    error      // why it cannot
	complete int        // tasks of it that were
}

func (p *Peer) asideDir() string { return filepath.Join(p.cfg.Dir.Path, "aside") }

// listAside lists what this node has set aside and nobody has restored, the oldest
// first. What the table says was restored, here or by another node that had set it
// aside too, is noted in the file: records of removed jobs do not stay for ever.
func (p *Peer) listAside() ([]heldBack, error) {
	p.asides.Lock()
	defer p.asides.Unlock()
	files, err := gossip.ListAside(p.asideDir())
	if err != nil {
		return nil, err
	}
	var out []heldBack
	for _, f := range files {
		if f.Damage != nil {
			out = append(out, heldBack{file: f, fault: f.Damage})
			continue
		}
		left, restored := p.unsettled(f)
		out = append(out, left...)
		if len(restored) == 0 {
			continue
		}
		if err := f.Settle(restored...); err != nil {
			p.log.WithError(err).Warn("what was restored is listed once more")
		}
	}
	p.mu.Lock()
	p.asideLeft = len(out)
	p.mu.Unlock()
	return out, nil
}

// unsettled are the jobs in a file that nobody has restored, and the keys of those
// that somebody has, which the file does not say yet.
func (p *Peer) unsettled(f gossip.Aside) (left []heldBack, restored []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range f.Records {
		if !strings.HasPrefix(r.Key, jobKey("")) || slices.Contains(f.Settled, r.Key) {
			continue
		}
		h := heldBack{file: f}
		h.job, h.fault = decodeJob(r)
		if h.fault == nil {
			if now := p.index.jobs[h.job.Spec.Name]; now != nil && now.Restored == h.job.Life() {
				restored = append(restored, r.Key)
				continue
			}
			h.complete = completeIn(f, h.job)
		}
		left = append(left, h)
	}
	return left, restored
}

// completeIn counts the tasks of a job that were complete, of the records in a file.
func completeIn(f gossip.Aside, j *JobRecord) int {
	count := 0
	for _, r := range f.Records {
		if k, err := parseSlotKey(r.Key); err != nil || k.Job != j.Spec.Name || k.Life != j.Life() {
			continue
		}
		if a, err := decodeAssignment(r); err == nil && a.State == api.Complete {
			count++
		}
	}
	return count
}

// ownAsides hands over what this node has set aside, one job at a time: two may be too
// large for a frame.
func (p *Peer) ownAsides(send func([]api.Aside) error) error {
	all, err := p.listAside()
	if err != nil {
		return err
	}
	for _, h := range all {
		if err := send([]api.Aside{p.aside(h)}); err != nil {
			return err
		}
	}
	return nil
}

// aside is h as users see it.
func (p *Peer) aside(h heldBack) api.Aside {
	a := api.Aside{Node: p.id, NodeName: p.cfg.Name, Time: h.file.Time.UTC(), File: filepath.Base(h.file.File), Path: h.file.File, Complete: h.complete}
	if h.fault != nil {
		a.Reason = h.fault.Error()
		return a
	}
	a.Job, a.Life, a.Spec, a.Stopped = h.job.Spec.Name, h.job.Life(), h.job.asRead(), h.job.Stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	there := p.index.jobs[a.Job]
	a.Taken = there != nil && !there.Removed
	a.Reason = "node " + p.nodeName(api.NodeID(h.file.Peer)) + " did not know it, and what was removed while node " + p.cfg.Name + " was away is forgotten by now"
	return a
}

// restoreOwn makes a job anew of one that this node has set aside.
func (p *Peer) restoreOwn(ctx context.Context, q question) answer {
	if q.Restoring == nil {
		return answer{Error: api.Errorf(api.BadRequest, "the question does not say what to restore")}
	}
	old, err := p.findAside(*q.Restoring)
	if err != nil {
		return answer{Error: asAPIError(err)}
	}
	w, err := p.create(ctx, p.restoration(*q.Restoring, old, q.Options))
	if err != nil {
		return answer{Error: asAPIError(err)}
	}
	if _, err := p.listAside(); err != nil { // notes it
		p.log.WithError(err).Warn("what was restored is listed once more")
	}
	return answer{Written: &w}
}

// findAside is the latest version of a job that this node has set aside; nil if it
// has none.
func (p *Peer) findAside(r api.Restoring) (*JobRecord, error) {
	all, err := p.listAside()
	if err != nil {
		return nil, err
	}
	var found *JobRecord
	for _, h := range all {
		if h.fault != nil || h.job.Spec.Name != r.Job || r.File != "" && r.File != filepath.Base(h.file.File) {
			continue
		}
		if found == nil || h.job.Stamp.Compare(found.Stamp) > 0 {
			found = h.job
		}
	}
	if found == nil {
		return nil, nil
	}
	return found, found.Spec.Validate()
}

// restoration is the change that makes a job anew of one that was set aside. Without
// one there is nothing to do but for a request that was carried out before.
func (c *core) restoration(r api.Restoring, aside *JobRecord, o api.WriteOptions) change {
	ch := newChange("restore", r.Job, o, r)
	ch.next = func(old *JobRecord, now time.Time) (*JobRecord, error) {
		switch {
		case aside == nil:
			return nil, api.Errorf(api.JobNotFound, "node %s has set aside no job %.80q", c.cfg.Name, r.Job).WithHint("orch recover lists what is set aside, and where")
		case old != nil && !old.Removed:
			return nil, c.nameTaken(old, now)
		case aside.Unknown != "":
			return nil, c.newerRelease(aside)
		}
		next, err := c.newLife(aside.Spec, old, now)
		if err != nil {
			return nil, err
		}
		next.Stamp.Major = max(next.Stamp.Major, aside.Stamp.Major+1) // should the old one come back yet
		next.Stopped, next.RestartSeq = aside.Stopped, aside.RestartSeq
		next.Previous, next.Restored = aside.asRead(), aside.Life()
		return next, nil
	}
	return ch
}
