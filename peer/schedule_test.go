package peer_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// verb is what a step does. The words say the rest: %n is a node, %m the nodes after
// the first, %j a job, %c a number.
type verb string

// What happens to nodes and their tasks.
const (
	doKill      verb = "kill the agent of %n"
	doCrash     verb = "crash the machine of %n"
	doPowerCut  verb = "cut the power of all"
	doStop      verb = "stop the agent of %n"
	doStart     verb = "start %n"
	doCopy      verb = "copy the disk of %n"
	doStartOld  verb = "start %n from the last copy of its disk"
	doStartBare verb = "start %n with a wiped disk"
	doDie       verb = "kill a task on %n"
	doVanish    verb = "take a container of %n away"
	doDrain     verb = "drain %n"
	doResume    verb = "resume %n"
	doLeave     verb = "have %n leave"
	doLeaveNow  verb = "have %n leave by force"
)

// What happens to the network and the engines.
const (
	doSplit  verb = "cut %n %m off from the others"
	doCut    verb = "cut the link between %n and %m"
	doOneWay verb = "lose what %n sends to %m"
	doFlap   verb = "cut the link between %n and %m for a second, %c times"
	doHeal   verb = "heal all links"
	doRain   verb = "lose 20 % of all packets, and delay everything by up to %c ms"
	doShine  verb = "lose and delay nothing"
	doMute   verb = "have %n neither ask nor answer about auctions"
	doHang   verb = "have the engine of %n hang"
	doFail   verb = "have all starts on %n fail"
	doSlow   verb = "have starts and stops on %n take %c s"
	doMend   verb = "have the engine of %n work again"
)

// What users ask for.
const (
	doSettle  verb = "wait until all is settled"
	doSubmit  verb = "submit job %j with %c tasks to %n"
	doUpdate  verb = "change the environment of job %j at %n"
	doScale   verb = "scale job %j to %c at %n"
	doHalt    verb = "stop job %j at %n"
	doRestart verb = "restart job %j at %n"
	doRemove  verb = "remove job %j at %n"
)

// step is one thing that is done to a cluster.
type step struct {
	after time.Duration // the step before
	do    verb
	nodes []int
	job   string
	count int
}

func (s step) String() string {
	var first, more string
	for i, n := range s.nodes {
		if i == 0 {
			first = fmt.Sprintf("n%d", n)
		} else {
			more += fmt.Sprintf(" n%d", n)
		}
	}
	words := strings.NewReplacer("%n", first, " %m", more, "%j", s.job, "%c", fmt.Sprint(s.count)).Replace(string(s.do))
	return fmt.Sprintf("%5.1fs later: %s", s.after.Seconds(), words)
}

// schedule is what is done to a cluster of so many nodes, drawn from a seed.
type schedule struct {
	seed  uint64
	nodes int
	steps []step
}

func (s schedule) String() string {
	out := []string{fmt.Sprintf("seed %d: %d nodes of %v CPUs", s.seed, s.nodes, scheduleRoom.CPUs)}
	for _, step := range s.steps {
		out = append(out, step.String())
	}
	return strings.Join(append(out, "at last: heal everything, start and resume all nodes, wait until all is settled"), "\n")
}

// drawing draws a schedule. What it knows of the cluster is what its own steps do.
type drawing struct {
	*rand.Rand
	schedule
	up, drains, sick []bool
	jobs             map[string]int // copies of the jobs that are there
	bad              bool           // links are cut
	lost             int            // disks that were wiped or set back
}

// jobNames are those of all jobs. The first letter tells the kind: a service, one with
// a port, a batch job, a service that a partition freezes.
var jobNames = []string{"s0", "s1", "s2", "s3", "p0", "b0", "b1", "f0", "f1"}

// maxLost is how many disks a schedule destroys: fewer than those that a write is on.
const maxLost = 2

