package peer

import (
	"context"
	"strconv"
	"sync"
)

// revisions counts the changes of what this node sees, so that readers can wait
// for the next one.
type revisions struct {
	boot string
	news pulse

	mu   sync.Mutex // guards what follows
	last uint64
	all  uint64            // of the last change that any job may show
	jobs map[string]uint64 // of the last change of one job and its tasks
}

func newRevisions(boot string) *revisions {
	return &revisions{boot: boot, jobs: map[string]uint64{}}
}

// bump says that a job or its tasks changed or, for "", anything may have.
func (r *revisions) bump(job string) {
	r.mu.Lock()
	r.last++
	if job == "" {
		r.all = r.last
		clear(r.jobs) // what they have is below it
	} else {
		r.jobs[job] = r.last
	}
	r.mu.Unlock()
	r.news.beat()
}

// of is the revision of one job and its tasks or, for "", of everything.
func (r *revisions) of(job string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.last
	if job != "" {
		n = max(r.all, r.jobs[job])
	}
	return r.boot + "-" + strconv.FormatUint(n, 10)
}

// Revision tells versions of what this node shows apart: those of one job and its
// tasks or, for "", of everything. It is asked for before what it is the revision
// of. If known is the revision that it would return, it first waits for the next
// one, until ctx ends. What only counts down or up with time is no change.
func (p *Peer) Revision(ctx context.Context, job, known string) string {
	for {
		news := p.revisions.news.wait()
		now := p.revisions.of(job)
		if now != known {
			return now
		}
		select {
		case <-ctx.Done():
			return now
		case <-p.ctx.Done():
			return now
		case <-news:
		}
	}
}
