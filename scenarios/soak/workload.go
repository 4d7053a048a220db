package soak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
	"github.com/exitae337/orchestergo/scenarios"
)

// askFor is how long a node is given for an answer. Some are paused or cut off.
const askFor = 5 * time.Second

// role is what kind of job one is, by its name.
type role string

// The roles.
const (
	steady role = "steady" // a service that is submitted and left alone: it shows how long repairs take
	web    role = "web"    // a service that is scaled, updated, stopped, started and removed
	slow   role = "slow"   // the same, and an absent owner is waited for
	frozen role = "frozen" // is not replaced as long as its owner may be alive; scaled and removed
	once   role = "once"   // a batch job; submitted and removed
)

// cast is which roles there are, in turn.
var cast = []role{steady, web, web, once, web, steady, web, slow, frozen, web}

// nameJobs names so many jobs.
func nameJobs(jobs int) []string {
	names := make([]string, jobs)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%02d", cast[i%len(cast)], i)
	}
	return names
}

func roleOf(name string) role {
	r, _, _ := strings.Cut(name, "-")
	return role(r)
}

// jobOf is a job as it is wanted. Its tasks say what they are of, and what they take.
func jobOf(name string, w want, takes api.Resources) api.Job {
	j := api.NewJob()
	j.Name, j.Driver, j.Replicas, j.Resources = name, "process", w.replicas, takes
	j.Command = []string{"sleep", "1000000"}
	j.Env = map[string]string{specVar: w.spec, cpusVar: takes.CPUs.String(), memoryVar: fmt.Sprint(int64(takes.Memory))}
	j.StopTimeout = api.Duration(2 * time.Second)
	switch roleOf(name) {
	case frozen:
		j.OnPartition = "freeze"
	case slow:
		j.FailoverAfter = api.Duration(8 * time.Second)
	case once:
		j.Type, j.Command = api.BatchJob, []string{"sleep", "2"}
	}
	return j
}

// workload asks for things at random nodes until it is stopped.
type workload struct {
	lab   *scenarios.Lab
	jn    *journal
	names []string
	gate  sync.RWMutex // held for writing while nothing may be asked

	mu      sync.Mutex // guards what follows
	rand    *rand.Rand
	busy    map[string]bool
	serial  int // of the last specification
	answers map[string]int
}

func newWorkload(lab *scenarios.Lab, jn *journal, names []string, seed uint64) *workload {
	return &workload{lab: lab, jn: jn, names: names, rand: rand.New(rand.NewPCG(seed, 1)), busy: map[string]bool{}, answers: map[string]int{}}
}

// run asks with so many at a time, each with a pause between, until ctx ends.
func (wl *workload) run(ctx context.Context, workers int, pause time.Duration) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				wl.gate.RLock()
				wl.one(context.WithoutCancel(ctx)) // an answer that is waited for is heard
				wl.gate.RUnlock()
			}
		})
	}
	wg.Wait()
}

// draw is a random number below n.
func (wl *workload) draw(n int) int {
	wl.mu.Lock()
	defer wl.mu.Unlock()
	return wl.rand.IntN(n)
}

// claimJob picks a job that nobody asks about, or "".
func (wl *workload) claimJob() string {
	wl.mu.Lock()
	defer wl.mu.Unlock()
	name := wl.names[wl.rand.IntN(len(wl.names))]
	if wl.busy[name] || roleOf(name) == steady {
		return ""
	}
	wl.busy[name] = true
	return name
}

func (wl *workload) release(name string) {
	wl.mu.Lock()
	defer wl.mu.Unlock()
	delete(wl.busy, name)
}

// anyNode is a node whose agent runs, which is not to say that it answers; nil if there
// is none.
func (wl *workload) anyNode() *scenarios.Node {
	alive := wl.lab.Alive()
	if len(alive) == 0 {
		return nil
	}
	return alive[wl.draw(len(alive))]
}

// one makes one request about one job, and waits for its answer.
func (wl *workload) one(ctx context.Context) {
	name := wl.claimJob()
	if name == "" {
		return
	}
	defer wl.release(name)
	n := wl.anyNode()
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	base, ok := wl.base(ctx, n, name)
	if !ok {
		return
	}
	wl.request(ctx, n, name, wl.pick(name, base))
}

// base is what the job is, to build the next request on. If more than one thing may be,
// a node is asked.
func (wl *workload) base(ctx context.Context, n *scenarios.Node, name string) (claim, bool) {
	claims := wl.jn.may(name)
	if len(claims) == 1 {
		return claims[0], true
	}
	j, err := n.Service().Job(ctx, name)
	switch {
	case err == nil:
		return wl.jn.seen(name, &j)
	case api.CodeOf(err) == api.JobNotFound:
		return wl.jn.seen(name, nil)
	}
	return claim{}, false
}

// A request is one thing to ask for, and what becomes of the job by it.
type request struct {
	what string
	next claim
	do   func(context.Context, api.Service) (api.Written, error)
}

