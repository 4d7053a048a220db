package peer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// scheduleRoom is what each node offers: when many are dead, not all jobs fit.
var scheduleRoom = api.Resources{CPUs: 6000, Memory: 8 << 30}

// Whole nodes live through schedules of faults and requests that seeds draw, and are
// held against the journal of what they acknowledged, against the history of their
// engines, and against each other.
//
// ORCH_BUBBLE_SEED is the first seed, and alone the only one; ORCH_BUBBLE_RUNS is how
// many follow. The schedule of a seed is always the same, and so are its times, which
// are virtual. What goroutines make of an instant is not: a failure may need some runs
// of its seed to be seen again. (scenarios/sim repeats its runs byte for byte; here
// runs what is shipped, with its sockets and disks.)
func TestClusterRandom(t *testing.T) {
	first, runs := uint64(1), 12
	if n, err := strconv.ParseUint(os.Getenv("ORCH_BUBBLE_SEED"), 10, 64); err == nil {
		first, runs = n, 1
	}
	if n, err := strconv.Atoi(os.Getenv("ORCH_BUBBLE_RUNS")); err == nil {
		runs = n
	}
	for seed := first; seed < first+uint64(runs); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := draw(seed)
			inCluster(t, s.nodes, scheduleRoom, func(t *testing.T, c *cluster) {
				r := &run{cluster: c, journal: journal{writes: map[string][]write{}}, copies: map[*node][]byte{}}
				t.Cleanup(func() {
					if t.Failed() {
						t.Logf("%s\n\nonce more: ORCH_BUBBLE_SEED=%d go test -count=1 -run '^TestClusterRandom$' ./peer", s, seed)
					}
				})
				for _, step := range s.steps {
					r.pass(step.after)
					t.Logf("%s %s%s", clock(time.Now()), step, r.do(step))
				}
				r.finish()
			})
		})
	}
}

// run is one schedule being carried out.
type run struct {
	*cluster
	journal
	copies map[*node][]byte
	lost   time.Time // when the first disk was destroyed
	env    int
}

// do carries out a step, or says why it makes no sense now.
func (r *run) do(s step) string {
	r.reapEnded()
	var nodes []*node
	for _, i := range s.nodes {
		nodes = append(nodes, r.nodes[i])
	}
	switch s.do {
	case doSettle:
		r.asking.Wait()
		r.await(5 * time.Minute)
		for _, n := range r.nodes {
			r.copies[n] = n.copyDisk()
		}
	case doPowerCut:
		r.crash(r.live()...)
	case doSplit:
		r.split(nodes)
	case doCut:
		r.cut(nodes[0], nodes[1])
	case doOneWay:
		r.cutOneWay(nodes[0], nodes[1])
	case doFlap:
		for range s.count {
			r.cut(nodes[0], nodes[1])
			r.pass(time.Second)
			r.mend(nodes[0], nodes[1])
			r.pass(time.Second)
		}
	case doHeal:
		r.heal()
	case doRain:
		r.net.SetLoss(0.2)
		r.net.SetDelay(0, time.Duration(s.count)*time.Millisecond)
	case doShine:
		r.clear()
	case doHang, doFail, doSlow, doMend:
		nodes[0].mood.set(s.do == doHang, time.Duration(s.count)*time.Second, map[bool]error{true: errNoSpace}[s.do == doFail])
	case doStart, doStartOld, doStartBare, doDie, doVanish, doCopy:
		return r.doToMachine(s.do, nodes[0])
	default:
		return r.doToAgent(s, nodes[0])
	}
	return ""
}

var errNoSpace = errors.New("no space left on device")

func (r *run) clear() {
	r.net.SetLoss(0)
	r.net.SetDelay(0, 0)
}

// doToMachine is do of what needs no agent.
func (r *run) doToMachine(do verb, n *node) string {
	held := n.containers()
	switch {
	case do == doCopy:
		r.copies[n] = n.copyDisk()
	case do == doDie && len(held) > 0:
		n.engine.Kill(held[0].ID, 1)
	case do == doVanish && len(held) > 0:
		n.engine.Vanish(held[0].ID)
	case do == doDie, do == doVanish:
		return " (nothing runs there)"
	case n.agent != nil:
		return " (it runs)"
	case do == doStart:
		n.start(false)
	default:
		if r.lost.IsZero() {
			r.lost = time.Now()
		}
		if do == doStartBare {
			n.startFrom(nil)
		} else {
			n.startFrom(r.copies[n])
		}
	}
	return ""
}

