package sim

import (
	"math/rand/v2"
	"time"
)

// script is a kind of plan: the steps of an accident that a mix of faults seldom is,
// each with what varies about it.
type script struct {
	name  string
	write func(p *Plan, rng *rand.Rand, at time.Duration)
}

var scripts = []script{
	{"absence", absence}, {"sudden", sudden}, {"mute", mute}, {"blackout", blackout}, {"doomed", doomed}, {"hole", hole},
	{"orphan", orphan}, {"ambush", ambush}, {"emptying", emptying}, {"blind", blind}, {"flap", flap}, {"single", single},
	{"hasty", hasty}, {"reborn", reborn}, {"crowd", crowd},
}

// Scripts are the names of the plans that are no mix.
func Scripts() (names []string) {
	for _, s := range scripts {
		names = append(names, s.name)
	}
	return names
}

// add appends a step at a host.
func (p *Plan) add(at time.Duration, host int, do string, d time.Duration) {
	p.Steps = append(p.Steps, Step{At: at, Do: do, Host: host, Peer: -1, For: d})
}

// addOf appends a step at the host that has the part in a job when the time comes.
func (p *Plan) addOf(at time.Duration, of, job, do string, d time.Duration) {
	p.Steps = append(p.Steps, Step{At: at, Do: do, Of: of, Job: job, Peer: -1, N: 1, For: d})
}

// addWrite appends a write to a job.
func (p *Plan) addWrite(at time.Duration, host int, do, job string, n int) {
	p.Steps = append(p.Steps, Step{At: at, Do: do, Host: host, Peer: -1, Job: job, N: n})
}

// absence: a node is away while a job is removed, and maybe taken out of the members,
// until the tombstone may have gone.
func absence(p *Plan, rng *rand.Rand, at time.Duration) {
	p.retention = 10 * time.Second
	away := rng.IntN(p.Nodes)
	job := p.write(rng, at, "submit")
	remove := job
	remove.Do, remove.Host, remove.At = "remove", p.other(rng, away), at+7*time.Second
	p.Steps = []Step{job, p.write(rng, at+time.Second, "submit"), remove}
	p.add(at+4*time.Second, away, []string{"kill", "crash"}[rng.IntN(2)], 0)
	if rng.IntN(2) == 0 {
		p.Steps = append(p.Steps, Step{At: at + 18*time.Second, Do: "forget", Host: remove.Host, Peer: away})
	}
}

// reborn: a node that was taken out of the members comes back cut off, when what was
// removed meanwhile is forgotten, and is written to while it meets the others.
func reborn(p *Plan, rng *rand.Rand, at time.Duration) {
	p.retention, p.noise = 10*time.Second, noise{late: 0.5, delay: 2 * time.Second}
	away := rng.IntN(p.Nodes)
	by := p.other(rng, away)
	p.addWrite(at, by, "submit", "web", 1)
	p.add(at+4*time.Second, away, "crash", 0)
	p.addWrite(at+6*time.Second, by, "remove", "web", 0)
	p.Steps = append(p.Steps, Step{At: at + 20*time.Second, Do: "forget", Host: by, Peer: away})
	p.add(at+24*time.Second, away, "isolate", 14*time.Second)
	p.add(at+25*time.Second, away, "boot", 0)
	for i := range 20 {
		p.addWrite(at+37*time.Second+time.Duration(i)*200*time.Millisecond, away, "scale", "web", 1+i%3)
	}
}

// sudden: nodes lose their disks right after they have taken a write, which some of
// them cannot pass on.
func sudden(p *Plan, rng *rand.Rand, at time.Duration) {
	for range 4 {
		st := p.write(rng, at, "submit")
		lost := at + time.Duration(rng.Int64N(int64(60*time.Millisecond)))
		switch rng.IntN(3) {
		case 0:
			p.add(at-10*time.Millisecond, st.Host, "isolate", 2*time.Second)
			lost += 500 * time.Millisecond
		case 1:
			p.add(at-10*time.Millisecond, st.Host, "wipeholders", 0)
		}
		p.Steps = append(p.Steps, st)
		p.add(lost, st.Host, "wipe", 0)
		p.add(at+2*time.Second, st.Host, "boot", 0)
		at += 8 * time.Second
	}
}

// mute: streams to and from the coordinator of a job bring nothing, and gossip says
// that it is well.
func mute(p *Plan, _ *rand.Rand, at time.Duration) {
	p.noise, p.promises = noise{}, promises{sturdy: true, prompt: 30 * time.Second}
	p.addWrite(at, 0, "submit", "web", 2)
	p.addOf(at+4*time.Second, "coordinator", "api", "mute", time.Minute)
	p.addOf(at+7*time.Second, "other", "api", "submit", 0)
}

// blackout: all hosts lose power, and come back within seconds of each other. All
// tasks stay where they are.
func blackout(p *Plan, rng *rand.Rand, at time.Duration) {
	p.noise.lost, p.sturdy = 0, true
	for i, name := range drawnNames[:3] {
		p.addWrite(at+time.Duration(i)*time.Second, rng.IntN(p.Nodes), "submit", name, 1+rng.IntN(3))
	}
	p.add(at+11*time.Second, 0, "stay", 0)
	p.add(at+12*time.Second, 0, "poweroff", 0)
}

