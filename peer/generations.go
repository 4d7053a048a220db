package peer

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/exitae337/orchestergo/api"
)

// Limits of what a node remembers of earlier versions of jobs.
const (
	versionsKept   = 16       // of one job
	versionsAll    = 4096     // of all
	versionsMemory = 16 << 20 // bytes of their specifications
)

// generations is the versions of jobs that this node saw replaced since it started. It
// is bounded; the oldest go first.
type generations struct {
	of    map[string][]version // by job, oldest first
	order []string             // the job of each, oldest first
	bytes int
}

type version struct {
	*JobRecord
	void bool // lost to a write made beside it
	size int
}

// add remembers that won took the place of old.
func (h *generations) add(old, won *JobRecord) {
	if old == nil || old.Removed {
		return
	}
	slim := *old
	slim.Previous, slim.Keys = nil, nil
	b, _ := json.Marshal(slim.Spec) // plain values: cannot fail
	v, name := version{&slim, conflicting(old, won), len(b)}, old.Spec.Name
	h.of[name], h.order, h.bytes = append(h.of[name], v), append(h.order, name), h.bytes+v.size
	if len(h.of[name]) > versionsKept {
		h.drop(slices.Index(h.order, name))
	}
	for len(h.order) > versionsAll || h.bytes > versionsMemory {
		h.drop(0)
	}
}

// drop forgets the version at order[i], the oldest of its job.
func (h *generations) drop(i int) {
	name := h.order[i]
	h.bytes -= h.of[name][0].size
	h.of[name], h.order = h.of[name][1:], slices.Delete(h.order, i, i+1)
	if len(h.of[name]) == 0 {
		delete(h.of, name)
	}
}

// conflicting says whether won was written without knowing of lost, which is void:
// beside it, on two sides of a partition or at the same moment. One request that was
// carried out twice, as by a retry on another node, is no conflict.
func conflicting(lost, won *JobRecord) bool {
	switch {
	case lost == nil || lost.Removed:
		return false
	case len(lost.Keys) > 0 && won.hasKey(lost.Keys[len(lost.Keys)-1]):
		return false
	case lost.Life() == won.Life():
		return lost.Version() == won.Version() && !won.Removed
	}
	return lost.Life() < won.Life() && !won.follows(lost)
}

// follows says whether j was made anew from a version that is not before old's.
func (j *JobRecord) follows(old *JobRecord) bool {
	prev := j.Previous
	if prev == nil {
		return false
	}
	if life := prev.CreatedAt.UnixMilli(); life != old.Life() {
		return life > old.Life()
	}
	return prev.Generation > old.Version() || prev.ETag == old.ETag
}

// versions are what is known of a job that is there, newest first. Lock held.
func (p *Peer) versions(name string) ([]version, error) {
	cur := p.index.jobs[name]
	if cur == nil || cur.Removed {
		return nil, jobNotFound(name)
	}
	all := []version{{JobRecord: cur}}
	for _, v := range p.index.generations.of[name] {
		if v.ETag != cur.ETag {
			all = append(all, v)
		}
	}
	if prev := cur.Previous; prev != nil && !slices.ContainsFunc(all, func(v version) bool { return v.ETag == prev.ETag }) {
		old := &JobRecord{Spec: prev.Spec(), UpdatedAt: prev.UpdatedAt, ETag: prev.ETag, Hash: prev.Template}
		old.Stamp.Major, old.Stamp.Minor = uint64(prev.CreatedAt.UnixMilli()), prev.Generation
		all = append(all, version{JobRecord: old})
	}
	slices.SortStableFunc(all, func(a, b version) int { return b.Stamp.Compare(a.Stamp) })
	return all, nil
}

// History lists the versions of a job, see api.Service.
func (p *Peer) History(_ context.Context, name string) ([]api.Generation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all, err := p.versions(name)
	if err != nil {
		return nil, err
	}
	out := make([]api.Generation, 0, len(all))
	for i, v := range all {
		spec := v.asRead()
		g := api.Generation{
			Generation: spec.Generation, ETag: spec.ETag, ID: spec.ID, Time: spec.UpdatedAt, Image: spec.Image, Replicas: spec.Replicas,
			State: "replaced", Changed: []string{},
		}
		switch {
		case v.JobRecord == p.index.jobs[name]:
			g.State = "current"
		case v.void:
			g.State = "void"
		}
		id, _, _ := strings.Cut(v.Stamp.Writer, ".") // of its boot
		g.Writer, g.WriterName = api.NodeID(id), api.NodeID(id).Short()
		if m := p.index.members[g.Writer]; m != nil {
			g.WriterName = m.Name
		}
		if i+1 < len(all) {
			g.Changed = changed(all[i+1].JobRecord, v.JobRecord)
		}
		out = append(out, g)
	}
	return out, nil
}

// changed names what differs between two versions.
func changed(a, b *JobRecord) []string {
	out := a.Spec.Differs(b.Spec)
	if a.Stopped != b.Stopped {
		out = append(out, "stopped")
	}
	if a.RestartSeq != b.RestartSeq {
		out = append(out, "restart")
	}
	return out
}

// Generation returns one version of a job, see api.Service.
func (p *Peer) Generation(_ context.Context, name, which string) (api.Job, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all, err := p.versions(name)
	if err != nil {
		return api.Job{}, err
	}
	for _, v := range all {
		if which == v.ETag || which == strconv.FormatUint(v.Version(), 10) && !v.void {
			return *v.asRead(), nil
		}
	}
	return api.Job{}, api.Errorf(api.JobNotFound, "generation %.80q of job %s is not known to node %s", which, name, p.cfg.Name).
		WithHint("orch history %s lists those that are; other nodes may know others", name)
}
