package sim

import (
	"fmt"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
)

// jobNames are what the operator works with. The beginning of a name is its kind.
var jobNames = []string{"web", "api", "freeze", "batch", "roll", "batchlong"}

// drawnNames are those that a mix is of.
var drawnNames = jobNames[:5]

// specOf is a job of that name; version makes another template of it.
func specOf(name string, replicas, version int) api.Job {
	j := api.NewJob()
	j.Name, j.Driver, j.Command, j.Replicas = name, driverName, []string{"run", fmt.Sprint(version)}, replicas
	j.Resources = api.Resources{CPUs: 800, Memory: 64 << 20}
	j.StartTimeout = api.Duration(20 * time.Second)
	j.StopTimeout = api.Duration(time.Second)
	switch name {
	case "freeze":
		j.OnPartition = "freeze"
	case "batch", "batchlong":
		j.Type, j.Restart.Policy = api.BatchJob, "on-failure"
	case "roll":
		j.MaxParallel = 2
	}
	return j
}

// write has a node carry out a write, as its API does: the record goes to its own
// disk and to others until it is safe, and then it is acknowledged.
func (s *Sim) write(at *host, what string, change func(c *peer.Core, now time.Time) (*gossip.Record, error)) {
	a := at.agent
	if a == nil || !a.core.Ready() {
		return
	}
	r, err := change(a.core, a.now())
	if err != nil || r == nil {
		return
	}
	wanted := a.core.Disks(a.now())
	on := map[*host]bool{}
	over := false
	count := func(h *host) {
		on[h] = true
		if !over && len(on) >= wanted || !over && s.bug.AckEarly {
			over = true
			s.note("acknowledged", what)
			s.acknowledged(*r, on, wanted)
			s.hurtHolders(on, wanted)
		}
	}
	if !a.put(func() { count(at) }, *r) {
		return
	}
	s.note("write", at.name, what)
	if r.Removed {
		s.removals = append(s.removals, *r)
	}
	for _, id := range a.core.Alive() {
		a.replicate(api.NodeID(id), *r, true, count, func() { over = true })
	}
}

// replicate brings a write to a peer's disk, after a sync if there was none yet. What
// is no longer in the table by then is not passed on.
func (a *agent) replicate(id api.NodeID, r gossip.Record, again bool, durable func(*host), void func()) {
	h, sent := a.sim.byID[id], a.synced(id)
	if cur, ok := a.table.Get(r.Key); !ok || cur.Stamp.Compare(r.Stamp) != 0 {
		return
	}
	if !sent {
		if a.sync(id); again {
			a.after(time.Second, func() { a.replicate(id, r, false, durable, void) })
		}
		return
	}
	a.ask(id, func(dst *agent, answer func(func())) {
		if !dst.trusts(a, sent) {
			dst.sync(a.id)
			return
		}
		m := dst.table.Merge(dst.now(), r)
		dst.took(m, a.id)
		if cur, ok := dst.table.Get(r.Key); ok && cur.Stamp.Compare(r.Stamp) != 0 {
			answer(func() { // greater, or of another life: the write is void
				void()
				a.took(a.table.Merge(a.now(), cur), id)
			})
			return
		}
		dst.durable(func() { answer(func() { durable(h) }) })
	}, func(error) {})
}