// doomed: for a while nothing can be started anywhere.
func doomed(p *Plan, rng *rand.Rand, at time.Duration) {
	for i := range p.Nodes {
		p.add(at, i, "fail", 45*time.Second)
	}
	p.addWrite(at+time.Second, rng.IntN(p.Nodes), "submit", "web", 1)
	p.addWrite(at+time.Second, rng.IntN(p.Nodes), "submit", "batch", 1)
}

// hole: nothing can be started on one node, so that it is always the emptiest.
func hole(p *Plan, rng *rand.Rand, at time.Duration) {
	p.noise, p.promises = noise{}, promises{sturdy: true, prompt: 20 * time.Second}
	bad := rng.IntN(p.Nodes)
	p.add(at, bad, "fail", time.Minute)
	for i, name := range drawnNames[:2] {
		p.addWrite(at+time.Duration(i+1)*time.Second, p.other(rng, bad), "submit", name, 2)
	}
}

// orphan: a node that was cut off has placed all jobs on itself when an earlier copy
// of its disk is put back, which knows nothing of that.
func orphan(p *Plan, rng *rand.Rand, at time.Duration) {
	alone := rng.IntN(p.Nodes)
	p.addWrite(at, p.other(rng, alone), "submit", "web", 2)
	p.addWrite(at, p.other(rng, alone), "submit", "api", 2)
	p.add(at+5*time.Second, alone, "copy", 0)
	p.add(at+6*time.Second, alone, "isolate", 30*time.Second)
	p.add(at+20*time.Second, alone, "restore", 0)
	p.add(at+21*time.Second, alone, "boot", 0)
}

// ambush: nodes die right after they have accepted an award.
func ambush(p *Plan, rng *rand.Rand, at time.Duration) {
	for range 3 {
		p.add(at-50*time.Millisecond, 0, "killacceptor", 0)
		p.Steps = append(p.Steps, p.write(rng, at, "submit"))
		at += 4 * time.Second
	}
}

// emptying: a node drains that runs what must not run twice.
func emptying(p *Plan, rng *rand.Rand, at time.Duration) {
	p.noise, p.promises = noise{}, promises{sturdy: true, once: true, prompt: 25 * time.Second}
	p.addWrite(at, rng.IntN(p.Nodes), "submit", "batchlong", 1+rng.IntN(2))
	p.addWrite(at, rng.IntN(p.Nodes), "submit", "web", 1)
	p.addOf(at+5*time.Second, "owner", "batchlong", "drain", 0)
}

// blind: what must not run twice is moved while all but its coordinator hear of
// nothing but what they are asked.
func blind(p *Plan, rng *rand.Rand, at time.Duration) {
	p.noise, p.promises = noise{}, promises{sturdy: true, once: true}
	p.addWrite(at, rng.IntN(p.Nodes), "submit", "batchlong", 1)
	p.addOf(at+30*time.Millisecond, "others", "batchlong", "lag", 12*time.Second)
	p.addOf(at+2*time.Second, "owner", "batchlong", "drain", 0)
}

// flap: nodes close and open while slots are awarded, and messages come late and
// once more.
func flap(p *Plan, rng *rand.Rand, at time.Duration) {
	p.noise = noise{twice: 0.5, late: 0.5, delay: time.Second}
	for i := range p.Nodes {
		for t, n := at, 0; t < at+20*time.Second; n++ {
			p.add(t, i, []string{"drain", "resume"}[n%2], 0)
			t += time.Duration(rng.ExpFloat64() * float64(300*time.Millisecond))
		}
	}
	for i := range 10 {
		name := drawnNames[i%2]
		p.addWrite(at+time.Duration(i)*2*time.Second, rng.IntN(p.Nodes), "submit", name, 3)
		p.addWrite(at+time.Duration(i)*2*time.Second+1900*time.Millisecond, rng.IntN(p.Nodes), "remove", name, 0)
	}
}

// single: only one node takes anything, accepts an award, and is not heard any more
// when others are there again.
func single(p *Plan, rng *rand.Rand, at time.Duration) {
	p.noise = noise{}
	only := rng.IntN(p.Nodes)
	for i := range p.Nodes {
		if i != only {
			p.add(at, i, "drain", 0)
			p.add(at+4*time.Second+time.Duration(rng.Int64N(int64(2*time.Second))), i, "resume", 0)
		}
	}
	p.add(at+1900*time.Millisecond, 0, "cutacceptor", 12*time.Second)
	p.addWrite(at+2*time.Second, p.other(rng, only), "submit", drawnNames[rng.IntN(len(drawnNames))], 1)
}

// hasty: jobs are not wanted any more while their slots are being awarded.
func hasty(p *Plan, rng *rand.Rand, at time.Duration) {
	p.noise = noise{late: 0.3, delay: 300 * time.Millisecond}
	for _, name := range drawnNames {
		do := []string{"stop", "remove", "scale"}[rng.IntN(3)]
		p.addWrite(at, rng.IntN(p.Nodes), "submit", name, 2)
		p.addWrite(at+20*time.Millisecond+time.Duration(rng.Int64N(int64(60*time.Millisecond))), rng.IntN(p.Nodes), do, name, 0)
		at += 3 * time.Second
	}
}

// crowd: a job wants more than there is room for.
func crowd(p *Plan, rng *rand.Rand, at time.Duration) {
	p.addWrite(at, rng.IntN(p.Nodes), "submit", "web", 5*p.Nodes+2)
	p.addWrite(at+2*time.Second, rng.IntN(p.Nodes), "submit", "api", 1)
}