// pick chooses what to ask for.
func (wl *workload) pick(name string, base claim) request {
	if base.gone {
		return wl.submit(name)
	}
	for _, c := range wl.jn.may(name) {
		if c.gone && c.life == base.life { // a removal that nobody has answered
			return wl.remove(name, base)
		}
	}
	r := roleOf(name)
	switch dice := wl.draw(100); {
	case r == once, dice < 12:
		return wl.remove(name, base)
	case base.stopped:
		return wl.edit("start", name, base, func(w *want) { w.stopped = false }, api.Service.Restart)
	case r == frozen, dice < 45:
		replicas := 1 + (base.replicas+wl.draw(3))%4 // never as many as before
		return wl.edit("scale", name, base, func(w *want) { w.replicas = replicas },
			func(s api.Service, ctx context.Context, name string, o api.WriteOptions) (api.Written, error) {
				return s.Scale(ctx, name, replicas, o)
			})
	case dice < 55:
		return wl.edit("stop", name, base, func(w *want) { w.stopped = true }, api.Service.Stop)
	case dice < 65:
		return wl.edit("restart", name, base, func(*want) {}, api.Service.Restart)
	}
	spec, takes := wl.newSpec(), wl.takes()
	return wl.edit("update", name, base, func(w *want) { w.spec = spec },
		func(s api.Service, ctx context.Context, name string, o api.WriteOptions) (api.Written, error) {
			return s.Put(ctx, jobOf(name, want{spec: spec, replicas: base.replicas}, takes), o)
		})
}

// newSpec names a specification.
func (wl *workload) newSpec() string {
	wl.mu.Lock()
	defer wl.mu.Unlock()
	wl.serial++
	return fmt.Sprintf("s%d", wl.serial)
}

// takes is what a task is to take.
func (wl *workload) takes() api.Resources {
	return api.Resources{CPUs: api.CPUs(50 + 50*wl.draw(4)), Memory: api.Bytes(32+32*wl.draw(4)) << 20}
}

func (wl *workload) submit(name string) request {
	w, takes := want{spec: wl.newSpec(), replicas: 1 + wl.draw(4)}, wl.takes()
	if roleOf(name) == steady {
		w.replicas = 4
	}
	return request{"submit", claim{want: w}, func(ctx context.Context, s api.Service) (api.Written, error) {
		return s.Submit(ctx, jobOf(name, w, takes), api.WriteOptions{})
	}}
}

func (wl *workload) remove(name string, base claim) request {
	next := claim{want: want{gone: true}, life: base.life, version: base.version + 1}
	return request{"remove", next, func(ctx context.Context, s api.Service) (api.Written, error) {
		return s.Remove(ctx, name, api.WriteOptions{IfMatch: base.etag})
	}}
}

// edit is a request on the condition that the job is as it is believed to be, as a removal
// is: what is acknowledged then follows what was acknowledged before.
func (wl *workload) edit(what, name string, base claim, change func(*want),
	do func(api.Service, context.Context, string, api.WriteOptions) (api.Written, error)) request {
	next := claim{want: base.want, life: base.life, version: base.version + 1}
	change(&next.want)
	return request{what, next, func(ctx context.Context, s api.Service) (api.Written, error) {
		return do(s, ctx, name, api.WriteOptions{IfMatch: base.etag})
	}}
}

// request asks, and has the journal take in the answer.
func (wl *workload) request(ctx context.Context, n *scenarios.Node, name string, r request) {
	written, err := r.do(ctx, n.Service())
	answer := "done"
	switch {
	case err == nil:
		next := r.next
		if !next.gone {
			next = claimOf(&written.Job)
			next.want = r.next.want
		}
		wl.jn.acknowledged(name, next, written.Durable(), time.Now())
		if !written.Durable() {
			answer = "done on few disks"
		}
	case refused(err):
		answer = "refused"
	default:
		wl.jn.doubted(name, r.next)
		answer = "no answer"
	}
	wl.mu.Lock()
	defer wl.mu.Unlock()
	wl.answers[r.what+": "+answer]++
}

// refused says whether an answer means that nothing has happened. All others than
// refusals leave it open.
func refused(err error) bool {
	var e *api.Error
	if errors.As(err, &e) {
		return rest.Status(e.Code) < http.StatusInternalServerError || e.Code == api.NotReady
	}
	return errors.Is(err, rest.ErrUnreachable)
}

// submitAll has every job submitted, and waits for the answers.
func (wl *workload) submitAll(ctx context.Context) error {
	for _, name := range wl.names {
		wl.request(ctx, wl.anyNode(), name, wl.submit(name))
		if c := wl.jn.may(name); len(c) != 1 || c[0].gone {
			return fmt.Errorf("job %s cannot be submitted to a cluster that is whole: %v", name, c)
		}
	}
	return nil
}

// removeAll removes the jobs that are not steady.
func (wl *workload) removeAll(ctx context.Context) error {
	for _, name := range wl.names {
		if roleOf(name) == steady {
			continue
		}
		n := wl.anyNode()
		base, ok := wl.base(ctx, n, name)
		if ok && base.gone {
			continue
		}
		r := wl.remove(name, base)
		if wl.request(ctx, n, name, r); len(wl.jn.may(name)) != 1 {
			return fmt.Errorf("job %s cannot be removed from a cluster that is whole: %v", name, wl.jn.may(name))
		}
	}
	return nil
}

// told is how often each request had each answer.
func (wl *workload) told() []string {
	wl.mu.Lock()
	defer wl.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(wl.answers)) {
		all = append(all, fmt.Sprintf("%s %d", what, wl.answers[what]))
	}
	return all
}