// draw makes the schedule of a seed: a cluster with some jobs, and then faults and
// requests in any order. Each seed likes some kinds of fault more than others, so
// that some schedules are all about one.
func draw(seed uint64) schedule {
	d := &drawing{Rand: rand.New(rand.NewPCG(seed, 2)), jobs: map[string]int{}}
	d.seed, d.nodes = seed, 5+d.IntN(5)
	d.up, d.drains, d.sick = make([]bool, d.nodes), make([]bool, d.nodes), make([]bool, d.nodes)
	for i := range d.up {
		d.up[i] = true
	}
	for _, name := range []string{"f0", "s0", jobNames[d.IntN(7)], jobNames[d.IntN(len(jobNames))]} {
		d.submit(name)
	}
	d.add(0, doSettle, "", 0)
	var faults []func()
	for _, kind := range []func(){d.agents, d.agents, d.machines, d.links, d.links, d.weather, d.engines, d.tasks, d.members} {
		for range 1 + d.IntN(4)*d.IntN(4) {
			faults = append(faults, kind)
		}
	}
	for count := len(d.steps) + 12 + d.IntN(16); len(d.steps) < count; {
		if d.IntN(3) == 0 {
			d.request()
		} else {
			faults[d.IntN(len(faults))]()
		}
	}
	return d.schedule
}

// add adds a step, most often a moment after the one before.
func (d *drawing) add(after time.Duration, do verb, job string, count int, nodes ...int) {
	d.steps = append(d.steps, step{after: after, do: do, nodes: nodes, job: job, count: count})
}

func (d *drawing) pause() time.Duration {
	switch d.IntN(6) {
	case 0:
		return 0
	case 1:
		return time.Duration(10+d.IntN(40)) * time.Second
	}
	return time.Duration(d.IntN(6000)) * time.Millisecond
}

// next is add with a pause.
func (d *drawing) next(do verb, count int, nodes ...int) { d.add(d.pause(), do, "", count, nodes...) }

// any picks a node that ok likes, or -1.
func (d *drawing) any(ok func(n int) bool) int {
	for _, n := range d.Perm(d.nodes) {
		if ok(n) {
			return n
		}
	}
	return -1
}

func (d *drawing) isUp(n int) bool   { return d.up[n] }
func (d *drawing) isDown(n int) bool { return !d.up[n] }

// agents end, by a kill, a crash or an order, and come back, some from a bad disk.
func (d *drawing) agents() {
	if n := d.any(d.isDown); n >= 0 && d.IntN(2) == 0 {
		d.start(n)
		return
	}
	if n := d.any(d.isUp); n >= 0 && slices.Contains(d.up, false) == (d.IntN(3) == 0) {
		d.next([]verb{doKill, doKill, doCrash, doCrash, doStop, doCopy}[d.IntN(6)], 0, n)
		d.up[n] = d.steps[len(d.steps)-1].do == doCopy
	}
}

func (d *drawing) start(n int) {
	do := doStart
	if d.lost < maxLost && d.IntN(3) == 0 {
		d.lost++
		do = []verb{doStartOld, doStartBare}[d.IntN(2)]
	}
	d.up[n] = true
	d.next(do, 0, n)
}

// machines lose their power, all at once.
func (d *drawing) machines() {
	if d.IntN(4) > 0 {
		return
	}
	d.next(doPowerCut, 0)
	for n := range d.up {
		d.up[n] = false
	}
	for _, n := range d.Perm(d.nodes)[:d.nodes-d.IntN(2)] {
		d.start(n)
	}
}

func (d *drawing) links() {
	if d.bad && d.IntN(2) == 0 {
		d.bad = false
		d.next(doHeal, 0)
		return
	}
	perm := d.Perm(d.nodes)
	d.bad = true
	switch d.IntN(5) {
	case 0, 1:
		d.next(doSplit, 0, perm[:1+d.IntN(d.nodes-1)]...)
	case 2:
		d.next(doCut, 0, perm[:2]...)
	case 3:
		d.next(doOneWay, 0, perm[:2]...)
	case 4:
		d.next(doFlap, 2+d.IntN(5), perm[:2]...)
	}
}

func (d *drawing) weather() {
	if d.IntN(3) == 0 {
		d.next(doShine, 0)
		return
	}
	d.next(doRain, 100+d.IntN(400))
}

