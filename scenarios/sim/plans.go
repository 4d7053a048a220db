package sim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/gossip"
)

// Plan is all that a run does, drawn from its seed.
type Plan struct {
	Seed  uint64
	Name  string // of its script; "" is a mix
	Nodes int
	Steps []Step
	Core  []int // hosts that are healed in the end while the rest stays as it is; nil: all are

	gentle    bool
	noise     noise
	retention time.Duration
	promises
}

// promises are what holds in a plan beside what holds in all of them, since of what
// can go wrong only so much does.
type promises struct {
	sturdy bool          // tasks end by themselves only where that is their kind
	once   bool          // what must not run twice does not: nobody dies, and nobody errs about it
	prompt time.Duration // a slot that is wanted is not unserved, and a node that drains not in use, for longer; 0: who knows
}

// menus are what a schedule is drawn from; a word that stands there twice is drawn
// twice as often.
var (
	writes  = strings.Fields("submit submit submit put scale scale stop restart remove")
	faults  = strings.Fields("crash kill kill boot boot boot wipe copy restore cut cut oneway reset isolate err slow fail hang down skew poweroff mute lag ambush")
	gentles = strings.Fields("drain resume resume slow leave")
)

const chaosEnds = 60 * time.Second

// NewPlan draws a plan. One in four is gentle: nodes drain and leave, engines are
// slow, and that is all. Of the others every second follows a script.
func NewPlan(seed uint64) Plan {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := Plan{Seed: seed, Nodes: 3 + rng.IntN(7), gentle: rng.IntN(4) == 0, retention: gossip.DefaultRetention}
	menu := slices.Concat(gentles, faults)
	if p.gentle {
		menu, p.once = gentles, true
	} else {
		p.noise = noise{lost: []float64{0, 0.02, 0.1}[rng.IntN(3)], twice: []float64{0, 0.05}[rng.IntN(2)], late: 0.1, delay: []time.Duration{0, 300 * time.Millisecond, 2 * time.Second}[rng.IntN(3)]}
		if rng.IntN(3) == 0 {
			p.retention = 20 * time.Second
		}
		if rng.IntN(3) == 0 {
			p.Core = rng.Perm(p.Nodes)[:2+rng.IntN(p.Nodes-1)]
			slices.Sort(p.Core)
		}
	}
	at := 3*time.Second + time.Duration(p.Nodes)*time.Second
	if !p.gentle && rng.IntN(2) == 0 {
		s := scripts[rng.IntN(len(scripts))]
		p.Name, p.Core = s.name, nil
		s.write(&p, rng, at)
		slices.SortStableFunc(p.Steps, func(a, b Step) int { return int(a.At - b.At) })
		return p
	}
	for range 3 {
		at += time.Duration(rng.Int64N(int64(time.Second)))
		p.Steps = append(p.Steps, p.write(rng, at, "submit"))
	}
	for n := 4 + rng.IntN(14); n > 0; n-- {
		at += time.Duration(rng.ExpFloat64() * float64(3*time.Second))
		if at > chaosEnds {
			break
		}
		if rng.IntN(3) == 0 {
			p.Steps = append(p.Steps, p.write(rng, at, writes[rng.IntN(len(writes))]))
		} else {
			p.Steps = append(p.Steps, p.fault(rng, at, menu[rng.IntN(len(menu))]))
		}
	}
	return p
}

func (p *Plan) write(rng *rand.Rand, at time.Duration, do string) Step {
	st := Step{At: at, Do: do, Host: rng.IntN(p.Nodes), Peer: -1, Job: drawnNames[rng.IntN(len(drawnNames))], N: 1 + rng.IntN(2)}
	if do == "scale" {
		st.N = rng.IntN(4)
	}
	return st
}

func (p *Plan) fault(rng *rand.Rand, at time.Duration, do string) Step {
	st := Step{At: at, Do: do, Host: rng.IntN(p.Nodes), Peer: -1}
	switch do {
	case "cut", "oneway", "reset", "err":
		st.Peer = p.other(rng, st.Host)
		st.For = time.Duration(rng.ExpFloat64() * float64(10*time.Second))
	case "isolate", "slow", "fail", "hang", "down", "mute":
		st.For = time.Duration(rng.ExpFloat64() * float64(10*time.Second))
	case "lag":
		st.For = time.Duration(rng.ExpFloat64() * float64(3*time.Second))
	case "ambush":
		st.Do, st.For = ambushes[rng.IntN(len(ambushes))], time.Duration(rng.ExpFloat64()*float64(10*time.Second))
	}
	return st
}

// other is another host than one.
func (p *Plan) other(rng *rand.Rand, host int) int { return (host + 1 + rng.IntN(p.Nodes-1)) % p.Nodes }
