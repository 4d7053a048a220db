package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
)

// driverName is what all jobs of a run name.
const driverName = "process"

// engine is what runs the containers of a host. It outlives every agent there.
type engine struct {
	host       *host
	containers []*runtime.Container // in the order in which they were made
	made       int
	ending     map[string]bool // containers that somebody stops
	slow       time.Duration   // added to each start
	failing    bool            // starts fail
	hanging    bool            // starts do not end
	down       bool            // it does not answer
}

// list is what an agent of that id is told.
func (e *engine) list(id api.NodeID) (held []peer.Held) {
	for _, c := range e.containers {
		if c.Labels.Node == id {
			held = append(held, peer.Held{Driver: driverName, Container: *c})
		}
	}
	return held
}

func (e *engine) find(id string) *runtime.Container {
	for _, c := range e.containers {
		if c.ID == id {
			return c
		}
	}
	return nil
}

func (e *engine) remove(id string) {
	e.containers = slices.DeleteFunc(e.containers, func(c *runtime.Container) bool { return c.ID == id })
}

// run makes a container that runs. Batch tasks end well after a while.
func (e *engine) run(spec runtime.Spec, now time.Time) *runtime.Container {
	e.made++
	c := &runtime.Container{
		ID: fmt.Sprintf("%s-%d", e.host.name, e.made), Labels: spec.Labels, State: runtime.Running, StartedAt: now,
	}
	e.containers = append(e.containers, c)
	e.host.sim.started(e.host, c)
	s, id := e.host.sim, c.ID
	switch {
	case spec.Labels.Job == "batchlong":
		s.after(s.between(50*time.Second, 60*time.Second), func() { e.exit(id, 0) })
	case batch(spec.Labels.Job):
		s.after(s.between(2*time.Second, 30*time.Second), func() { e.exit(id, 0) })
	case s.busy() && !s.plan.sturdy && s.chance(0.05):
		s.after(s.between(time.Second, 20*time.Second), func() { e.exit(id, 1) })
	}
	return c
}

// exit ends a container. Its agent hears of it soon.
func (e *engine) exit(id string, code int) {
	c := e.find(id)
	if c == nil || c.State != runtime.Running {
		return
	}
	c.State, c.ExitCode, c.FinishedAt = runtime.Exited, code, e.host.clock()
	e.host.sim.ended(e.host, c)
	e.host.changed()
}

// killAll is what a host's death does.
func (e *engine) killAll() {
	for _, c := range e.containers {
		if c.State == runtime.Running {
			c.State, c.ExitCode, c.FinishedAt = runtime.Exited, 137, e.host.clock()
			e.host.sim.ended(e.host, c)
		}
	}
}
