package soak

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// specVar is the variable by which a task's process says which specification it is of.
const specVar = "LAB_SPEC"

// want is what a request wants of a job.
type want struct {
	gone     bool
	spec     string // of which no two requests have the same
	replicas int
	stopped  bool
}

func (w want) String() string {
	switch {
	case w.gone:
		return "gone"
	case w.stopped:
		return fmt.Sprintf("spec %s × %d, stopped", w.spec, w.replicas)
	}
	return fmt.Sprintf("spec %s × %d", w.spec, w.replicas)
}

// wantOf is what a node says is wanted; nil is a job that it does not know.
func wantOf(j *api.Job) want {
	if j == nil {
		return want{gone: true}
	}
	return want{spec: j.Env[specVar], replicas: j.Replicas, stopped: j.Status != nil && j.Status.State == api.JobStopped}
}

// A claim is what may have become of a job by a request.
type claim struct {
	want
	life    int64  // in milliseconds; 0 while it is not known
	version uint64 // within the life
	etag    string // if it is known
}

// claimOf is what a node says. Of a job that is gone it says nothing more.
func claimOf(j *api.Job) claim {
	c := claim{want: wantOf(j)}
	if j != nil {
		_, ms, _ := strings.Cut(strings.TrimPrefix(j.ID, j.Name), "-")
		c.life, _ = strconv.ParseInt(ms, 10, 64) // 0 is a life that is not known
		c.version, c.etag = j.Generation, j.ETag
	}
	return c
}

// mayBeat says whether c may be what nodes agree on though o was acknowledged after it:
// a life that is not known may be a later one, a removal holds for its whole life, and of
// two changes of the same version either may win.
func (c claim) mayBeat(o claim) bool {
	switch {
	case c.life == 0:
		return !c.gone
	case c.life != o.life:
		return c.life > o.life
	case c.gone || o.gone:
		return c.gone && !o.gone
	}
	return c.version >= o.version
}

// journal keeps what was asked for and what was answered, and says what may have become
// of each job.
type journal struct {
	mu   sync.Mutex // guards what follows
	jobs map[string]*account
}

// account is the journal of one job.
type account struct {
	name string
	// claims are what it may be. The first was acknowledged last; of the others nobody
	// knows whether they happened.
	claims []claim
	// under is what it may be if the disks are lost that the first is on, which are fewer
	// than promised.
	under   []claim
	ackedAt time.Time
	changes int // counts what was done to it
}

func newJournal(names []string) *journal {
	jn := &journal{jobs: map[string]*account{}}
	for _, n := range names {
		jn.jobs[n] = &account{name: n, claims: []claim{{want: want{gone: true}}}}
	}
	return jn
}

// may is what the job may be.
func (jn *journal) may(name string) []claim {
	jn.mu.Lock()
	defer jn.mu.Unlock()
	return slices.Clone(jn.jobs[name].claims)
}

// acknowledged takes in an answer of 200, 201 or 202.
func (jn *journal) acknowledged(name string, c claim, durable bool, now time.Time) {
	jn.mu.Lock()
	defer jn.mu.Unlock()
	a := jn.jobs[name]
	if durable {
		a.under = nil
	} else {
		a.under = append(a.under, a.claims...)
	}
	a.claims = append([]claim{c}, slices.DeleteFunc(slices.Clone(a.claims), func(o claim) bool { return !o.mayBeat(c) })...)
	a.ackedAt = now
	a.changes++
}

// doubted takes in an answer that does not tell whether it happened, or none at all.
func (jn *journal) doubted(name string, c claim) {
	jn.mu.Lock()
	defer jn.mu.Unlock()
	a := jn.jobs[name]
	a.claims = append(a.claims, c)
	a.changes++
}

// seen takes in what a node says of a job, and returns the claim that it is; false if
// it is none, as when the node has missed something.
func (jn *journal) seen(name string, got *api.Job) (claim, bool) {
	jn.mu.Lock()
	defer jn.mu.Unlock()
	a := jn.jobs[name]
	i := a.find(claimOf(got))
	if i < 0 {
		return claim{}, false
	}
	if got != nil {
		a.claims[i] = claimOf(got) // with the life and the version that it turned out to have
	}
	return a.claims[i], true
}

// find is the claim that c, which a node says, is, or -1. One that was acknowledged has
// its tag; one that is doubtful, its place after what it was built on.
func (a *account) find(c claim) int {
	return slices.IndexFunc(a.claims, func(o claim) bool {
		switch {
		case o.want != c.want:
			return false
		case o.gone || o.life == 0:
			return true
		case o.etag != "":
			return o.etag == c.etag
		}
		return o.life == c.life && o.version == c.version
	})
}

// spread tells that all nodes agreed on all jobs after this time: what had been
// acknowledged by then is on enough disks.
func (jn *journal) spread(before time.Time) {
	jn.mu.Lock()
	defer jn.mu.Unlock()
	for _, a := range jn.jobs {
		if a.ackedAt.Before(before) {
			a.under = nil
		}
	}
}

// destroyed tells that a disk was destroyed: what was on fewer disks than promised may be
// undone.
func (jn *journal) destroyed() {
	jn.mu.Lock()
	defer jn.mu.Unlock()
	for _, a := range jn.jobs {
		a.claims = append(a.claims, a.under...)
		a.under = nil
	}
}

// judge says what is wrong with what all nodes agree on, or nil.
func (jn *journal) judge(name string, got *api.Job) error {
	jn.mu.Lock()
	defer jn.mu.Unlock()
	a := jn.jobs[name]
	if a == nil {
		return fmt.Errorf("job %s was never asked for", name)
	}
	c := claimOf(got)
	if a.find(c) >= 0 {
		return nil
	}
	may := make([]string, len(a.claims))
	for i, o := range a.claims {
		may[i] = o.String()
		if o.etag != "" {
			may[i] += " (" + o.etag + ")"
		}
	}
	what := "is not as acknowledged"
	switch {
	case c.gone:
		what = "is lost"
	case a.claims[0].gone:
		what = "is back though it was removed"
	}
	return fmt.Errorf("job %s %s: it is %s (%s), and may be: %s", name, what, c, c.etag, strings.Join(may, "; or "))
}

// open counts the jobs of which more than one thing may be.
func (jn *journal) open() int {
	jn.mu.Lock()
	defer jn.mu.Unlock()
	n := 0
	for _, a := range jn.jobs {
		if len(a.claims) > 1 {
			n++
		}
	}
	return n
}