func (d *drawing) engines() {
	n := d.IntN(d.nodes)
	if sick := slices.Index(d.sick, true); sick >= 0 && d.IntN(2) == 0 {
		d.sick[sick] = false
		d.next(doMend, 0, sick)
		return
	}
	d.sick[n] = true
	switch d.IntN(4) {
	case 0:
		d.next(doHang, 0, n)
	case 1:
		d.next(doFail, 0, n)
	case 2:
		d.next(doMute, 0, n)
	case 3:
		d.next(doSlow, 1+d.IntN(15), n)
	}
}

func (d *drawing) tasks() {
	d.next([]verb{doDie, doDie, doVanish}[d.IntN(3)], 0, d.IntN(d.nodes))
}

// members drain and leave; most of them stay.
func (d *drawing) members() {
	n := d.any(d.isUp)
	switch drains := slices.Index(d.drains, true); {
	case n < 0:
	case drains >= 0:
		d.drains[drains] = false
		d.next(doResume, 0, drains)
	case d.IntN(2) == 0:
		d.drains[n] = true
		d.next(doDrain, 0, n)
	case d.IntN(3) == 0:
		d.next([]verb{doLeave, doLeave, doLeaveNow}[d.IntN(3)], 0, n)
		d.up[n] = false
	}
}

// submit adds a job if there is room for it, not counting on nodes that may be dead.
func (d *drawing) submit(name string) {
	at := d.any(d.isUp)
	room := d.nodes * int(scheduleRoom.CPUs) / 1000 * 6 / 10
	for _, copies := range d.jobs {
		room -= copies
	}
	copies := min(1+d.IntN(7), room)
	if name[0] == 'p' {
		copies = min(copies, d.nodes-1) // one a node
	}
	if _, there := d.jobs[name]; there || at < 0 || copies < 1 {
		return
	}
	d.jobs[name] = copies
	d.add(d.pause()/4, doSubmit, name, copies, at)
}

// request has a node do what a user may want. Jobs that are to be frozen in a
// partition are left as they are: a new copy could not know of an old one.
func (d *drawing) request() {
	at, name := d.any(d.isUp), jobNames[d.IntN(len(jobNames)-2)]
	copies, there := d.jobs[name]
	switch {
	case at < 0:
	case !there:
		d.submit(name)
	case d.IntN(4) == 0:
		delete(d.jobs, name)
		d.add(d.pause(), doRemove, name, 0, at)
	case name[0] == 'b':
	case d.IntN(3) == 0:
		d.jobs[name] = 1 + d.IntN(copies)
		d.add(d.pause(), doScale, name, d.jobs[name], at)
	default:
		d.add(d.pause(), []verb{doUpdate, doUpdate, doHalt, doRestart, doRestart}[d.IntN(5)], name, 0, at)
	}
}

// A seed always makes the same schedule, and all that can happen happens in some.
func TestSchedule(t *testing.T) {
	count := map[verb]int{}
	for seed := range uint64(500) {
		s := draw(seed)
		if again := draw(seed); again.String() != s.String() {
			t.Fatalf("seed %d makes\n%s\nand\n%s", seed, s, again)
		}
		lost := 0
		for _, step := range s.steps {
			count[step.do]++
			if step.do == doStartOld || step.do == doStartBare {
				lost++
			}
			if strings.Contains(step.String(), "%n") || slices.Max(append(step.nodes, 0)) >= s.nodes {
				t.Fatalf("seed %d: %+v", seed, step)
			}
		}
		if lost > maxLost || len(s.steps) < 8 || len(s.steps) > 60 {
			t.Errorf("seed %d has %d steps and destroys %d disks", seed, len(s.steps), lost)
		}
	}
	for _, do := range []verb{doKill, doCrash, doPowerCut, doStop, doStart, doCopy, doStartOld, doStartBare, doDie, doVanish, doDrain, doResume, doLeave,
		doLeaveNow, doSplit, doCut, doOneWay, doFlap, doHeal, doRain, doShine, doMute, doHang, doFail, doSlow, doMend, doSettle, doSubmit, doUpdate, doScale,
		doHalt, doRestart, doRemove} {
		if count[do] < 20 {
			t.Errorf("%q happens %d times in 500 schedules", do, count[do])
		}
	}
	t.Logf("for example\n%s", draw(1))
}