// doToAgent is do of what an agent does or suffers.
func (r *run) doToAgent(s step, n *node) string {
	if n.agent == nil {
		return " (it does not run)"
	}
	var err error
	r.twice = true
	switch s.do {
	case doKill:
		r.kill(n)
	case doCrash:
		r.crash(n)
	case doStop:
		n.stop()
	case doMute:
		n.agent.host.mute.Store(true)
	case doDrain:
		_, err = n.agent.DrainNode(r.t.Context(), "self")
	case doResume:
		_, err = n.agent.ResumeNode(r.t.Context(), "self")
	case doLeave, doLeaveNow:
		err = n.agent.Leave(r.t.Context(), s.do == doLeaveNow)
	default:
		r.request(s, n)
	}
	if err != nil {
		return fmt.Sprintf(" (%v)", err)
	}
	return ""
}

// request has n do what a user wants.
func (r *run) request(s step, n *node) {
	o := api.WriteOptions{}
	r.env++
	env := map[string]string{"V": fmt.Sprint(r.env)}
	r.ask(n, s.job, s.do, func(ctx context.Context, a *agent) (api.Written, error) {
		switch s.do {
		case doSubmit:
			return a.Submit(ctx, r.made(s.job, s.count, env), o)
		case doScale:
			return a.Scale(ctx, s.job, s.count, o)
		case doHalt:
			return a.Stop(ctx, s.job, o)
		case doRestart:
			return a.Restart(ctx, s.job, o)
		case doRemove:
			return a.Remove(ctx, s.job, o)
		}
		job, err := a.Job(ctx, s.job)
		if err != nil {
			return api.Written{}, err
		}
		job.Env = env
		return a.Put(ctx, job, api.WriteOptions{IfMatch: job.ETag})
	})
}

// made is a job of the kind that its name says.
func (r *run) made(name string, copies int, env map[string]string) api.Job {
	j := service(name, copies)
	j.Env, j.StartTimeout = env, api.Duration(20*time.Second)
	switch name[0] {
	case 'b':
		j.Type, j.Command = api.BatchJob, []string{"batch"}
	case 'f':
		j.OnPartition = "freeze"
	case 'p':
		j.Ports = []api.Port{{Target: 80, Published: 80, Protocol: "tcp", Mode: "host"}}
	case 's':
		j.MaxParallel = 1 + int(name[1]-'0')%3
	}
	return j
}

// finish heals everything, waits until all is settled, and checks what then has to
// hold.
func (r *run) finish() {
	r.heal()
	r.clear()
	for _, n := range r.nodes {
		n.mood.set(false, 0, nil)
		if n.agent != nil {
			n.agent.host.mute.Store(false)
		}
	}
	r.asking.Wait()
	took := r.await(15 * time.Minute)
	r.pass(40 * time.Second)
	again := r.await(time.Minute)
	r.t.Logf("settled after %v, and after %v", took, again)
	r.quiet(time.Minute, "after all is settled")
	jobs, err := r.nodes[0].agent.Jobs(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, fault := range r.check(jobs, r.lost) {
		r.t.Error(fault)
	}
}

// await starts and resumes all nodes, and waits until all jobs are as the table has
// them.
func (r *run) await(limit time.Duration) time.Duration {
	r.t.Helper()
	return r.within(limit, "settled", func() string {
		r.reapEnded()
		r.restartAll()
		for _, n := range r.nodes {
			if v, err := n.agent.Node(r.t.Context(), "self"); err == nil && (v.Status == api.NodeDraining || v.Status == api.NodeDrained) {
				if _, err := n.agent.ResumeNode(r.t.Context(), "self"); err != nil {
					return err.Error()
				}
			}
		}
		jobs, err := r.nodes[0].agent.Jobs(r.t.Context())
		if err != nil {
			return err.Error()
		}
		clear(r.want)
		for _, j := range jobs {
			r.frozen[j.Name] = j.OnPartition == "freeze"
			switch {
			case j.Status.State == api.JobStopped || j.Status.State == api.JobComplete:
			case j.Type == api.BatchJob:
				return fmt.Sprintf("%s is %s: %s", j.Name, j.Status.State, j.Status.Reason)
			default:
				r.want[j.Name] = j.Replicas
			}
		}
		return r.unsettled(r.nodes...)
	})
}
