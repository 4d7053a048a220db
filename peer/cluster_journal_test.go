package peer_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// journal is what was asked of a cluster and what it answered, to hold against what
// has become of it.
type journal struct {
	asking sync.WaitGroup
	mu     sync.Mutex // guards the rest
	writes map[string][]write
}

// write is one request to change a job. Without an answer, nobody knows what came of it.
type write struct {
	what     string
	at       time.Time
	answered bool
	removed  bool
	durable  bool // on as many disks as promised
	job      api.Job
}

func (w write) life() int64 { return w.job.CreatedAt.UnixMilli() }

func (w write) String() string {
	return fmt.Sprintf("%s at %s: life %d, generation %d, ETag %s", w.what, clock(w.at), w.life(), w.job.Generation, w.job.ETag)
}

// nothing are the refusals after which nothing was written.
var nothing = []api.Code{api.JobExists, api.JobNotFound, api.NotReady, api.ClockOff, api.NotScalable, api.Invalid, api.Stale}

// ask has a node write, beside what else happens, and notes the answer.
func (j *journal) ask(n *node, job string, what verb, do func(context.Context, *agent) (api.Written, error)) {
	a := n.agent
	j.asking.Go(func() {
		w := write{what: fmt.Sprintf("%q", what), removed: what == doRemove, at: time.Now()}
		got, err := do(context.Background(), a)
		j.mu.Lock()
		defer j.mu.Unlock()
		switch {
		case a.driver.lost.Load(): // who is dead answers nobody
		case err == nil:
			w.answered, w.durable, w.job = true, got.Durable(), got.Job
		case slices.Contains(nothing, api.CodeOf(err)):
			return
		}
		j.writes[job] = append(j.writes[job], w)
	})
}

// check says what of the answers does not hold of the jobs that all nodes have. lost
// is when the first disk was destroyed: what was not safe then may be lost.
func (j *journal) check(jobs []api.Job, lost time.Time) (faults []string) {
	j.asking.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	there := map[string]*write{}
	for _, job := range jobs {
		there[job.Name] = &write{what: "it is there", job: job, answered: true}
	}
	for name, writes := range j.writes {
		is := there[name]
		for _, w := range writes {
			if !w.answered || !w.durable && !lost.IsZero() {
				continue
			}
			if why := w.contradicts(is, writes); why != "" {
				faults = append(faults, fmt.Sprintf("%s: %s: %s", name, w, why))
			}
		}
		if is != nil && !slices.ContainsFunc(writes, func(w write) bool {
			return !w.answered || w.job.ETag == is.job.ETag && w.job.Template == is.job.Template
		}) {
			faults = append(faults, fmt.Sprintf("%s: nobody wrote what is there: %s", name, is))
		}
	}
	for name := range there {
		if len(j.writes[name]) == 0 {
			faults = append(faults, name+" is there, and nobody submitted it")
		}
	}
	slices.Sort(faults)
	return faults
}

// contradicts says why what is there, or nil, cannot be after w and the others, or "".
func (w write) contradicts(is *write, writes []write) string {
	unknown := slices.ContainsFunc(writes, func(o write) bool { return !o.answered })
	removed := slices.ContainsFunc(writes, func(o write) bool { return o.removed && (!o.answered || o.life() >= w.life()) })
	switch {
	case is == nil && !w.removed && !removed:
		return "the job is lost"
	case is == nil:
		return ""
	case is.life() < w.life():
		return "undone: " + is.String()
	case is.life() > w.life():
		return ""
	case w.removed:
		return "it is back: " + is.String()
	case is.job.Generation < w.job.Generation:
		return "undone: " + is.String()
	case is.job.Generation == w.job.Generation && is.job.ETag != w.job.ETag && !unknown &&
		!slices.ContainsFunc(writes, func(o write) bool { return o.job.ETag == is.job.ETag }):
		return "another took its place: " + is.String()
	}
	return ""
}
